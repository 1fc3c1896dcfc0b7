// The lasso, and the gallery of what it caught. Shares the scope of map.js.

// Catching dots -------------------------------------------------------------------------------------
const STRIDE = 3; // px between the corners of a lasso
let lassoing = false; // a drag draws a lasso, without shift too
let noose = null; // {map, corners: [[x, y] …], how, reach}: being drawn

// How a lasso changes the selection: "anew", "more" or "less".
const howNow = ({ altKey, shiftKey } = {}) => (altKey ? "less" : shiftKey ? "more" : $("[data-testid=select-how]").value);
const classOn = (label) => !chosen.size || chosen.has(label);
const seen = (digit) => classOn(labels[digit]);

// Even-odd: a line from the point to the right crosses the outline so many times.
function surrounds(corners, x, y) {
  let odd = false;
  for (let i = 0, j = corners.length - 1; i < corners.length; j = i++) {
    const [ax, ay] = corners[i], [bx, by] = corners[j];
    if (ay > y !== by > y && x < ax + ((bx - ax) * (y - ay)) / (by - ay)) odd = !odd;
  }
  return odd;
}
function caughtBy(map, corners) {
  const digits = [], [xs, ys] = [0, 1].map((k) => corners.map((corner) => corner[k]));
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  sweep(map, (digit, x, y) => {
    if (x >= left && x <= right && y >= top && y <= bottom && seen(digit) && surrounds(corners, x, y)) digits.push(digit);
  });
  return digits;
}
// What both maps show now, as far as it is on.
function inView() {
  const [left, right] = maps.map((map) => {
    const digits = new Set();
    sweep(map, (digit, x, y) => { if (seen(digit) && within(map, [x, y])) digits.add(digit); });
    return digits;
  });
  return [...left].filter((digit) => right.has(digit));
}

function select(digits, how) {
  const next = new Set(how === "anew" ? digits : selection);
  if (how === "more") for (const digit of digits) next.add(digit);
  if (how === "less") for (const digit of digits) next.delete(digit);
  selection = next.size ? next : null;
  restyle();
}

tool = {
  get always() { return lassoing; },
  begin(map, pixel, event) {
    noose = { map, corners: [pixel], how: howNow(event), reach: REACH[event.pointerType] ?? REACH.mouse };
  },
  move(map, pixel) {
    if (!noose) return;
    const [x, y] = noose.corners.at(-1);
    if (Math.hypot(pixel[0] - x, pixel[1] - y) >= STRIDE) noose.corners.push(pixel);
    drawNoose(map);
  },
  end(map, pixel) {
    const { corners, how, reach } = noose ?? {};
    noose = null;
    drawNoose(map);
    if (!pixel || !corners) return;
    if (corners.length < 3) return keepOrLeave(hit(map, pixel, reach)); // no lasso but a click
    select(caughtBy(map, [...corners, pixel]), how);
    if (selection) openDrawer("selection");
  },
};
// The lasso is an element, as other marks are: drawing it redraws no dots.
for (const map of maps) {
  map.rope = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  map.rope.innerHTML = '<polygon class="halo"/><polygon/>';
  map.rope.classList.add("rope");
  map.ground.querySelector(".marks").append(map.rope);
}
function drawNoose(map) {
  const corners = noose?.map === map ? noose.corners.map((corner) => corner.map((value) => value.toFixed(1))) : [];
  for (const line of map.rope.children) line.setAttribute("points", corners.join(" "));
}

// The drawer ----------------------------------------------------------------------------------------
const PAGE = 60; // pictures laid out at a time
const BATCH = 128; // pictures a request may ask for
const shelf = $(".drawer.selection");
shelf.classList.add("empty");
shelf.innerHTML = `<div class="bar">
    <button data-testid="select-view" data-text="map.selection.view" data-hint="map.selection.view.hint"></button>
    <select data-testid="select-how" data-label="map.selection.how" data-hint="map.selection.how.hint">
      <option value="anew" data-text="map.selection.anew"></option>
      <option value="more" data-text="map.selection.add"></option>
      <option value="less" data-text="map.selection.less"></option>
    </select>
    <button data-testid="select-clear" data-text="map.selection.clear" data-hint="map.selection.clear.hint" disabled></button>
    <span class="save" role="group" data-label="map.selection.save"><span class="note" data-text="map.selection.save"></span>
      <button data-testid="map-csv" data-hint="map.selection.csv.hint">CSV</button>
      <button data-testid="map-png" data-hint="map.selection.png.hint">PNG</button>
      <button data-testid="map-svg" data-hint="map.selection.svg.hint">SVG</button></span>
  </div>
  <p class="none note"><span data-text="map.selection.none"></span> <button data-lasso data-text="map.selection.lasso" data-hint="map.selection.lasso.hint"></button></p>
  <div class="facts" tabindex="-1">
    <p><b data-testid="selected" aria-live="polite"></b> <span class="note mixed" data-testid="mixed"></span></p>
    <div class="tally" data-testid="tally"></div>
    <table class="means" data-testid="means"></table>
  </div>
  <div class="gallery" data-testid="gallery">
    <div class="by" role="group" data-label="map.selection.by">
      <button data-by="left" data-testid="gallery-left" data-text="side.left" data-hint="map.rebuilt.left"></button>
      <button data-by="right" data-testid="gallery-right" data-text="side.right" data-hint="map.rebuilt.right"></button>
      <span class="note"></span>
    </div>
    <div class="tiles"></div>
    <button class="further" data-testid="gallery-more"></button>
  </div>`;
let gallery = []; // digits, in order
let laid = 0; // how many of them have a tile
let pictured = "left"; // whose pictures, where there are no originals
const unpainted = new Map(); // digit → canvas

const lassoButtons = element.querySelectorAll("[data-lasso]");
function lasso(on) {
  lassoing = on;
  section.classList.toggle("lassoing", on);
  for (const button of lassoButtons) button.setAttribute("aria-pressed", on);
}
for (const button of lassoButtons) button.addEventListener("click", () => { takeOver(); lasso(!lassoing); });
lasso(false);
const unselect = () => { takeOver(); select([], "anew"); };
$("[data-testid=select-clear]").addEventListener("click", () => { unselect(); $("[data-testid=select-view]").focus(); });
$("[data-testid=select-view]").addEventListener("click", () => { takeOver(); if (ready) select(inView(), howNow()); });
for (const { ground } of maps)
  ground.addEventListener("keydown", ({ key, ctrlKey, metaKey, altKey }) => {
    if (key.toLowerCase() !== "l" || ctrlKey || metaKey || altKey) return;
    takeOver();
    lasso(!lassoing);
    if (lassoing) openDrawer("selection");
  });
// Escape lets go of one thing after the other.
section.addEventListener("keydown", ({ key }) => {
  if (key !== "Escape") return;
  const drawn = noose;
  noose = null;
  if (drawn) drawNoose(drawn.map);
  else if (selection) unselect();
  else if (lassoing) lasso(false);
});

// The selected digits that a map shows.
const selected = () => [...(selection ?? [])].filter((digit) => on(digit) && maps.some((map) => has(map, digit)));
const figure = (value) => value.toLocaleString(vaeDemo.language, { minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
const amount = (value) => value.toLocaleString(vaeDemo.language);

function writeSelection() {
  if (!ready) return;
  const digits = selected(), count = digits.length, all = selection?.size ?? 0;
  $("[data-testid=drawer-selection]").dataset.count = selection ? amount(count) : "";
  $("[data-testid=select-clear]").disabled = !selection;
  shelf.classList.toggle("empty", !selection);
  if (!selection) return lay([]);
  $("[data-testid=selected]").textContent = vaeDemo.text(count === all ? "map.selection.count" : "map.selection.part", { count: amount(count), all: amount(all) });
  writeTally(digits);
  lay(inOrder(digits));
  writeMeans(digits);
}

// By class; a class is also a way to narrow the selection down, as the chips above the maps.
function writeTally(digits) {
  const all = Array(10).fill(0), shares = Array(10).fill(0);
  for (const digit of selection) all[labels[digit]]++;
  for (const digit of digits) shares[labels[digit]] += 1 / digits.length;
  const most = Math.max(...all);
  $("[data-testid=tally]").replaceChildren(...CLASSES.filter((label) => all[label]).map((label) => {
    const button = document.createElement("button");
    button.innerHTML = "<b></b><i></i><span></span>";
    button.style.setProperty("--tone", "var(--class-" + label + ")");
    button.style.setProperty("--share", all[label] / most);
    button.setAttribute("aria-pressed", chosen.has(label));
    button.classList.toggle("dim", chosen.size > 0 && !chosen.has(label));
    button.dataset.label = label;
    button.title = vaeDemo.text("map.class.hint", { label });
    [button.firstChild.textContent, button.lastChild.textContent] = [label, amount(all[label])];
    return button;
  }));
  const entropy = shares.reduce((sum, share) => sum - (share && share * Math.log(share)), 0), mixed = $("[data-testid=mixed]");
  mixed.textContent = digits.length < 2 ? "" : vaeDemo.text("map.selection.mixed", { classes: Math.exp(entropy).toFixed(1) });
  mixed.title = vaeDemo.text("map.selection.mixed.hint");
}
$("[data-testid=tally]").addEventListener("click", ({ target }) => {
  const label = target.closest("button")?.dataset.label;
  if (!label) return;
  $("[data-testid=class-" + label + "]").click();
  $("[data-testid=tally] [data-label='" + label + "']")?.focus();
});

// Of the figures of each digit, the means here and of all digits.
async function writeMeans(digits) {
  const asked = selection, models = vaeDemo.models.join();
  let values;
  try { values = await Promise.all(maps.map((map) => arrays(model(map) + "/values"))); } catch { values = []; }
  if (asked !== selection || models !== vaeDemo.models.join()) return;
  const mean = (numbers) => numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
  const rows = COLOURS.filter((name) => values.some((side) => side[name])).map((name) => {
    const cells = values.flatMap(({ [name]: all }) => {
      const here = all ? digits.filter((digit) => digit < all.length).map((digit) => all[digit]) : [];
      return [here.length ? figure(mean(here)) : "–", all ? figure(mean(all)) : "–"];
    });
    return `<tr><th scope="row">${vaeDemo.text("map.colour." + name)}</th>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
  });
  const head = SIDES.map((side) => `<th scope="col" class="${side}">${vaeDemo.text("side." + side)}</th><th scope="col" class="all">${vaeDemo.text("map.selection.all")}</th>`);
  const table = $("[data-testid=means]");
  table.innerHTML = rows.length ? `<tr><th>${vaeDemo.text("map.selection.means")}</th>${head.join("")}</tr>${rows.join("")}` : "";
  table.title = vaeDemo.text("map.selection.means.hint");
}

// What stands out by the figure that is coloured comes first.
function inOrder(digits) {
  digits.sort((a, b) => a - b);
  const values = maps[SIDES.indexOf(pictured)].values?.[colouring], sign = STANDS_OUT_LOW.has(colouring) ? 1 : -1;
  const rank = (digit) => (digit < values.length ? sign * values[digit] : Infinity);
  return values ? digits.sort((a, b) => (rank(a) === rank(b) ? 0 : rank(a) - rank(b))) : digits;
}
const picturable = (digit) => props.originals || digit < digitsOf(vaeDemo.models[SIDES.indexOf(pictured)]);

let shown = ""; // what the tiles are of
function lay(digits) {
  const source = props.originals ? "" : vaeDemo.models[SIDES.indexOf(pictured)];
  for (const button of shelf.querySelectorAll("[data-by]")) {
    button.hidden = Boolean(props.originals);
    button.setAttribute("aria-pressed", button.dataset.by === pictured);
  }
  shelf.querySelector(".by .note").textContent = [
    vaeDemo.text(props.originals ? "map.selection.originals" : "map.selection.rebuilt"),
    ...(colouring !== "class" && maps[SIDES.indexOf(pictured)].values?.[colouring] ? [vaeDemo.text("map.selection.first", { figure: vaeDemo.text("map.colour." + colouring) })] : []),
  ].join(" · ");
  const now = source + ":" + digits.join();
  if (now !== shown) {
    shown = now;
    gallery = digits;
    laid = 0;
    unpainted.clear();
    shelf.querySelector(".tiles").replaceChildren();
    shelf.querySelector(".gallery").scrollTop = 0;
    layMore();
  }
  for (const tile of shelf.querySelectorAll(".tile")) tile.title = tileName(Number(tile.dataset.digit));
  writeFurther();
}
const tileName = (digit) => vaeDemo.text("map.selection.tile", { label: labels[digit], name: vaeDemo.text(digit < TEST ? "map.number" : "map.number.training", { number: digit < TEST ? digit : digit - TEST }) });
function layMore() {
  const next = gallery.slice(laid, laid + PAGE);
  laid += next.length;
  for (const digit of next) {
    const tile = document.createElement("button");
    tile.className = "tile";
    tile.innerHTML = '<canvas width="28" height="28"></canvas><i></i>';
    tile.dataset.digit = digit;
    tile.title = tileName(digit);
    tile.style.setProperty("--tone", "var(--class-" + labels[digit] + ")");
    tile.lastChild.textContent = labels[digit];
    const here = props.originals ? null : rebuilt(vaeDemo.models[SIDES.indexOf(pictured)], digit);
    if (here) vaeDemo.paint(tile.firstChild, here.picture);
    else if (picturable(digit)) unpainted.set(digit, tile.firstChild);
    shelf.querySelector(".tiles").append(tile);
  }
  askPictures();
}
function writeFurther() {
  const button = $("[data-testid=gallery-more]"), rest = gallery.length - laid;
  button.hidden = rest <= 0;
  button.textContent = vaeDemo.text("map.selection.more", { count: amount(Math.min(rest, PAGE)), rest: amount(rest) });
}
$("[data-testid=gallery-more]").addEventListener("click", () => { takeOver(); layMore(); writeFurther(); });
for (const button of shelf.querySelectorAll("[data-by]"))
  button.addEventListener("click", () => { takeOver(); pictured = button.dataset.by; writeSelection(); });

const askPictures = vaeDemo.live(() => {
  const digits = [...unpainted.keys()].slice(0, BATCH);
  return digits.length ? { models: [...vaeDemo.models], side: pictured, digits } : null;
}, (it) => server.pictures(it), (answer, it) => {
  vaeDemo.complain(element, answer.error);
  if (answer.error) return;
  if (it.side === pictured && it.models.join() === vaeDemo.models.join()) {
    const grey = vaeDemo.bytes(answer.pictures);
    it.digits.forEach((digit, i) => {
      if (unpainted.has(digit)) vaeDemo.paint(unpainted.get(digit), grey, 784 * i);
      unpainted.delete(digit);
    });
  }
  if (unpainted.size) askPictures();
});

const tiles = shelf.querySelector(".tiles");
const tileDigit = ({ target }) => Number(target.closest(".tile")?.dataset.digit ?? NaN);
for (const kind of ["pointerover", "focusin"])
  tiles.addEventListener(kind, (event) => {
    const digit = tileDigit(event);
    if (digit >= 0) { takeOver(); show(digit); }
  });
tiles.addEventListener("pointerleave", rest);
tiles.addEventListener("click", (event) => { if (tileDigit(event) >= 0) keep(tileDigit(event)); });

watchers.push((what) => { if (["lens", "tones", "words"].includes(what)) writeSelection(); });
