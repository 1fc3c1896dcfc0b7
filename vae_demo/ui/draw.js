// The live canvas. Ink appears at once; both models answer while the pen moves.
const { vaeDemo } = window;
vaeDemo.exhibit(element);

const SIDE = 616; // canvas units; what the models see does not depend on them
const PEN = 40, LEAST_PEN = 8, MOST_PEN = 120;
const SIDES = ["left", "right"];
const MAX_SEED = 2 ** 31 - 1;
const $ = (selector) => element.querySelector(selector);
const byId = (name) => $(`[data-testid=${name}]`);
const part = (kind, side) => $(`.${kind}.${side}`);
const canvas = byId("draw-canvas");
const context = canvas.getContext("2d");
const css = (color) => `rgb(${color.join(" ")})`;
const both = (make) => Object.fromEntries(SIDES.map((side) => [side, make(side)]));

// A page of the history is what a visitor would call "my drawing": {strokes}, {picture}, {digit} or
// {point}, and for all but strokes an image to show. Pages are never changed, so undo turns back.
const BLANK = { strokes: [] };
let pages = [BLANK], undone = [];
let stroke = null; // the one under the pen, as flat x, y, x, y, …
let rubbed = null; // the strokes that the eraser has left so far
let demo = null; // the timer of an example that draws itself
let brush = PEN, eraser = false;
const off = new Set(); // parts of MNIST's rule that are left out
let together = vaeDemo.query.get("together") !== "0"; // a moved number moves on both sides
let moved = both(() => ({})); // numbers of either code set by hand: {dimension: value}
let roll = 1; // seed of the draws from the posterior
let look = "codes"; // which pane is open

const page = () => pages.at(-1);
const strokes = () => rubbed ?? [...(page().strokes ?? []), ...(stroke ? [stroke] : [])];
const drawn = () => page().strokes !== undefined;
const empty = () => drawn() && !strokes().length;

// Every new page starts with codes nobody has moved.
function turnTo(next) {
  pages = [...pages.slice(-200), next];
  undone = [];
  moved = both(() => ({}));
  refresh();
  settle();
}

// Ink --------------------------------------------------------------------------------------------
function line(points, from = 0) {
  context.beginPath();
  context.moveTo(points[from], points[from + 1]);
  if (points.length === 2) context.lineTo(points[0], points[1]);
  for (let i = from + 2; i < points.length; i += 2) context.lineTo(points[i], points[i + 1]);
  context.stroke();
}

function redraw() {
  context.fillStyle = css(vaeDemo.GROUND);
  context.fillRect(0, 0, SIDE, SIDE);
  if (page().image) {
    const { width, height } = page().image;
    const scale = Math.min(SIDE / width, SIDE / height);
    context.imageSmoothingEnabled = page().picture !== undefined;
    const [w, h] = [width * scale, height * scale];
    context.drawImage(page().image, (SIDE - w) / 2, (SIDE - h) / 2, w, h);
  }
  Object.assign(context, { strokeStyle: css(vaeDemo.INK), lineWidth: brush, lineCap: "round", lineJoin: "round" });
  strokes().forEach((points) => line(points));
  $(".prompt").hidden = !empty();
  byId("undo").disabled = pages.length === 1;
  byId("redo").disabled = !undone.length;
  byId("clear").disabled = byId("draw-save").disabled = empty();
  for (const box of element.querySelectorAll(".rule input")) box.disabled = !drawn() && !page().picture;
}

// What the eraser, a disc around x, y, leaves of some strokes: it cuts them where it passes.
function rub(all, x, y, radius) {
  const left = [];
  for (const points of all) {
    let run = [];
    const end = () => { if (run.length) left.push(run); run = []; };
    const outside = (px, py) => Math.hypot(px - x, py - y) > radius;
    if (outside(points[0], points[1])) run.push(points[0], points[1]);
    for (let i = 2; i < points.length; i += 2) {
      const [ax, ay, bx, by] = points.slice(i - 2, i + 2);
      const [dx, dy] = [bx - ax, by - ay], length2 = dx * dx + dy * dy;
      // Where the line from a to b enters and leaves the disc, in shares of its length.
      const middle = length2 && ((x - ax) * dx + (y - ay) * dy) / length2;
      const off2 = (ax + middle * dx - x) ** 2 + (ay + middle * dy - y) ** 2;
      const half = length2 && Math.sqrt(Math.max(0, radius * radius - off2) / length2);
      const [enters, leaves] = [middle - half, middle + half];
      const cut = half > 0 && enters < 1 && leaves > 0;
      if (cut && enters > 0) run.push(Math.round(ax + enters * dx), Math.round(ay + enters * dy));
      if (cut) end();
      if (cut && leaves < 1) run.push(Math.round(ax + leaves * dx), Math.round(ay + leaves * dy));
      if (outside(bx, by)) run.push(bx, by);
    }
    end();
  }
  return left;
}

// Both models -------------------------------------------------------------------------------------
const DIGITS = { squared_error: 4, reconstruction_nats: 1, kl_nats: 1 };
const figure = (value, digits) => (value === undefined ? "–" : value > 9999 ? ">9999" : value.toFixed(digits));
const untouched = () => SIDES.every((side) => !Object.keys(moved[side]).length);

function request() {
  const { digit, picture, point } = page();
  const it = { models: [...vaeDemo.models] };
  if (!untouched()) it.moved = SIDES.map((side) => moved[side]);
  if (point) return { ...it, point };
  if (digit !== undefined) return { ...it, digit };
  if (off.size) it.off = [...off];
  if (picture) return { ...it, picture };
  if (brush !== PEN) it.brush = brush;
  return { ...it, strokes: strokes() };
}

let last = null; // the answer on screen
function show(answer, asked) {
  if (answer.error === "error.picture" && asked?.picture) return refusePicture(answer.error);
  vaeDemo.complain(element, answer.error);
  if (answer.error) return;
  const blank = answer.blank || empty();
  last = blank ? null : answer;
  // Of what came by an address or from the neighbours, the picture comes only now.
  if (!blank && !page().image && asked.digit === page().digit && asked.point === page().point && !drawn()) {
    pages[pages.length - 1] = { ...page(), image: pictureOf(answer.seen ?? answer.right.picture) };
    redraw();
  }
  const seen = blank || !answer.seen ? new Uint8Array(784) : vaeDemo.bytes(answer.seen);
  vaeDemo.paint(byId("seen"), seen);
  for (const side of SIDES) {
    const rebuilt = blank ? seen : vaeDemo.bytes(answer[side].picture);
    vaeDemo.paint(byId("rebuilt-" + side), rebuilt);
    paintResidual(byId("residual-" + side), answer.seen ? rebuilt : seen, seen);
    part("side", side).classList.toggle("moved", Object.keys(moved[side]).length > 0);
    meter(side, blank ? null : answer[side].percentile === undefined || Object.keys(moved[side]).length ? {} : answer[side]);
    place(side);
  }
  for (const cell of element.querySelectorAll("[data-number]")) {
    const [side, name] = cell.dataset.number.split(".");
    cell.textContent = blank ? "" : figure(answer[side][name], DIGITS[name]);
  }
  remember(blank ? null : answer, asked);
  // Other tabs take what was drawn, with the codes its own.
  const { moved: _, models: __, ...drawing } = asked;
  vaeDemo.drawing = blank || asked.point ? null : drawing;
  vaeDemo.send("drawing", vaeDemo.drawing);
  lookInside();
}

const ask = vaeDemo.live(request, (it) => vaeDemo.ask("draw/reconstruct", it), show);

function refresh() {
  redraw();
  ask();
}

function pictureOf(base64) {
  const image = document.createElement("canvas");
  image.width = image.height = 28;
  vaeDemo.paint(image, vaeDemo.bytes(base64));
  return image;
}

// The picture leaves, the drawing before it comes back, and the reason stays on screen.
function refusePicture(code) {
  pages = pages.filter((one) => one !== page());
  redraw();
  vaeDemo.complain(element, code);
}

// What a model added and what it missed, as exports.residual in Python has it.
const ADDED = [236, 72, 162], MISSED = [142, 214, 84];
const signed = Uint32Array.from({ length: 511 }, (_, i) => {
  const share = Math.min(1, (2 * Math.abs(i - 255)) / 255);
  const [r, g, b] = vaeDemo.GROUND.map((from, c) => Math.round(from + ((i > 255 ? ADDED : MISSED)[c] - from) * share));
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
});
function paintResidual(target, rebuilt, seen) {
  const pixels = new Uint32Array(784);
  for (let i = 0; i < 784; i++) pixels[i] = signed[rebuilt[i] - seen[i] + 255];
  target.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), 28), 0, 0);
}

function meter(side, numbers) {
  const node = byId("meter-" + side);
  const { percentile, beyond } = numbers ?? {};
  const words = percentile === undefined ? (numbers ? "–" : "") : vaeDemo.text(beyond ? "draw.beyond" : "draw.stranger", { percent: Math.floor(percentile) });
  node.classList.toggle("beyond", Boolean(beyond));
  node.classList.toggle("none", percentile === undefined);
  node.style.setProperty("--at", (percentile ?? 0) + "%");
  node.setAttribute("aria-valuenow", percentile ?? 0);
  node.setAttribute("aria-valuetext", words);
  node.lastChild.textContent = words;
}

// −ELBO while one draws ----------------------------------------------------------------------------
const HISTORY = 240;
const MOST_NATS = 300; // one scale for both sides and all drawings; a first dot may lie beyond
let history = [];
function remember(answer, asked) {
  if (answer === null || asked.point) history = [];
  else if (!asked.moved) {
    if (!asked.strokes) history = [];
    history.push(both((side) => [answer[side].reconstruction_nats, answer[side].kl_nats ?? 0]));
    if (history.length > HISTORY) history = history.filter((_, i) => i % 2);
  }
  for (const side of SIDES) {
    const path = (height) => history.map((step, i) => `${(100 * i) / (history.length - 1)} ${100 - (100 * height(step[side])) / MOST_NATS}`).join("L");
    const svg = byId("spark-" + side);
    const area = (height) => (history.length > 1 ? `M0 100L${path(height)}L100 100Z` : "");
    svg.querySelector(".kl").setAttribute("d", area(([rest, kl]) => rest + kl));
    svg.querySelector(".rest").setAttribute("d", area(([rest]) => rest));
    const it = answer?.[side];
    const whole = it?.kl_nats === undefined || asked.moved ? undefined : it.reconstruction_nats + it.kl_nats;
    byId("elbo-" + side).textContent = answer === null ? "" : figure(whole, 1);
  }
}

// Codes, number by number --------------------------------------------------------------------------
let spaces = null; // what server.dimensions says of both code spaces
const bars = (side) => byId("bars-" + side);
const askSpaces = vaeDemo.live(() => ({ models: [...vaeDemo.models] }), (it) => server.dimensions(it), (answer, asked) => {
  if (answer.error || asked.models.some((name, i) => name !== vaeDemo.models[i])) return;
  spaces = answer;
  for (const side of SIDES) {
    bars(side).replaceChildren(...spaces[side].order.map((dimension, rank) => {
      const bar = document.createElement("div");
      bar.className = "bar";
      bar.dataset.dimension = dimension;
      bar.tabIndex = rank ? -1 : 0;
      bar.innerHTML = "<i class=told></i><i class=spread></i><i class=mean></i><i class=hand></i>";
      bar.style.setProperty("--told", spaces[side].weights[rank] / (spaces[side].weights[0] || 1));
      for (const [name, value] of Object.entries({ role: "slider", "aria-orientation": "vertical", "aria-valuemin": -spaces[side].reach, "aria-valuemax": spaces[side].reach }))
        bar.setAttribute(name, value);
      return bar;
    }));
    name(side);
    place(side);
  }
});

const shown = (side, dimension) => moved[side][dimension] ?? last?.[side].mean?.[dimension];
function name(side) {
  for (const bar of bars(side).children)
    bar.setAttribute("aria-label", vaeDemo.text("draw.bar", { model: vaeDemo.text("side." + side), n: Number(bar.dataset.dimension) + 1 }));
}
function describe(side, dimension) {
  const value = shown(side, dimension);
  if (value === undefined) return "";
  const { order, weights, measure } = spaces[side];
  const std = moved[side][dimension] === undefined ? last[side].std?.[dimension] : undefined;
  return vaeDemo.text("draw.bar", { model: vaeDemo.text("side." + side), n: dimension + 1 }) + ": " + value.toFixed(2) +
    (std === undefined ? "" : " ± " + std.toFixed(2)) + " · " + vaeDemo.text(`draw.${measure}.told`, { told: weights[order.indexOf(dimension)].toFixed(2) });
}

// Bars where the code is now.
function place(side) {
  if (!spaces) return;
  const { reach } = spaces[side];
  const share = (value) => Math.max(-1, Math.min(1, value / reach));
  bars(side).classList.toggle("none", !last);
  for (const bar of bars(side).children) {
    const dimension = Number(bar.dataset.dimension);
    const mean = last?.[side].mean[dimension] ?? 0, std = last?.[side].std?.[dimension] ?? 0;
    const hand = moved[side][dimension];
    bar.style.setProperty("--mean", share(mean));
    bar.style.setProperty("--low", share(mean - std));
    bar.style.setProperty("--high", share(mean + std));
    bar.classList.toggle("held", hand !== undefined);
    if (hand !== undefined) bar.style.setProperty("--hand", share(hand));
    bar.setAttribute("aria-valuenow", (hand ?? mean).toFixed(2));
  }
  byId("reset").disabled = untouched();
}

// Both models follow: the number of the same rank goes to the same height, unless told otherwise.
function hold(side, dimension, value) {
  if (!last) return;
  const [other] = SIDES.filter((one) => one !== side);
  const twin = spaces[other].order[spaces[side].order.indexOf(dimension)];
  move(side, dimension, value);
  if (together && twin !== undefined) move(other, twin, value === null ? null : (value / spaces[side].reach) * spaces[other].reach);
  readout(describe(side, dimension));
  ask();
  settle();
}

function move(side, dimension, value) {
  const { reach } = spaces[side];
  if (value === null) delete moved[side][dimension];
  else moved[side][dimension] = Number(Math.max(-reach, Math.min(reach, value)).toFixed(3));
  place(side);
}

const pressTogether = () => byId("together").setAttribute("aria-pressed", together);
byId("together").addEventListener("click", () => {
  together = !together;
  pressTogether();
  lookInside();
  settle();
});
pressTogether();

const readout = (words) => { $(".readout").textContent = words; };
for (const side of SIDES) {
  let held = null;
  const under = (event) => {
    const box = bars(side).getBoundingClientRect(), all = bars(side).children;
    const at = Math.floor(((event.clientX - box.left) / box.width) * all.length);
    return all[Math.max(0, Math.min(all.length - 1, at))];
  };
  const value = (event) => {
    const box = bars(side).getBoundingClientRect();
    return spaces[side].reach * (1 - (2 * (event.clientY - box.top)) / box.height);
  };
  bars(side).addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !spaces || !last) return;
    event.preventDefault();
    held = under(event);
    held.focus({ preventScroll: true });
    bars(side).setPointerCapture(event.pointerId);
    hold(side, Number(held.dataset.dimension), value(event));
  });
  bars(side).addEventListener("pointermove", (event) => {
    if (held) hold(side, Number(held.dataset.dimension), value(event));
    else if (spaces) readout(describe(side, Number(under(event).dataset.dimension)));
  });
  for (const end of ["pointerup", "pointercancel"]) bars(side).addEventListener(end, () => { held = null; });
  bars(side).addEventListener("focusin", ({ target }) => {
    for (const bar of bars(side).children) bar.tabIndex = bar === target ? 0 : -1;
    readout(describe(side, Number(target.dataset.dimension)));
  });
  // One stop for the Tab key: left and right choose a number, up and down change it.
  bars(side).addEventListener("keydown", (event) => {
    const bar = event.target, dimension = Number(bar.dataset.dimension), { reach } = spaces[side];
    const next = { ArrowLeft: bar.previousSibling, ArrowRight: bar.nextSibling }[event.key];
    const step = { ArrowUp: 1, ArrowDown: -1, PageUp: 5, PageDown: -5 }[event.key];
    const to = { Home: -reach, End: reach, Escape: null, Delete: null, Backspace: null }[event.key];
    if (next) next.focus();
    else if (step) hold(side, dimension, (shown(side, dimension) ?? 0) + (step * reach) / 40);
    else if (to !== undefined) hold(side, dimension, to);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}
byId("reset").addEventListener("click", () => {
  moved = both(() => ({}));
  readout("");
  ask();
  settle();
});

// Look inside: what need not be known at each movement of the pen -----------------------------------
const slow = vaeDemo.live(
  () => (look === "codes" || !last ? null : { ...request(), roll }),
  (it) => (look === "posterior" ? server.posterior(it) : server.neighbours(it)),
  (answer, asked) => {
    if (answer.error || !last) return vaeDemo.complain(element, answer.error);
    for (const side of SIDES) answer[side].digits ? neighbours(side, answer[side]) : outputs(side, answer[side], asked);
  },
);
let rest = null;
function lookInside() {
  clearTimeout(rest);
  rest = setTimeout(slow, pointer === null && demo === null ? 0 : 150);
  if (!last) for (const node of element.querySelectorAll(".outputs, .near, .pane .note")) node.classList.add("none");
  else if (look === "codes") for (const side of SIDES) note(side, together ? "draw.codes.both" : "draw.codes.note");
}

function outputs(side, { count, pictures }, asked) {
  const target = byId("posterior-" + side);
  const columns = Math.min(count, 3), rows = Math.ceil(count / columns);
  [target.width, target.height] = [columns * 29 - 1, rows * 29 - 1];
  target.parentElement.style.setProperty("--columns", columns);
  const one = document.createElement("canvas"), grey = vaeDemo.bytes(pictures);
  one.width = one.height = 28;
  for (let i = 0; i < count; i++) {
    vaeDemo.paint(one, grey, i * 784);
    target.getContext("2d").drawImage(one, (i % columns) * 29, Math.floor(i / columns) * 29);
  }
  target.parentElement.classList.remove("none");
  note(side, count > 1 ? "draw.outputs.many" : asked.point ? "draw.outputs.point" : "draw.outputs.one", { count });
}

function neighbours(side, { digits, classes, distances, pictures, searched }) {
  const row = byId("near-" + side), grey = vaeDemo.bytes(pictures);
  while (row.children.length < digits.length) {
    const button = document.createElement("button");
    button.innerHTML = "<canvas width=28 height=28 aria-hidden=true></canvas><span></span>";
    button.addEventListener("click", () => { stopDemo(); turnTo({ digit: Number(button.dataset.digit) }); });
    row.append(button);
  }
  digits.forEach((digit, i) => {
    const button = row.children[i];
    button.dataset.digit = digit;
    button.title = vaeDemo.text("draw.near", { label: classes[i], distance: distances[i].toFixed(2), number: digit });
    button.setAttribute("aria-label", button.title);
    button.lastChild.textContent = classes[i];
    vaeDemo.paint(button.firstChild, grey, i * 784);
  });
  row.classList.remove("none");
  note(side, "draw.searched", { count: searched.toLocaleString(vaeDemo.language) });
}

function note(side, key, values) {
  const line = part("pane", side).querySelector(".note");
  line.textContent = vaeDemo.text(key, { model: vaeDemo.text("side." + side), ...values });
  line.classList.remove("none");
}

function open(next) {
  look = next;
  for (const button of element.querySelectorAll("[data-look]")) button.setAttribute("aria-pressed", button.dataset.look === look);
  for (const [name, selector] of [["codes", ".bars"], ["posterior", ".outputs"], ["neighbours", ".near"]])
    for (const node of element.querySelectorAll(selector)) node.hidden = name !== look;
  byId("reset").hidden = byId("together").hidden = look !== "codes";
  byId("roll").hidden = look !== "posterior";
  readout("");
  for (const side of SIDES) part("pane", side).querySelector(".note").classList.add("none");
  lookInside();
}
for (const button of element.querySelectorAll("[data-look]"))
  button.addEventListener("click", () => { open(button.dataset.look); settle(); });
byId("roll").addEventListener("click", () => {
  roll = Math.floor(Math.random() * 100000);
  lookInside();
  settle();
});

// Pen, mouse, finger ---------------------------------------------------------------------------
function point(event) {
  const box = canvas.getBoundingClientRect();
  // Whole units, a twentieth of a pixel of the models: an address can hold the drawing exactly.
  const at = (position, start, length) => Math.max(0, Math.min(SIDE, Math.round(((position - start) / length) * SIDE)));
  return [at(event.clientX, box.left, box.width), at(event.clientY, box.top, box.height)];
}

const ERASER_BUTTON = 5; // the other end of a pen
let pointer = null, lastPlace = null;
canvas.addEventListener("pointerdown", (event) => {
  if (pointer !== null || (event.button !== 0 && event.button !== ERASER_BUTTON)) return;
  event.preventDefault();
  canvas.focus({ preventScroll: true });
  stopDemo();
  const rubs = eraser || event.button === ERASER_BUTTON;
  if (rubs && !drawn()) return;
  pointer = event.pointerId;
  canvas.setPointerCapture(pointer);
  if (rubs) {
    [rubbed, lastPlace] = [strokes(), point(event)];
    return erase(event);
  }
  // On a picture or an example, ink starts afresh; undo brings that back.
  if (page().image || page().example) [pages, history] = [[...pages, BLANK], []];
  moved = both(() => ({}));
  stroke = point(event);
  refresh();
});
canvas.addEventListener("pointermove", (event) => {
  if (event.pointerId !== pointer) return;
  const moves = event.getCoalescedEvents?.() ?? [];
  if (rubbed) return (moves.length ? moves : [event]).forEach(erase);
  const from = stroke.length - 2;
  for (const move of moves.length ? moves : [event]) stroke.push(...point(move));
  line(stroke, from);
  ask();
});
function lift(event) {
  if (event.pointerId !== pointer) return;
  pointer = null;
  const next = { strokes: strokes() };
  stroke = rubbed = null;
  if (next.strokes.length || page().strokes.length) turnTo(next);
}
canvas.addEventListener("pointerup", lift);
canvas.addEventListener("pointercancel", lift);

function erase(event) {
  const [x, y] = point(event), [fromX, fromY] = lastPlace, radius = brush / 2 + 16;
  const steps = Math.ceil(Math.hypot(x - fromX, y - fromY) / radius) || 1;
  for (let i = 1; i <= steps; i++)
    rubbed = rub(rubbed, fromX + ((x - fromX) * i) / steps, fromY + ((y - fromY) * i) / steps, radius);
  lastPlace = [x, y];
  refresh();
}

// Tools ------------------------------------------------------------------------------------------
function turnBack(from, to) {
  stopDemo();
  if (from.length > (from === pages ? 1 : 0)) to.push(from.pop());
  moved = both(() => ({}));
  refresh();
  settle();
}
const undo = () => turnBack(pages, undone);
const redo = () => turnBack(undone, pages);
function clear() {
  stopDemo();
  if (empty()) refresh();
  else turnTo(BLANK);
}
function useBrush(width) {
  brush = Math.max(LEAST_PEN, Math.min(MOST_PEN, width));
  byId("brush").value = brush;
  refresh();
  settle();
}
function useEraser(on) {
  eraser = on;
  byId("eraser").setAttribute("aria-pressed", on);
  canvas.classList.toggle("erasing", on);
}
byId("undo").addEventListener("click", undo);
byId("redo").addEventListener("click", redo);
byId("clear").addEventListener("click", clear);
byId("eraser").addEventListener("click", () => useEraser(!eraser));
byId("brush").addEventListener("input", () => useBrush(Number(byId("brush").value)));
for (const box of element.querySelectorAll(".rule input"))
  box.addEventListener("change", () => {
    box.checked ? off.delete(box.value) : off.add(box.value);
    refresh();
    settle();
  });
document.addEventListener("keydown", (event) => {
  if (vaeDemo.tab !== "draw" || event.target.matches("input:not([type=range], [type=checkbox]), select, textarea")) return;
  const key = event.key.toLowerCase();
  if (event.ctrlKey || event.metaKey) {
    if (key !== "z" && key !== "y") return;
    event.preventDefault();
    key === "y" || event.shiftKey ? redo() : undo();
  } else if (key === "delete" || key === "backspace") clear();
  else if (key === "[") useBrush(brush - 8);
  else if (key === "]") useBrush(brush + 8);
  else if (key === "e") useEraser(!eraser);
});

byId("draw-save").addEventListener("click", async () => {
  const answer = await server.save({ ...request(), file: "png" }).catch(() => ({ error: "error.offline" }));
  vaeDemo.complain(element, answer.error);
  if (!answer.error) vaeDemo.keep(answer, "image/png");
});

// Pictures: chosen, dropped or pasted; made small here, so that any camera will do.
const LARGEST_PX = 1024;
async function take(file) {
  if (!file) return;
  stopDemo();
  let image;
  try {
    image = await createImageBitmap(file);
  } catch {
    return vaeDemo.complain(element, "error.picture");
  }
  const scale = Math.min(1, LARGEST_PX / Math.max(image.width, image.height));
  const small = document.createElement("canvas");
  small.width = Math.max(1, Math.round(image.width * scale));
  small.height = Math.max(1, Math.round(image.height * scale));
  small.getContext("2d").drawImage(image, 0, 0, small.width, small.height);
  turnTo({ picture: small.toDataURL("image/png").split(",")[1], image: small });
}
const upload = byId("upload");
upload.addEventListener("change", () => { take(upload.files[0]); upload.value = ""; });
const board = $(".board");
board.addEventListener("dragover", (event) => event.preventDefault());
board.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files[0]); });
document.addEventListener("paste", (event) => {
  if (vaeDemo.tab === "draw") take([...event.clipboardData.files].find((file) => file.type.startsWith("image/")));
});

// Sent here from another tab with its 28×28 picture: a digit, a drawing, or a point of code space.
vaeDemo.on("to-draw", ({ digit, point, picture }) => {
  stopDemo();
  const image = pictureOf(picture);
  if (point?.strokes) turnTo({ strokes: point.strokes });
  else turnTo((digit ?? point.digit) === undefined ? { point, image } : { digit: digit ?? point.digit, image });
  vaeDemo.open("draw");
});

// Examples: digits drawn for this project, and what is no digit, that draw themselves ---------------
function stopDemo() {
  if (demo === null) return;
  cancelAnimationFrame(demo);
  demo = null;
  pages = [...pages.slice(0, -1), BLANK];
}

function drawExample(example, about = {}) {
  stopDemo();
  const scaled = example.map((points) => points.map((value) => Math.round(value * SIDE)));
  const drawnOut = { strokes: scaled, example: true, ...about };
  [history, undone, moved] = [[], [], both(() => ({}))];
  if (!empty()) pages = [...pages, BLANK];
  if (vaeDemo.calm()) return turnTo(drawnOut);
  const total = scaled.reduce((sum, points) => sum + points.length / 2, 0);
  const duration = 900; // ms
  let started = null;
  function frame(now) {
    started ??= now;
    let left = Math.max(1, Math.round((total * (now - started)) / duration));
    const ink = [];
    for (const points of scaled) {
      if (left > 0) ink.push(points.slice(0, 2 * left));
      left -= points.length / 2;
    }
    if (left >= 0) {
      demo = null;
      pages = [...pages.slice(0, -1), drawnOut];
      settle();
      return refresh();
    }
    demo = requestAnimationFrame(frame);
    pages = [...pages.slice(0, -1), { ...about, strokes: ink }];
    refresh();
  }
  demo = requestAnimationFrame(frame);
}

props.examples.forEach((example, digit) => {
  const button = document.createElement("button");
  button.className = "example";
  button.dataset.testid = `example-${digit}`;
  const name = () => button.setAttribute("aria-label", vaeDemo.text("draw.example", { digit }));
  name();
  vaeDemo.on("language", name);
  const path = example.map((p) => "M" + p.map((v) => (v * 40).toFixed(1)).join(" ")).join("");
  button.innerHTML = `<svg viewBox="0 0 40 40" aria-hidden="true"><path d="${path}"/></svg>`;
  button.addEventListener("click", () => drawExample(example));
  $(".examples").append(button);
});

// A digit, a hard digit, or none at all, in turn; each time another.
let surprises = Math.floor(Math.random() * 3);
byId("surprise").addEventListener("click", async () => {
  const turn = surprises++ % 3, any = (count) => Math.floor(Math.random() * count);
  if (turn === 0) return drawExample(props.doodles[any(props.doodles.length)], { about: "doodle" });
  const answer = await server.surprise({ models: [...vaeDemo.models], seed: any(MAX_SEED), hard: turn === 1 }).catch(() => ({ error: "error.offline" }));
  vaeDemo.complain(element, answer.error);
  if (answer.error) return;
  stopDemo();
  turnTo({ digit: answer.digit, image: pictureOf(answer.picture), about: turn === 1 ? "hard" : "digit" });
});

// The line below the slate's controls says what is on it.
vaeDemo.on("drawing", about);
function about() {
  const { digit, point } = page();
  const key = page().about ?? (point ? "point" : digit !== undefined ? "digit" : "seen.note");
  $(".seen-side .note").textContent = vaeDemo.text("draw." + (key === "seen.note" ? key : "about." + key), { number: digit });
}

// The address holds all of this but uploaded pictures. ----------------------------------------------
let settling = null;
function settle() {
  clearTimeout(settling);
  settling = setTimeout(() => {
    const { digit, point, picture, auto } = page();
    const written = drawn() && !auto && strokes().length ? vaeDemo.packStrokes(strokes()) : null;
    const hands = SIDES.flatMap((side) => Object.entries(moved[side]).map(([dimension, value]) => `${side[0]}${dimension}_${value}`));
    const keys = {
      strokes: written?.length <= 8000 ? written : null,
      digit: digit ?? null,
      point: point ? JSON.stringify(point) : null,
      off: off.size ? [...off].join("-") : null,
      brush: brush === PEN ? null : brush,
      moved: picture || !hands.length ? null : hands.join("*"),
      together: together ? null : 0,
      roll: roll === 1 ? null : roll,
      look: look === "codes" ? null : look,
    };
    for (const [key, value] of Object.entries(keys)) vaeDemo.inAddress(key, value);
  }, 300);
}

function restore() {
  const { query } = vaeDemo;
  const whole = (key, low, high) => (/^\d{1,10}$/.test(query.get(key) ?? "") && query.get(key) >= low && query.get(key) <= high ? Number(query.get(key)) : null);
  for (const name of (query.get("off") ?? "").split("-")) {
    const box = [...element.querySelectorAll(".rule input")].find((one) => one.value === name);
    if (box) { off.add(name); box.checked = false; }
  }
  brush = whole("brush", LEAST_PEN, MOST_PEN) ?? PEN;
  byId("brush").value = brush;
  roll = whole("roll", 0, MAX_SEED) ?? roll;
  if (["posterior", "neighbours"].includes(query.get("look"))) look = query.get("look");
  for (const hand of (query.get("moved") ?? "").split("*")) {
    const [, side, dimension, value] = /^([lr])(\d{1,2})_(-?[\d.]{1,8})$/.exec(hand) ?? [];
    const i = "lr".indexOf(side);
    if (side && Number(dimension) < vaeDemo.latentSize(vaeDemo.models[i]) && Number.isFinite(Number(value))) moved[SIDES[i]][dimension] = Number(value);
  }
  const strokes = vaeDemo.unpackStrokes(query.get("strokes"));
  let point = null;
  try { point = JSON.parse(query.get("point")); } catch { /* no point then */ }
  const digit = whole("digit", 0, 9999);
  if (strokes) pages = [BLANK, { strokes }];
  else if (digit !== null) pages = [BLANK, { digit }];
  else if (point && typeof point === "object") pages = [BLANK, { point }];
}

// What the twins are about cannot be said of any two models.
function lead() {
  $(".lead").dataset.text = vaeDemo.models.join() === "ae,vae" ? "draw.lead" : "draw.lead.others";
  $(".lead").textContent = vaeDemo.text($(".lead").dataset.text);
}

let compared = [...vaeDemo.models];
vaeDemo.on("models", () => {
  lead();
  SIDES.forEach((side, i) => { if (vaeDemo.models[i] !== compared[i]) moved[side] = {}; });
  compared = [...vaeDemo.models];
  history = [];
  readout("");
  askSpaces();
  ask();
  settle();
});
vaeDemo.on("language", () => {
  SIDES.forEach(name);
  readout("");
  about();
  open(look);
  ask();
});

restore();
lead();
open(look);
about();
askSpaces();
refresh();
// The first picture moves by itself, until the visitor takes the pen.
if (vaeDemo.tab === "draw") setTimeout(() => { if (demo === null && empty() && pages.length === 1 && !stroke) drawExample(props.examples[Math.floor(Math.random() * 10)], { auto: true }); }, 600);
