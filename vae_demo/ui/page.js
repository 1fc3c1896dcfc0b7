// What all exhibits share: words, pictures, the live loop, and the places a digit can be sent to.
// Loaded in <head>, so it is there before any exhibit comes to life.
window.vaeDemo = (() => {
  const { texts, ...config } = window.vaeDemoConfig;
  const query = new URLSearchParams(location.search);
  const remembered = (key) => {
    try { return localStorage.getItem("vae_demo." + key); } catch { return null; } // private mode
  };
  const remember = (key, value) => {
    try { localStorage.setItem("vae_demo." + key, value); } catch { /* it lasts as long as the page */ }
  };

  // Events: "language", "theme", "tab", "models", "drawing", "to-draw", "to-start", "to-end".
  const listeners = new Map();
  const on = (name, callback) => listeners.set(name, [...(listeners.get(name) ?? []), callback]);
  const send = (name, detail) => (listeners.get(name) ?? []).forEach((callback) => callback(detail));

  // Words -----------------------------------------------------------------------------------------
  const languages = Object.keys(texts);
  const preferred = [query.get("lang"), remembered("language"), navigator.language?.slice(0, 2), "en"];
  let language = preferred.find((one) => languages.includes(one));
  // Every text may name what is compared: {left}, {right}, and the numbers in their codes.
  const text = (key, values = {}) =>
    (texts[language][key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? compared(name));
  function compared(name) {
    const [side, what] = name.split("_");
    if (!SIDES.includes(side)) return "";
    const model = models[SIDES.indexOf(side)];
    return what === "numbers" ? latentSize(model) : text("model." + model);
  }

  // data-text fills an element, data-hint its tooltip, data-label its name for screen readers.
  // data-model makes it the name of the model on that side, and the place to choose another.
  function translate(root) {
    for (const node of root.querySelectorAll("[data-model]")) chooser(node);
    for (const node of root.querySelectorAll("[data-text]")) node.textContent = text(node.dataset.text);
    for (const node of root.querySelectorAll("[data-hint]")) node.title = text(node.dataset.hint);
    for (const node of root.querySelectorAll("[data-label]"))
      node.setAttribute("aria-label", text(node.dataset.label));
  }

  // Every exhibit calls this once with its element; it then speaks the visitor's language.
  function exhibit(root) {
    translate(root);
    on("language", () => translate(root));
    on("models", () => translate(root));
  }

  // The two models that are compared, on every tab ------------------------------------------------
  const SIDES = ["left", "right"], TWINS = ["ae", "vae"];
  const names = config.models.map((model) => model.name);
  const models = SIDES.map((side, i) => (names.includes(query.get(side)) ? query.get(side) : TWINS[i]));
  const latentSize = (name) => config.models.find((model) => model.name === name).latent_size;

  function compare(side, name) {
    const i = SIDES.indexOf(side);
    if (models[i] === name) return;
    models[i] = name;
    inAddress(side, name === TWINS[i] ? null : name);
    send("models", models);
  }

  function chooser(node) {
    const side = node.dataset.model, i = SIDES.indexOf(side);
    let select = node.querySelector("select");
    if (!select) {
      node.innerHTML = `<select data-testid="model-${side}"></select> <span class="about"></span>`;
      select = node.querySelector("select");
      select.append(...names.map((name) => new Option("", name)));
      select.addEventListener("change", () => compare(side, select.value));
    }
    for (const option of select.options) option.textContent = text("model." + option.value);
    select.value = models[i];
    select.setAttribute("aria-label", text("model." + side));
    select.title = text("model.hint");
    node.querySelector(".about").textContent = text("model." + models[i] + ".about");
  }

  // The address always tells what is open, so that it can be sent to somebody. Null takes a key out.
  function inAddress(key, value) {
    const url = new URL(location.href);
    if (value === null) url.searchParams.delete(key);
    else url.searchParams.set(key, value);
    history.replaceState(history.state, "", url);
  }

  function speak(next) {
    language = next;
    document.documentElement.lang = next;
    document.title = text("title");
    remember("language", next);
    inAddress("lang", next);
    send("language", next);
  }

  // Drawings, in an address ------------------------------------------------------------------------
  // Points are whole canvas units; each is written as its step from the one before, zigzag, in
  // base64url digits of 5 bits (as in source maps); "." begins the next stroke.
  const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  function packStrokes(strokes) {
    return strokes.map((points) => {
      let written = "";
      points.forEach((value, i) => {
        const step = Math.round(value) - (i < 2 ? 0 : Math.round(points[i - 2]));
        let rest = step < 0 ? -2 * step - 1 : 2 * step;
        do {
          const digit = rest & 31;
          rest >>= 5;
          written += DIGITS[rest ? digit | 32 : digit];
        } while (rest);
      });
      return written;
    }).join(".");
  }
  // Null for what is no drawing: an address may hold anything.
  function unpackStrokes(written) {
    if (!/^[\w.-]{1,8000}$/.test(written ?? "")) return null;
    const strokes = [];
    for (const part of written.split(".")) {
      const points = [];
      let value = 0, shift = 0;
      for (const letter of part) {
        const digit = DIGITS.indexOf(letter);
        value += (digit & 31) * 2 ** shift;
        shift += 5;
        if (digit & 32) continue;
        const step = value % 2 ? -(value + 1) / 2 : value / 2;
        points.push(step + (points.length < 2 ? 0 : points.at(-2)));
        value = shift = 0;
      }
      if (shift || points.length % 2 || !points.every((n) => n >= 0 && n <= 616)) return null;
      strokes.push(points);
    }
    return strokes;
  }

  // Points of code space, in an address -------------------------------------------------------------
  // As points.py names them: digit-1234, noise-<seed>-<index>-<temperature>, mean-7 (of a class),
  // sketch-<strokes>, pen36-<strokes> of another thickness, else JSON. Null for what stays in the browser: files, and what is still any.
  const classMean = (digit) => ({ sampler: "classes", class: digit, seed: 0, index: 0, temperature: 0 });
  const isMean = ({ sampler, temperature, class: label }) => sampler === "classes" && temperature === 0 && label != null;
  function packPoint(point) {
    const { digit, strokes, brush, codes, index, seed, temperature } = point;
    if (digit !== undefined) return "digit-" + digit;
    if (strokes) return strokes.length ? (brush ? "pen" + brush : "sketch") + "-" + packStrokes(strokes) : null;
    if (codes) return JSON.stringify({ codes });
    if (index === undefined) return null;
    if (isMean(point)) return "mean-" + point.class;
    return (point.sampler ?? "prior") === "prior" ? ["noise", seed, index, temperature].join("-") : JSON.stringify(point);
  }
  // Null for what is no point, or none of the models that are compared.
  function unpackPoint(written) {
    const [what, ...parts] = (written ?? "").split("-");
    const [first, index, temperature] = parts.map((part) => (part === "" ? NaN : Number(part)));
    const whole = (number, high) => Number.isInteger(number) && number >= 0 && number <= high;
    const drawable = (seed, i, warmth) => whole(seed, 2 ** 31 - 1) && whole(i, 99) && warmth >= 0 && warmth <= 2;
    if (what === "digit") return whole(first, 9999) ? { digit: first } : null;
    if (what === "mean") return whole(first, 9) ? classMean(first) : null;
    if (what === "noise") return drawable(first, index, temperature) ? { seed: first, index, temperature } : null;
    const [pen, brush] = /^(?:sketch|pen(\d{1,3}))$/.exec(what) ?? [];
    if (pen) {
      const strokes = unpackStrokes(written.slice(pen.length + 1));
      if (!brush) return strokes && { strokes };
      return strokes && brush >= 8 && brush <= 120 ? { strokes, brush: Number(brush), off: ["width"] } : null;
    }
    try {
      const point = JSON.parse(written);
      if (point.codes?.every((code, i) => code.length === latentSize(models[i]) && code.every(Number.isFinite))) return { codes: point.codes };
      if (point.sampler && drawable(point.seed, point.index, point.temperature)) return point;
    } catch { /* no point, then */ }
    return null;
  }

  // A file the server made, for the visitor to keep: {name, file: base64}.
  function keep({ name, file }, type = "") {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([file instanceof Blob ? file : bytes(file)], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  // Films -----------------------------------------------------------------------------------------
  // MP4 where the browser can write it, else WebM; null where it cannot film.
  let filmFormat = [
    ["video/mp4;codecs=avc1.42E01E", "MP4"], ["video/mp4;codecs=vp9", "MP4"], ["video/mp4", "MP4"],
    ["video/webm;codecs=vp9", "WebM"], ["video/webm", "WebM"],
  ].map(([type, name]) => ({ type, name })).find(({ type }) => window.MediaRecorder?.isTypeSupported(type)) ?? null;
  const H264 = { codec: "avc1.42E01E", bitrate: 4_000_000, framerate: 25, avc: { format: "avc" } };
  window.VideoEncoder?.isConfigSupported({ ...H264, width: 704, height: 224 }).then(({ supported }) => {
    if (supported) filmFormat = { type: "video/mp4", name: "MP4", exact: true };
  }, () => { /* then in real time */ });

  // Film a canvas for so many ms: paint(ms since the beginning) draws on it, progress is told the
  // share that is done. A blob; null when the signal stopped it or nothing was filmed.
  const record = (...film) => (filmFormat.exact ? encode : watch)(...film);

  // Picture by picture, as fast as the browser encodes.
  async function encode(canvas, paint, duration, signal, progress) {
    const FRAME = 40, count = Math.round(duration / FRAME), samples = [], { width, height } = canvas;
    let description = null, failed = false;
    const encoder = new VideoEncoder({
      output: (chunk, { decoderConfig } = {}) => {
        const data = new Uint8Array(chunk.byteLength);
        chunk.copyTo(data);
        samples.push({ data, key: chunk.type === "key" });
        description ??= decoderConfig?.description && new Uint8Array(decoderConfig.description);
      },
      error: () => { failed = true; },
    });
    encoder.configure({ ...H264, width, height });
    for (let i = 0; i < count && !signal.aborted && !failed; i++) {
      paint(i * FRAME);
      const frame = new VideoFrame(canvas, { timestamp: i * FRAME * 1000, duration: FRAME * 1000 });
      encoder.encode(frame, { keyFrame: i % 50 === 0 });
      frame.close();
      progress(i / count);
      do await new Promise((done) => setTimeout(done, 4)); while (encoder.encodeQueueSize > 4 && !failed);
    }
    if (!failed && !signal.aborted) await encoder.flush().catch(() => { failed = true; });
    if (encoder.state !== "closed") encoder.close();
    return signal.aborted || failed || !description ? null : mp4(samples, description, width, height, FRAME);
  }

  // The least of an MP4 (ISO/IEC 14496-12): one track of H.264 samples, all of one duration in ms.
  function mp4(samples, description, width, height, frame) {
    const u16 = (...numbers) => numbers.flatMap((n) => [(n >> 8) & 255, n & 255]);
    const u32 = (...numbers) => numbers.flatMap((n) => u16(n >>> 16, n & 65535));
    const letters = (word) => [...word].map((letter) => letter.charCodeAt(0));
    const box = (name, ...parts) => [...u32(8 + parts.flat().length), ...letters(name), ...parts.flat()];
    const zeros = (count) => Array(count).fill(0);
    const matrix = u32(65536, 0, 0, 0, 65536, 0, 0, 0, 2 ** 30);
    const count = samples.length, duration = count * frame, sizes = samples.map(({ data }) => data.length);
    const keys = samples.flatMap(({ key }, i) => (key ? [i + 1] : []));
    const type = box("ftyp", letters("isom"), u32(512), letters("isomiso2avc1mp41"));
    const sample = box("avc1", zeros(6), u16(1), zeros(16), u16(width, height), u32(0x480000, 0x480000, 0), u16(1), zeros(32), u16(24, 65535), box("avcC", [...description]));
    const table = box("stbl",
      box("stsd", u32(0, 1), sample), box("stts", u32(0, 1, count, frame)), box("stss", u32(0, keys.length, ...keys)),
      box("stsc", u32(0, 1, 1, count, 1)), box("stsz", u32(0, 0, count, ...sizes)), box("stco", u32(0, 1, type.length + 8)));
    const media = box("mdia",
      box("mdhd", u32(0, 0, 0, 1000, duration), u16(0x55c4, 0)), box("hdlr", u32(0, 0), letters("vide"), zeros(13)),
      box("minf", box("vmhd", u32(1), zeros(8)), box("dinf", box("dref", u32(0, 1), box("url ", u32(1)))), table));
    const movie = box("moov",
      box("mvhd", u32(0, 0, 0, 1000, duration, 65536), u16(256), zeros(10), matrix, zeros(24), u32(2)),
      box("trak", box("tkhd", u32(3, 0, 0, 1, 0, duration), zeros(16), matrix, u32(width << 16, height << 16)), media));
    const length = sizes.reduce((sum, size) => sum + size, 8);
    const parts = [type, [...u32(length), ...letters("mdat")], ...samples.map(({ data }) => data), movie];
    return new Blob(parts.map((part) => Uint8Array.from(part)), { type: "video/mp4" });
  }

  // A box of text, for the end of an MP4: players pass it over, `exports.read_recipe` reads it.
  function mp4Box(name, text) {
    const content = new TextEncoder().encode("0000" + name + text);
    new DataView(content.buffer).setUint32(0, content.length);
    return content;
  }

  // In real time, where pictures cannot be encoded one by one: outside https and localhost.
  async function watch(canvas, paint, duration, signal, progress) {
    const WARM_UP = 10_000; // ms that an encoder may take to begin; until then it drops pictures
    paint(0);
    const stream = canvas.captureStream(0), track = stream.getVideoTracks()[0], parts = [];
    const recorder = new MediaRecorder(stream, { mimeType: filmFormat.type, videoBitsPerSecond: 4_000_000 });
    const stopped = new Promise((done) => { recorder.onstop = recorder.onerror = done; });
    recorder.ondataavailable = ({ data }) => parts.push(data);
    const called = performance.now();
    let begun = null;
    recorder.onstart = () => { begun ??= performance.now(); };
    recorder.start();
    for (let time = 0; time < duration && !signal.aborted; ) {
      paint(time);
      track.requestFrame();
      progress(time / duration);
      await new Promise((done) => setTimeout(done, 33));
      if (performance.now() - called > WARM_UP) begun ??= performance.now();
      time = begun === null ? 0 : performance.now() - begun;
    }
    if (recorder.state !== "inactive") recorder.stop();
    await stopped;
    track.stop();
    const film = new Blob(parts, { type: filmFormat.type });
    return signal.aborted || !film.size ? null : film;
  }

  // Tabs ------------------------------------------------------------------------------------------
  const tabs = ["draw", "sample", "interpolate", "map"];
  let tab = tabs.includes(query.get("tab")) ? query.get("tab") : tabs[0];
  document.documentElement.dataset.tab = tab;
  document.documentElement.lang = language;
  document.title = text("title");

  function open(next) {
    tab = next;
    document.documentElement.dataset.tab = next;
    inAddress("tab", next);
    send("tab", next);
  }
  // Calls back when the tab is first seen: nothing is computed for tabs nobody opens.
  function whenOpened(name, callback) {
    let seen = false;
    const check = () => { if (tab === name && !seen) { seen = true; callback(); } };
    on("tab", check);
    check();
  }

  // Light and dark: Gradio marks the body; a choice made here outlives the visit.
  const isDark = () => document.body.classList.contains("dark");
  function theme(dark) {
    document.body.classList.toggle("dark", dark);
    remember("theme", dark ? "dark" : "light");
    send("theme", dark);
  }

  // Pictures --------------------------------------------------------------------------------------
  // One ink on one ground everywhere, in light and in dark: what the models see is white on black.
  const GROUND = [18, 22, 28], INK = [250, 246, 236];
  const palette = new Uint32Array(256).map((_, value) => {
    const [r, g, b] = GROUND.map((from, i) => Math.round(from + ((INK[i] - from) * value) / 255));
    return (255 << 24) | (b << 16) | (g << 8) | r;
  });

  function bytes(base64) {
    const text = atob(base64), result = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) result[i] = text.charCodeAt(i);
    return result;
  }

  // Paint grey bytes onto a canvas of that many pixels; CSS scales it crisply.
  function paint(canvas, grey, offset = 0) {
    const context = canvas.getContext("2d");
    const image = context.createImageData(canvas.width, canvas.height);
    const pixels = new Uint32Array(image.data.buffer);
    for (let i = 0; i < pixels.length; i++) pixels[i] = palette[grey[offset + i]];
    context.putImageData(image, 0, 0);
  }

  // A small slate: `strokes()` says what it shows, `change(strokes)` hears of every move, never with the
  // same array twice, since a request under way keeps what it asked. A stroke goes on with what is
  // there where `goesOn()`, else it begins anew. Returns what paints the slate again.
  const SLATE_SIDE = 616, PEN = 40;
  function pad(canvas, strokes, change, goesOn) {
    canvas.width = canvas.height = SLATE_SIDE / 2;
    const css = (colour) => `rgb(${colour.join(" ")})`;
    function repaint() {
      const context = canvas.getContext("2d");
      context.setTransform(0.5, 0, 0, 0.5, 0, 0);
      context.clearRect(0, 0, SLATE_SIDE, SLATE_SIDE);
      const shown = strokes();
      if (!shown) return;
      context.fillStyle = css(GROUND);
      context.fillRect(0, 0, SLATE_SIDE, SLATE_SIDE);
      Object.assign(context, { strokeStyle: css(INK), lineWidth: PEN, lineCap: "round", lineJoin: "round" });
      for (const points of shown) {
        context.beginPath();
        context.moveTo(points[0], points[1]);
        for (let i = points.length === 2 ? 0 : 2; i < points.length; i += 2) context.lineTo(points[i], points[i + 1]);
        context.stroke();
      }
    }
    let pointer = null;
    const point = (event) => {
      const box = canvas.getBoundingClientRect();
      const on = (value, length) => Math.max(0, Math.min(SLATE_SIDE, Math.round((value / length) * SLATE_SIDE)));
      return [on(event.clientX - box.left, box.width), on(event.clientY - box.top, box.height)];
    };
    const follow = (next) => { change(next); repaint(); };
    canvas.addEventListener("pointerdown", (event) => {
      if (pointer !== null || event.button !== 0) return;
      event.preventDefault();
      canvas.focus({ preventScroll: true });
      pointer = event.pointerId;
      canvas.setPointerCapture(pointer);
      follow([...(goesOn() ? strokes() : []), point(event)]);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerId !== pointer) return;
      const before = strokes(), moves = event.getCoalescedEvents?.() ?? [];
      follow([...before.slice(0, -1), [...before.at(-1), ...(moves.length ? moves : [event]).flatMap(point)]]);
    });
    for (const over of ["pointerup", "pointercancel"])
      canvas.addEventListener(over, (event) => { if (event.pointerId === pointer) pointer = null; });
    canvas.addEventListener("keydown", (event) => {
      if (!["Delete", "Backspace"].includes(event.key) || !goesOn()) return;
      event.preventDefault();
      follow([]);
    });
    return repaint;
  }

  // The largest size in CSS pixels, up to `room`, at which each of `pixels` covers whole screen pixels.
  const crisp = (pixels, room) =>
    (pixels * Math.max(1, Math.floor((room * devicePixelRatio) / pixels))) / devicePixelRatio;

  // What follows the pointer is asked past Gradio, see live.py; names as "draw/reconstruct".
  const base = new URL(location.pathname.replace(/\/?$/, "/"), location.origin);
  const address = (path) => new URL(path, base);
  async function ask(name, request) {
    const response = await fetch(address("live/" + name), { method: "POST", body: JSON.stringify(request) });
    if (!response.ok) throw new Error(response.status);
    return response.json();
  }

  // The live loop ---------------------------------------------------------------------------------
  // One request under way plus a flag: a slow server is asked less often, never later.
  // `next()` returns a request or null, `call` sends it, `show(answer, request)` paints the answer.
  function live(next, call, show) {
    let busy = false, dirty = false;
    async function pump() {
      if (busy || !dirty) return;
      busy = true;
      dirty = false;
      const request = next();
      try {
        if (request) show(await call(request), request);
      } catch {
        show({ error: "error.offline" }, request);
      } finally {
        busy = false;
        pump();
      }
    }
    return () => { dirty = true; pump(); };
  }

  // Show or hide an exhibit's one line for what went wrong.
  function complain(root, code) {
    const line = root.querySelector(".complaint");
    line.hidden = !code;
    line.dataset.text = code ?? "";
    line.textContent = code ? text(code) : "";
  }

  const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

  return {
    config, on, send, text, translate, exhibit, speak, open, whenOpened, inAddress, query, theme,
    isDark, remembered, bytes, paint, pad, crisp, address, ask, live, complain, calm, GROUND, INK,
    models, latentSize, compare, packStrokes, unpackStrokes, packPoint, unpackPoint, classMean, isMean, keep, record, mp4Box,
    drawing: null, // what is on the canvas now, as a request: {strokes} | {picture} | {digit} | null
    get filmFormat() { return filmFormat; },
    get language() { return language; },
    get tab() { return tab; },
  };
})();
