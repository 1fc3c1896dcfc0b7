// The map: two arrangements of the same digits, linked. What is drawn on a map besides its dots lies
// in map_layers.js, the lasso and what leaves the page in map_selection.js, the visitor's own
// projections and pictures in map_own.js; all share this scope.
const { vaeDemo } = window;
const $ = (selector) => element.querySelector(selector);
const section = element.firstElementChild;
const SIDES = ["left", "right"];
const CLASSES = [...Array(10).keys()];
const REACH = { mouse: 10, touch: 26 }; // px: how far a dot may be from the pointer
const ABOUT = 60; // px: how far from any dot a place still stands for its neighbours
const NEIGHBOURS = 15;
const TEST = 10_000; // digits from this number on are training digits
const ZOOM = { out: 1.25, in: 1 / 120 }; // in units of the whole map
const JOURNEY = 900; // ms
const RIM = 26; // px around the whole map
const LENSES = ["umap", "pca", "plane", "own"];
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

// Called with what changed: "lens", "digits", "tones", "view", "words".
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

function look(map, { centre, unit, yaw = 0, pitch = 0 }) {
  const { low, high } = map.lens;
  const between = (least, value, most) => Math.min(most, Math.max(least, value));
  map.view = {
    centre: centre.map((value, k) => between(low[k] ?? 0, value, high[k] ?? 0)),
    unit: between(map.home.unit * ZOOM.in, unit, map.home.unit * ZOOM.out),
    yaw, pitch,
  };
  map.journey = null;
  map.ground.classList.toggle("near", !atHome(map));
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
  map.ground.classList.toggle("near", !atHome(map));
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
const page = new URL(location.pathname.replace(/\/?$/, "/"), location.origin);
async function fetchArrays(path) {
  const response = await fetch(new URL("points/" + path, page));
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
const digitsKnown = () => Math.min(...vaeDemo.models.map((name) => vaeDemo.config.models.find((one) => one.name === name).digits));
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

// The digit, or the place, that is pointed at -----------------------------------------------------------
const answers = new Map(); // the latest ones, so that coming back costs nothing

const askPointed = vaeDemo.live(() => {
  if (!pointed) return null;
  const models = [...vaeDemo.models];
  if (pointed.digit !== undefined && !pointed.specs) return { models, digit: pointed.digit };
  return { models, ...pointed.specs };
}, (it) => (it.digit === undefined ? server.place(it) : server.digit(it)), (answer, it) => {
  vaeDemo.complain(element, answer.error);
  if (answer.error || it.models.join() !== vaeDemo.models.join()) return;
  if (it.digit !== undefined) {
    answers.set(it.digit, answer);
    if (answers.size > 300) answers.delete(answers.keys().next().value);
    if (pointed?.digit === it.digit) card(answer);
  } else if (pointed?.specs) card({ original: pointed.original, left: answer.left?.picture, right: answer.right?.picture, reading: answer });
});

let onCard = null; // what the pictures show: {digit} or {place}
function card(answer) {
  onCard = pointed;
  for (const side of SIDES) {
    if (answer[side]) vaeDemo.paint($("[data-testid=map-rebuilt-" + side + "]"), vaeDemo.bytes(answer[side]));
    const reading = answer.reading?.[side];
    $("[data-testid=map-reads-" + side + "]").textContent = reading ? vaeDemo.text("map.reads", { label: reading.class, percent: Math.round(100 * reading.confidence) }) : "";
  }
  $(".original").hidden = !answer.original;
  if (answer.original) vaeDemo.paint($("[data-testid=map-original]"), vaeDemo.bytes(answer.original));
  writeCard();
}

function show(index) {
  if (index === null || (pointed?.digit ?? null) === index) return;
  pointed = { digit: index };
  if (index >= TEST && !props.originals) {
    // The code of this digit is not here: its neighbours on the map stand in for it.
    const map = maps[0], near = blend(map, at(map, index));
    Object.assign(pointed, { specs: Object.fromEntries(SIDES.map((side) => [side, near])) });
  }
  maps.forEach(placeMarks);
  const answer = answers.get(index);
  if (answer) card(answer);
  else askPointed();
}

// UMAP's membership of places among their neighbours, nearest first (see latent_map.membership).
function membership(distances) {
  const target = Math.log2(distances.length);
  let low = 0, high = 1e3 / (distances.reduce((a, b) => a + b) / distances.length || 1e-30);
  for (let step = 0; step < 40; step++) {
    const inverse = (low + high) / 2;
    const sum = distances.slice(1).reduce((total, d) => total + Math.exp(-inverse * d), 0);
    if (sum > target) low = inverse;
    else high = inverse;
  }
  const weights = distances.map((d) => Math.exp(-low * d)), total = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / total);
}
// The test digits nearest to a place of the map, as both models know them, and their weights.
function blend(map, place) {
  const count = Math.min(TEST, ...maps.map(({ lens: { points, dimensions } }) => points.length / dimensions));
  const best = []; // [distance², digit], nearest first
  for (let i = 0; i < count; i++) {
    const p = at(map, i), d = (p[0] - place[0]) ** 2 + (p[1] - place[1]) ** 2 + (p[2] - (place[2] ?? 0)) ** 2;
    if (best.length === NEIGHBOURS && d >= best[NEIGHBOURS - 1][0]) continue;
    let k = best.length;
    while (k && best[k - 1][0] > d) k--;
    best.splice(k, 0, [d, i]);
    best.length = Math.min(best.length, NEIGHBOURS);
  }
  return { digits: best.map(([, i]) => i), weights: membership(best.map(([d]) => Math.sqrt(d))) };
}
function blended(map, { digits, weights }) {
  const sum = [0, 0, 0];
  digits.forEach((digit, k) => at(map, digit).forEach((value, d) => { sum[d] += weights[k] * value; }));
  return sum;
}
// Where a map's places are codes, any of them can be decoded; on a UMAP it takes its neighbours' mean.
function exactly(map, place) {
  if (map.lens.plane) return { code: place.slice(0, vaeDemo.latentSize(model(map))) };
  return map.lens.name === "pca" ? { pca: place } : null;
}
function showPlace(map, place) {
  const exact = exactly(map, place), near = blend(map, place), twin = other(map);
  const shared = map.lens.plane && twin.lens.plane && vaeDemo.latentSize(model(map)) === vaeDemo.latentSize(model(twin));
  pointed = {
    map, place, exact: Boolean(exact),
    specs: { [map.side]: exact ?? near, [twin.side]: shared ? exact : near },
    places: { [map.side]: place, [twin.side]: shared ? place : blended(twin, near) },
  };
  maps.forEach(placeMarks);
  askPointed();
}

function pin(index) {
  pinned = index;
  if (index !== null) show(index);
  maps.forEach(placeMarks);
  for (const button of element.querySelectorAll("[data-send]")) button.disabled = index === null || (index >= TEST && !props.originals);
  vaeDemo.inAddress("digit", index);
  writeCard();
}

// What is kept should be seen, on the other map too.
function bringIntoView(index) {
  for (const map of maps)
    if (map.view && has(map, index) && !within(map, toPixel(map, at(map, index)), 12)) look(map, { ...map.view, centre: at(map, index) });
}
function keep(index) {
  pin(index);
  bringIntoView(index);
}

for (const button of element.querySelectorAll("[data-send]"))
  button.addEventListener("click", async () => {
    const digit = pinned;
    let answer = answers.get(digit);
    if (!answer) {
      try { answer = await server.digit({ models: [...vaeDemo.models], digit }); } catch { answer = { error: "error.offline" }; }
      vaeDemo.complain(element, answer.error);
    }
    if (!answer.error) vaeDemo.send(button.dataset.send, { digit, picture: answer.picture, label: labels[digit] });
  });

// Words that depend on what is shown.
function writeCard() {
  const name = $(".card .class"), number = $(".card .number"), { digit } = onCard ?? {};
  const known = digit !== undefined;
  name.textContent = known ? labels[digit] : "";
  name.style.setProperty("--tone", known ? "var(--class-" + labels[digit] + ")" : "transparent");
  number.textContent = !onCard ? "" : known
    ? vaeDemo.text(digit < TEST ? "map.number" : "map.number.training", { number: digit < TEST ? digit : digit - TEST })
    : onCard.title ?? (onCard.exact ? vaeDemo.text("map.place", { place: onCard.place.map((value) => value.toFixed(2)).join(", ") }) : vaeDemo.text("map.about"));
  $(".card").classList.toggle("about", Boolean(onCard?.specs) && !onCard.exact);
  number.title = onCard?.specs && !onCard.exact ? vaeDemo.text("map.about.hint", { count: NEIGHBOURS }) : "";
  $(".card .hint").textContent = pinned === null ? vaeDemo.text("map.hint") : vaeDemo.text("map.kept", { label: labels[pinned] });
}

// Pointing: mouse, pen, finger ----------------------------------------------------------------------
// The nearest dot that is on, and how far it is in pixels.
function hit(map, [px, py], reach) {
  const { points, dimensions } = map.lens, { view, size } = map, [across, up] = turned(view);
  const x = (px - size[0] / 2) * view.unit, y = (size[1] / 2 - py) * view.unit, [cx, cy, cz] = view.centre;
  let best = null, least = (reach * view.unit) ** 2;
  for (let i = 0, k = 0; k < points.length; i++, k += dimensions) {
    const dx = points[k] - cx, dy = points[k + 1] - cy, dz = dimensions === 3 ? points[k + 2] - cz : 0;
    const distance = (across[0] * dx + across[1] * dy + across[2] * dz - x) ** 2 + (up[0] * dx + up[1] * dy + up[2] * dz - y) ** 2;
    if (distance < least && on(i)) { best = i; least = distance; }
  }
  return best === null ? null : { index: best, px: Math.sqrt(least) / view.unit };
}

// What lies above the dots and takes the pointer before them: functions of (map, pixel), true where it does.
const covers = [];
const covered = (map, pixel) => covers.some((cover) => cover(map, pixel));

// A tool that takes the pointer for itself, such as the lasso: {begin, move, end}, each of (map, pixel);
// begin also hears the event. The end has no pixel when a second finger or the browser broke in.
let tool = null;
let driving = false; // the visitor has taken over

function listen(map) {
  const { ground } = map;
  const down = new Map(); // pointers that touch, by id, where they are
  let moved = false, from = null, busy = false;
  const where = (event) => {
    const box = ground.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top - ground.clientTop]; // below its border
  };
  // A picture is met at its rim too.
  const reachOf = (event) => Math.max(REACH[event.pointerType] ?? REACH.mouse, 14 * (map.near ?? 0));
  const pointAt = (event) => {
    const pixel = where(event), reach = reachOf(event);
    if (covered(map, pixel)) return void ground.classList.add("over");
    const found = hit(map, pixel, spatial(map) ? reach : ABOUT);
    const dot = found && found.px <= reach ? found.index : null;
    const decodable = map.lens.plane || (!spatial(map) && (map.lens.name === "pca" || found));
    ground.classList.toggle("over", dot !== null);
    if (map.lens.plane || (dot === null && decodable)) showPlace(map, toMap(map, pixel));
    else if (dot !== null) show(dot);
    else rest();
    return dot;
  };
  const takesTool = (event) => tool && (tool.always || event.shiftKey);

  ground.addEventListener("pointerdown", (event) => {
    if (!map.view || event.button !== 0 || event.target.closest("button")) return;
    takeOver();
    if (!down.size) moved = false;
    down.set(event.pointerId, where(event));
    from = where(event);
    ground.setPointerCapture(event.pointerId);
    if (busy) tool.end(map, null);
    busy = down.size === 1 && takesTool(event);
    if (busy) return void tool.begin(map, from, event);
    if (event.pointerType === "touch" && down.size === 1) pointAt(event);
  });
  ground.addEventListener("pointermove", (event) => {
    if (!map.view || map.journey) return;
    takeOver();
    const now = where(event), before = down.get(event.pointerId);
    if (!before) return void pointAt(event);
    if (busy) {
      const moves = event.getCoalescedEvents?.() ?? [];
      down.set(event.pointerId, now);
      return (moves.length ? moves : [event]).forEach((move) => tool.move(map, where(move)));
    }
    if (Math.hypot(now[0] - from[0], now[1] - from[1]) > (event.pointerType === "mouse" ? 4 : 10)) moved = true;
    if (down.size === 1) {
      if (!moved) return;
      const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
      // The whole map in view: a finger points. Nearer: it moves the map, as the mouse always does.
      if (spatial(map) && !event.ctrlKey) rotate(turn.yaw + dx * 0.008, turn.pitch + dy * 0.008);
      else if (event.pointerType === "touch" && atHome(map)) pointAt(event);
      else shift(map, -dx * map.view.unit, dy * map.view.unit);
    } else {
      const opposite = [...down].find(([id]) => id !== event.pointerId)[1];
      const span = (a, b) => Math.max(8, Math.hypot(a[0] - b[0], a[1] - b[1]));
      const middle = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
      const [old, next] = [middle(before, opposite), middle(now, opposite)];
      moved = true;
      shift(map, -(next[0] - old[0]) * map.view.unit, (next[1] - old[1]) * map.view.unit);
      zoom(map, next, span(before, opposite) / span(now, opposite));
    }
    down.set(event.pointerId, now);
  });
  ground.addEventListener("pointerup", (event) => {
    if (!down.delete(event.pointerId)) return;
    if (busy) { busy = false; return void tool?.end(map, where(event)); }
    if (moved || down.size || covered(map, where(event))) return;
    pointAt(event);
    keepOrLeave(hit(map, where(event), reachOf(event)));
  });
  ground.addEventListener("pointercancel", (event) => { if (down.delete(event.pointerId) && busy) { busy = false; tool?.end(map, null); } });
  ground.addEventListener("pointerleave", rest);
  ground.addEventListener("dblclick", () => { if (map.view) look(map, { ...map.home, ...(spatial(map) ? turn : {}) }); });
  ground.addEventListener("wheel", (event) => {
    if (!map.view || map.journey) return;
    event.preventDefault();
    takeOver();
    const lines = event.deltaY * (event.deltaMode ? 16 : 1);
    zoom(map, where(event), Math.exp(Math.max(-120, Math.min(120, lines)) * (event.ctrlKey ? 0.008 : 0.002)));
  }, { passive: false });

  // Without a pointer: arrows step from digit to digit, plus and minus zoom.
  ground.addEventListener("keydown", (event) => {
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    const nearer = { "+": 0.8, "=": 0.8, "-": 1.25 }[event.key];
    if (!map.view || event.ctrlKey || event.metaKey || event.altKey || !(arrow || nearer)) return;
    event.preventDefault();
    takeOver();
    if (nearer) zoom(map, has(map, pinned) ? toPixel(map, at(map, pinned)) : map.size.map((length) => length / 2), nearer);
    else if (pinned === null) keep(pointed?.digit ?? another());
    else keep((has(map, pinned) ? step(map, arrow) : another()) ?? pinned);
  });
}
const keepOrLeave = (found) => (found ? keep(found.index) : pin(null));
function rest() {
  if (pinned !== null) return show(pinned);
  if (!pointed?.specs) return;
  pointed = null;
  maps.forEach(placeMarks);
}
maps.forEach(listen);

// The nearest dot in a direction, at least a few pixels on.
function step(map, [right, up]) {
  const [x, y] = toPixel(map, at(map, pinned));
  let best = null, least = Infinity;
  for (let i = 0; has(map, i); i++) {
    if (!on(i)) continue;
    const [px, py] = toPixel(map, at(map, i)), [dx, dy] = [px - x, y - py];
    const along = dx * right + dy * up, across = Math.abs(dx * up - dy * right);
    if (along < 4 || across > along || along + across >= least) continue;
    best = i;
    least = along + across;
  }
  return best;
}

// Lenses, colours, classes, layers ------------------------------------------------------------------
let former = null; // the models before the planes were asked for
function choose(next) {
  takeOver();
  if (next === "plane") {
    if (!vaeDemo.models.some(isPlane)) former = [...vaeDemo.models];
    lens = "plane";
    compareBoth(["ae_2d", "vae_2d"]);
  } else {
    lens = next;
    if (vaeDemo.models.some(isPlane)) compareBoth(former ?? ["ae", "vae"]);
  }
  arrange();
}
const compareBoth = (names) => names.forEach((name, i) => vaeDemo.compare(SIDES[i], name));
for (const button of element.querySelectorAll("[data-lens]")) button.addEventListener("click", () => choose(button.dataset.lens));
$("[data-testid=lens-solid]").addEventListener("click", () => { takeOver(); solid = !solid; arrange(); });

function writeLens() {
  const flat = vaeDemo.models.every(isPlane), any = vaeDemo.models.some(isPlane);
  const current = flat ? "plane" : lens === "plane" ? "umap" : lens === "own" && !projectionFits() ? "umap" : lens;
  for (const button of element.querySelectorAll("[data-lens]")) button.setAttribute("aria-pressed", button.dataset.lens === current);
  $("[data-lens=own]").hidden = !projection;
  $("[data-lens=own]").disabled = !projectionFits();
  $("[data-lens=plane]").hidden = !vaeDemo.config.models.some(({ name }) => name === "ae_2d");
  const button = $("[data-testid=lens-solid]");
  button.disabled = flat || current === "own";
  button.setAttribute("aria-pressed", solid && !button.disabled);
  vaeDemo.inAddress("lens", (current === "umap" && !solid) || current === "plane" || current === "own" ? null : current + (solid ? "3" : ""));
  vaeDemo.inAddress("colour", colouring === "class" ? null : colouring);
  vaeDemo.inAddress("classes", chosen.size ? [...chosen].sort().join("") : null);
  writeSwitches();
  const note = current === "own" ? "own" : any ? (flat ? "plane" : "mixed") : current + (solid ? "3" : "");
  $(".reading").textContent = vaeDemo.text("map.note." + note);
  for (const map of maps) kind(map);
}
// What a map is, of how many digits, and how far it can be trusted.
function kind(map) {
  if (!map.lens) return;
  const line = map.ground.querySelector(".kind"), { name, points, dimensions, figures, explained } = map.lens;
  const numbers = vaeDemo.latentSize(model(map)), count = (points.length / dimensions).toLocaleString(vaeDemo.language);
  const parts = [vaeDemo.text("map.kind." + name, { count, numbers, ...(projection?.words ?? {}) })];
  if (explained) parts.push(vaeDemo.text("map.kind.explained", { percent: Math.round(100 * explained.reduce((a, b) => a + b)) }));
  if (figures) parts.push(vaeDemo.text("map.kind.figures", { trust: figures.trustworthiness.toFixed(3), votes: figures.knn_accuracy.toFixed(3) }));
  line.textContent = parts.join(" · ");
  line.title = figures ? vaeDemo.text("map.kind.hint") : "";
}

const colourSelect = $("[data-testid=map-colour]");
for (const name of COLOURS) {
  const option = new Option("", name);
  option.dataset.text = "map.colour." + name;
  colourSelect.append(option);
}
colourSelect.addEventListener("change", () => { takeOver(); colouring = colourSelect.value; arrange(); });

for (const digit of CLASSES) {
  const chip = document.createElement("button");
  chip.className = "chip";
  chip.dataset.testid = "class-" + digit;
  chip.textContent = digit;
  chip.style.setProperty("--tone", "var(--class-" + digit + ")");
  chip.addEventListener("click", () => {
    takeOver();
    if (!chosen.delete(digit)) chosen.add(digit);
    writeChips();
    writeLens();
    if (ready) restyle();
  });
  $(".classes").append(chip);
}
function writeChips() {
  for (const chip of element.querySelectorAll(".chip")) {
    chip.setAttribute("aria-pressed", chosen.has(Number(chip.textContent)));
    chip.title = vaeDemo.text("map.class.hint", { label: chip.textContent });
  }
}

// Layers are switches in one menu; `dims` says that dots should step back for it. The address names those
// that are not as usual.
const switches = new Map(); // name → {on, usual, fits(map), dims}
const layerOn = (name) => switches.get(name)?.on ?? false;
const layerDims = (map) => [...switches.values()].some(({ on, dims, fits }) => on && dims && fits(map));
const switched = (vaeDemo.query.get("layers") ?? "").split(".");
function addLayer(name, { on: usual = false, fits = () => true, dims = false, change = restyle } = {}) {
  const line = document.createElement("label");
  line.innerHTML = `<input type="checkbox" data-layer="${name}" data-testid="layer-${name}"><span data-text="map.layer.${name}" data-hint="map.layer.${name}.hint"></span>`;
  const box = line.firstChild, layer = { on: usual !== switched.includes(name), usual, fits, dims };
  box.checked = layer.on;
  switches.set(name, layer);
  box.addEventListener("change", () => {
    takeOver();
    layer.on = box.checked;
    writeSwitches();
    if (ready) change(box.checked);
  });
  $(".layers .sheet").append(line);
}
function writeSwitches() {
  const unusual = [];
  for (const [name, { on, usual, fits }] of switches) {
    const box = $("[data-layer=" + name + "]"), words = box.nextElementSibling;
    box.disabled = !maps.some(fits);
    words.dataset.hint = "map.layer." + name + (box.disabled ? ".none" : ".hint");
    words.title = vaeDemo.text(words.dataset.hint);
    if (on !== usual) unusual.push(name);
  }
  vaeDemo.inAddress("layers", unusual.join(".") || null);
}
addLayer("names", { on: true });

document.addEventListener("pointerdown", (event) => {
  for (const menu of element.querySelectorAll("details.menu")) if (!menu.contains(event.target)) menu.open = false;
});

function another() {
  const candidates = [];
  for (let i = 0; i < Math.min(labels.length, TEST); i++)
    if (maps.every((map) => has(map, i)) && i !== pointed?.digit && on(i)) candidates.push(i);
  return candidates[Math.floor(Math.random() * candidates.length)] ?? null;
}
$("[data-testid=another]").addEventListener("click", () => {
  takeOver();
  const index = ready ? another() : null;
  if (index !== null) keep(index);
});
$("[data-testid=reset-view]").addEventListener("click", () => {
  takeOver();
  for (const map of maps) if (map.view) look(map, { ...map.home, ...(spatial(map) ? turn : {}) });
});

// Drawers: one is open ------------------------------------------------------------------------------
let drawer = "mine";
function openDrawer(name) {
  drawer = name;
  for (const head of element.querySelectorAll(".heads [data-drawer]")) head.setAttribute("aria-selected", head.dataset.drawer === name);
  for (const body of element.querySelectorAll(".drawer")) body.hidden = body.dataset.drawer !== name;
}
for (const head of element.querySelectorAll(".heads [data-drawer]"))
  head.addEventListener("click", () => { takeOver(); openDrawer(head.dataset.drawer); });
openDrawer("mine");

// My digit: what is on the slate, from Draw or drawn here ---------------------------------------------
let placed = { blank: true };
const slate = $("[data-testid=map-slate]");
const strokesOf = () => (sent ?? vaeDemo.drawing)?.strokes ?? null;
const paintSlate = vaeDemo.pad(slate, () => strokesOf() ?? [], (strokes) => { takeOver(); sent = { strokes, here: true }; askMine(); }, () => Boolean(sent?.here));
$("[data-testid=map-wipe]").addEventListener("click", () => {
  sent = sent ? null : { strokes: [], here: true };
  paintSlate();
  askMine();
});

function showMine(answer) {
  vaeDemo.complain(element, answer.error);
  if (answer.error) return;
  placed = sent ?? vaeDemo.drawing ? answer : { blank: true };
  $(".mine .none").hidden = !placed.blank;
  $(".mine .found").hidden = Boolean(placed.blank);
  for (const map of maps) {
    settleMine(map);
    const row = $(".row." + map.side);
    for (const old of row.querySelectorAll("button")) old.remove();
    if (placed.blank) continue;
    const { digits, distances, pictures } = placed[map.side], grey = vaeDemo.bytes(pictures);
    digits.forEach((digit, i) => {
      const button = document.createElement("button");
      button.className = "neighbor";
      Object.assign(button.dataset, { label: labels[digit], distance: distances[i].toFixed(2) });
      button.innerHTML = '<canvas width="28" height="28"></canvas><i></i><small></small>';
      button.children[1].textContent = labels[digit];
      button.children[2].textContent = button.dataset.distance;
      vaeDemo.paint(button.firstElementChild, grey, 784 * i);
      button.addEventListener("click", () => { takeOver(); keep(digit); });
      row.append(button);
    });
  }
  writeMine();
  changed("mine");
}
function writeMine() {
  for (const map of maps) map.star.querySelector("i").textContent = vaeDemo.text(sent && !sent.here ? "map.sent" : "map.star");
  for (const button of element.querySelectorAll(".neighbor")) button.title = vaeDemo.text("map.neighbor", { ...button.dataset });
}
// Where a located point lies on the lens that is shown.
function placeOf(map, found) {
  const { name, plane } = map.lens;
  if (plane) return [found.code[0], found.code[1] ?? 0];
  if (name.startsWith("pca")) return found.pca.slice(0, map.lens.dimensions);
  return blended(map, found.neighbours);
}
function settleMine(map) {
  map.mine = placed.blank || !map.lens ? null : placeOf(map, placed[map.side]);
  render(map);
}
// By whose rule neighbours are counted: the lens' own.
const rule = () => (lens === "own" && projectionFits() ? { metric: projection.settings.metric, n_neighbors: projection.settings.n_neighbors, of: projection.settings.of, count: projection.settings.count } : {});
const mineNow = vaeDemo.live(() => {
  const { here, ...point } = sent ?? vaeDemo.drawing ?? {};
  return Object.keys(point).length ? { models: [...vaeDemo.models], point, ...rule() } : null;
}, (it) => server.locate(it), (answer, it) => {
  if (answer.error || it.models.join() === vaeDemo.models.join()) showMine(answer);
});
let stale = true;
function askMine() {
  stale = true;
  paintSlate();
  $("[data-testid=map-wipe]").hidden = !(sent ?? vaeDemo.drawing);
  if (!ready || vaeDemo.tab !== "map") return;
  stale = false;
  if (sent ?? vaeDemo.drawing) mineNow();
  else showMine({ blank: true });
}
vaeDemo.on("drawing", () => { sent = null; askMine(); });
vaeDemo.on("to-map", (point) => {
  if (point.digit !== undefined && ready) return keep(point.digit);
  sent = point;
  openDrawer("mine");
  askMine();
});
vaeDemo.on("tab", () => { if (stale) askMine(); });

// Until the visitor takes over, the map shows by itself what pointing does.
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
}

// Other models, other maps: what is kept stays kept.
vaeDemo.on("models", () => {
  answers.clear();
  if (!ready) return;
  arrange().then(() => {
    if (pointed?.digit !== undefined) askPointed();
    askMine();
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
