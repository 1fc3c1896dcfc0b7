// Ways, sheets and sums of code space. One request brings all pictures; the browser plays them.
const { vaeDemo } = window;
const $ = (selector) => element.querySelector(selector);
const section = element.firstElementChild;

// What a request is made of, and how its number of pictures may be chosen, by mode.
const MODES = {
  way: { ends: ["start", "end"], steps: [3, 20, 1] },
  sheet: { ends: ["start", "end", "third", "fourth"], steps: [3, 7, 1] },
  arithmetic: { ends: ["start", "plus", "minus"], steps: [4, 19, 3] },
};
const KEYS = { start: "from", end: "to", third: "third", fourth: "fourth", plus: "plus", minus: "minus" }; // in the address
const NAMES = { sheet: { start: "first", end: "second" }, arithmetic: { start: "x" } }; // where they differ
const ENDS = Object.keys(KEYS), SIDES = ["left", "right"], ROWS = ["left", "right", "fade"];
const narrow = matchMedia("(max-width: 700px)").matches, roomy = matchMedia("(min-width: 1300px) and (min-height: 860px)").matches;
const STEPS = { way: narrow ? 7 : 9, sheet: roomy ? 7 : 5, arithmetic: 7 };
const TRAVEL = 3200, REST = 700; // ms from end to end, and at each end
const SURE = 0.9; // confidence from which a reading counts
const PEN = 40; // of a drawing, as on the slate of Draw

// The panels of all ends are alike.
for (const box of element.querySelectorAll(".end")) {
  const name = box.dataset.end;
  box.innerHTML = `<p class="name"></p>
    <div class="slate"><canvas width="28" height="28" data-testid="${name}-picture" aria-hidden="true"></canvas>
      <canvas class="ink" tabindex="0" role="img" data-testid="${name}-ink" data-label="interpolate.${name}.draw" data-hint="interpolate.ink.hint"></canvas>
      <svg class="pencil" viewBox="0 0 16 16" aria-hidden="true"><path d="M2 14l1-4 8-8 3 3-8 8z"/></svg></div>
    <p class="note"></p>
    <p class="pick"><select data-testid="${name}-kind" data-label="interpolate.${name}.kind"></select><button data-testid="${name}-another"></button></p>`;
}
vaeDemo.exhibit(element);
const panel = (name) => $(".end[data-end=" + name + "]");
const pick = (name) => $("[data-testid=" + name + "-kind]");
const another = (name) => $("[data-testid=" + name + "-another]");

// Ends -------------------------------------------------------------------------------------------
// A point of code space as the server names it, or "drawing": what is on the slate of Draw; or that
// digit, or the one drawn as the start, with a "thin" or a "thick" pen.
const ends = {};
const PENS = { thin: 36, thick: 110 };
const classes = {}; // what digit an end shows, once the server has said so
const random = () => Math.floor(Math.random() * 100000);
const anyOf = (digit) => ({ class: digit, seed: random() });
const anyPoint = () => ({ seed: random(), index: 0, temperature: 1 });

function kind(end) {
  if (typeof end === "string") return end;
  if (end.brush) return end.brush < PEN ? "thin" : "thick";
  if (end.strokes) return "sketch";
  if ("digit" in end || ("class" in end && !("index" in end))) return "digit";
  if (vaeDemo.isMean(end)) return "mean";
  return "index" in end && (end.sampler ?? "prior") === "prior" ? "noise" : "point";
}
// What the server is asked for; null while there is nothing yet.
function asPoint(end) {
  if (typeof end !== "string") return end.strokes?.length === 0 ? null : end;
  const drawn = end !== "drawing" && ends.start.strokes?.length ? ends.start : vaeDemo.drawing;
  const { strokes, picture, digit } = drawn ?? {};
  if (end in PENS) return strokes ? { strokes, brush: PENS[end], off: ["width"] } : null;
  return strokes ? { strokes } : picture ? { picture } : digit === undefined ? null : { digit };
}
// Only what names a point: other tabs send more along.
function clean({ digit, codes, strokes, picture, index, seed, temperature, sampler, class: label }) {
  if (digit !== undefined) return { digit };
  if (codes) return { codes };
  if (strokes) return { strokes };
  if (index === undefined) return label === undefined ? { picture } : { class: label, seed };
  const point = { seed, index, temperature };
  if (sampler) point.sampler = sampler;
  if (label != null) point.class = label;
  return point;
}

// In the address, a drawing on the slate of Draw is one of its own.
function written(end) {
  const point = asPoint(end);
  return point && vaeDemo.packPoint(point);
}
for (const name of ENDS) {
  const point = vaeDemo.unpackPoint(vaeDemo.query.get(KEYS[name]));
  ends[name] = point && !(point.digit >= props.digits) ? point : props.opening[name];
}

// State ------------------------------------------------------------------------------------------
let mode = vaeDemo.query.get("mode") in MODES ? vaeDemo.query.get("mode") : "way";
let path = vaeDemo.query.get("path") === "slerp" ? "slerp" : "lerp";
const steps = { ...STEPS };
{
  const asked = Number(vaeDemo.query.get("steps")), [low, high, step] = MODES[mode].steps;
  if (asked >= low && asked <= high && (asked - low) % step === 0) steps[mode] = asked;
}
let at = 0, u = 0.5, v = 0.5; // where in the film, 0 … 1; where on the sheet
let rests = false; // a visitor chose that place, so the address names it
{
  const [x, y] = (vaeDemo.query.get("at") ?? "").split("-").map((part) => (part === "" ? NaN : Number(part)));
  rests = x >= 0 && x <= 1;
  if (rests && mode === "sheet") [u, v] = [x, y >= 0 && y <= 1 ? y : v];
  else if (rests) at = x;
}

// Not at every movement of a slider: browsers bear only so many changes of the address.
const addressed = new Map();
let settling = null;
function settle() {
  clearTimeout(settling);
  settling = setTimeout(() => {
    const round = (value) => Number(value.toFixed(3));
    const entries = ENDS.map((name) => [KEYS[name], ends[name] === props.opening[name] ? null : written(ends[name])]);
    entries.push(["mode", mode === "way" ? null : mode], ["path", path === "lerp" ? null : path]);
    entries.push(["steps", steps[mode] === (mode === "sheet" ? null : STEPS[mode]) ? null : String(steps[mode])]);
    entries.push(["at", !rests ? null : mode === "sheet" ? round(u) + "-" + round(v) : String(round(at))]);
    for (const [key, value] of entries) {
      if ((addressed.has(key) ? addressed.get(key) : vaeDemo.query.get(key)) === value) continue;
      addressed.set(key, value);
      vaeDemo.inAddress(key, value);
    }
  }, 250);
}

// Frames -----------------------------------------------------------------------------------------
let film = null; // what the server answered, as {left, right, fade: bytes, frames, readings, places}
let shown = -1; // the frame on screen
const scrubber = $("[data-testid=scrubber]");
const big = { left: $("[data-testid=between-left]"), right: $("[data-testid=between-right]") };
const strip = (row) => $(".strip[data-row=" + row + "]");
const percent = (value) => Math.round(100 * value) + "%";

function lay(count) {
  for (const row of ROWS) {
    const tiles = strip(row);
    while (tiles.children.length > count) tiles.lastChild.remove();
    while (tiles.children.length < count)
      tiles.insertAdjacentHTML("beforeend", '<figure><canvas width="28" height="28"></canvas><figcaption>&nbsp;</figcaption></figure>');
  }
  fit();
}

// Tiles as large as whole screen pixels allow; the rows keep their height.
let tile = 28;
function fit() {
  const { clientWidth, clientHeight } = strip("left");
  if (!clientWidth) return; // another tab or mode is open
  tile = vaeDemo.crisp(28, Math.min(clientHeight - 16, clientWidth / strip("left").children.length - 2));
  $(".timeline").style.setProperty("--tile", tile + "px");
  go(at);
}
new ResizeObserver(fit).observe(strip("left"));

function reads(side, { classes, confidences }, index) {
  $("[data-testid=reading-" + side + "]").textContent =
    vaeDemo.text("interpolate.reading", { class: classes[index], confidence: percent(confidences[index]) });
}

function go(position) {
  at = position;
  if (!film || mode === "sheet") return;
  const frame = Math.round(at * (film.frames - 1));
  if (frame === shown) return;
  shown = frame;
  for (const side of SIDES) {
    vaeDemo.paint(big[side], film[side], frame * 784);
    reads(side, film.readings[side], frame);
    stand(side, film.places[side][frame]);
  }
  scrubber.value = frame;
  const nearest = Math.round(at * (strip("left").children.length - 1));
  for (const row of ROWS)
    [...strip(row).children].forEach((tile, i) => tile.firstChild.classList.toggle("now", i === nearest));
  const where = mode === "way" ? percent(frame / (film.frames - 1)) : "s = " + ((3 * frame) / (film.frames - 1) - 1).toFixed(2).replace("-", "−");
  $(".position").textContent = where;
  scrubber.setAttribute("aria-valuetext", where);
}

// What lies between, in words: which digits one surely sees, and how often none.
function between(classes, confidences, list) {
  const sure = classes.filter((_, i) => confidences[i] >= SURE);
  const unsure = classes.length - sure.length;
  const key = unsure ? "interpolate.unsure" : "interpolate.sure";
  return [list(sure) || "–", vaeDemo.text(key, { unsure, count: classes.length })];
}
function tell(node, [what, how]) {
  node.replaceChildren(what, document.createElement("br"), how);
}
const runs = (sure) => sure.filter((digit, i) => digit !== sure[i - 1]).join(" → ");
const counts = (sure) =>
  [...new Set(sure)].map((digit) => [digit, sure.filter((one) => one === digit).length])
    .sort((a, b) => b[1] - a[1]).map(([digit, n]) => digit + "\u2009×\u2009" + n).join(", ");

function showFilm(answer) {
  film = { ...answer, answer, models: asked.models };
  for (const row of ROWS) film[row] = vaeDemo.bytes(answer[row]);
  lay(asked.steps);
  const gap = (film.frames - 1) / (asked.steps - 1);
  for (const row of ROWS) {
    const { classes, confidences } = film.readings[row];
    const every = (values) => values.filter((_, i) => i % gap === 0);
    [...strip(row).children].forEach((tile, i) => {
      vaeDemo.paint(tile.firstChild, film[row], i * gap * 784);
      const [digit, confidence] = [classes[i * gap], confidences[i * gap]];
      tile.lastChild.innerHTML = `<b>${digit}</b> ${percent(confidence)}`;
      tile.lastChild.classList.toggle("unsure", confidence < SURE);
    });
    tell($(".names [data-row=" + row + "]"), between(every(classes), every(confidences), runs));
  }
  scrubber.max = film.frames - 1;
  shown = -1;
  trace();
  go(at);
}

// Sheets -----------------------------------------------------------------------------------------
let sheet = null; // the same of a sheet
const surface = (side) => $("[data-testid=sheet-" + side + "]");
const PITCH = 29; // a picture and a gap

function fitSheets() {
  for (const side of SIDES) {
    const canvas = surface(side), box = canvas.closest(".sheet");
    if (!box.clientWidth) return;
    canvas.style.width = vaeDemo.crisp(canvas.width, Math.min(box.clientWidth, parseFloat(getComputedStyle(box).getPropertyValue("--room")))) + "px";
  }
  mark();
}
new ResizeObserver(fitSheets).observe($(".sheet"));

function showSheet(answer) {
  const n = asked.steps, width = n * PITCH - 1;
  sheet = { ...answer, answer, models: asked.models, steps: n };
  for (const side of SIDES) {
    sheet[side] = vaeDemo.bytes(answer[side]);
    const canvas = surface(side), wall = new Uint8Array(width * width);
    for (let i = 0; i < n * n; i++)
      for (let y = 0; y < 28; y++)
        wall.set(sheet[side].subarray(i * 784 + y * 28, i * 784 + y * 28 + 28), (Math.floor(i / n) * PITCH + y) * width + (i % n) * PITCH);
    if (canvas.width !== width) canvas.width = canvas.height = width;
    vaeDemo.paint(canvas, wall);
    const { classes, confidences } = answer.readings[side];
    tell(canvas.closest(".sheet").querySelector(".between"), between(classes, confidences, counts));
  }
  fitSheets();
  trace();
  painted = null;
  put(u, v);
}

// Where the visitor is: after a leap the nearest picture of the sheet at once, then the exact one.
let painted = null; // the place on screen
function put(x, y) {
  [u, v] = [x, y];
  if (!sheet) return;
  const n = sheet.steps - 1, [i, j] = [Math.round(u * n), Math.round(v * n)];
  if (!painted || Math.max(Math.abs(u - painted[0]), Math.abs(v - painted[1])) * n > 0.5) {
    painted = [i / n, j / n];
    showPlace(sheet, j * (n + 1) + i);
  }
  mark();
  if (painted[0] !== u || painted[1] !== v) exact();
}
function showPlace(pictures, index) {
  for (const side of SIDES) {
    vaeDemo.paint(big[side], pictures[side], index * 784);
    reads(side, pictures.readings[side], index);
    stand(side, pictures.places[side][index]);
  }
}
const exact = vaeDemo.live(
  () => (sheet ? { ...asked, u, v } : null),
  (it) => vaeDemo.ask("interpolate/place", it),
  (answer, it) => {
    if (answer.error || !sheet || String(it.models) !== String(sheet.models)) return;
    painted = [it.u, it.v];
    showPlace({ ...answer, left: vaeDemo.bytes(answer.left), right: vaeDemo.bytes(answer.right) }, 0);
  },
);
function mark() {
  for (const side of SIDES) {
    const canvas = surface(side), ring = canvas.nextElementSibling, pixel = canvas.clientWidth / canvas.width;
    const reach = (canvas.width - 28) * pixel;
    Object.assign(ring.style, { left: u * reach + "px", top: v * reach + "px", width: 28 * pixel + "px", height: 28 * pixel + "px" });
    ring.hidden = !sheet;
  }
}
for (const side of SIDES) {
  const canvas = surface(side);
  const follow = (event) => {
    const box = canvas.getBoundingClientRect(), half = (14 * box.width) / canvas.width;
    const share = (value) => Math.max(0, Math.min(1, (value - half) / (box.width - 2 * half)));
    rests = true;
    put(share(event.clientX - box.left), share(event.clientY - box.top));
    settle();
  };
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); follow(event); });
  canvas.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse" || canvas.hasPointerCapture(event.pointerId)) follow(event); });
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!move || !sheet) return;
    event.preventDefault();
    const n = sheet.steps - 1, next = (value, by) => Math.max(0, Math.min(n, Math.round(value * n) + by)) / n;
    rests = true;
    put(next(u, move[0]), next(v, move[1]));
    settle();
  });
}

// Small maps: the encoded digits, and the way among them -------------------------------------------
let maps = null; // {left, right, models}
const inset = (side) => $("[data-testid=inset-" + side + "]");
const askMaps = vaeDemo.live(() => ({ models: [...vaeDemo.models] }), (it) => server.ground(it), (answer, it) => {
  if (answer.error) return;
  maps = { ...answer, models: it.models };
  paintMaps();
  trace();
});

function paintMaps() {
  if (!maps) return;
  const style = getComputedStyle(section);
  for (const side of SIDES) {
    const canvas = inset(side).querySelector("canvas"), size = Math.round(canvas.clientWidth * devicePixelRatio);
    if (!size) return;
    canvas.width = canvas.height = size;
    const context = canvas.getContext("2d"), { dots, labels, middles } = maps[side];
    const places = new Uint16Array(vaeDemo.bytes(dots).buffer), digits = vaeDemo.bytes(labels);
    const dot = Math.max(1, size / 110);
    context.globalAlpha = 0.6;
    digits.forEach((digit, i) => {
      context.fillStyle = style.getPropertyValue("--class-" + digit);
      context.fillRect((places[2 * i] / 65535) * size - dot / 2, (1 - places[2 * i + 1] / 65535) * size - dot / 2, dot, dot);
    });
    Object.assign(context, { globalAlpha: 1, font: `600 ${Math.round(size / 11)}px system-ui`, textAlign: "center", textBaseline: "middle", lineWidth: size / 36, lineJoin: "round" });
    context.strokeStyle = style.getPropertyValue("--panel");
    context.fillStyle = style.getPropertyValue("--text");
    middles.forEach((middle, digit) => {
      if (!middle) return;
      const [x, y] = onInset(side, middle).map((share) => (share / 100) * size);
      context.strokeText(digit, x, y);
      context.fillText(digit, x, y);
    });
  }
}
new ResizeObserver(paintMaps).observe(inset("left"));
vaeDemo.on("theme", paintMaps);

function onInset(side, [x, y]) {
  const { corner, extent } = maps[side];
  return [(100 * (x - corner[0])) / extent, 100 - (100 * (y - corner[1])) / extent];
}
const current = (what) => what && maps && String(what.models) === String(maps.models);
function trace() {
  const what = mode === "sheet" ? sheet : film;
  for (const side of SIDES) {
    const places = current(what) ? what.places[side].map((place) => onInset(side, place)) : [];
    inset(side).querySelector("polyline").setAttribute("points", mode === "sheet" ? "" : places.map((place) => place.map((one) => one.toFixed(1)).join()).join(" "));
    inset(side).querySelector("g").innerHTML = mode === "sheet"
      ? places.map(([x, y]) => `<circle r="1.1" cx="${x.toFixed(1)}" cy="${y.toFixed(1)}"/>`).join("") : "";
  }
  shown = -1;
}
function stand(side, place) {
  if (!current(mode === "sheet" ? sheet : film)) return;
  const [x, y] = onInset(side, place), dot = inset(side).querySelector(".now");
  dot.setAttribute("cx", x.toFixed(1));
  dot.setAttribute("cy", y.toFixed(1));
}

// Asking -----------------------------------------------------------------------------------------
let asked = {}; // what the pictures on screen answer
function request() {
  const points = MODES[mode].ends.map((name) => [name, asPoint(ends[name])]);
  const missing = points.some(([, point]) => !point);
  section.classList.toggle("waiting", missing);
  if (missing) return null;
  const it = { models: [...vaeDemo.models], mode, steps: steps[mode], ...Object.fromEntries(points) };
  return mode === "way" ? { ...it, path } : it;
}
function show(answer, it) {
  vaeDemo.complain(element, answer.error);
  if (answer.error || it.mode !== mode || String(it.models) !== String(vaeDemo.models)) return;
  asked = it;
  for (const name of MODES[mode].ends) {
    // "Any 7" has become a certain one.
    const same = JSON.stringify(it[name]) === JSON.stringify(ends[name]);
    if (same && "digit" in answer[name] && !("digit" in ends[name])) ends[name] = { digit: answer[name].digit };
    classes[name] = answer[name].class ?? null;
    vaeDemo.paint($("[data-testid=" + name + "-picture]"), vaeDemo.bytes(answer[name].picture));
  }
  (mode === "sheet" ? showSheet : showFilm)(answer);
  write();
  settle();
}
const live = vaeDemo.live(request, (it) => vaeDemo.ask("interpolate/" + (it.mode === "sheet" ? "sheet" : "interpolate"), it), show);
let opened = false, stale = false;
function ask() {
  write();
  if (opened) live();
}
vaeDemo.on("models", () => {
  // Codes belong to the models they were made for.
  for (const name of ENDS) if (ends[name].codes) ends[name] = props.opening[name];
  if (opened) askMaps();
  ask();
});

// Words and controls -----------------------------------------------------------------------------
function write() {
  section.dataset.mode = mode;
  for (const name of ENDS) {
    const end = ends[name], what = kind(end), missing = !asPoint(end);
    const digit = what === "digit" ? (end.class ?? classes[name] ?? "") : "";
    pick(name).querySelector("[value=point]").hidden = what !== "point";
    pick(name).value = what === "digit" ? String(digit) : what === "mean" ? "mean-" + end.class : what;
    const key = missing && typeof end === "string" ? "nothing" : what === "digit" && !props.originals ? "rebuilt" : what;
    const note = panel(name).querySelector(".note");
    note.textContent = vaeDemo.text("interpolate.note." + key, { digit: end.digit ?? "…", class: end.class });
    panel(name).classList.toggle("missing", missing);
    const title = vaeDemo.text("interpolate." + (NAMES[mode]?.[name] ?? name));
    panel(name).querySelector(".name").textContent = title;
    panel(name).setAttribute("aria-label", title);
    const label = vaeDemo.text({ drawing: "interpolate.draw", sketch: "interpolate.clear" }[what] ?? "interpolate.another");
    Object.assign(another(name), { textContent: { drawing: "✎", sketch: "✕" }[what] ?? "↻", title: label, disabled: ["mean", "point", "thin", "thick"].includes(what) });
    another(name).setAttribute("aria-label", label);
    inks[name]();
  }
  const [low, high, step] = MODES[mode].steps;
  Object.assign($("[data-testid=steps]"), { min: low, max: high, step });
  $("[data-testid=steps]").value = steps[mode];
  $(".count").textContent = mode === "sheet" ? steps.sheet + "×" + steps.sheet : steps[mode];
  for (const [attribute, value] of [["mode", mode], ["path", path]])
    for (const button of element.querySelectorAll(`button[data-${attribute}]`))
      button.setAttribute("aria-pressed", button.dataset[attribute] === value);
  $(".what").textContent = vaeDemo.text("interpolate.what." + mode);
  SIDES.forEach((side, i) => {
    const exact = vaeDemo.latentSize(vaeDemo.models[i]) <= 2 ? ".plane" : "";
    const note = big[side].closest(".side").querySelector(".map-note");
    note.textContent = vaeDemo.text("interpolate.map" + exact);
    note.title = vaeDemo.text("interpolate.map" + exact + ".hint");
  });
  const video = $("[data-testid=save-video]");
  const format = vaeDemo.filmFormat;
  video.textContent = vaeDemo.text("interpolate.video", { format: format?.name ?? "–" });
  video.title = vaeDemo.text(format ? "interpolate.video.hint" : "interpolate.video.none");
  video.disabled = !format || recording !== null;
}

function words() {
  for (const name of ENDS) {
    const group = (label, options) => {
      const node = document.createElement("optgroup");
      node.label = vaeDemo.text(label);
      node.append(...options);
      return node;
    };
    const of = (key, prefix) => Array.from({ length: 10 }, (_, digit) => new Option(vaeDemo.text(key, { digit }), prefix + digit));
    const others = ["sketch", "drawing", "thin", "thick", "noise", "point"].map((what) => new Option(vaeDemo.text("interpolate." + what), what));
    const digits = group("interpolate.digits", of("interpolate.digit", "")), means = group("interpolate.means", of("interpolate.mean", "mean-"));
    pick(name).replaceChildren(...others, ...(name === "plus" || name === "minus" ? [means, digits] : [digits, means]));
  }
  write();
  playing(timer !== null);
  if (film) showFilm(film.answer);
  if (sheet) showSheet(sheet.answer);
}

for (const name of ENDS) {
  pick(name).addEventListener("change", () => {
    const what = pick(name).value;
    ends[name] = what === "drawing" || what in PENS ? what : what === "noise" ? anyPoint() : what === "sketch" ? { strokes: [] }
      : what.startsWith("mean-") ? vaeDemo.classMean(Number(what.slice(5))) : anyOf(Number(what));
    ask();
    if (what === "sketch") { inks[name](); panel(name).querySelector(".ink").focus(); }
  });
  another(name).addEventListener("click", () => {
    const end = ends[name], what = kind(end);
    if (what === "drawing") return vaeDemo.open("draw");
    ends[name] = what === "sketch" ? { strokes: [] } : what === "noise" ? anyPoint() : anyOf(end.class ?? classes[name] ?? 0);
    ask();
  });
}
// Points that other tabs send here.
for (const name of ["start", "end"])
  vaeDemo.on("to-" + name, (point) => {
    ends[name] = clean(point);
    if (!MODES[mode].ends.includes(name)) mode = "way";
    ask();
    vaeDemo.open("interpolate");
  });
vaeDemo.on("drawing", () => {
  stale = MODES[mode].ends.some((name) => typeof ends[name] === "string");
});
vaeDemo.on("tab", (tab) => {
  if (tab === "interpolate" && stale) { stale = false; ask(); }
});

$("[data-testid=steps]").addEventListener("input", (event) => { steps[mode] = Number(event.target.value); ask(); });
for (const button of element.querySelectorAll("button[data-path]"))
  button.addEventListener("click", () => { path = button.dataset.path; ask(); });
for (const button of element.querySelectorAll("button[data-mode]"))
  button.addEventListener("click", () => {
    if (mode === button.dataset.mode) return;
    mode = button.dataset.mode;
    rests = false;
    film = sheet = null; // a way is no sum
    if (mode === "arithmetic") { stop(); at = 1 / 3; } // at strength 0, the digit itself
    ask();
  });

// Ink: a drawing on the picture of an end -----------------------------------------------------------
const inks = {}; // what paints each slate anew
for (const name of ENDS) {
  const isSketch = () => kind(ends[name]) === "sketch";
  // Where nothing is drawn, the slate is clear and shows the picture below.
  inks[name] = vaeDemo.pad(panel(name).querySelector(".ink"), () => (isSketch() ? ends[name].strokes : null), (strokes) => { ends[name] = { strokes }; ask(); }, isSketch);
}

// Play: there and back, with a rest at both ends ---------------------------------------------------
const play = $("[data-testid=play]");
let timer = null, clock = 0, before = null;

function playing(on) {
  play.querySelector("path").setAttribute("d", on ? "M3 2h4v12H3zM9 2h4v12H9z" : "M3 1.5 14 8 3 14.5z");
  const label = vaeDemo.text(on ? "interpolate.pause" : "interpolate.play");
  play.setAttribute("aria-label", label);
  play.title = label;
}
const ROUND = 2 * (TRAVEL + REST);
function place(time) {
  const there = Math.min(1, Math.max(0, (time - REST) / TRAVEL));
  const back = Math.min(1, Math.max(0, (time - 2 * REST - TRAVEL) / TRAVEL));
  return there - back;
}
function tick(now) {
  timer = requestAnimationFrame(tick);
  if (vaeDemo.tab === "interpolate" && mode !== "sheet") {
    clock = (clock + Math.min(100, now - (before ?? now))) % ROUND;
    go(place(clock));
  }
  before = now;
}
function start() {
  if (timer !== null) return;
  clock = at === 1 ? 2 * REST + TRAVEL : REST + at * TRAVEL; // onwards from where it stands
  before = null;
  rests = false;
  settle();
  timer = requestAnimationFrame(tick);
  playing(true);
}
function stop() {
  if (timer !== null) cancelAnimationFrame(timer);
  timer = null;
  playing(false);
}
function rest(position) {
  stop();
  rests = true;
  go(position);
  settle();
}
play.addEventListener("click", () => (timer === null ? start() : rest(at)));
scrubber.addEventListener("input", () => rest(scrubber.value / scrubber.max));

// The strips are a scrubber too.
const strips = $(".strips");
function follow(event) {
  const box = strip("left").getBoundingClientRect();
  rest(Math.max(0, Math.min(1, (event.clientX - box.left - tile / 2) / (box.width - tile))));
}
strips.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  strips.setPointerCapture(event.pointerId);
  follow(event);
});
strips.addEventListener("pointermove", (event) => {
  if (strips.hasPointerCapture(event.pointerId)) follow(event);
});

// Files to keep ----------------------------------------------------------------------------------
// The server makes what a recipe can make again; the browser films what it plays.
for (const button of element.querySelectorAll("[data-file]"))
  button.addEventListener("click", async () => {
    button.disabled = true;
    let answer;
    try { answer = await server.save({ ...asked, file: button.dataset.file }); } catch { answer = { error: "error.offline" }; }
    button.disabled = false;
    vaeDemo.complain(element, answer.error);
    if (!answer.error) vaeDemo.keep(answer);
  });

let recording = null; // an AbortController while the browser films
async function record() {
  const SCALE = 8, GAP = 2, WIDTH = 3 * 28 + 2 * GAP;
  const canvas = (scale) => Object.assign(document.createElement("canvas"), { width: WIDTH * scale, height: 28 * scale });
  const small = canvas(1), large = canvas(SCALE), context = large.getContext("2d", { willReadFrequently: true }); // each frame is read
  context.imageSmoothingEnabled = false;
  const { left, right, fade, frames } = film; // what is on now, whatever comes
  const paint = (time) => {
    const grey = new Uint8Array(WIDTH * 28), frame = Math.round(place(time) * (frames - 1));
    [left, fade, right].forEach((row, i) => {
      for (let y = 0; y < 28; y++) grey.set(row.subarray(frame * 784 + y * 28, frame * 784 + y * 28 + 28), y * WIDTH + i * (28 + GAP));
    });
    vaeDemo.paint(small, grey);
    context.drawImage(small, 0, 0, large.width, large.height);
  };
  const name = "interpolate-" + mode;
  recording = new AbortController();
  filming();
  const { signal } = recording;
  const { recipe } = await server.save({ ...asked, file: "json" }).catch(() => ({}));
  const blob = await vaeDemo.record(large, paint, ROUND, signal, (share) => { $("progress").value = share; });
  if (!blob && !signal.aborted) vaeDemo.complain(element, "interpolate.video.failed");
  recording = null;
  filming();
  if (!blob) return;
  const [type] = blob.type.split(";");
  const parts = type === "video/mp4" && recipe ? [blob, vaeDemo.mp4Box("free", "vae_demo " + JSON.stringify(recipe))] : [blob];
  vaeDemo.keep({ name: name + "." + /\w+$/.exec(type)[0], file: new Blob(parts) }, blob.type);
}
function filming() {
  $("[data-testid=cancel]").disabled = recording === null;
  $("progress").value = 0;
  write();
}
$("[data-testid=save-video]").addEventListener("click", () => { if (film) record(); });
$("[data-testid=cancel]").addEventListener("click", () => recording?.abort());

// The menu closes like any other.
const menu = $(".save");
document.addEventListener("pointerdown", (event) => { if (!menu.contains(event.target)) menu.open = false; });
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !menu.open) return;
  menu.open = false;
  menu.firstElementChild.focus();
});

words();
lay(steps[mode]); // empty strips first, so that nothing jumps when the pictures come
vaeDemo.on("language", words);
vaeDemo.whenOpened("interpolate", () => {
  opened = true;
  stale = false;
  // What the visitor has drawn goes first, unless something else was asked for.
  if (vaeDemo.drawing && ends.start === props.opening.start) ends.start = "drawing";
  ask();
  askMaps();
  if (mode === "sheet" || rests) return;
  if (mode === "arithmetic") at = 1 / 3;
  else if (vaeDemo.calm()) go(0.5); // the middle, where the models differ
  else start();
});
