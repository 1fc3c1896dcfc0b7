// The lasso, the gallery of what it caught, and what leaves the page. Shares the scope of map.js.

// Catching dots -------------------------------------------------------------------------------------
const STRIDE = 3; // px between the corners of a lasso
let lassoing = false; // a drag draws a lasso, without shift too
let noose = null; // {map, corners: [[x, y] …], how, reach}: being drawn

// How a lasso changes the selection: "anew", "more" or "less".
const howNow = ({ altKey, shiftKey } = {}) => (altKey ? "less" : shiftKey ? "more" : $("[data-testid=select-how]").value);
const classOn = (label) => !chosen.size || chosen.has(label);
const seen = (digit) => classOn(labels[digit]);

// Where the dots of a map are on the screen: x, y in pixels and how far towards the viewer, by dot.
function seenAt({ lens: { points, dimensions }, view, size }) {
  const [across, up, ahead] = turned(view), [cx, cy, cz] = view.centre, [width, height] = size;
  const found = new Float32Array((3 * points.length) / dimensions);
  for (let i = 0, k = 0; k < points.length; i += 3, k += dimensions) {
    const dx = points[k] - cx, dy = points[k + 1] - cy, dz = dimensions === 3 ? points[k + 2] - cz : 0;
    found[i] = width / 2 + (across[0] * dx + across[1] * dy + across[2] * dz) / view.unit;
    found[i + 1] = height / 2 - (up[0] * dx + up[1] * dy + up[2] * dz) / view.unit;
    found[i + 2] = ahead[0] * dx + ahead[1] * dy + ahead[2] * dz;
  }
  return found;
}

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
  const where = seenAt(map), digits = [];
  const [xs, ys] = [0, 1].map((k) => corners.map((corner) => corner[k]));
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  for (let digit = 0, k = 0; k < where.length; digit++, k += 3) {
    const x = where[k], y = where[k + 1];
    if (x >= left && x <= right && y >= top && y <= bottom && seen(digit) && surrounds(corners, x, y)) digits.push(digit);
  }
  return digits;
}
// What both maps show now, as far as it is on.
function inView() {
  const [left, right] = maps.map((map) => {
    const where = seenAt(map), digits = new Set();
    for (let digit = 0; 3 * digit < where.length; digit++)
      if (seen(digit) && within(map, [where[3 * digit], where[3 * digit + 1]])) digits.add(digit);
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
    if (picturable(digit)) unpainted.set(digit, tile.firstChild);
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

// What leaves the page ------------------------------------------------------------------------------
const FINE = 2; // pixels of a saved picture to one of the page
const lensesShown = () => [...new Set(maps.map((map) => map.lens.name))].join("-");
function fileName(kind) {
  const classes = chosen.size ? ["class", ...[...chosen].sort()] : [], part = selection ? [selected().length, "selected"] : [];
  return ["map", ...vaeDemo.models, lensesShown(), ...(kind === "csv" || colouring === "class" ? [] : [colouring]), ...classes, ...part].join("-") + "." + kind;
}

// What made a picture. The browser draws it, so that no server can make it again.
const recipe = () => ({
  tab: "map",
  request: {
    models: [...vaeDemo.models], lens: maps.map((map) => map.lens.name), colour: colouring, classes: [...chosen].sort(), everything,
    layers: [...switches].filter(([, { on }]) => on).map(([name]) => name), views: maps.map((map) => map.view),
    digit: pinned, selection: selection && [...selection].sort((a, b) => a - b),
    projection: lens === "own" ? projection.settings : null,
  },
  weights: Object.fromEntries(vaeDemo.config.models.filter(({ name }) => vaeDemo.models.includes(name)).map(({ name, weights }) => [name, weights])),
  address: location.href,
});

// A row for each digit that is on. Nine figures tell one 32-bit number from any other.
async function csv() {
  const values = await Promise.all(maps.map((map) => arrays(model(map) + "/values").catch(() => ({}))));
  const exact = (value) => (value === undefined ? "" : String(Number(value.toPrecision(9))));
  const columns = maps.flatMap((map, side) => [
    ["model", () => model(map)], ["lens", () => map.lens.name],
    ...["x", "y", "z"].slice(0, map.lens.dimensions).map((name, k) => [name, (digit) => (has(map, digit) ? exact(at(map, digit)[k]) : "")]),
    ...["error", "kl_nats", "confidence", "gap"].filter((name) => values[side][name]).map((name) => [name, (digit) => exact(values[side][name][digit])]),
  ].map(([name, cell]) => [map.side + "_" + name, cell]));
  const lines = [["digit", "set", "class", "selected", ...columns.map(([name]) => name)].join()];
  for (let digit = 0; digit < labels.length; digit++) {
    if (!on(digit) || !maps.some((map) => has(map, digit))) continue;
    const known = digit < TEST ? [digit, "test"] : [digit - TEST, "training"];
    lines.push([...known, labels[digit], selection ? 1 : 0, ...columns.map(([, cell]) => cell(digit))].join());
  }
  return new Blob([lines.join("\r\n"), "\r\n"]);
}

// Both maps as they look now, by a pen: that of a canvas, or one that writes SVG.
const FRAME = { gap: 20, caption: 34, foot: 48, address: 22 };
const fonts = () => getComputedStyle(section).fontFamily;
const ruler = document.createElement("canvas").getContext("2d");
// As large as the room allows.
function fitting(words, size, weight, room) {
  ruler.font = `${weight} ${size}px ${fonts()}`;
  return Math.min(size, (size * room) / ruler.measureText(words).width);
}
function posterSize() {
  const [width, height] = [0, 1].map((k) => Math.max(...maps.map((map) => map.size[k])));
  return [2 * width + 3 * FRAME.gap, height + FRAME.caption + FRAME.foot + FRAME.address + 2 * FRAME.gap];
}
function poster(pen) {
  const [width, height] = posterSize(), { gap, caption, foot } = FRAME, soft = style("--soft");
  pen.box(0, 0, width, height, style("--paper"));
  maps.forEach((map, i) => {
    const [w, h] = map.size, x = i ? width - gap - w : gap, y = gap + caption, tone = style("--" + map.side);
    const name = vaeDemo.text("model." + model(map)), about = vaeDemo.text("model." + model(map) + ".about");
    pen.box(x, gap - 4, w, 4, tone);
    pen.box(x, gap, w, caption + h + foot, style("--panel"));
    pen.words(x + 10, gap + 22, name, { size: 16, weight: 700, fill: tone });
    const beside = fitting(name, 16, 700, w) && ruler.measureText(name).width + 22;
    pen.words(x + beside, gap + 22, about, { size: fitting(about, 13, 400, w - beside - 10), fill: soft });
    pen.map(map, x, y);
    marksOf(map, pen, x, y);
    const kind = map.ground.querySelector(".kind").textContent;
    pen.words(x + 10, y + h + 18, kind, { size: fitting(kind, 12, 400, w - 20), fill: soft });
    legendOf(map, pen, x + 10, y + h + 30);
  });
  const address = location.href;
  pen.words(gap, height - gap + 4, address, { size: fitting(address, 11, 400, width - 2 * gap), fill: soft });
}
function marksOf(map, pen, x, y) {
  const put = (place, draw) => {
    const [px, py] = place ? toPixel(map, place) : [NaN, NaN];
    if (within(map, [px, py])) draw(x + px, y + py);
  };
  const [text, panel] = [style("--text"), style("--panel")];
  if (layerOn("names")) map.lens.middles.forEach((place, digit) => put(place, (px, py) => pen.words(px, py + 7, String(digit), { size: 20, weight: 700, fill: text, halo: panel, anchor: "middle", opacity: classOn(digit) ? 1 : 0.3 })));
  put(has(map, pinned) ? at(map, pinned) : null, (px, py) => { pen.ring(px, py, 11, panel, 8); pen.ring(px, py, 11, text, 4); });
  put(map.mine, (px, py) => pen.shape(px, py, map.star.querySelector("path").getAttribute("d"), 34 / 24, getComputedStyle(section).getPropertyValue("--star").trim(), panel));
}
function legendOf(map, pen, x, y) {
  const soft = style("--soft"), [, least, name, most] = map.ground.querySelector(".legend").children;
  if (colouring === "class")
    return CLASSES.forEach((label) => {
      pen.box(x + 30 * label, y, 10, 10, style("--class-" + label), classOn(label) ? 1 : 0.3);
      pen.words(x + 30 * label + 14, y + 9, String(label), { size: 12, fill: soft });
    });
  pen.words(x, y + 9, name.textContent + (least.hidden ? "" : ": " + least.textContent), { size: 12, fill: soft });
  if (least.hidden) return;
  ruler.font = `400 12px ${fonts()}`;
  const from = x + ruler.measureText(name.textContent + ": " + least.textContent).width + 6, stops = RAMP[vaeDemo.isDark() ? "dark" : "light"];
  pen.ramp(from, y + 1, 64, 8, STANDS_OUT_LOW.has(colouring) ? [...stops].reverse() : stops);
  pen.words(from + 70, y + 9, most.textContent, { size: 12, fill: soft });
}

function png() {
  const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
  [canvas.width, canvas.height] = posterSize().map((length) => Math.round(FINE * length));
  context.scale(FINE, FINE);
  context.lineJoin = "round";
  poster({
    box(x, y, w, h, fill, opacity = 1) {
      context.globalAlpha = opacity;
      context.fillStyle = fill;
      context.fillRect(x, y, w, h);
      context.globalAlpha = 1;
    },
    words(x, y, words, { size, weight = 400, fill, halo, anchor = "start", opacity = 1 }) {
      Object.assign(context, { font: `${weight} ${size}px ${fonts()}`, textAlign: anchor === "middle" ? "center" : "start", globalAlpha: opacity });
      if (halo) Object.assign(context, { strokeStyle: halo, lineWidth: 4 }).strokeText(words, x, y);
      context.fillStyle = fill;
      context.fillText(words, x, y);
      context.globalAlpha = 1;
    },
    ring(x, y, radius, stroke, width) {
      context.beginPath();
      context.arc(x, y, radius, 0, 7);
      Object.assign(context, { strokeStyle: stroke, lineWidth: width }).stroke();
    },
    shape(x, y, path, scale, fill, stroke) {
      context.save();
      context.translate(x, y);
      context.scale(scale, scale);
      Object.assign(context, { strokeStyle: stroke, lineWidth: 1.6, fillStyle: fill });
      context.stroke(new Path2D(path));
      context.fill(new Path2D(path));
      context.restore();
    },
    ramp(x, y, w, h, stops) {
      const fill = context.createLinearGradient(x, 0, x + w, 0);
      stops.forEach((colour, i) => fill.addColorStop(i / (stops.length - 1), colour));
      this.box(x, y, w, h, fill);
    },
    map(map, x, y) {
      const [w, h] = map.size, look = { size: dotSize(map), depth: map.radius };
      context.save();
      context.beginPath();
      context.rect(x, y, w, h);
      context.clip();
      context.translate(x, y);
      drawLayers(map, "under", context);
      map.scatter.draw(map.view, map.size, { ...look, ratio: FINE });
      context.drawImage(map.ground.querySelector(".dots"), 0, 0, w, h); // before the browser clears it
      map.scatter.draw(map.view, map.size, look);
      drawLayers(map, "over", context);
      context.restore();
    },
  });
  return new Promise((done) => canvas.toBlob(done, "image/png")).then((blob) => blob.arrayBuffer())
    .then((file) => inscribed(new Uint8Array(file), "vae_demo", JSON.stringify(recipe())));
}
function drawLayers(map, where, context) {
  for (const layer of layers[where]) {
    context.save();
    layer(map, context);
    context.restore();
  }
}

// A PNG with a text in it, as an iTXt chunk behind its header.
function inscribed(file, keyword, text) {
  const body = new TextEncoder().encode("iTXt" + keyword + "\0\0\0\0\0" + text), ends = new DataView(new ArrayBuffer(8));
  let crc = -1;
  for (const byte of body) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  ends.setUint32(0, body.length - 4);
  ends.setUint32(4, ~crc);
  const HEADER = 33; // bytes: the signature and IHDR
  return new Blob([file.subarray(0, HEADER), ends.buffer.slice(0, 4), body, ends.buffer.slice(4), file.subarray(HEADER)]);
}

const SLABS = 8; // of a map in three dimensions, from behind to the front
const xml = (text) => String(text).replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
const rounded = (value) => String(Math.round(10 * value) / 10);
// A circle for each dot in view, in groups of one look; those in front, and those that are on, are last.
function circles(map) {
  const where = seenAt(map), groups = new Map(), size = dotSize(map) / 2;
  for (let i = 0; 3 * i < where.length; i++) {
    const [x, y, ahead] = where.subarray(3 * i, 3 * i + 3), [r, g, b, alpha] = map.tones.subarray(4 * i, 4 * i + 4);
    if (!within(map, [x, y])) continue;
    const slab = map.radius ? Math.max(0, Math.min(SLABS - 1, Math.floor((0.5 + (0.5 * ahead) / map.radius) * SLABS))) : 0;
    const key = [slab, alpha, r, g, b].join();
    if (!groups.has(key)) {
      const far = map.radius ? 1 - (slab + 0.5) / SLABS : 0;
      groups.set(key, {
        slab, alpha, dots: [], radius: rounded(size * (map.radius ? 1.35 - 0.7 * far : 1)),
        look: `fill="rgb(${r},${g},${b})" fill-opacity="${((alpha / 255) * (map.radius ? 1 - 0.65 * far : 1)).toFixed(2)}"`,
      });
    }
    const group = groups.get(key);
    group.dots.push(`<circle cx="${rounded(x)}" cy="${rounded(y)}" r="${group.radius}"/>`);
  }
  const sorted = [...groups.values()].sort((a, b) => a.slab - b.slab || a.alpha - b.alpha);
  return sorted.map(({ look, dots }) => `<g ${look}>${dots.join("")}</g>`).join("\n");
}
// What layers draw, as a picture; nothing where they draw nothing.
function pictureOf(map, where) {
  const canvas = document.createElement("canvas"), [w, h] = map.size, context = canvas.getContext("2d");
  [canvas.width, canvas.height] = [FINE * w, FINE * h];
  context.scale(FINE, FINE);
  drawLayers(map, where, context);
  const drawn = new Uint32Array(context.getImageData(0, 0, canvas.width, canvas.height).data.buffer).some(Boolean);
  return drawn ? `<image width="${w}" height="${h}" href="${canvas.toDataURL()}"/>` : "";
}
function svg() {
  const parts = [], [width, height] = posterSize(), definitions = [];
  poster({
    box: (x, y, w, h, fill, opacity = 1) => parts.push(`<rect x="${rounded(x)}" y="${rounded(y)}" width="${rounded(w)}" height="${rounded(h)}" fill="${fill}" opacity="${opacity}"/>`),
    words: (x, y, words, { size, weight = 400, fill, halo, anchor = "start", opacity = 1 }) => parts.push(
      `<text x="${rounded(x)}" y="${rounded(y)}" font-size="${rounded(size)}" font-weight="${weight}" text-anchor="${anchor}" fill="${fill}" opacity="${opacity}"`
      + (halo ? ` stroke="${halo}" stroke-width="4" stroke-linejoin="round" paint-order="stroke"` : "") + `>${xml(words)}</text>`),
    ring: (x, y, radius, stroke, w) => parts.push(`<circle class="mark" cx="${rounded(x)}" cy="${rounded(y)}" r="${radius}" fill="none" stroke="${stroke}" stroke-width="${w}"/>`),
    shape: (x, y, path, scale, fill, stroke) => parts.push(`<path transform="translate(${rounded(x)} ${rounded(y)}) scale(${scale.toFixed(3)})" d="${path}" fill="${fill}" stroke="${stroke}" stroke-width="1.6" paint-order="stroke"/>`),
    ramp(x, y, w, h, stops) {
      const id = "ramp-" + definitions.length;
      definitions.push(`<linearGradient id="${id}">${stops.map((colour, i) => `<stop offset="${i / (stops.length - 1)}" stop-color="${colour}"/>`).join("")}</linearGradient>`);
      this.box(x, y, w, h, `url(#${id})`);
    },
    map(map, x, y) {
      const [w, h] = map.size;
      definitions.push(`<clipPath id="clip-${map.side}"><rect width="${w}" height="${h}"/></clipPath>`);
      parts.push(`<g id="${map.side}" transform="translate(${rounded(x)} ${rounded(y)})" clip-path="url(#clip-${map.side})">`, pictureOf(map, "under"), circles(map), pictureOf(map, "over"), "</g>");
    },
  });
  return new Blob([`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="${xml(fonts())}">
<metadata>${xml(JSON.stringify(recipe()))}</metadata>
<defs>${definitions.join("")}</defs>
${parts.filter(Boolean).join("\n")}
</svg>
`]);
}

for (const [kind, make, type] of [["csv", csv, "text/csv;charset=utf-8"], ["png", png, "image/png"], ["svg", svg, "image/svg+xml"]])
  $("[data-testid=map-" + kind + "]").addEventListener("click", async () => {
    takeOver();
    if (ready) vaeDemo.keep({ name: fileName(kind), file: await make() }, type);
  });
