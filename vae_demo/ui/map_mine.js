// My digit: what is on the slate, from Draw or drawn here. Shares the scope of map.js.

const NEAREST = 5; // digits that are listed, as the server answers
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
  maps.forEach(settleMine);
  if (!placed.blank) maps.forEach(list);
  writeMine();
  changed("mine");
}
// The nearest digits of a side, in buttons that stay: the pen is quicker than a new element.
function list(map) {
  const { digits, distances, pictures } = placed[map.side], grey = pictures && vaeDemo.bytes(pictures);
  const buttons = $(".row." + map.side).querySelectorAll("button");
  digits.forEach((digit, i) => {
    const button = buttons[i], [canvas, label, distance] = button.children;
    Object.assign(button.dataset, { digit, label: labels[digit], distance: distances[i].toFixed(2) });
    label.textContent = labels[digit];
    distance.textContent = button.dataset.distance;
    vaeDemo.paint(canvas, grey ?? rebuilt(model(map), digit).picture, grey ? 784 * i : 0);
  });
}
for (const side of SIDES)
  for (let i = 0; i < NEAREST; i++) {
    const button = document.createElement("button");
    button.className = "neighbor";
    button.innerHTML = '<canvas width="28" height="28"></canvas><i></i><small></small>';
    button.addEventListener("click", () => { takeOver(); keep(Number(button.dataset.digit)); });
    $(".row." + side).append(button);
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
  if (map.view) placeMarks(map);
}
// By whose rule neighbours are counted: the lens' own.
const rule = () => (lens === "own" && projectionFits() ? { metric: projection.settings.metric, n_neighbors: projection.settings.n_neighbors, of: projection.settings.of, count: projection.settings.count } : {});
const mineNow = vaeDemo.live(() => {
  const { here, ...point } = sent ?? vaeDemo.drawing ?? {};
  if (!Object.keys(point).length) return null;
  // Where the page has all pictures, and no plane shows a posterior, the server has less to do.
  const wanted = { pictures: stocked !== vaeDemo.models.join(), deviation: vaeDemo.models.some(isPlane) };
  return { models: [...vaeDemo.models], point, ...rule(), ...wanted };
}, (it) => vaeDemo.ask("map/locate", it), (answer, it) => {
  if (answer.error || it.models.join() === vaeDemo.models.join()) showMine(answer);
});
// In the address once the pen rests: browsers allow a hundred changes in half a minute.
let addressing = null;
function writePlace() {
  clearTimeout(addressing);
  addressing = setTimeout(() => {
    const { here, ...point } = sent ?? {};
    vaeDemo.inAddress("place", sent && vaeDemo.packPoint(point));
  }, 400);
}
function readPlace() {
  const point = vaeDemo.unpackPoint(vaeDemo.query.get("place"));
  if (point) sent = point.strokes ? { ...point, here: true } : point;
}
let stale = true;
function askMine() {
  stale = true;
  paintSlate();
  writePlace();
  $("[data-testid=map-wipe]").hidden = !(sent ?? vaeDemo.drawing);
  if (!ready || vaeDemo.tab !== "map") return;
  stale = false;
  if (sent ?? vaeDemo.drawing) mineNow();
  else showMine({ blank: true });
}
vaeDemo.on("drawing", () => {
  if (vaeDemo.tab !== "map") sent = null; // a new drawing; here, the one the page began with
  askMine();
});
vaeDemo.on("to-map", (point) => {
  if (point.digit !== undefined && ready) return keep(point.digit);
  sent = point;
  openDrawer("mine");
  askMine();
});
vaeDemo.on("tab", () => { if (stale) askMine(); });
