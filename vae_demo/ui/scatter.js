// Dots on a canvas by WebGL 2: tens of thousands of them, in two or three dimensions, that travel from
// one arrangement to the next. Knows nothing of digits, maps or servers. Where there is no WebGL 2,
// the same dots by the canvas' own brush.
//
// Places are vec4: x, y, z, and 1 for a dot that is there, 0 for one that is not. A view is
// {centre: [x, y, z], unit: map units a pixel covers, yaw, pitch: radians}, seen from straight ahead,
// without perspective, so that equal lengths look equal.
const VERTEX = `#version 300 es
in vec4 from, to, tone;
uniform float time, size, depth;
uniform vec3 centre;
uniform mat3 turn;
uniform vec2 scale;
out vec4 ink;
void main() {
  vec4 place = mix(from, to, time);
  vec3 p = turn * (place.xyz - centre);
  float far = clamp(0.5 - 0.5 * p.z / max(depth, 1e-6), 0.0, 1.0); // 0 in front, 1 behind
  gl_Position = vec4(p.xy * scale, depth > 0.0 ? 1.8 * far - 0.9 : 0.0, 1.0);
  gl_PointSize = size * (depth > 0.0 ? 1.35 - 0.7 * far : 1.0);
  ink = tone;
  ink.a *= place.w * (depth > 0.0 ? 1.0 - 0.65 * far : 1.0);
  if (ink.a < 0.004) gl_Position = vec4(2.0, 2.0, 2.0, 1.0); // outside: costs nothing to draw
}`;
const FRAGMENT = `#version 300 es
precision highp float;
in vec4 ink;
uniform float size;
out vec4 pixel;
void main() {
  float rim = (0.5 - length(gl_PointCoord - 0.5)) * size;
  float alpha = ink.a * clamp(rim + 0.5, 0.0, 1.0);
  pixel = vec4(ink.rgb * alpha, alpha);
}`;

// The rotation of a view, row by row.
function turned({ yaw = 0, pitch = 0 }) {
  const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
  return [[cy, 0, sy], [sp * sy, cp, -sp * cy], [-cp * sy, sp, cp * cy]];
}

function createScatter(canvas, redraw) {
  const gl = canvas.getContext("webgl2", { antialias: false, premultipliedAlpha: true, preserveDrawingBuffer: false });
  let count = 0, from = null, to = null, tones = null; // Float32Array (N, 4) twice, Uint8Array (N, 4)
  let began = 0, lasts = 0; // of a journey, ms
  let program = null, places = {}, buffers = {}, fresh = { from: false, to: false, tone: false };

  function compile() {
    const shader = (type, source) => {
      const it = gl.createShader(type);
      gl.shaderSource(it, source);
      gl.compileShader(it);
      return it;
    };
    program = gl.createProgram();
    gl.attachShader(program, shader(gl.VERTEX_SHADER, VERTEX));
    gl.attachShader(program, shader(gl.FRAGMENT_SHADER, FRAGMENT));
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    gl.useProgram(program);
    places = Object.fromEntries(["time", "size", "depth", "centre", "turn", "scale"].map((name) => [name, gl.getUniformLocation(program, name)]));
    for (const name of ["from", "to", "tone"]) {
      buffers[name] = gl.createBuffer();
      const at = gl.getAttribLocation(program, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers[name]);
      gl.enableVertexAttribArray(at);
      if (name === "tone") gl.vertexAttribPointer(at, 4, gl.UNSIGNED_BYTE, true, 0, 0);
      else gl.vertexAttribPointer(at, 4, gl.FLOAT, false, 0, 0);
    }
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    fresh = { from: false, to: false, tone: false };
  }
  if (gl) {
    compile();
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => { compile(); redraw(); });
  }

  const progress = () => {
    const share = lasts ? Math.min(1, (performance.now() - began) / lasts) : 1;
    return share * share * (3 - 2 * share); // sets off and arrives gently
  };
  function now() {
    const t = progress();
    if (t >= 1 || !from) return to;
    const mixed = new Float32Array(to.length);
    for (let i = 0; i < mixed.length; i++) mixed[i] = from[i] + (to[i] - from[i]) * t;
    return mixed;
  }

  // Arrange the dots anew: points Float32Array (N, dimensions); over so many ms, 0 to be there at once.
  function arrange(points, dimensions, ms = 0) {
    const n = points.length / dimensions, size = Math.max(n, ms ? count : 0);
    const target = new Float32Array(4 * size), start = ms && to ? now() : null;
    for (let i = 0; i < n; i++) {
      for (let d = 0; d < dimensions; d++) target[4 * i + d] = points[dimensions * i + d];
      target[4 * i + 3] = 1;
    }
    if (start) {
      from = new Float32Array(target);
      from.set(start.subarray(0, 4 * Math.min(size, start.length / 4)));
      // What comes and what goes does so where it is.
      for (let i = 0; i < size; i++) {
        if (i >= n) target.set(from.subarray(4 * i, 4 * i + 3), 4 * i);
        else if (4 * i >= start.length || !start[4 * i + 3]) { from.set(target.subarray(4 * i, 4 * i + 3), 4 * i); from[4 * i + 3] = 0; }
      }
    } else from = target;
    to = target;
    count = size;
    [began, lasts] = [performance.now(), start ? ms : 0];
    if (!tones || tones.length < 4 * count) tones = grown(tones, 4 * count);
    fresh = { from: false, to: false, tone: false };
    redraw();
  }
  function grown(bytes, length) {
    const more = new Uint8Array(length);
    if (bytes) more.set(bytes);
    return more;
  }

  // Colours as Uint8Array (N, 4), red, green, blue, alpha.
  function colour(bytes) {
    tones = bytes.length < 4 * count ? grown(bytes, 4 * count) : bytes;
    fresh.tone = false;
    redraw();
  }

  // True while dots travel and another frame is due. `ratio`: canvas pixels to one of CSS.
  function draw(view, [width, height], { size = 4, depth = 0, ratio = window.devicePixelRatio } = {}) {
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    if (!count) return false;
    const moving = lasts > 0 && performance.now() - began < lasts;
    if (gl) shade(view, [w, h], ratio, size, depth);
    else brush(view, [w, h], ratio, size);
    return moving;
  }

  function shade(view, [w, h], ratio, size, depth) {
    if (gl.isContextLost()) return;
    for (const [name, data] of Object.entries({ from, to, tone: tones })) {
      if (fresh[name]) continue;
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers[name]);
      gl.bufferData(gl.ARRAY_BUFFER, data, gl.DYNAMIC_DRAW);
      fresh[name] = true;
    }
    gl.viewport(0, 0, w, h);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform1f(places.time, progress());
    gl.uniform1f(places.size, size * ratio);
    gl.uniform1f(places.depth, depth);
    gl.uniform3fv(places.centre, view.centre);
    gl.uniformMatrix3fv(places.turn, true, turned(view).flat());
    gl.uniform2f(places.scale, (2 * ratio) / (w * view.unit), (2 * ratio) / (h * view.unit));
    gl.drawArrays(gl.POINTS, 0, count);
  }

  function brush(view, [w, h], ratio, size) {
    const context = canvas.getContext("2d"), [across, up] = turned(view), at = now(), s = size * ratio;
    context.clearRect(0, 0, w, h);
    for (let i = 0; i < count; i++) {
      if (!at[4 * i + 3] || !tones[4 * i + 3]) continue;
      const d = view.centre.map((c, k) => at[4 * i + k] - c);
      const x = w / 2 + ((across[0] * d[0] + across[1] * d[1] + across[2] * d[2]) / view.unit) * ratio;
      const y = h / 2 - ((up[0] * d[0] + up[1] * d[1] + up[2] * d[2]) / view.unit) * ratio;
      if (x < 0 || y < 0 || x > w || y > h) continue;
      context.fillStyle = `rgba(${tones[4 * i]},${tones[4 * i + 1]},${tones[4 * i + 2]},${(at[4 * i + 3] * tones[4 * i + 3]) / 255})`;
      context.fillRect(x - s / 2, y - s / 2, s, s);
    }
  }

  return { arrange, colour, draw };
}
