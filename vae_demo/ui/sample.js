// Two grids from one noise: tile i on the left and tile i on the right are the same point.
const { vaeDemo } = window;
vaeDemo.exhibit(element);

const $ = (selector) => element.querySelector(selector);
const SIDES = ["left", "right"];
const COUNTS = [4, 9, 16, 25, 36, 49, 64, 100];
const MAX_SEED = 2 ** 31 - 1;
const GAP = 1, PITCH = 28 + GAP; // pixels of the canvas
const narrow = matchMedia("(max-width: 700px)").matches;
const DEFAULT = { count: narrow ? 16 : 25, seed: 1, temperature: 1 };

// What the address asks for, where it makes sense.
function wanted(key, low, high, whole) {
  const value = Number(vaeDemo.query.get(key) ?? NaN);
  return value >= low && value <= high && (!whole || Number.isInteger(value)) ? value : DEFAULT[key];
}
const state = {
  count: wanted("count", 1, 100, true),
  seed: wanted("seed", 0, MAX_SEED, true),
  temperature: wanted("temperature", 0, 2, false),
};
let columns = 1;
let picked = null; // index of a tile

// Tiles ------------------------------------------------------------------------------------------
// All pictures of a side are one canvas, quick to repaint; a transparent button lies on each.
const side = (name) => $(".side[data-side=" + name + "]");
const cells = Object.fromEntries(SIDES.map((name) => [name, side(name).querySelector(".cells")]));
const tiles = (index) => SIDES.map((name) => cells[name].children[index]).filter(Boolean);

function name(tile, index) {
  tile.setAttribute("aria-label", vaeDemo.text("sample.tile", { n: index + 1 }));
}

function lay(count) {
  if (cells.left.children.length === count) return;
  columns = Math.ceil(Math.sqrt(count));
  for (const group of Object.values(cells)) {
    while (group.children.length > count) group.lastChild.remove();
    while (group.children.length < count) {
      const tile = document.createElement("button");
      name(tile, group.children.length);
      tile.setAttribute("aria-pressed", "false");
      group.append(tile);
    }
    [...group.children].forEach((tile, i) => { tile.tabIndex = i ? -1 : 0; });
    const canvas = group.previousElementSibling;
    canvas.width = columns * PITCH - GAP;
    canvas.height = Math.ceil(count / columns) * PITCH - GAP;
  }
  if (picked !== null && picked >= count) pick(null);
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
    canvas.style.width = width + "px";
  }
}
new ResizeObserver(fit).observe(cells.left.parentElement);

function paint(canvas, grey, count) {
  const { width, height } = canvas;
  const wall = new Uint8Array(width * height);
  for (let i = 0; i < count; i++) {
    const corner = Math.floor(i / columns) * PITCH * width + (i % columns) * PITCH;
    for (let y = 0; y < 28; y++) {
      const row = i * 784 + y * 28;
      wall.set(grey.subarray(row, row + 28), corner + y * width);
    }
  }
  vaeDemo.paint(canvas, wall);
  const context = canvas.getContext("2d");
  for (let x = 28; x < width; x += PITCH) context.clearRect(x, 0, GAP, height);
  for (let y = 28; y < height; y += PITCH) context.clearRect(0, y, width, GAP);
  const rest = (count % columns) * PITCH;
  if (rest) context.clearRect(rest, height - 28, width - rest, 28);
}

// Both models ------------------------------------------------------------------------------------
function show(answer, asked) {
  vaeDemo.complain(element, answer.error);
  if (answer.error) return;
  lay(asked.count);
  for (const name of SIDES) {
    const { pictures, spread, code_spread } = answer[name];
    paint(side(name).querySelector("canvas"), vaeDemo.bytes(pictures), asked.count);
    side(name).querySelector(".noise").textContent = spread.toFixed(1);
    side(name).querySelector(".codes").textContent = code_spread.toFixed(1);
  }
}
const ask = vaeDemo.live(() => ({ ...state, models: [...vaeDemo.models] }), (request) => server.sample(request), show);

// Controls ---------------------------------------------------------------------------------------
const temperature = $("[data-testid=temperature]"), seed = $("[data-testid=seed]"), count = $("[data-testid=count]");

function settle() {
  for (const key of ["count", "seed", "temperature"])
    vaeDemo.inAddress(key, state[key] === DEFAULT[key] ? null : state[key]);
}
function write() {
  temperature.value = state.temperature;
  $("output").textContent = state.temperature.toFixed(2);
  seed.value = state.seed;
  count.value = state.count;
}
function change(next) {
  Object.assign(state, next);
  write();
  ask();
}

for (const value of [...new Set([...COUNTS, state.count])].sort((a, b) => a - b)) count.append(new Option(value, value));
temperature.addEventListener("input", () => change({ temperature: Number(temperature.value) }));
temperature.addEventListener("change", settle);
count.addEventListener("change", () => { change({ count: Number(count.value) }); settle(); });
seed.addEventListener("input", () => {
  if (seed.value === "" || !seed.validity.valid) return;
  state.seed = Number(seed.value);
  ask();
});
seed.addEventListener("change", () => {
  const value = Math.round(Number(seed.value)) || 0;
  change({ seed: Math.max(0, Math.min(MAX_SEED, value)) });
  settle();
});
$("[data-testid=new-noise]").addEventListener("click", () => {
  change({ seed: Math.floor(Math.random() * 100000) });
  settle();
});

// A tile and its twin ----------------------------------------------------------------------------
function mark(index) {
  for (const tile of element.querySelectorAll(".cells .twin")) tile.classList.remove("twin");
  if (index !== null) for (const tile of tiles(index)) tile.classList.add("twin");
}

function pick(index) {
  if (picked !== null) for (const tile of tiles(picked)) tile.setAttribute("aria-pressed", "false");
  picked = index;
  if (picked !== null) for (const tile of tiles(picked)) tile.setAttribute("aria-pressed", "true");
  for (const node of $(".picked").children) node.hidden = node.matches(".none") ? picked !== null : picked === null;
  $(".picked .name").textContent = picked === null ? "" : vaeDemo.text("sample.tile", { n: picked + 1 });
}

for (const group of Object.values(cells)) {
  const indexOf = (event) => {
    const tile = event.target.closest("button");
    return tile ? [...group.children].indexOf(tile) : null;
  };
  group.addEventListener("pointerover", (event) => mark(indexOf(event)));
  group.addEventListener("pointerleave", () => mark(null));
  group.addEventListener("focusin", (event) => {
    const index = indexOf(event);
    if (index === null) return;
    for (const tile of group.children) tile.tabIndex = -1;
    group.children[index].tabIndex = 0;
    mark(index);
  });
  group.addEventListener("focusout", () => mark(null));
  group.addEventListener("click", (event) => {
    const index = indexOf(event);
    if (index !== null) pick(index === picked ? null : index);
  });
  // One stop for the Tab key; within the grid the arrows move.
  group.addEventListener("keydown", (event) => {
    const index = indexOf(event), last = group.children.length - 1;
    if (index === null) return;
    const next = { ArrowLeft: index - 1, ArrowRight: index + 1, ArrowUp: index - columns, ArrowDown: index + columns, Home: 0, End: last }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    group.children[next]?.focus();
  });
}
for (const end of ["start", "end"])
  $("[data-testid=to-" + end + "]").addEventListener("click", () =>
    vaeDemo.send("to-" + end, { seed: state.seed, index: picked, temperature: state.temperature }));

vaeDemo.on("language", () => {
  for (const group of Object.values(cells)) [...group.children].forEach(name);
  if (picked !== null) $(".picked .name").textContent = vaeDemo.text("sample.tile", { n: picked + 1 });
});

write();
lay(state.count); // empty walls first, so that nothing jumps when the pictures come
let opened = false;
vaeDemo.on("models", () => { if (opened) ask(); });
vaeDemo.whenOpened("sample", () => { opened = true; ask(); });
