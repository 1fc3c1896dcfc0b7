// What is pointed at, kept and decoded: a digit, or a place between digits; by mouse, pen, finger or
// keyboard. Shares the scope of map.js.
const REACH = { mouse: 10, touch: 26 }; // px: how far a dot may be from the pointer
const ABOUT = 60; // px: how far from any dot a place still stands for its neighbours
const NEIGHBOURS = 15;

// All digits as both models rebuild them come while nobody is in a hurry; from then on a digit that is
// pointed at is there in the same frame -----------------------------------------------------------------
const SHELF = 500; // digits in one file
const shelves = new Map(); // "<model>/<number>" → {pictures, classes, confidences}
let stocking = null, stocked = null; // the models for which they are fetched, and have come
async function stock() {
  const models = [...vaeDemo.models], idle = window.requestIdleCallback ?? ((callback) => setTimeout(callback, 50));
  if (navigator.connection?.saveData || stocking === models.join()) return;
  stocking = models.join();
  for (const key of shelves.keys()) if (!models.includes(key.split("/")[0])) shelves.delete(key);
  for (let number = 0; number < TEST / SHELF; number++)
    for (const name of new Set(models)) {
      const key = name + "/" + number;
      if (shelves.has(key) || SHELF * number >= digitsOf(name)) continue;
      await new Promise((done) => idle(done));
      if (stocking !== vaeDemo.models.join()) return;
      try { shelves.set(key, await fetchArrays(name + "/rebuilt-" + number)); } catch { return void (stocking = null); }
    }
  stocked = models.join();
  performance.mark("map-stocked");
}
// A digit as a model rebuilds it, if it has come.
function rebuilt(name, index) {
  const shelf = shelves.get(name + "/" + Math.floor(index / SHELF)), i = index % SHELF;
  if (!shelf || i >= shelf.classes.length) return null;
  return { picture: shelf.pictures.subarray(784 * i, 784 * i + 784), class: shelf.classes[i], confidence: shelf.confidences[i] };
}
function fromShelf(index) {
  const [left, right] = vaeDemo.models.map((name) => rebuilt(name, index));
  return left && right && { left: left.picture, right: right.picture, reading: { left, right } };
}

// The digit, or the place, that is pointed at -----------------------------------------------------------
const answers = new Map(); // the latest ones, so that coming back costs nothing

const askPointed = vaeDemo.live(() => {
  if (!pointed) return null;
  const models = [...vaeDemo.models];
  if (pointed.digit !== undefined && !pointed.specs) return { models, digit: pointed.digit };
  return { models, ...pointed.specs };
}, (it) => vaeDemo.ask(it.digit === undefined ? "map/place" : "map/digit", it), (answer, it) => {
  vaeDemo.complain(element, answer.error);
  if (answer.error || it.models.join() !== vaeDemo.models.join()) return;
  if (it.digit !== undefined) {
    answers.set(it.digit, answer);
    if (answers.size > 300) answers.delete(answers.keys().next().value);
    if (pointed?.digit === it.digit) card(answer);
  } else if (pointed?.specs) {
    card({ original: pointed.original, left: answer.left?.picture, right: answer.right?.picture, reading: answer });
    moveMarks();
  }
});

let onCard = null; // what the pictures show: {digit} or {place}
function card(answer) {
  onCard = pointed;
  for (const side of SIDES) {
    const grey = answer[side];
    if (grey) vaeDemo.paint($("[data-testid=map-rebuilt-" + side + "]"), typeof grey === "string" ? vaeDemo.bytes(grey) : grey);
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
  const answer = answers.get(index) ?? (props.originals ? null : fromShelf(index));
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
function blend(map, [x, y, z = 0]) {
  const { points, dimensions } = map.lens, solid = dimensions === 3;
  const count = Math.min(TEST, ...maps.map(({ lens }) => lens.points.length / lens.dimensions));
  const best = []; // [distance², digit], nearest first
  let limit = Infinity;
  for (let i = 0, k = 0; i < count; i++, k += dimensions) {
    const dx = points[k] - x, dy = points[k + 1] - y, dz = solid ? points[k + 2] - z : 0, d = dx * dx + dy * dy + dz * dz;
    if (d >= limit) continue;
    let rank = best.length;
    while (rank && best[rank - 1][0] > d) rank--;
    best.splice(rank, 0, [d, i]);
    best.length = Math.min(best.length, NEIGHBOURS);
    if (best.length === NEIGHBOURS) limit = best[NEIGHBOURS - 1][0];
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
  const exact = exactly(map, place), twin = other(map);
  const shared = map.lens.plane && twin.lens.plane && vaeDemo.latentSize(model(map)) === vaeDemo.latentSize(model(twin));
  const near = shared ? null : blend(map, place);
  pointed = {
    map, place, exact: Boolean(exact),
    specs: { [map.side]: exact ?? near, [twin.side]: shared ? exact : near },
    places: { [map.side]: place, [twin.side]: shared ? place : blended(twin, near) },
  };
  marking ??= setTimeout(moveMarks, LAG);
  askPointed();
}
// Marks move with the pictures, in one frame instead of two; before them, if those take long.
const LAG = 30; // ms
let marking = null;
function moveMarks() {
  clearTimeout(marking);
  marking = null;
  maps.forEach(placeMarks);
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
    let answer;
    try { answer = await vaeDemo.ask("map/digit", { models: [...vaeDemo.models], digit, picture: true }); } catch { answer = { error: "error.offline" }; }
    vaeDemo.complain(element, answer.error);
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
  let best = null, least = reach ** 2;
  sweep(map, (i, x, y) => {
    const distance = (x - px) ** 2 + (y - py) ** 2;
    if (distance < least && on(i)) { best = i; least = distance; }
  });
  return best === null ? null : { index: best, px: Math.sqrt(least) };
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
  // Where no finger scrolls the page, the browser need not make gestures of its touches: after a
  // quick stroke it would take the next tap, anywhere on the page, for a stop of its own scrolling.
  ground.addEventListener("touchstart", (event) => {
    if (getComputedStyle(ground).touchAction === "none" && !event.target.closest("button")) event.preventDefault();
  }, { passive: false });
  ground.addEventListener("pointerleave", rest);
  ground.addEventListener("dblclick", () => { if (map.view) goHome(map); });
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
