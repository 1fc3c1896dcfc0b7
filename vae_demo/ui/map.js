// The map: two arrangements of the same digits, linked. Here: what the visitor has chosen, places and
// pixels, frames, colours, arrangements that arrive, and how the tab comes to life. Beside it, in one
// scope: map_pointing.js, what is pointed at and kept; map_controls.js, lenses, colours, classes,
// drawers; map_mine.js, the slate; map_layers.js, what else is drawn on a map; map_selection.js, the
// lasso; map_export.js, what leaves the page; map_own.js, the visitor's own projections and pictures.
const { vaeDemo } = window;
const $ = (selector) => element.querySelector(selector);
const section = element.firstElementChild;
const SIDES = ["left", "right"];
const CLASSES = [...Array(10).keys()];
const TEST = 10_000; // digits from this number on are training digits
const ZOOM = { out: 1.25, in: 1 / 120 }; // in units of the whole map
const JOURNEY = 900; // ms
const RIM = 26; // px around the whole map
const COLOURS = ["class", "error", "kl_nats", "confidence", "gap"];

// What the visitor has chosen -----------------------------------------------------------------------
let lens = "umap", solid = false; // solid: in three dimensions
let colouring = "class";
let everything = false; // the training digits too
let chosen = new Set(); // classes to see; none chosen means all
let selection = null; // Set of digits, or null
let pinned = null; // a digit, by its number
let pointed = null; // {digit} or {map, place}
let projection = null; // {left, right: arrangements, settings, models}: made for this visitor
let sent = null; // a point of code space that came from another tab, or is drawn here
let labels = null; // Uint8Array of classes
let ready = false;
const turn = { yaw: 0.5, pitch: 0.35 }; // of both maps in three dimensions

// Called with what changed: "lens", "tones", "view", "words", "mine".
const watchers = [];
const changed = (what) => watchers.forEach((watch) => watch(what));

// The two grounds -----------------------------------------------------------------------------------
for (const side of SIDES)
  $("figure[data-side=" + side + "]").innerHTML = `<figcaption data-model="${side}"></figcaption>
    <div class="ground" data-testid="map-${side}" tabindex="0" role="application" data-label="map.plot.${side}">
      <canvas class="under"></canvas><canvas class="dots"></canvas><canvas class="over"></canvas>
      <div class="marks" aria-hidden="true"></div>
      <p class="legend" hidden><b></b><span></span><i></i><span></span></p>
      <p class="kind note" data-testid="map-kind-${side}"></p>
      <p class="loading" data-text="map.loading"></p>
    </div>`;

const STAR = '<svg viewBox="-12 -12 24 24"><path d="M0-10 2.6-3.6 9.5-3.1 4.2 1.4 5.9 8.1 0 4.5-5.9 8.1-4.2 1.4-9.5-3.1-2.6-3.6Z"/></svg><i></i>';
function createMap(side) {
  const ground = $("[data-testid=map-" + side + "]");
  const mark = (name, testId) => {
    const node = document.createElement("span");
    node.className = name;
    node.hidden = true;
    if (testId) node.dataset.testid = testId + "-" + side;
    ground.querySelector(".marks").append(node);
    return node;
  };
  const map = {
    side, ground, under: ground.querySelector(".under"), over: ground.querySelector(".over"),
    names: CLASSES.map((digit) => Object.assign(mark("class-name"), { textContent: digit })),
    spot: mark("ring spot", "map-spot"), ring: mark("ring", "map-ring"), pin: mark("ring pin", "map-pin"), star: mark("star", "map-mine"),
    lens: null, // {name, points, dimensions, low, high, middles, count, plane …} as it arrived
    values: null, tones: null, view: null, home: null, journey: null, size: [0, 0], mine: null, due: false,
  };
  map.star.innerHTML = STAR;
  map.scatter = createScatter(ground.querySelector(".dots"), () => render(map));
  return map;
}
const maps = SIDES.map(createMap);
const model = (map) => vaeDemo.models[maps.indexOf(map)];
const other = (map) => maps.find((one) => one !== map);

// Places --------------------------------------------------------------------------------------------
const has = (map, index) => index !== null && index < map.lens.points.length / map.lens.dimensions;
function at({ lens: { points, dimensions } }, index) {
  const i = dimensions * index;
  return [points[i], points[i + 1], dimensions === 3 ? points[i + 2] : 0];
}
const spatial = (map) => map.lens?.dimensions === 3;
function toPixel({ view, size }, place) {
  const [across, up] = turned(view);
  const d = [0, 1, 2].map((k) => (place[k] ?? 0) - view.centre[k]);
  const along = (row) => row[0] * d[0] + row[1] * d[1] + row[2] * d[2];
  return [size[0] / 2 + along(across) / view.unit, size[1] / 2 - along(up) / view.unit];
}
// Every dot of a map on the screen: visit(digit, x, y, how far towards the viewer), until it answers false.
function sweep({ lens: { points, dimensions }, view, size }, visit) {
  const [across, up, ahead] = turned(view), [cx, cy, cz] = view.centre, [w, h] = [size[0] / 2, size[1] / 2];
  for (let i = 0, k = 0; k < points.length; i++, k += dimensions) {
    const dx = points[k] - cx, dy = points[k + 1] - cy, dz = dimensions === 3 ? points[k + 2] - cz : 0;
    const x = w + (across[0] * dx + across[1] * dy + across[2] * dz) / view.unit;
    const y = h - (up[0] * dx + up[1] * dy + up[2] * dz) / view.unit;
    if (visit(i, x, y, ahead[0] * dx + ahead[1] * dy + ahead[2] * dz) === false) return;
  }
}
// Of a flat map only.
const toMap = ({ view, size }, [px, py]) => [view.centre[0] + (px - size[0] / 2) * view.unit, view.centre[1] - (py - size[1] / 2) * view.unit];
const atHome = ({ view, home }) => view.unit >= home.unit * 0.999;
const within = ({ size }, [x, y], rim = 0) => x >= rim && y >= rim && x <= size[0] - rim && y <= size[1] - rim;

function home(map) {
  const { low, high, dimensions } = map.lens, [width, height] = map.size;
  const centre = [0, 1, 2].map((k) => ((low[k] ?? 0) + (high[k] ?? 0)) / 2);
  if (dimensions === 3) {
    const { points } = map.lens;
    map.radius = 0;
    for (let i = 0; i < points.length; i += 3)
      map.radius = Math.max(map.radius, Math.hypot(points[i] - centre[0], points[i + 1] - centre[1], points[i + 2] - centre[2]));
    return { centre, unit: (2.05 * map.radius) / Math.min(width, height), ...turn };
  }
  map.radius = 0;
  // Room above and below for what is written there.
  const unit = Math.max((high[0] - low[0]) / (width - 2 * RIM), (high[1] - low[1]) / (height - 2 * RIM)) || 1 / width;
  return { centre, unit, yaw: 0, pitch: 0 };
}

const goHome = (map) => look(map, { ...map.home, ...(spatial(map) ? turn : {}) });

// The whole of a flat map in view: a finger points, or scrolls the page. Else it moves the map.
const takeFingers = (map) => map.ground.classList.toggle("held", spatial(map) || !atHome(map));

function look(map, { centre, unit, yaw = 0, pitch = 0 }) {
  const { low, high } = map.lens;
  const between = (least, value, most) => Math.min(most, Math.max(least, value));
  map.view = {
    centre: centre.map((value, k) => between(low[k] ?? 0, value, high[k] ?? 0)),
    unit: between(map.home.unit * ZOOM.in, unit, map.home.unit * ZOOM.out),
    yaw, pitch,
  };
  map.journey = null;
  takeFingers(map);
  changed("view");
  render(map);
}

// What lies under the pointer stays there.
function zoom(map, pixel, factor) {
  const unit = Math.min(map.home.unit * ZOOM.out, Math.max(map.home.unit * ZOOM.in, map.view.unit * factor));
  const step = map.view.unit - unit;
  shift(map, (pixel[0] - map.size[0] / 2) * step, -(pixel[1] - map.size[1] / 2) * step, unit);
}

// Move the view across and up, in map units.
function shift(map, right, upwards, unit = map.view.unit) {
  const [across, up] = turned(map.view);
  look(map, { ...map.view, unit, centre: map.view.centre.map((value, k) => value + right * across[k] + upwards * up[k]) });
}

function rotate(yaw, pitch) {
  turn.yaw = yaw;
  turn.pitch = Math.max(-Math.PI / 2, Math.min(Math.PI / 2, pitch));
  for (const map of maps) if (spatial(map) && map.view) look(map, { ...map.view, ...turn });
}

// Frames --------------------------------------------------------------------------------------------
const layers = { under: [], over: [] }; // functions of (map, context), in CSS pixels
const dotSize = (map) => {
  const size = (map.size[0] < 420 ? 3.2 : 4) * (map.lens.points.length / map.lens.dimensions > 20_000 ? 0.7 : 1);
  return size * Math.min(2.4, (map.home.unit / map.view.unit) ** 0.35);
};

// At most once a frame, however fast the pointer is.
function render(map) {
  if (map.due || !map.view) return;
  map.due = true;
  requestAnimationFrame(() => {
    map.due = false;
    const moving = frame(map);
    if (moving || map.journey) render(map);
  });
}
function frame(map) {
  if (map.journey) travel(map);
  const moving = map.scatter.draw(map.view, map.size, { size: dotSize(map), depth: map.radius });
  for (const where of ["under", "over"]) {
    const canvas = map[where], ratio = window.devicePixelRatio;
    const [width, height] = map.size.map((length) => Math.round(length * ratio));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (!moving) for (const layer of layers[where]) layer(map, context);
  }
  placeMarks(map);
  return moving;
}
// A view on its way to another.
function travel(map) {
  const { from, to, began } = map.journey, share = Math.min(1, (performance.now() - began) / JOURNEY), t = share * share * (3 - 2 * share);
  const mix = (a, b) => a + (b - a) * t;
  map.view = {
    centre: from.centre.map((value, k) => mix(value, to.centre[k])), unit: from.unit * (to.unit / from.unit) ** t,
    yaw: mix(from.yaw, to.yaw), pitch: mix(from.pitch, to.pitch),
  };
  if (share === 1) { map.journey = null; changed("view"); }
  takeFingers(map);
}

// Marks lie above the dots as elements, so that moving them redraws nothing else.
function placeMarks(map) {
  const put = (node, place) => {
    const pixel = place ? toPixel(map, place) : [NaN, NaN];
    node.hidden = !within(map, pixel);
    if (!node.hidden) node.style.transform = "translate(" + pixel[0].toFixed(1) + "px," + pixel[1].toFixed(1) + "px)";
  };
  map.names.forEach((node, digit) => {
    put(node, layerOn("names") ? map.lens.middles[digit] : null);
    node.classList.toggle("dim", chosen.size > 0 && !chosen.has(digit));
  });
  const digit = pointed?.digit ?? null;
  put(map.ring, digit !== pinned && has(map, digit) ? at(map, digit) : null);
  put(map.pin, has(map, pinned) ? at(map, pinned) : null);
  put(map.spot, pointed?.places?.[map.side]);
  put(map.star, map.mine);
}

function measure(map) {
  const size = [map.ground.clientWidth, map.ground.clientHeight];
  if (!size[0] || !size[1] || !map.lens) return;
  if (size[0] === map.size[0] && size[1] === map.size[1]) return;
  const wasHome = !map.view || atHome(map);
  map.size = size;
  map.home = home(map);
  look(map, wasHome ? map.home : map.view);
}

// Tones ---------------------------------------------------------------------------------------------
const style = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();
const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
// From what is usual to what stands out, on light ground and on dark.
const RAMP = { light: ["#cfd8d3", "#4f9d9a", "#3a2a6b"], dark: ["#3e4a52", "#3fa39b", "#fff3a0"] };
function along([first, middle, last], share) {
  const [from, to, rest] = share < 0.5 ? [first, middle, 2 * share] : [middle, last, 2 * share - 1];
  return from.map((value, k) => value + (to[k] - value) * rest);
}
const STANDS_OUT_LOW = new Set(["confidence", "gap"]);
const on = (index) => (!chosen.size || chosen.has(labels[index])) && (!selection || selection.has(index));

function range(values) {
  const sorted = Float32Array.from(values).sort(), rank = (share) => sorted[Math.round(share * (sorted.length - 1))];
  return [rank(0.02), rank(0.98)];
}
function tone(map) {
  const count = map.lens.points.length / map.lens.dimensions, bytes = new Uint8Array(4 * count);
  const values = colouring === "class" ? null : map.values?.[colouring];
  const classes = CLASSES.map((digit) => rgb(style("--class-" + digit)));
  const plain = rgb(style("--soft")), stops = RAMP[vaeDemo.isDark() ? "dark" : "light"].map(rgb);
  const [low, high] = values ? range(values) : [0, 1], faint = count > 20_000 ? 3 : 12; // the more, the fainter each
  for (let i = 0; i < count; i++) {
    let ink = colouring === "class" ? classes[labels[i]] : plain;
    if (values && i < values.length) {
      const share = Math.min(1, Math.max(0, (values[i] - low) / (high - low || 1)));
      ink = along(stops, STANDS_OUT_LOW.has(colouring) ? 1 - share : share);
    }
    const seen = on(i);
    bytes.set(seen ? ink : plain, 4 * i); // in their own colours, dense crowds would still stand out
    bytes[4 * i + 3] = seen && (!values || i < values.length) ? (layerDims(map) ? 110 : 205) : faint;
  }
  map.tones = bytes;
  map.scatter.colour(bytes);
  legend(map, values && [low, high]);
}
function legend(map, ends) {
  const line = map.ground.querySelector(".legend");
  line.hidden = colouring === "class";
  if (line.hidden) return;
  const [name, least, bar, most] = line.children;
  bar.hidden = least.hidden = most.hidden = !ends;
  name.textContent = ends ? vaeDemo.text("map.colour." + colouring) : vaeDemo.text("map.colour.none");
  if (!ends) return;
  const stops = RAMP[vaeDemo.isDark() ? "dark" : "light"];
  bar.style.background = "linear-gradient(90deg," + (STANDS_OUT_LOW.has(colouring) ? [...stops].reverse() : stops) + ")";
  const short = (value) => value.toLocaleString(vaeDemo.language, { maximumSignificantDigits: 2 });
  [least.textContent, most.textContent] = ends.map(short);
}
function restyle() {
  for (const map of maps) if (map.lens) tone(map);
  changed("tones");
  maps.forEach(render);
}

// Arrangements arrive -------------------------------------------------------------------------------
const KINDS = { float32: Float32Array, uint8: Uint8Array };
async function fetchArrays(path) {
  const response = await fetch(vaeDemo.address("points/" + path));
  if (!response.ok) throw new Error(response.status);
  const buffer = await response.arrayBuffer(), length = new DataView(buffer).getUint32(0, true);
  const { arrays, ...facts } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  for (const [name, { dtype, shape, offset }] of Object.entries(arrays)) {
    facts[name] = new KINDS[dtype](buffer, offset, shape.reduce((a, b) => a * b, 1));
    if (name === "points") facts.dimensions = shape[1];
  }
  return facts;
}
const arrivals = new Map(); // name → promise
function kept(name, make) {
  if (!arrivals.has(name)) {
    const arrival = make();
    arrival.catch(() => arrivals.delete(name));
    arrivals.set(name, arrival);
  }
  return arrivals.get(name);
}
const arrays = (path) => kept(path, () => fetchArrays(path));

const isPlane = (name) => vaeDemo.latentSize(name) <= 2;
const twins = () => vaeDemo.models.every((name) => ["ae", "vae"].includes(name));
function lensName(name) {
  if (isPlane(name)) return "plane";
  if (lens === "own") return projectionFits() ? "own" : "umap";
  return (lens === "plane" ? "umap" : lens) + (solid ? "3" : "");
}
// A projection of codes belongs to its models, one of pixels to any that know as many digits.
const fitsModels = ({ models, settings }) => (models ? models.join() === vaeDemo.models.join() : settings.count <= digitsKnown());
const digitsOf = (name) => vaeDemo.config.models.find((one) => one.name === name).digits; // that it has encoded
const digitsKnown = () => Math.min(...vaeDemo.models.map(digitsOf));
const projectionFits = () => projection !== null && fitsModels(projection);
const canHaveAll = () => twins() && lens === "umap" && !solid;

async function arrangement(map) {
  const name = lensName(model(map));
  if (name === "own") return { ...projection[map.side], name };
  if (everything && canHaveAll()) return kept(model(map) + "/everything", () => allDigits(model(map)));
  return { ...(await arrays(model(map) + "/" + name)), name };
}
async function allDigits(name) {
  const [found, more] = await Promise.all([arrays(name + "/umap"), arrays(name + "/training")]);
  const points = new Float32Array(found.points.length + more.points.length);
  points.set(found.points);
  points.set(more.points, found.points.length);
  const corner = (which, most) => found[which].map((value, k) => most(value, more[which][k]));
  return { ...found, name: "everything", points, figures: null, low: corner("low", Math.min), high: corner("high", Math.max) };
}
async function classesOfAll() {
  const found = await arrays("digits/labels");
  if (!found.training_labels) return found.labels;
  const all = new Uint8Array(found.labels.length + found.training_labels.length);
  all.set(found.labels);
  all.set(found.training_labels, found.labels.length);
  return all;
}
const fetchMaps = () => Promise.all([classesOfAll(), ...maps.map(arrangement), ...maps.map(valuesOf)]);
const valuesOf = (map) => (colouring === "class" ? null : arrays(model(map) + "/values"));

let asked = 0;
async function arrange({ journey = true } = {}) {
  writeLens();
  const number = ++asked;
  let arrived;
  try { arrived = await fetchMaps(); } catch { return void (number === asked && vaeDemo.complain(element, "error.map")); }
  if (number !== asked) return;
  vaeDemo.complain(element, null);
  labels = arrived[0];
  maps.forEach((map, i) => setOut(map, arrived[1 + i], arrived[3 + i], journey && ready && !vaeDemo.calm()));
  writeLens();
  changed("lens");
}
function setOut(map, arrived, values, journey) {
  const same = map.lens?.points === arrived.points;
  map.lens = arrived;
  map.values = values;
  if (!map.size[0]) measure(map);
  if (!same) {
    if (pointed?.places) pointed = null; // a place belongs to its lens
    const from = map.view;
    map.scatter.arrange(arrived.points, arrived.dimensions, journey ? JOURNEY : 0);
    map.home = home(map);
    look(map, map.home);
    if (from && journey) {
      map.journey = { from, to: map.view, began: performance.now() };
      map.view = from;
    }
  }
  tone(map);
  settleMine(map);
}

// Until the visitor takes over ----------------------------------------------------------------------
// The map shows by itself what pointing does.
let tour = null;
function takeOver() {
  driving = true;
  clearInterval(tour);
  tour = null;
}
function startTour() {
  const wish = Number(vaeDemo.query.get("digit") ?? NaN);
  if (Number.isInteger(wish) && wish >= 0 && wish < labels.length && maps.every((map) => has(map, wish))) return keep(wish);
  show(another());
  if (vaeDemo.calm()) return;
  let last = performance.now();
  tour = setInterval(() => { if (vaeDemo.tab === "map" && !document.hidden) show(another()); }, 1600);
  requestAnimationFrame(function spin(now) {
    if (driving) return;
    if (vaeDemo.tab === "map" && maps.some(spatial) && maps.every((map) => !map.journey)) rotate(turn.yaw + (now - last) * 0.0002, turn.pitch);
    last = now;
    requestAnimationFrame(spin);
  });
}

// Coming to life ------------------------------------------------------------------------------------
// Once the other parts of this script have run.
queueMicrotask(() => {
  const wished = vaeDemo.query.get("lens") ?? "", name = wished.replace(/3$/, "");
  if (["umap", "pca"].includes(name)) [lens, solid] = [name, wished.endsWith("3")];
  if (COLOURS.includes(vaeDemo.query.get("colour"))) colouring = vaeDemo.query.get("colour");
  chosen = new Set((vaeDemo.query.get("classes")?.match(/\d/g) ?? []).map(Number));
  colourSelect.value = colouring;
  readPlace();
  vaeDemo.exhibit(element);
  words();

  // The points set off when the pointer nears the tab.
  for (const event of ["pointerover", "pointerdown", "focusin"])
    document.addEventListener(event, ({ target }) => { if (!ready && target.closest?.("#tab-map")) fetchMaps().catch(() => {}); });
  vaeDemo.whenOpened("map", open);
});

async function open() {
  performance.mark("map-opened");
  await arrange();
  if (!labels) return;
  ready = true;
  section.classList.add("ready");
  const sizes = new ResizeObserver(() => maps.forEach(measure));
  maps.forEach((map) => { measure(map); sizes.observe(map.ground); });
  requestAnimationFrame(() => requestAnimationFrame(() => performance.mark("map-painted")));
  askMine();
  startTour();
  setTimeout(stock, 1500);
}

// Other models, other maps: what is kept stays kept.
vaeDemo.on("models", () => {
  answers.clear();
  if (!ready) return;
  arrange().then(() => {
    if (pointed?.digit !== undefined) askPointed();
    askMine();
    stock();
  });
});
vaeDemo.on("language", () => { words(); changed("words"); });
vaeDemo.on("theme", () => { if (ready) restyle(); });
function words() {
  if (labels) writeCard();
  writeChips();
  writeMine();
  writeLens();
  for (const map of maps) if (map.lens) tone(map);
}
