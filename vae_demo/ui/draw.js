// The live canvas. Ink appears at once; both models answer while the pen moves.
const { vaeDemo } = window;
vaeDemo.exhibit(element);

const SIDE = 616; // canvas units; what the models see does not depend on them
const PEN = 40;
const $ = (selector) => element.querySelector(selector);
const canvas = $("[data-testid=draw-canvas]");
const context = canvas.getContext("2d");
const css = (color) => `rgb(${color.join(" ")})`;

// A page of the history is what a visitor would call "my drawing": {strokes}, {picture} or {digit},
// and for the latter two an image to show. Pages are never changed, so undo just turns back.
const BLANK = { strokes: [] };
let pages = [BLANK];
let stroke = null; // the one under the pen, as flat x, y, x, y, …
let demo = null; // the timer of an example that draws itself

const page = () => pages.at(-1);
const strokes = () => [...(page().strokes ?? []), ...(stroke ? [stroke] : [])];
const empty = () => !page().picture && page().digit === undefined && !strokes().length;

function turnTo(next) {
  pages = [...pages.slice(-200), next];
  refresh();
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
    context.imageSmoothingEnabled = page().digit === undefined;
    const [w, h] = [width * scale, height * scale];
    context.drawImage(page().image, (SIDE - w) / 2, (SIDE - h) / 2, w, h);
  }
  Object.assign(context, { strokeStyle: css(vaeDemo.INK), lineWidth: PEN, lineCap: "round", lineJoin: "round" });
  strokes().forEach((points) => line(points));
  $(".prompt").hidden = !empty();
  $("[data-testid=undo]").disabled = pages.length === 1;
  $("[data-testid=clear]").disabled = empty();
}

// Both models -------------------------------------------------------------------------------------
const DIGITS = { squared_error: 4, reconstruction_nats: 1, kl_nats: 1 };

function request() {
  const { digit, picture } = page();
  const models = [...vaeDemo.models];
  if (digit !== undefined) return { models, digit };
  if (picture) return { models, picture };
  return { models, strokes: strokes() };
}

function show(answer, asked) {
  if (answer.error === "error.picture" && asked?.picture) return refusePicture(answer.error);
  vaeDemo.complain(element, answer.error);
  if (answer.error) return;
  const blank = answer.blank || empty();
  for (const [name, picture] of [["seen", answer.seen], ["rebuilt-left", answer.left?.picture], ["rebuilt-right", answer.right?.picture]])
    vaeDemo.paint($(`[data-testid=${name}]`), blank ? new Uint8Array(784) : vaeDemo.bytes(picture));
  for (const cell of element.querySelectorAll("[data-number]")) {
    const [side, name] = cell.dataset.number.split(".");
    cell.textContent = blank ? "" : (answer[side][name]?.toFixed(DIGITS[name]) ?? "–");
  }
  vaeDemo.drawing = blank ? null : asked;
  vaeDemo.send("drawing", vaeDemo.drawing);
}

vaeDemo.on("models", () => ask());
const ask = vaeDemo.live(request, (it) => server.reconstruct(it), show);

function refresh() {
  redraw();
  ask();
}

// The picture leaves, the drawing before it comes back, and the reason stays on screen.
function refusePicture(code) {
  pages = pages.filter((one) => one !== page());
  redraw();
  vaeDemo.complain(element, code);
}

// Pen, mouse, finger ---------------------------------------------------------------------------
function point(event) {
  const box = canvas.getBoundingClientRect();
  // Whole units, a twentieth of a pixel of the models: an address can hold the drawing exactly.
  const at = (position, start, length) => Math.max(0, Math.min(SIDE, Math.round(((position - start) / length) * SIDE)));
  return [at(event.clientX, box.left, box.width), at(event.clientY, box.top, box.height)];
}

let pointer = null;
canvas.addEventListener("pointerdown", (event) => {
  if (pointer !== null || event.button !== 0) return;
  event.preventDefault();
  canvas.focus({ preventScroll: true });
  stopDemo();
  // On a picture or an example, ink starts afresh; undo brings that back.
  if (page().image || page().example) pages = [...pages, BLANK];
  pointer = event.pointerId;
  canvas.setPointerCapture(pointer);
  stroke = point(event);
  refresh();
});
canvas.addEventListener("pointermove", (event) => {
  if (event.pointerId !== pointer) return;
  const from = stroke.length - 2;
  const moves = event.getCoalescedEvents?.() ?? [];
  for (const move of moves.length ? moves : [event]) stroke.push(...point(move));
  line(stroke, from);
  ask();
});
function lift(event) {
  if (event.pointerId !== pointer) return;
  pointer = null;
  const next = { strokes: strokes() };
  stroke = null;
  turnTo(next);
}
canvas.addEventListener("pointerup", lift);
canvas.addEventListener("pointercancel", lift);

// Tools ------------------------------------------------------------------------------------------
function undo() {
  stopDemo();
  if (pages.length > 1) pages = pages.slice(0, -1);
  refresh();
}
function clear() {
  stopDemo();
  if (empty()) refresh();
  else turnTo(BLANK);
}
$("[data-testid=undo]").addEventListener("click", undo);
$("[data-testid=clear]").addEventListener("click", clear);
document.addEventListener("keydown", (event) => {
  if (vaeDemo.tab !== "draw" || event.target.matches("input, select, textarea")) return;
  if ((event.ctrlKey || event.metaKey) && event.key === "z") { event.preventDefault(); undo(); }
  if (event.key === "Delete" || event.key === "Backspace") clear();
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
const upload = $("[data-testid=upload]");
upload.addEventListener("change", () => { take(upload.files[0]); upload.value = ""; });
const board = $(".board");
board.addEventListener("dragover", (event) => event.preventDefault());
board.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files[0]); });
document.addEventListener("paste", (event) => {
  if (vaeDemo.tab === "draw") take([...event.clipboardData.files].find((file) => file.type.startsWith("image/")));
});

// A digit sent here from another tab, with its 28×28 picture.
vaeDemo.on("to-draw", ({ digit, picture }) => {
  stopDemo();
  const image = document.createElement("canvas");
  image.width = image.height = 28;
  vaeDemo.paint(image, vaeDemo.bytes(picture));
  turnTo({ digit, image });
  vaeDemo.open("draw");
});

// Examples: ten digits drawn for this project, that draw themselves --------------------------------
function stopDemo() {
  if (demo === null) return;
  cancelAnimationFrame(demo);
  demo = null;
  pages = [...pages.slice(0, -1), BLANK];
}

function drawExample(example) {
  stopDemo();
  const scaled = example.map((points) => points.map((value) => Math.round(value * SIDE)));
  const drawnOut = { strokes: scaled, example: true };
  if (!empty()) pages = [...pages, BLANK];
  if (vaeDemo.calm()) return turnTo(drawnOut);
  const total = scaled.reduce((sum, points) => sum + points.length / 2, 0);
  const duration = 900; // ms
  let started = null;
  function frame(now) {
    started ??= now;
    let left = Math.max(1, Math.round((total * (now - started)) / duration));
    const drawn = [];
    for (const points of scaled) {
      if (left > 0) drawn.push(points.slice(0, 2 * left));
      left -= points.length / 2;
    }
    if (left >= 0) {
      demo = null;
      pages = [...pages.slice(0, -1), drawnOut];
      return refresh();
    }
    demo = requestAnimationFrame(frame);
    pages = [...pages.slice(0, -1), { strokes: drawn }];
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

refresh();
// The first picture moves by itself, until the visitor takes the pen.
if (vaeDemo.tab === "draw") setTimeout(() => { if (empty() && pages.length === 1 && !stroke) drawExample(props.examples[Math.floor(Math.random() * 10)]); }, 600);
