// Two maps of the same digits. Plotly draws the dots; pointing, zooming and the marks above the dots
// are done here, since Plotly answers the pointer only twenty times a second, and a finger hardly.
const { vaeDemo } = window;
vaeDemo.exhibit(element);

const $ = (selector) => element.querySelector(selector);
const section = element.firstElementChild;
const CLASSES = [...Array(10).keys()];
const REACH = { mouse: 18, touch: 30 }; // px: how far a dot may be from the pointer
const ZOOM = { out: 1.25, in: 1 / 80 }; // in units of the whole map
const SVG_POINTS = 2000; // as many as a browser without WebGL can bear

let Plotly = null;
let labels = null; // Uint8Array (N,); a model may have encoded only the first so many
let sent = null; // a point of code space that another tab sent here
let chosen = new Set(); // classes to see; none chosen means all
let shown = null, pinned = null; // digits by their number in the test set
let ready = false;

// Where things are ----------------------------------------------------------------------------------
// A view is its centre and the map units a pixel covers, the same along both axes.
function createMap(side) {
  const plot = $("[data-testid=map-" + side + "]");
  const ground = plot.parentElement;
  const marks = ground.querySelector(".marks");
  const mark = (name) => {
    const node = document.createElement("span");
    node.className = name;
    node.hidden = true;
    marks.append(node);
    return node;
  };
  const names = CLASSES.map((digit) => Object.assign(mark("class-name"), { textContent: digit }));
  const star = mark("star");
  star.dataset.testid = "map-mine-" + side;
  star.innerHTML = '<svg viewBox="-12 -12 24 24"><path d="M0-10 2.6-3.6 9.5-3.1 4.2 1.4 5.9 8.1 0 4.5-5.9 8.1-4.2 1.4-9.5-3.1-2.6-3.6Z"/></svg><i data-text="map.star"></i>';
  const map = {
    side, plot, ground, names, star, ring: mark("ring"), pin: mark("ring pin"),
    points: null, corners: null, view: null, size: [0, 0], middles: [], mine: null, drawn: false, due: false,
  };
  map.ring.dataset.testid = "map-ring-" + side;
  map.pin.dataset.testid = "map-pin-" + side;
  return map;
}
const maps = ["left", "right"].map(createMap);
vaeDemo.translate(element);

const has = (map, index) => index !== null && 2 * index < map.points.length;
const at = (map, index) => [map.points[2 * index], map.points[2 * index + 1]];
const toPixel = ({ view, size }, [x, y]) => [size[0] / 2 + (x - view.x) / view.unit, size[1] / 2 - (y - view.y) / view.unit];
const toMap = ({ view, size }, [px, py]) => [view.x + (px - size[0] / 2) * view.unit, view.y - (py - size[1] / 2) * view.unit];
const atHome = ({ view, home }) => view.unit >= home.unit * 0.999;

function home({ corners: [[left, bottom], [right, top]], size: [width, height] }) {
  const unit = Math.max((right - left) / width, (top - bottom) / height) * 1.08;
  return { x: (left + right) / 2, y: (bottom + top) / 2, unit };
}

function look(map, { x, y, unit }) {
  const [[left, bottom], [right, top]] = map.corners;
  const between = (low, value, high) => Math.min(high, Math.max(low, value));
  map.view = {
    x: between(left, x, right), y: between(bottom, y, top),
    unit: between(map.home.unit * ZOOM.in, unit, map.home.unit * ZOOM.out),
  };
  map.ground.classList.toggle("near", !atHome(map));
  placeMarks(map);
  render(map);
}

function zoom(map, pixel, factor) {
  const [x, y] = toMap(map, pixel);
  const unit = Math.min(map.home.unit * ZOOM.out, Math.max(map.home.unit * ZOOM.in, map.view.unit * factor));
  const share = unit / map.view.unit;
  look(map, { x: x + (map.view.x - x) * share, y: y + (map.view.y - y) * share, unit });
}

// Dots ----------------------------------------------------------------------------------------------
const color = (digit) => getComputedStyle(document.body).getPropertyValue("--class-" + digit).trim();
const opacity = (digit) => (!chosen.size || chosen.has(digit) ? 0.75 : 0.06);
const ranges = ({ view, size: [width, height] }) => ({
  "xaxis.range": [view.x - (width / 2) * view.unit, view.x + (width / 2) * view.unit],
  "yaxis.range": [view.y - (height / 2) * view.unit, view.y + (height / 2) * view.unit],
});
const webgl = (() => {
  try { return Boolean(document.createElement("canvas").getContext("webgl")); } catch { return false; }
})();
const visible = (index) => webgl || index < SVG_POINTS;

function traces(map) {
  return CLASSES.map((digit) => {
    const members = [];
    labels.forEach((label, index) => { if (label === digit && visible(index) && has(map, index)) members.push(index); });
    return {
      type: webgl ? "scattergl" : "scatter", mode: "markers", hoverinfo: "skip",
      x: Float32Array.from(members, (index) => map.points[2 * index]),
      y: Float32Array.from(members, (index) => map.points[2 * index + 1]),
      marker: { size: map.size[0] < 420 ? 3 : 4, color: color(digit), opacity: opacity(digit), line: { width: 0 } },
    };
  });
}

function draw(map) {
  const range = ranges(map);
  const axis = (name) => ({ range: range[name + ".range"], autorange: false, fixedrange: true, visible: false });
  map.drawn = true;
  Plotly.newPlot(map.plot, traces(map), {
    width: map.size[0], height: map.size[1], margin: { l: 0, r: 0, t: 0, b: 0, pad: 0 },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: false,
    xaxis: axis("xaxis"), yaxis: axis("yaxis"),
  }, { staticPlot: true, plotGlPixelRatio: window.devicePixelRatio });
  map.plot.on("plotly_webglcontextlost", () => { map.drawn = false; render(map); });
}

// At most once a frame, however fast the pointer is.
function render(map) {
  if (map.due || !map.view) return;
  map.due = true;
  requestAnimationFrame(() => {
    map.due = false;
    if (!Plotly) return;
    if (!map.drawn) return draw(map);
    Plotly.relayout(map.plot, { width: map.size[0], height: map.size[1], ...ranges(map) });
  });
}

function restyle() {
  for (const map of maps)
    if (map.drawn) Plotly.restyle(map.plot, { "marker.color": CLASSES.map(color), "marker.opacity": CLASSES.map(opacity) });
}

// Marks lie above the dots as elements, so that moving them redraws nothing else.
function placeMarks(map) {
  if (!map.view) return;
  const put = (node, place) => {
    const [x, y] = place ? toPixel(map, place) : [NaN, NaN];
    node.hidden = !(x >= 0 && x <= map.size[0] && y >= 0 && y <= map.size[1]);
    if (!node.hidden) node.style.transform = "translate(" + x.toFixed(1) + "px," + y.toFixed(1) + "px)";
  };
  map.names.forEach((node, digit) => {
    put(node, map.middles[digit]);
    node.classList.toggle("dim", chosen.size > 0 && !chosen.has(digit));
  });
  put(map.ring, shown !== pinned && has(map, shown) ? at(map, shown) : null);
  put(map.pin, has(map, pinned) ? at(map, pinned) : null);
  put(map.star, map.mine);
}

function measure(map) {
  const size = [map.ground.clientWidth, map.ground.clientHeight];
  if (!size[0] || !size[1] || !map.points) return;
  if (size[0] === map.size[0] && size[1] === map.size[1]) return;
  const wasHome = !map.view || atHome(map);
  map.size = size;
  map.home = home(map);
  look(map, wasHome ? map.home : map.view);
}

// The digit that is shown ---------------------------------------------------------------------------
const answers = new Map(); // the latest ones, so that coming back costs nothing

function showDigit(answer, { digit, models }) {
  vaeDemo.complain(element, answer.error);
  if (answer.error || models.join() !== vaeDemo.models.join()) return;
  answers.set(digit, answer);
  if (answers.size > 300) answers.delete(answers.keys().next().value);
  card(digit, answer);
}

let onCard = null;
function card(digit, answer) {
  onCard = digit;
  for (const side of ["left", "right"])
    vaeDemo.paint($("[data-testid=map-rebuilt-" + side + "]"), vaeDemo.bytes(answer[side]));
  $(".original").hidden = !answer.original;
  if (answer.original) vaeDemo.paint($("[data-testid=map-original]"), vaeDemo.bytes(answer.original));
  words();
}

const askDigit = vaeDemo.live(() => (shown === null ? null : { models: [...vaeDemo.models], digit: shown }), (it) => server.digit(it), showDigit);

function show(index) {
  if (index === shown) return;
  shown = index;
  maps.forEach(placeMarks);
  const answer = answers.get(index);
  if (answer) card(index, answer);
  else if (index !== null) askDigit();
}

function pin(index) {
  pinned = index;
  if (index !== null) show(index);
  maps.forEach(placeMarks);
  for (const button of element.querySelectorAll("[data-send]")) button.disabled = index === null;
  words();
}

// What is kept should be seen, on the other map too.
function bringIntoView(index) {
  for (const map of maps) {
    if (!map.view || !has(map, index)) continue;
    const [x, y] = toPixel(map, at(map, index));
    const rim = 12;
    if (x < rim || y < rim || x > map.size[0] - rim || y > map.size[1] - rim) {
      const [px, py] = at(map, index);
      look(map, { x: px, y: py, unit: map.view.unit });
    }
  }
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
      const request = { models: [...vaeDemo.models], digit };
      try { answer = await server.digit(request); } catch { answer = { error: "error.offline" }; }
      showDigit(answer, request);
    }
    if (!answer.error) vaeDemo.send(button.dataset.send, { digit, picture: answer.picture, label: labels[digit] });
  });

// Words that depend on what is shown.
function words() {
  const name = $(".card .class");
  name.textContent = onCard === null ? "" : labels[onCard];
  if (onCard !== null) name.style.setProperty("--tone", "var(--class-" + labels[onCard] + ")");
  $(".card .number").textContent = onCard === null ? "" : vaeDemo.text("map.number", { number: onCard });
  $(".card .hint").textContent = pinned === null ? vaeDemo.text("map.hint") : vaeDemo.text("map.kept", { label: labels[pinned] });
  for (const chip of element.querySelectorAll(".chip")) chip.title = vaeDemo.text("map.class.hint", { label: chip.textContent });
  for (const button of element.querySelectorAll(".neighbor"))
    button.title = vaeDemo.text("map.neighbor", { label: button.dataset.label, distance: button.dataset.distance });
}

// Pointing: mouse, pen, finger ----------------------------------------------------------------------
function hit(map, pixel, reach) {
  const [x, y] = toMap(map, pixel);
  let best = null, least = (reach * map.view.unit) ** 2;
  const { points } = map;
  for (let i = 0; has(map, i); i++) {
    const distance = (points[2 * i] - x) ** 2 + (points[2 * i + 1] - y) ** 2;
    if (distance < least && visible(i) && (!chosen.size || chosen.has(labels[i]))) { best = i; least = distance; }
  }
  return best;
}

function listen(map) {
  const { ground } = map;
  const down = new Map(); // pointers that touch, by id, where they are
  let moved = false, from = null;
  const where = (event) => {
    const box = ground.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const reach = (event) => REACH[event.pointerType] ?? REACH.mouse;
  const pointAt = (event) => {
    const index = hit(map, where(event), reach(event));
    ground.classList.toggle("over", index !== null);
    if (index !== null) show(index);
    else if (pinned !== null) show(pinned);
    return index;
  };

  ground.addEventListener("pointerdown", (event) => {
    if (!map.view || event.button !== 0) return;
    stopTour();
    if (!down.size) moved = false;
    down.set(event.pointerId, where(event));
    from = where(event);
    ground.setPointerCapture(event.pointerId);
    if (event.pointerType === "touch" && down.size === 1) pointAt(event);
  });
  ground.addEventListener("pointermove", (event) => {
    if (!map.view) return;
    stopTour();
    const now = where(event), before = down.get(event.pointerId);
    if (!before) return void pointAt(event);
    if (Math.hypot(now[0] - from[0], now[1] - from[1]) > (event.pointerType === "mouse" ? 4 : 10)) moved = true;
    if (down.size === 1) {
      if (!moved) return;
      // The whole map in view: a finger points. Nearer: it moves the map, as the mouse always does.
      if (event.pointerType === "touch" && atHome(map)) pointAt(event);
      else look(map, { x: map.view.x - (now[0] - before[0]) * map.view.unit, y: map.view.y + (now[1] - before[1]) * map.view.unit, unit: map.view.unit });
    } else {
      const other = [...down].find(([id]) => id !== event.pointerId)[1];
      const span = (a, b) => Math.max(8, Math.hypot(a[0] - b[0], a[1] - b[1]));
      const middle = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
      const [old, next] = [middle(before, other), middle(now, other)];
      moved = true;
      look(map, { x: map.view.x - (next[0] - old[0]) * map.view.unit, y: map.view.y + (next[1] - old[1]) * map.view.unit, unit: map.view.unit });
      zoom(map, next, span(before, other) / span(now, other));
    }
    down.set(event.pointerId, now);
  });
  ground.addEventListener("pointerup", (event) => {
    if (!down.delete(event.pointerId) || moved || down.size) return;
    const index = pointAt(event);
    if (index === null) pin(null);
    else keep(index);
  });
  ground.addEventListener("pointercancel", (event) => down.delete(event.pointerId));
  ground.addEventListener("pointerleave", () => { if (pinned !== null) show(pinned); });
  ground.addEventListener("dblclick", () => { if (map.view) look(map, map.home); });
  ground.addEventListener("wheel", (event) => {
    if (!map.view) return;
    event.preventDefault();
    stopTour();
    const lines = event.deltaY * (event.deltaMode ? 16 : 1);
    zoom(map, where(event), Math.exp(Math.max(-120, Math.min(120, lines)) * (event.ctrlKey ? 0.008 : 0.002)));
  }, { passive: false });

  // Without a pointer: arrows step from digit to digit, plus and minus zoom.
  map.plot.addEventListener("keydown", (event) => {
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    const nearer = { "+": 0.8, "=": 0.8, "-": 1.25 }[event.key];
    if (!map.view || event.ctrlKey || event.metaKey || event.altKey || !(arrow || nearer)) return;
    event.preventDefault();
    stopTour();
    if (nearer) zoom(map, pinned === null ? map.size.map((length) => length / 2) : toPixel(map, at(map, has(map, pinned) ? pinned : 0)), nearer);
    else if (pinned === null) keep(shown ?? another());
    else keep((has(map, pinned) ? step(map, arrow) : another()) ?? pinned);
  });
}
maps.forEach(listen);

// The nearest dot in a direction, at least a few pixels on.
function step(map, [right, up]) {
  const [x, y] = at(map, pinned);
  let best = null, least = Infinity;
  for (let i = 0; has(map, i); i++) {
    const [dx, dy] = [map.points[2 * i] - x, map.points[2 * i + 1] - y];
    const along = dx * right + dy * up, across = Math.abs(dx * up - dy * right);
    if (along < 4 * map.view.unit || across > along || along + across >= least) continue;
    if (visible(i) && (!chosen.size || chosen.has(labels[i]))) { best = i; least = along + across; }
  }
  return best;
}

// Classes, another digit, the whole map -------------------------------------------------------------
for (const digit of CLASSES) {
  const chip = document.createElement("button");
  chip.className = "chip";
  chip.dataset.testid = "class-" + digit;
  chip.textContent = digit;
  chip.style.setProperty("--tone", "var(--class-" + digit + ")");
  chip.setAttribute("aria-pressed", false);
  chip.addEventListener("click", () => {
    stopTour();
    if (!chosen.delete(digit)) chosen.add(digit);
    chip.setAttribute("aria-pressed", chosen.has(digit));
    if (!ready) return;
    restyle();
    maps.forEach(placeMarks);
  });
  $(".classes").append(chip);
}

function another() {
  const candidates = [];
  labels.forEach((label, index) => {
    if (visible(index) && maps.every((map) => has(map, index)) && index !== shown && (!chosen.size || chosen.has(label))) candidates.push(index);
  });
  return candidates[Math.floor(Math.random() * candidates.length)];
}
$("[data-testid=another]").addEventListener("click", () => { stopTour(); if (ready) keep(another()); });
$("[data-testid=reset-view]").addEventListener("click", () => {
  stopTour();
  for (const map of maps) if (map.view) look(map, map.home);
});

// My digit ------------------------------------------------------------------------------------------
let placed = { blank: true };
function showMine(answer) {
  vaeDemo.complain(element, answer.error);
  if (answer.error) return;
  placed = sent ?? vaeDemo.drawing ? answer : { blank: true };
  $(".mine .none").hidden = !placed.blank;
  $(".mine .found").hidden = placed.blank;
  for (const map of maps) {
    map.mine = placed.blank ? null : placed[map.side].point;
    map.star.querySelector("i").dataset.text = sent ? "map.sent" : "map.star";
    placeMarks(map);
    const row = $(".row." + map.side);
    for (const old of row.querySelectorAll("button")) old.remove();
    if (placed.blank) continue;
    const { digits, distances, pictures } = placed[map.side];
    const grey = vaeDemo.bytes(pictures);
    digits.forEach((digit, i) => {
      const button = document.createElement("button");
      button.className = "neighbor";
      button.dataset.label = labels[digit];
      button.dataset.distance = distances[i].toFixed(2);
      button.innerHTML = '<canvas width="28" height="28"></canvas><i></i>';
      button.lastElementChild.textContent = labels[digit];
      vaeDemo.paint(button.firstElementChild, grey, 784 * i);
      button.addEventListener("click", () => { stopTour(); keep(digit); });
      row.append(button);
    });
  }
  vaeDemo.translate($(".mine"));
  for (const map of maps) vaeDemo.translate(map.star);
  words();
}
const askMine = vaeDemo.live(() => {
  const point = sent ?? vaeDemo.drawing;
  return point && { models: [...vaeDemo.models], point };
}, (it) => server.locate(it), showMine);

let stale = true;
function mine() {
  if (!ready || !stale || vaeDemo.tab !== "map") return;
  stale = false;
  if (sent ?? vaeDemo.drawing) askMine();
  else showMine({ blank: true });
}
vaeDemo.on("drawing", () => { stale = true; sent = null; mine(); });
vaeDemo.on("to-map", (point) => {
  if (point.digit !== undefined && ready) return keep(point.digit);
  sent = point;
  stale = true;
  mine();
});
vaeDemo.on("tab", mine);
$("[data-testid=map-draw-one]").addEventListener("click", () => vaeDemo.open("draw"));

// Until the visitor takes over, the map shows by itself what pointing does.
let tour = null;
function stopTour() { clearInterval(tour); tour = null; }
function startTour() {
  show(another());
  if (vaeDemo.calm()) return;
  tour = setInterval(() => { if (vaeDemo.tab === "map" && !document.hidden) show(another()); }, 1600);
}

// Coming to life ------------------------------------------------------------------------------------
function loadPlotly() {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    const page = location.origin + location.pathname.replace(/\/?$/, "/");
    script.src = new URL(props.plotly, page).href;
    // A reference of our own: another script may bring its own window.Plotly.
    script.onload = () => resolve(window.Plotly);
    script.onerror = reject;
    document.head.append(script);
  });
}

function readPoints(map, { points, low, high, middles, plane }) {
  map.points = new Float32Array(vaeDemo.bytes(points).buffer);
  map.corners = [low, high];
  map.middles = middles;
  map.plane = plane;
}

function kinds() {
  for (const map of maps) {
    if (!map.points) continue;
    const [count, numbers] = [(map.points.length / 2).toLocaleString(vaeDemo.language), vaeDemo.latentSize(vaeDemo.models[maps.indexOf(map)])];
    map.ground.querySelector(".kind").textContent = vaeDemo.text(map.plane ? "map.kind.plane" : "map.kind.umap", { count, numbers });
  }
}

// A megabyte of script takes its time: it sets off when the pointer nears the tab.
let loading = null;
const fetchPoints = () => server.points({ models: [...vaeDemo.models] });
const load = () => (loading ??= Promise.all([fetchPoints(), loadPlotly()]));
for (const name of ["pointerover", "pointerdown", "focusin"])
  document.addEventListener(name, (event) => { if (event.target.closest?.("#tab-map")) load().catch(() => {}); });

vaeDemo.whenOpened("map", async () => {
  performance.mark("map-opened");
  try {
    const [answer, library] = await load();
    if (answer.error) return vaeDemo.complain(element, answer.error);
    labels = vaeDemo.bytes(answer.labels);
    for (const map of maps) readPoints(map, answer[map.side]);
    kinds();
    Plotly = library;
  } catch {
    return vaeDemo.complain(element, "error.map");
  }
  ready = true;
  section.classList.add("ready");
  const sizes = new ResizeObserver(() => maps.forEach(measure));
  maps.forEach((map) => { measure(map); sizes.observe(map.ground); });
  if (!webgl) $(".reading").dataset.text = "map.note.svg";
  vaeDemo.translate(element);
  requestAnimationFrame(() => requestAnimationFrame(() => performance.mark("map-painted")));
  mine();
  startTour();
});

// Other models, other maps: dots, marks and pictures follow; what is kept stays kept.
vaeDemo.on("models", async (models) => {
  const asked = models.join();
  loading = null;
  if (!ready) return;
  let answer;
  try { answer = await fetchPoints(); } catch { answer = { error: "error.offline" }; }
  if (asked !== vaeDemo.models.join()) return;
  vaeDemo.complain(element, answer.error);
  if (answer.error) return;
  answers.clear();
  for (const map of maps) {
    readPoints(map, answer[map.side]);
    map.home = home(map);
    map.drawn = false;
    look(map, map.home);
  }
  kinds();
  if (shown !== null) askDigit();
  stale = true;
  mine();
});
vaeDemo.on("language", () => { words(); kinds(); });
vaeDemo.on("theme", () => { if (ready) restyle(); });
words();
