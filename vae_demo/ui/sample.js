// Two walls from one noise: tile i on the left and tile i on the right are the same point.
const { vaeDemo } = window;
vaeDemo.exhibit(element);

const $ = (selector) => element.querySelector(selector);
const test = (id) => $(`[data-testid=${id}]`);
const SIDES = ["left", "right"];
const COUNTS = [1, 4, 9, 16, 25, 36, 49, 64, 100];
const MAX_SEED = 2 ** 31 - 1;
const GAP = 1, PITCH = 28 + GAP; // pixels of the canvas
const MEANS = 10; // tiles on the wall of class means, in two rows
const SMALL = 40; // a tile of fewer CSS pixels has no room for a digit in its corner
const narrow = matchMedia("(max-width: 700px)").matches;

// What is on show. Each key stands in the address unless it is as it was at first.
const CHOICES = {
  wall: ["random", "means", "grid", "walk"],
  sampler: ["prior", "gaussian", "mixture", "classes"],
  order: ["noise", "confidence", "class", "distance"],
  only: ["all", "sure", "unsure"],
};
const DEFAULT = {
  wall: "random", sampler: "prior", order: "noise", only: "all", count: narrow ? 16 : 25, seed: 1, temperature: 1,
  of: null, across: 1, up: 2, around: null, walk: 0, marks: 1,
};
const RANGES = {
  count: [1, 100], seed: [0, MAX_SEED], temperature: [0, 2], of: [0, 9], across: [1, 16], up: [1, 16],
  around: [1, 100], walk: [0, props.frames - 1], marks: [0, 1],
};
const state = { ...DEFAULT };
for (const [key, values] of Object.entries(CHOICES))
  if (values.includes(vaeDemo.query.get(key))) state[key] = vaeDemo.query.get(key);
for (const [key, [low, high]] of Object.entries(RANGES)) {
  const value = Number(vaeDemo.query.get(key) ?? NaN);
  if (value >= low && value <= high && (key === "temperature" || Number.isInteger(value))) state[key] = value;
}
function settle() {
  for (const key of Object.keys(DEFAULT)) vaeDemo.inAddress(key, state[key] === DEFAULT[key] ? null : state[key]);
  if (narrow) vaeDemo.inAddress("count", state.count); // a phone begins with fewer; the address is for anyone
}

let data = null; // what is on the walls: the request, and for each side pictures, readings, distances
const shown = { left: [], right: [] }; // which tile stands where
let arranged = ""; // which wall's tiles these are
let held = false; // while a slider moves, tiles keep their places
let picked = null, pickedSide = "right"; // number of a tile, and where it was chosen
let more = false;

// Requests ---------------------------------------------------------------------------------------
const rooms = () => Math.max(...vaeDemo.models.map(vaeDemo.latentSize)); // numbers in the longer code
const walkers = () => Math.min(state.count, props.walkers);

// What draws the tiles; the very words that other tabs understand, see points.py.
function source() {
  const { seed, temperature, sampler, of } = state;
  return {
    seed, temperature, ...(sampler !== "prior" && { sampler }), ...(sampler === "classes" && of !== null && { class: of }),
  };
}
function axes() {
  const most = Math.max(2, rooms()), across = Math.min(state.across, most), up = Math.min(state.up, most);
  return [across, up !== across ? up : across === 1 ? 2 : 1];
}
function request() {
  const base = { models: [...vaeDemo.models], ...(picked !== null && { tile: picked }) };
  switch (state.wall) {
    case "means": return { ...base, mode: "means" };
    case "grid": return {
      ...base, mode: "grid", count: Math.round(Math.sqrt(state.count)) ** 2, dimensions: axes().map((n) => n - 1),
      ...(state.sampler !== "prior" && { sampler: "gaussian" }),
      ...(state.around !== null && { base: { ...source(), index: state.around - 1 } }),
    };
    case "walk": return { ...base, mode: "walk", ...source(), count: walkers(), first: Math.floor(at), frames: 1 };
    default: return { ...base, ...source(), count: state.count };
  }
}
function show(answer, asked) {
  vaeDemo.complain(element, answer.error);
  if (answer.error || (asked.mode ?? "random") !== state.wall) return;
  if (asked.mode === "walk" && timer !== null) return keepFrames(answer, asked); // it walks on by itself
  data = unpacked(answer, asked, 0, asked.count ?? MEANS);
  if (asked.mode === "walk") keepFrames(answer, asked);
  arrange();
  draw();
}
// One wall out of an answer: `count` tiles from `first`.
function unpacked(answer, asked, first, count) {
  const part = (it) => ({
    ...it,
    pictures: vaeDemo.bytes(it.pictures).subarray(first * 784, (first + count) * 784),
    ...Object.fromEntries(["classes", "confidences", "distances"].map((key) => [key, it[key].slice(first, first + count)])),
  });
  return { asked, count, left: part(answer.left), right: part(answer.right) };
}
const ask = vaeDemo.live(request, (it) => vaeDemo.ask("sample/sample", it), show);

// Tiles ------------------------------------------------------------------------------------------
// All pictures of a side are one canvas, quick to repaint; a transparent button lies on each place.
const side = (name) => $(".side[data-side=" + name + "]");
const cells = Object.fromEntries(SIDES.map((name) => [name, side(name).querySelector(".cells")]));
const tileOf = (name, index) => cells[name].children[shown[name].indexOf(index)];
const tiles = (index) => SIDES.map((name) => tileOf(name, index)).filter(Boolean);
let columns = 1, rowsOf = null; // of which wall

function lay(count) {
  if (cells.left.children.length === count && rowsOf === state.wall) return;
  rowsOf = state.wall;
  columns = state.wall === "means" ? MEANS / 2 : Math.ceil(Math.sqrt(count));
  for (const group of Object.values(cells)) {
    while (group.children.length > count) group.lastChild.remove();
    while (group.children.length < count) group.append(document.createElement("button"));
    [...group.children].forEach((tile, i) => { tile.tabIndex = i ? -1 : 0; });
    const canvas = group.previousElementSibling;
    canvas.width = columns * PITCH - GAP;
    canvas.height = Math.ceil(count / columns) * PITCH - GAP;
  }
  fit();
}

// As large as whole screen pixels allow; the wall around the tiles keeps its size.
function fit() {
  for (const group of Object.values(cells)) {
    const canvas = group.previousElementSibling;
    const { clientWidth, clientHeight } = group.parentElement;
    if (!clientWidth) return; // another tab is open
    const width = vaeDemo.crisp(canvas.width, Math.min(clientWidth, clientHeight));
    group.parentElement.style.setProperty("--pixel", width / canvas.width + "px");
    group.parentElement.style.setProperty("--columns", columns);
    group.classList.toggle("small", (28 * width) / canvas.width < SMALL);
    canvas.style.width = width + "px";
  }
}
new ResizeObserver(fit).observe(cells.left.parentElement);

// Who stands where: each side by its own readings. Only random draws are sorted; the other walls
// have an order of their own.
function arrange() {
  const sorts = state.wall === "random";
  const before = arranged;
  arranged = state.wall + data.count;
  if (held && arranged === before) return;
  for (const name of SIDES) {
    const { classes, confidences, distances } = data[name];
    let order = classes.map((_, i) => i);
    if (sorts) {
      const sure = (i) => confidences[i] > props.sure;
      if (state.only !== "all") order = order.filter((i) => sure(i) === (state.only === "sure"));
      const by = {
        noise: () => 0,
        confidence: (a, b) => confidences[b] - confidences[a],
        class: (a, b) => classes[a] - classes[b] || confidences[b] - confidences[a],
        distance: (a, b) => distances[a] - distances[b],
      }[state.order];
      order.sort(by);
    }
    shown[name] = order;
  }
}

function paint(name, next, share) {
  const canvas = side(name).querySelector("canvas"), { width, height } = canvas;
  const order = shown[name], grey = data[name].pictures, later = next?.[name].pictures;
  const wall = new Uint8Array(width * height);
  order.forEach((i, place) => {
    const corner = Math.floor(place / columns) * PITCH * width + (place % columns) * PITCH;
    for (let y = 0; y < 28; y++) {
      const from = i * 784 + y * 28, to = corner + y * width;
      if (!later) wall.set(grey.subarray(from, from + 28), to);
      else for (let x = 0; x < 28; x++) wall[to + x] = grey[from + x] + share * (later[from + x] - grey[from + x]);
    }
  });
  vaeDemo.paint(canvas, wall);
  const context = canvas.getContext("2d");
  for (let x = 28; x < width; x += PITCH) context.clearRect(x, 0, GAP, height);
  for (let y = 28; y < height; y += PITCH) context.clearRect(0, y, width, GAP);
  for (let place = order.length; place < columns * Math.ceil(places() / columns); place++)
    context.clearRect((place % columns) * PITCH, Math.floor(place / columns) * PITCH, PITCH, PITCH);
}

function nameOf(index) {
  if (state.wall === "means") return vaeDemo.text("sample.tile.mean", { n: index });
  if (state.wall === "grid")
    return vaeDemo.text("sample.tile.cell", { column: (index % columns) + 1, row: Math.floor(index / columns) + 1 });
  return vaeDemo.text("sample.tile", { n: index + 1 });
}
const percent = (share) => Math.round(100 * share);
const times = (distance) => distance.toFixed(distance < 9.95 ? 1 : 0);

// What is written on the tiles, and said of them.
function label() {
  for (const name of SIDES) {
    const { classes, confidences, distances } = data[name];
    [...cells[name].children].forEach((tile, place) => {
      const i = shown[name][place];
      tile.hidden = i === undefined;
      if (tile.hidden) return;
      const words = vaeDemo.text("sample.described", {
        name: nameOf(i), digit: classes[i], confidence: percent(confidences[i]), distance: times(distances[i]),
      });
      tile.setAttribute("aria-label", words);
      tile.title = words;
      tile.dataset.reads = classes[i];
      tile.style.setProperty("--confidence", confidences[i]);
      tile.classList.toggle("sure", confidences[i] > props.sure);
      tile.setAttribute("aria-pressed", i === picked);
      const mean = state.wall === "means";
      if (mean !== !!tile.firstChild) tile.innerHTML = mean ? "<i aria-hidden=true></i>" : "";
      if (mean) tile.firstChild.textContent = i;
    });
    side(name).querySelector(".none").hidden = shown[name].length > 0;
  }
}

// How many the judge is sure of, and what it reads.
function tally() {
  const means = state.wall === "means";
  for (const name of SIDES) {
    const { classes, confidences, spread, code_spread } = data[name], n = classes.length;
    const find = (selector) => side(name).querySelector(selector);
    const right = classes.filter((digit, i) => digit === i).length;
    find(".sureness dt").textContent = vaeDemo.text(means ? "sample.right" : "sample.sure");
    find(".share").textContent = means ? right : percent(confidences.filter((c) => c > props.sure).length / n) + " %";
    find(".of").textContent = props.baseline && !means
      ? vaeDemo.text("sample.of.baseline", { n, baseline: percent(props.baseline) })
      : vaeDemo.text("sample.of", { n });
    const counts = Array.from({ length: 10 }, (_, digit) => classes.filter((one) => one === digit).length);
    const most = Math.max(...counts);
    find(".reads").setAttribute("aria-label", counts.map((n, digit) => vaeDemo.text("sample.read-as", { n, digit })).join(", "));
    [...find(".reads").children].forEach((bar, digit) => {
      bar.firstChild.style.height = (24 * counts[digit]) / most + "px";
      bar.title = vaeDemo.text("sample.read-as", { n: counts[digit], digit });
    });
    find(".noise").textContent = spread.toFixed(1);
    find(".codes").textContent = code_spread.toFixed(1);
  }
}
for (const bars of element.querySelectorAll(".reads"))
  bars.innerHTML = Array.from({ length: 10 }, (_, digit) => `<span><i></i>${digit}</span>`).join("");

// Where the picked tile landed, on both sides.
const landed = () => picked !== null && data?.asked.tile === picked && data.left.landed;
function landing() {
  if (picked === null || landed())
    for (const name of SIDES) {
      side(name).querySelector(".tally").hidden = picked !== null;
      side(name).querySelector(".landed").hidden = picked === null;
    }
  for (const button of element.querySelectorAll(".picked button")) button.disabled = !landed();
  if (picked === null) return;
  $(".picked .name").textContent = nameOf(picked);
  test("grid-around").hidden = state.wall !== "random";
  if (!landed()) return;
  for (const name of SIDES) {
    const { classes, confidences, distances, landed, pictures } = data[name];
    const find = (selector) => side(name).querySelector(".landed " + selector);
    vaeDemo.paint(find(".tile"), pictures, picked * 784);
    vaeDemo.paint(find(".nearest"), vaeDemo.bytes(landed.picture));
    find(".reading").textContent = vaeDemo.text("sample.reading", { digit: classes[picked], confidence: percent(confidences[picked]) });
    find(".by").textContent = vaeDemo.text("sample.by", { distance: times(distances[picked]) });
    find(".digit").textContent = vaeDemo.text("sample.digit", {
      digit: landed.digit, class: landed.class, of: landed.of.toLocaleString(vaeDemo.language),
    });
  }
}

// What is filtered out leaves no gap: the rest stands larger.
const places = () => Math.max(1, shown.left.length, shown.right.length);

function draw() {
  lay(places());
  for (const name of SIDES) paint(name);
  label();
  tally();
  landing();
}

// Controls ---------------------------------------------------------------------------------------
function write() {
  for (const node of element.querySelectorAll("[data-for]")) node.hidden = !node.dataset.for.split(" ").includes(state.wall);
  for (const button of element.querySelectorAll("[data-mode]")) button.setAttribute("aria-pressed", button.dataset.mode === state.wall);
  const grid = state.wall === "grid", sampler = grid && state.sampler !== "prior" ? "gaussian" : state.sampler;
  for (const button of element.querySelectorAll("[data-sampler]")) {
    button.setAttribute("aria-pressed", button.dataset.sampler === sampler);
    button.hidden = grid && button.dataset.sampler === "mixture";
  }
  fill(test("class"), [["", "sample.classes"], ["all", "sample.classes.all"], ...DIGITS.map((n) => [n, "sample.classes.one"])]);
  test("class").options[0].hidden = true;
  test("class").value = sampler === "classes" ? (state.of ?? "all") : "";
  test("class").classList.toggle("on", sampler === "classes");
  test("class").hidden = grid;
  test("temperature").value = state.temperature;
  $("output").textContent = state.temperature.toFixed(2);
  test("seed").value = state.seed;
  const counts = [...new Set([...COUNTS, state.count])].sort((a, b) => a - b);
  if (test("count").options.length !== counts.length) test("count").replaceChildren(...counts.map((n) => new Option(n, n)));
  for (const option of test("count").options) option.disabled = state.wall === "walk" && Number(option.value) > props.walkers;
  test("count").value = state.wall === "walk" ? walkers() : state.count;
  for (const key of ["order", "only"]) {
    fill(test(key), CHOICES[key].map((value) => [value, `sample.${key}.${value}`]));
    test(key).value = state[key];
    test(key).disabled = state.wall !== "random";
  }
  test("count").disabled = state.wall === "means";
  test("marks").checked = state.marks === 1;
  $(".sample").classList.toggle("marked", state.marks === 1);
  const numbers = Array.from({ length: Math.max(2, rooms()) }, (_, i) => [i + 1, z(i + 1)]);
  const [across, up] = axes();
  for (const [key, value, other] of [["across", across, up], ["up", up, across]]) {
    fill(test(key), numbers);
    test(key).value = value;
    for (const option of test(key).options) option.disabled = Number(option.value) === other;
  }
  fill(test("around"), [["", "sample.others.middle"], ...(state.around === null ? [] : [[state.around, "sample.tile"]])]);
  test("around").value = state.around ?? "";
  foot();
}
const z = (n) => "z" + [...String(n)].map((digit) => String.fromCodePoint(0x2080 + Number(digit))).join("");
const DIGITS = Array.from({ length: 10 }, (_, digit) => digit);
function fill(select, options) {
  const wanted = options.map(([value, key]) => [String(value), vaeDemo.text(key, { n: value })]);
  if (wanted.join() !== [...select.options].map((o) => [o.value, o.text]).join())
    select.replaceChildren(...wanted.map(([value, words]) => new Option(words, value)));
}

// The foot holds one thing at a time: the sentence, what can be done with a tile, or more controls.
function foot() {
  $(".what").hidden = more || picked !== null;
  $(".picked").hidden = more || picked === null;
  $(".more").hidden = !more;
  test("more").setAttribute("aria-expanded", more);
  test("more").setAttribute("aria-pressed", more);
  const { wall, sampler, of } = state, [i, j] = axes();
  const key = wall !== "random" ? wall : sampler === "classes" && of !== null ? "class" : sampler;
  const lacks = wall !== "grid" ? [] : [i, j].flatMap((n) => vaeDemo.models
    .filter((model, k) => n > vaeDemo.latentSize(model) && vaeDemo.models.indexOf(model) === k)
    .map((model) => vaeDemo.text("sample.lacks", { model: vaeDemo.text("model." + model), n: z(n) })));
  $(".what").textContent = lacks.length ? lacks.join(" ") : vaeDemo.text("sample.what." + key, { n: of, i: z(i), j: z(j) });
}

function change(next) {
  Object.assign(state, next);
  write();
  ask();
}
// A choice that replaces the wall: the address tells it, and no tile is picked on it yet.
function choose(next) {
  if ("wall" in next) { stop(); at = state.walk = 0; pick(null); }
  change(next);
  settle();
  if (state.wall === "walk") "wall" in next && !vaeDemo.calm() ? start() : renew();
}

for (const button of element.querySelectorAll("[data-mode]"))
  button.addEventListener("click", () => { if (state.wall !== button.dataset.mode) choose({ wall: button.dataset.mode }); });
for (const button of element.querySelectorAll("[data-sampler]"))
  button.addEventListener("click", () => choose({ sampler: button.dataset.sampler }));
test("class").addEventListener("change", () =>
  choose({ sampler: "classes", of: test("class").value === "all" ? null : Number(test("class").value) }));
test("temperature").addEventListener("input", () => {
  held = true;
  change({ temperature: Number(test("temperature").value) });
  renew();
});
// Back at the value it had, a slider does not call that a change.
for (const event of ["change", "pointerup", "keyup", "blur"])
  test("temperature").addEventListener(event, () => {
    if (!held) return;
    held = false;
    settle();
    ask();
  });
test("count").addEventListener("change", () => {
  if (picked >= Number(test("count").value)) pick(null);
  choose({ count: Number(test("count").value) });
});
test("seed").addEventListener("input", () => {
  if (test("seed").value === "" || !test("seed").validity.valid) return;
  state.seed = Number(test("seed").value);
  ask();
  renew();
});
test("seed").addEventListener("change", () => {
  const value = Math.round(Number(test("seed").value)) || 0;
  choose({ seed: Math.max(0, Math.min(MAX_SEED, value)) });
});
test("new-noise").addEventListener("click", () => choose({ seed: Math.floor(Math.random() * 100000) }));
for (const key of ["order", "only"])
  test(key).addEventListener("change", () => {
    state[key] = test(key).value;
    settle();
    if (data) { arrange(); draw(); }
  });
test("marks").addEventListener("change", () => { state.marks = Number(test("marks").checked); write(); settle(); });
for (const key of ["across", "up"])
  test(key).addEventListener("change", () => {
    const [across, up] = axes();
    choose({ across, up, [key]: Number(test(key).value) });
  });
test("around").addEventListener("change", () => choose({ around: Number(test("around").value) || null }));
test("more").addEventListener("click", () => { more = !more; foot(); });

// A tile and its twin ----------------------------------------------------------------------------
function mark(index) {
  for (const tile of element.querySelectorAll(".cells .twin")) tile.classList.remove("twin");
  if (index !== null) for (const tile of tiles(index)) tile.classList.add("twin");
}

function pick(index, name = pickedSide) {
  picked = index;
  pickedSide = name;
  if (index !== null) more = false;
  for (const tile of element.querySelectorAll(".cells button")) tile.setAttribute("aria-pressed", "false");
  if (index !== null) for (const tile of tiles(index)) tile.setAttribute("aria-pressed", "true");
  foot();
  landing();
}

for (const [name, group] of Object.entries(cells)) {
  const placeOf = (event) => {
    const tile = event.target.closest("button");
    return tile ? [...group.children].indexOf(tile) : null;
  };
  const indexOf = (event) => shown[name][placeOf(event)] ?? null;
  group.addEventListener("pointerover", (event) => mark(indexOf(event)));
  group.addEventListener("pointerleave", () => mark(null));
  group.addEventListener("focusin", (event) => {
    for (const tile of group.children) tile.tabIndex = -1;
    event.target.tabIndex = 0;
    mark(indexOf(event));
  });
  group.addEventListener("focusout", () => mark(null));
  group.addEventListener("click", (event) => {
    const index = indexOf(event);
    if (index === null) return;
    if (state.wall === "walk") stop();
    pick(index === picked ? null : index, name);
    if (picked !== null) ask();
  });
  // One stop for the Tab key; within the wall the arrows move.
  group.addEventListener("keydown", (event) => {
    const place = placeOf(event), last = shown[name].length - 1;
    if (event.key === "Escape") return pick(null);
    if (place === null) return;
    const next = { ArrowLeft: place - 1, ArrowRight: place + 1, ArrowUp: place - columns, ArrowDown: place + columns, Home: 0, End: last }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    group.children[next]?.focus();
  });
}

// The picked tile as other tabs know it.
function point() {
  if (state.wall === "random") return { ...source(), index: picked };
  if (state.wall === "means") return { seed: 0, index: 0, temperature: 0, sampler: "classes", class: picked };
  return { codes: SIDES.map((name) => data[name].landed.code) };
}
for (const where of ["start", "end"])
  test("to-" + where).addEventListener("click", () => vaeDemo.send("to-" + where, point()));
test("to-map").addEventListener("click", () => { vaeDemo.send("to-map", point()); vaeDemo.open("map"); });
test("to-draw").addEventListener("click", () => {
  const grey = data[pickedSide].pictures.subarray(picked * 784, (picked + 1) * 784);
  vaeDemo.send("to-draw", { point: point(), picture: btoa(String.fromCharCode(...grey)) });
});
test("grid-around").addEventListener("click", () => choose({ wall: "grid", around: picked + 1 }));

// The walk ---------------------------------------------------------------------------------------
// Frames of the loop are fetched a little ahead and kept; the second round asks for nothing.
const RATE = 6; // decoded frames a second; the screen blends between them
const AHEAD = 18; // frames
let frames = new Map(), key = "", fetching = false;
let at = state.walk, timer = null, before = null;

const walkKey = () => JSON.stringify([vaeDemo.models, source(), walkers()]);
function keepFrames(answer, asked) {
  const { tile, first, ...rest } = asked;
  if (JSON.stringify([asked.models, source(), asked.count]) !== walkKey()) return;
  for (let i = 0; i < asked.frames; i++)
    frames.set((first + i) % props.frames, unpacked(answer, { ...rest, first: (first + i) % props.frames, frames: 1 }, i * asked.count, asked.count));
}
// Another noise, another walk: what was fetched is of no use.
function renew() {
  if (key === walkKey()) return;
  key = walkKey();
  frames = new Map();
  prefetch();
}
async function prefetch() {
  if (fetching || timer === null) return;
  const missing = Array.from({ length: AHEAD }, (_, i) => (Math.floor(at) + i) % props.frames).find((f) => !frames.has(f));
  if (missing === undefined) return;
  fetching = true;
  const mine = key, count = walkers();
  const asked = { ...request(), tile: undefined, first: missing, frames: Math.max(1, Math.min(AHEAD, Math.floor(props.chunk / count))) };
  let answer;
  try {
    answer = await vaeDemo.ask("sample/sample", asked);
  } catch {
    answer = { error: "error.offline" };
  }
  fetching = false;
  if (mine === key) {
    vaeDemo.complain(element, answer.error);
    if (answer.error) return stop();
    keepFrames(answer, asked);
  }
  prefetch();
}
function tick(now) {
  timer = requestAnimationFrame(tick);
  const next = at + (RATE * Math.min(100, now - (before ?? now))) / 1000;
  before = now;
  if (vaeDemo.tab !== "sample") return;
  const [here, then] = [0, 1].map((i) => frames.get((Math.floor(next) + i) % props.frames));
  if (!here || !then) return void prefetch();
  at = next % props.frames;
  const other = data !== here;
  data = here;
  if (other) {
    arrange();
    lay(places());
    label();
    tally();
    prefetch();
  }
  for (const name of SIDES) paint(name, then, next % 1);
}
function playing(on) {
  test("walk-play").querySelector("path").setAttribute("d", on ? "M3 2h4v12H3zM9 2h4v12H9z" : "M3 1.5 14 8 3 14.5z");
  const words = vaeDemo.text(on ? "sample.pause" : "sample.play");
  test("walk-play").setAttribute("aria-label", words);
  test("walk-play").title = words;
}
function start() {
  if (timer !== null) return;
  pick(null);
  before = null;
  timer = requestAnimationFrame(tick);
  playing(true);
  renew();
  prefetch();
}
// It rests on a decoded frame, which the address can name.
function stop() {
  if (timer === null) return;
  cancelAnimationFrame(timer);
  timer = null;
  state.walk = at = Math.floor(at);
  settle();
  playing(false);
  if (data?.asked.mode === "walk") draw();
}
test("walk-play").addEventListener("click", () => (timer === null ? start() : stop()));

// Files ------------------------------------------------------------------------------------------
// What the server makes of the walls as they stand.
async function made(file) {
  const { tile, ...asked } = { ...request(), file, shown: SIDES.map((name) => shown[name]) };
  try {
    return await server.save(asked);
  } catch {
    return { error: "error.offline" };
  }
}
function take(answer) {
  vaeDemo.complain(element, answer.error);
  if (!answer.error) vaeDemo.keep(answer);
}
test("sample-save").addEventListener("click", async () => { if (data) take(await made("png")); });

let filming = null; // a film takes a second or two; who does not want to wait drops it
function film(next) {
  filming = next;
  const words = next ? "sample.film.cancel" : "sample.film";
  test("save-film").dataset.text = words;
  test("save-film").textContent = vaeDemo.text(words);
}
test("save-film").addEventListener("click", async () => {
  if (filming) return film(null);
  const mine = {};
  film(mine);
  const answer = await made("gif");
  if (filming !== mine) return;
  film(null);
  take(answer);
});

vaeDemo.on("language", () => { write(); playing(timer !== null); if (data) draw(); });

write();
playing(false);
lay(request().count ?? MEANS); // empty walls first, so that nothing jumps when the pictures come
let opened = false;
vaeDemo.on("models", () => {
  write();
  if (!opened) return;
  ask();
  if (state.wall === "walk") renew();
});
vaeDemo.whenOpened("sample", () => {
  opened = true;
  ask();
  if (state.wall === "walk" && !vaeDemo.calm() && !state.walk) start();
});
