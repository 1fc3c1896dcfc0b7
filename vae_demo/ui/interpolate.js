// The way from one digit to another. One request brings all frames; the browser plays them.
const { vaeDemo } = window;
vaeDemo.exhibit(element);

const $ = (selector) => element.querySelector(selector);
const ENDS = ["start", "end"];
const ROWS = ["left", "right", "fade"];
const STEPS = matchMedia("(max-width: 700px)").matches ? 7 : 9;
const MAX_SEED = 2 ** 31 - 1;
const TRAVEL = 3200, REST = 700; // ms from end to end, and at each end

// An end is {digit} or {class, seed}, a random point {seed, index, temperature}, or "drawing".
const DEFAULT = { start: { digit: props.start }, end: { digit: props.end } };
const ends = { start: wanted("from") ?? DEFAULT.start, end: wanted("to") ?? DEFAULT.end };
let path = vaeDemo.query.get("path") === "slerp" ? "slerp" : "lerp";
let steps = Math.round(Number(vaeDemo.query.get("steps")));
if (!(steps >= 3 && steps <= 20)) steps = STEPS;

const random = () => Math.floor(Math.random() * 100000);
const kind = (end) => (end === "drawing" ? "drawing" : "index" in end ? "noise" : "digit");

// In the address: digit-1234 or noise-<seed>-<index>-<temperature>. Drawings stay in the browser.
function wanted(key) {
  const [what, ...numbers] = (vaeDemo.query.get(key) ?? "").split("-");
  const within = (value, high) => value >= 0 && value <= high;
  const [first, index, temperature] = numbers.map(Number);
  const whole = numbers.slice(0, 2).every((one) => /^\d+$/.test(one));
  if (what === "digit" && whole && within(first, props.digits - 1)) return { digit: first };
  if (what === "noise" && whole && within(first, MAX_SEED) && within(index, 99) && within(temperature, 2))
    return { seed: first, index, temperature };
}
function settle() {
  ENDS.forEach((name, i) => {
    const end = ends[name];
    const written = { digit: "digit-" + end.digit, noise: ["noise", end.seed, end.index, end.temperature].join("-"), drawing: null };
    vaeDemo.inAddress(["from", "to"][i], end === DEFAULT[name] ? null : written[kind(end)]);
  });
  vaeDemo.inAddress("steps", steps === STEPS ? null : steps);
  vaeDemo.inAddress("path", path === "lerp" ? null : path);
}

// Frames -----------------------------------------------------------------------------------------
let film = null; // {left, right, fade: bytes, frames}
let shown = -1; // the frame on screen
let at = 0; // position, 0 … 1
const scrubber = $("[data-testid=scrubber]");
const big = { left: $("[data-testid=between-left]"), right: $("[data-testid=between-right]") };
const strip = (row) => $(".strip[data-row=" + row + "]");

function lay() {
  for (const row of ROWS) {
    const tiles = strip(row);
    while (tiles.children.length > steps) tiles.lastChild.remove();
    while (tiles.children.length < steps) {
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = 28;
      tiles.append(canvas);
    }
  }
  fit();
}

// Tiles as large as whole screen pixels allow; the rows keep their height.
let tile = 28;
function fit() {
  const { clientWidth, clientHeight } = strip("left");
  if (!clientWidth) return; // another tab is open
  tile = vaeDemo.crisp(28, Math.min(clientHeight, clientWidth / steps - 2));
  $(".timeline").style.setProperty("--tile", tile + "px");
  go(at);
}
new ResizeObserver(fit).observe(strip("left"));

function go(position) {
  at = position;
  if (!film) return;
  const frame = Math.round(at * (film.frames - 1));
  if (frame === shown) return;
  shown = frame;
  for (const side of ["left", "right"]) vaeDemo.paint(big[side], film[side], frame * 784);
  scrubber.value = frame;
  const nearest = Math.round(at * (strip("left").children.length - 1));
  for (const row of ROWS)
    [...strip(row).children].forEach((canvas, i) => canvas.classList.toggle("now", i === nearest));
  scrubber.setAttribute("aria-valuetext", Math.round(at * 100) + " %");
}

function show(answer) {
  vaeDemo.complain(element, answer.error);
  if (answer.error) return;
  film = { frames: answer.frames };
  for (const row of ROWS) film[row] = vaeDemo.bytes(answer[row]);
  lay();
  const gap = (film.frames - 1) / (strip("left").children.length - 1);
  for (const row of ROWS)
    [...strip(row).children].forEach((canvas, i) => vaeDemo.paint(canvas, film[row], Math.round(i * gap) * 784));
  for (const name of ENDS) {
    // "Any 7" has become a certain one.
    if (ends[name] === asked[name] && "digit" in answer[name] && !("digit" in ends[name]))
      ends[name] = { digit: answer[name].digit };
    classes[name] = answer[name].class ?? null;
    vaeDemo.paint($("[data-testid=" + name + "-picture]"), vaeDemo.bytes(answer[name].picture));
  }
  scrubber.max = film.frames - 1;
  shown = -1;
  go(at);
  write();
  settle();
}

let asked = {}; // the ends that the request under way is about
function request() {
  asked = { ...ends };
  const [start, end] = ENDS.map((name) => (ends[name] === "drawing" ? vaeDemo.drawing : ends[name]));
  element.firstElementChild.classList.toggle("waiting", !start || !end);
  return start && end ? { models: [...vaeDemo.models], start, end, steps, path } : null;
}
vaeDemo.on("models", () => ask());
const live = vaeDemo.live(request, (it) => server.interpolate(it), show);
let opened = false, stale = false;
function ask() {
  write();
  if (opened) live();
}

// Ends -------------------------------------------------------------------------------------------
const classes = { start: null, end: null }; // what digit an end shows, once the server has said so
const pick = (name) => $("[data-testid=" + name + "-kind]");
const another = (name) => $("[data-testid=" + name + "-another]");
const anyOf = (digit) => ({ class: digit, seed: random() });
const anyPoint = () => ({ seed: random(), index: 0, temperature: 1 });

function write() {
  for (const name of ENDS) {
    const end = ends[name], what = kind(end);
    const missing = what === "drawing" && !vaeDemo.drawing;
    const box = pick(name).closest(".end");
    pick(name).value = what === "digit" ? String(end.class ?? classes[name] ?? "") : what;
    const key = missing ? "nothing" : what === "digit" && !props.originals ? "rebuilt" : what;
    box.querySelector(".note").textContent = vaeDemo.text("interpolate.note." + key, { digit: end.digit ?? "…", seed: end.seed });
    box.querySelector("canvas").classList.toggle("missing", missing);
    another(name).textContent = vaeDemo.text(what === "drawing" ? "interpolate.draw" : "interpolate.another");
  }
  $("[data-testid=steps]").value = steps;
  $("output").textContent = steps;
  for (const button of element.querySelectorAll("[data-path]"))
    button.setAttribute("aria-pressed", button.dataset.path === path);
}

function words() {
  for (const name of ENDS) {
    const digits = Array.from({ length: 10 }, (_, digit) => new Option(vaeDemo.text("interpolate.digit", { digit }), digit));
    const others = ["drawing", "noise"].map((what) => new Option(vaeDemo.text("interpolate." + what), what));
    pick(name).replaceChildren(...digits, ...others);
  }
  write();
  playing(timer !== null);
}

for (const name of ENDS) {
  pick(name).addEventListener("change", () => {
    const what = pick(name).value;
    ends[name] = what === "drawing" ? what : what === "noise" ? anyPoint() : anyOf(Number(what));
    ask();
  });
  another(name).addEventListener("click", () => {
    const end = ends[name];
    if (end === "drawing") return vaeDemo.open("draw");
    ends[name] = kind(end) === "noise" ? anyPoint() : anyOf(end.class ?? classes[name] ?? 0);
    ask();
  });
  // A digit of the map or a sample, sent here.
  vaeDemo.on("to-" + name, ({ digit, seed, index, temperature }) => {
    ends[name] = digit === undefined ? { seed, index, temperature } : { digit };
    ask();
    vaeDemo.open("interpolate");
  });
}
vaeDemo.on("drawing", () => {
  stale = ends.start === "drawing" || ends.end === "drawing";
});
vaeDemo.on("tab", (tab) => {
  if (tab === "interpolate" && stale) { stale = false; ask(); }
});

$("[data-testid=steps]").addEventListener("input", (event) => { steps = Number(event.target.value); ask(); });
for (const button of element.querySelectorAll("[data-path]"))
  button.addEventListener("click", () => { path = button.dataset.path; ask(); });

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
  if (vaeDemo.tab === "interpolate") {
    clock = (clock + Math.min(100, now - (before ?? now))) % ROUND;
    go(place(clock));
  }
  before = now;
}
function start() {
  if (timer !== null) return;
  clock = at === 1 ? 2 * REST + TRAVEL : REST + at * TRAVEL; // onwards from where it stands
  before = null;
  timer = requestAnimationFrame(tick);
  playing(true);
}
function stop() {
  if (timer !== null) cancelAnimationFrame(timer);
  timer = null;
  playing(false);
}
play.addEventListener("click", () => (timer === null ? start() : stop()));
scrubber.addEventListener("input", () => { stop(); go(scrubber.value / scrubber.max); });

// The strips are a scrubber too.
const strips = $(".strips");
function follow(event) {
  const box = strip("left").getBoundingClientRect();
  go(Math.max(0, Math.min(1, (event.clientX - box.left - tile / 2) / (box.width - tile))));
}
strips.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  strips.setPointerCapture(event.pointerId);
  stop();
  follow(event);
});
strips.addEventListener("pointermove", (event) => {
  if (strips.hasPointerCapture(event.pointerId)) follow(event);
});

words();
lay(); // empty strips first, so that nothing jumps when the pictures come
vaeDemo.on("language", words);
vaeDemo.whenOpened("interpolate", () => {
  opened = true;
  stale = false;
  // What the visitor has drawn goes first, unless something else was asked for.
  if (vaeDemo.drawing && ends.start === DEFAULT.start) ends.start = "drawing";
  ask();
  if (vaeDemo.calm()) go(0.5); // the middle, where the models differ
  else start();
});
