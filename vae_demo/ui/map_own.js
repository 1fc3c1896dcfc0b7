// What a visitor brings: a projection of one's own, and pictures. Shares the scope of map.js.

// A projection of one's own -------------------------------------------------------------------------
const DIALS = {
  n_neighbors: { stops: [2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 70, 100, 150, 200], marks: [5, 15, 50], step: 1 },
  min_dist: { stops: [0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99], marks: [0, 0.1, 0.5], step: 0.01 },
};
const METRICS = ["euclidean", "cosine", "manhattan", "correlation"];
const CHOICES = { metric: METRICS, of: ["codes", "pixels"], count: [2000, 5000, 10_000], dimensions: [2, 3] };
const OPTION = {
  metric: (value) => vaeDemo.text("map.own.metric." + value), of: (value) => vaeDemo.text("map.own.of." + value),
  count: (value) => vaeDemo.text("map.own.digits", { count: grouped(Number(value)) }), dimensions: (value) => vaeDemo.text("map.own.dimensions." + value),
};
const ENDS = { cancelled: "map.own.cancelled", failed: "map.own.failed", unknown: "map.own.unknown" };
const POLL = 400; // ms; a job nobody asks about is dropped by the server after 20 s
const PATIENCE = 15_000; // ms that the server may be out of reach

const wished = { n_neighbors: 15, min_dist: 0.1, metric: "euclidean", seed: 1, dimensions: 2, of: "codes", count: 2000 };
const ownDrawer = $(".drawer.own");
const byWish = (name) => ownDrawer.querySelector(`[data-wish=${name}]`);
const grouped = (value) => value.toLocaleString(vaeDemo.language);
let job = null; // {settings, models, began, token, state}: what the server is asked to lay out
let lastWord = null; // [key, values]: how the last one ended

// As asked for, with no more digits than both models know.
const settingsNow = () => ({ ...wished, count: Math.min(wished.count, digitsKnown()) });
// Where the points of both sides lie ready on the server; null for what must be laid out first.
function shipped({ n_neighbors, min_dist, metric, seed, dimensions, of, count }) {
  if (metric !== "euclidean" || seed !== 1 || dimensions !== 2) return null;
  if (of === "pixels") return n_neighbors === 15 && min_dist === 0.1 && count === 10_000 ? SIDES.map(() => "pixels/umap") : null;
  const onGrid = DIALS.n_neighbors.marks.includes(n_neighbors) && DIALS.min_dist.marks.includes(min_dist);
  return twins() && onGrid && count === 2000 ? vaeDemo.models.map((name) => `${name}/grid-${n_neighbors}-${min_dist}`) : null;
}
const noNeed = () => vaeDemo.models.some(isPlane); // codes of one or two numbers are their own map

function settle(left, right, settings, models) {
  projection = {
    left, right, settings, models: settings.of === "pixels" ? null : models,
    get words() { return { words: inWords(settings) }; },
  };
  choose("own");
}
function inWords({ n_neighbors, min_dist, metric, seed, dimensions, of, count }) {
  const parts = [vaeDemo.text("map.own.kind." + of, { count: grouped(count) }), "n_neighbors " + n_neighbors, "min_dist " + min_dist];
  if (metric !== "euclidean") parts.push(OPTION.metric(metric));
  if (seed !== 1) parts.push(vaeDemo.text("map.own.seed") + " " + seed);
  if (dimensions === 3) parts.push(OPTION.dimensions(3));
  return parts.join(" · ");
}

// False where it is not ready after all.
async function showShipped() {
  const settings = settingsNow(), models = [...vaeDemo.models], paths = noNeed() ? null : shipped(settings);
  if (!paths) return false;
  let found;
  try { found = await Promise.all(paths.map(arrays)); } catch { return false; }
  if (job || JSON.stringify(settings) !== JSON.stringify(settingsNow()) || models.join() !== vaeDemo.models.join()) return true;
  settle(...found, settings, models);
  return true;
}

async function layOut() {
  takeOver();
  lastWord = null;
  if (noNeed() || job || await showShipped()) return writeRun();
  const mine = { settings: settingsNow(), models: [...vaeDemo.models], began: performance.now(), token: null, state: { state: "asked" } };
  job = mine;
  writeRun();
  const answer = await server.project({ models: mine.models, ...mine.settings }).catch(() => ({ error: "map.own.offline" }));
  if (job !== mine) return void drop(answer.job);
  if (answer.error) return finish(answer.error);
  mine.token = answer.job;
  follow(mine);
}
async function follow(mine) {
  let heard = performance.now();
  while (job === mine) {
    const answer = await server.progress({ job: mine.token }).catch(() => null);
    if (job !== mine) return;
    if (answer) heard = performance.now();
    if (answer?.error) return finish(answer.error);
    if (answer?.state === "done") return arrive(mine, answer);
    if (answer?.state in ENDS) return finish(ENDS[answer.state]);
    if (performance.now() - heard > PATIENCE) return finish("map.own.offline");
    if (answer) mine.state = answer;
    writeRun();
    await new Promise((done) => setTimeout(done, POLL));
  }
}
function arrive({ settings, models, began }, answer) {
  const side = ({ points, ...facts }) => ({ ...facts, points: new Float32Array(vaeDemo.bytes(points).buffer), plane: false, figures: null, count: settings.count });
  finish("map.own.done", { seconds: Math.round((performance.now() - began) / 1000) });
  settle(side(answer.left), side(answer.right), settings, models);
}
function finish(key, values) {
  job = null;
  lastWord = [key, values];
  writeRun();
}
const drop = (token) => { if (token) server.cancel({ job: token }).catch(() => { /* the server drops it by itself */ }); };
function cancel(key) {
  drop(job.token);
  finish(key);
}

// What the drawer says ------------------------------------------------------------------------------
function writeWishes() {
  for (const [name, { stops }] of Object.entries(DIALS)) {
    const [slider, exact] = ownDrawer.querySelectorAll(`[data-dial=${name}] input`), value = wished[name];
    const nearest = stops.reduce((best, stop, i) => (Math.abs(stop - value) < Math.abs(stops[best] - value) ? i : best), 0);
    slider.value = nearest;
    slider.setAttribute("aria-valuetext", value);
    if (document.activeElement !== exact) exact.value = value;
    for (const mark of ownDrawer.querySelectorAll(`[data-dial=${name}] button`)) mark.setAttribute("aria-pressed", Number(mark.textContent) === value);
  }
  const most = digitsKnown();
  for (const name of Object.keys(CHOICES)) {
    for (const option of byWish(name).options) {
      option.textContent = OPTION[name](option.value);
      option.disabled = name === "count" && Number(option.value) > most;
    }
    byWish(name).value = settingsNow()[name];
  }
  if (document.activeElement !== byWish("seed")) byWish("seed").value = wished.seed;
}
function writeRun() {
  writeWishes();
  const ready = !noNeed() && shipped(settingsNow());
  ownDrawer.querySelector("fieldset").disabled = Boolean(job) || noNeed();
  const [run, stop, bar, status] = ownDrawer.querySelector(".run").children;
  run.hidden = Boolean(job);
  run.disabled = noNeed();
  stop.hidden = bar.hidden = !job;
  status.setAttribute("aria-live", job ? "off" : "polite"); // seconds are not read out
  if (job) {
    const share = shareDone(job.state);
    if (share === null) bar.removeAttribute("value");
    else bar.value = share;
    status.textContent = howFar(job.state) + " · " + vaeDemo.text("map.own.elapsed", { seconds: Math.floor((performance.now() - job.began) / 1000) });
  } else {
    const [key, values] = noNeed() ? ["map.own.plane"] : lastWord ?? [ready ? "map.own.ready" : "map.own.hint"];
    status.textContent = vaeDemo.text(key, values);
  }
}
// One side after the other makes the whole, unless both are the same; null while nobody can tell.
function shareDone({ stage, side, done, total }) {
  const share = stage === "layout" && total ? done / total : 0;
  return (side === "both" ? share : share / 2 + (side === "right" ? 0.5 : 0)) || null;
}
function howFar({ state, ahead, stage = "starting", side, done, total }) {
  if (state === "waiting") return vaeDemo.text("map.own.waiting", { ahead });
  const what = vaeDemo.text("map.own.stage." + stage, { done, total });
  return side === "both" || stage === "starting" ? what : vaeDemo.text("side." + side) + ": " + what;
}

// What a visitor does in it: what lies ready is shown at once, so that a dial moves the dots.
function wish(changes) {
  takeOver();
  Object.assign(wished, changes);
  lastWord = null;
  writeRun();
  showShipped();
}
// A number typed, if it is one that may be.
function typed(input) {
  const value = input.valueAsNumber;
  return value >= Number(input.min) && value <= Number(input.max) && (input.step !== "1" || Number.isInteger(value)) ? value : null;
}
const wishTyped = (name, input) => {
  input.addEventListener("input", () => { const value = typed(input); if (value !== null) wish({ [name]: value }); });
  input.addEventListener("blur", () => { input.value = wished[name]; });
};
for (const [name, { stops, marks, step: grain }] of Object.entries(DIALS)) {
  const box = ownDrawer.querySelector(`[data-dial=${name}]`), last = stops.length - 1;
  box.innerHTML = `<b>${name}</b>
    <span class="track"><input type="range" min="0" max="${last}" step="1" data-testid="own-${name}" aria-label="${name}">
      <span class="stops">${marks.map((value) => `<button data-testid="own-${name}-${value}" style="--at: ${stops.indexOf(value) / last}">${value}</button>`).join("")}</span></span>
    <input type="number" min="${stops[0]}" max="${stops[last]}" step="${grain}" data-testid="own-${name}-exact" aria-label="${name}">`;
  const [slider, exact] = box.querySelectorAll("input");
  slider.addEventListener("input", () => wish({ [name]: stops[slider.valueAsNumber] }));
  wishTyped(name, exact);
  for (const mark of box.querySelectorAll("button")) mark.addEventListener("click", () => wish({ [name]: Number(mark.textContent) }));
}
for (const [name, values] of Object.entries(CHOICES)) {
  const select = byWish(name);
  select.append(...values.map((value) => new Option("", value)));
  select.addEventListener("change", () => wish({ [name]: typeof values[0] === "number" ? Number(select.value) : select.value }));
}
wishTyped("seed", byWish("seed"));
$("[data-testid=own-run]").addEventListener("click", layOut);
$("[data-testid=own-cancel]").addEventListener("click", () => { takeOver(); cancel("map.own.cancelled"); });
writeRun();

vaeDemo.on("models", () => {
  if (job && (noNeed() || !fitsModels({ ...job, models: job.settings.of === "pixels" ? null : job.models }))) cancel("map.own.cancelled.models");
  else lastWord = null;
  writeRun();
});

// Pictures of one's own -----------------------------------------------------------------------------
// The server makes 28×28 pictures of them and forgets them; here these are kept, and their places.
const MOST = 200, MOST_BYTES = 8 * 2 ** 20, MOST_REFUSED = 50;
const PARCEL = 4.5 * 2 ** 20; // bytes of files sent at once; 6 MB in base64
const SMALL = 20, NEAR = 28, LARGE = 42; // px

const drawerOf = $(".drawer.pictures");
let brought = []; // {name, x: base64, small: canvas, left, right, reading, by: of which models and rule}
let turnedAway = []; // {name, error}
let sending = null; // {done, total} files
let shownPicture = null;

const placing = () => JSON.stringify([vaeDemo.models, rule()]);
const toBase64 = (file) => new Promise((done, failed) => {
  const reader = new FileReader();
  reader.onload = () => done(reader.result.split(",")[1]);
  reader.onerror = failed;
  reader.readAsDataURL(file);
});
const isZip = ({ name, type }) => /\.zip$/i.test(name) || type.includes("zip");
const isPicture = ({ name, type }) => type.startsWith("image/") || (!type && /\.(png|jpe?g|webp|bmp|gif)$/i.test(name));

function turnAway(name, error) {
  if (turnedAway.length < MOST_REFUSED) turnedAway.push({ name, error });
}
// Files as the browser hands them over: pictures, and zips of pictures.
async function bring(files) {
  takeOver();
  openDrawer("pictures");
  if (sending) return;
  turnedAway = [];
  vaeDemo.complain(element, null);
  const hidden = ({ name, webkitRelativePath: path }) => (path || name).split("/").some((part) => part.startsWith("."));
  const wanted = files.filter((file) => !hidden(file)), taken = [];
  for (const file of wanted) {
    const room = MOST - brought.length - taken.length;
    if (!isZip(file) && !isPicture(file)) turnAway(file.name, "map.pictures.no-picture");
    else if (file.size > MOST_BYTES) turnAway(file.name, "map.pictures.too-large");
    else if (room <= 0) turnAway(file.name, "map.pictures.too-many");
    else taken.push(file);
  }
  sending = { done: 0, total: taken.length };
  writePictures();
  for (const parcel of parcels(taken)) if (!await deliver(parcel)) break;
  sending = null;
  writePictures();
  replace();
}
// Zips by themselves, pictures as many as fit.
function parcels(files) {
  const all = [];
  let room = 0;
  for (const file of files) {
    if (isZip(file) || !all.length || isZip(all.at(-1)[0]) || file.size > room) { all.push([]); room = PARCEL; }
    all.at(-1).push(file);
    room -= file.size;
  }
  return all;
}
// False when the server cannot be asked.
async function deliver(parcel) {
  const mark = placing(), asked = { models: [...vaeDemo.models], ...rule() };
  let answer;
  try {
    if (isZip(parcel[0])) asked.zip = await toBase64(parcel[0]);
    else asked.files = await Promise.all(parcel.map(async (file) => ({ name: file.name, file: await toBase64(file) })));
    answer = await server.own(asked);
  } catch {
    answer = { error: "map.pictures.offline" };
  }
  if (answer.error && !asked.zip) return void vaeDemo.complain(element, answer.error);
  if (answer.error) turnAway(parcel[0].name, answer.error);
  for (const { name, error } of answer.refused ?? []) turnAway(name, error);
  for (const picture of answer.pictures ?? []) {
    if (brought.length < MOST) brought.push({ ...picture, small: smallOf(picture.x), by: mark });
    else turnAway(picture.name, "map.pictures.too-many");
  }
  sending.done += parcel.length;
  writePictures();
  return true;
}
const titleOf = ({ name }) => name.replace(/\.\w{1,5}$/, "");
function smallOf(x) {
  const canvas = Object.assign(document.createElement("canvas"), { width: 28, height: 28 });
  vaeDemo.paint(canvas, vaeDemo.bytes(x));
  return canvas;
}

// Other models, or neighbours by another rule: the same pictures are placed anew.
let waiting = []; // those that are on their way
const replace = vaeDemo.live(() => {
  const mark = placing();
  waiting = sending ? [] : brought.filter((picture) => picture.by !== mark);
  return waiting.length ? { models: [...vaeDemo.models], ...rule(), pictures: waiting.map(({ name, x }) => ({ name, x })) } : null;
}, (asked) => server.own(asked), (answer, { models, pictures, ...ruled }) => {
  vaeDemo.complain(element, answer.error === "error.offline" ? "map.pictures.offline" : answer.error);
  if (["error.busy", "error.offline"].includes(answer.error)) setTimeout(replace, 3000);
  if (answer.error) return;
  const mark = JSON.stringify([models, ruled]);
  waiting.forEach((picture, i) => Object.assign(picture, { ...answer.pictures[i], by: mark }));
  if (shownPicture) showPicture(shownPicture);
  maps.forEach(render);
});

// On the maps: small pictures, framed as the star is.
function boxes(map) {
  const size = atHome(map) ? SMALL : NEAR, mark = placing();
  return brought.filter((picture) => picture.by === mark).map((picture) => {
    const [x, y] = toPixel(map, placeOf(map, picture[map.side])), side = picture === shownPicture ? LARGE : size;
    return { picture, left: x - side / 2, top: y - side / 2, side };
  });
}
layers.over.push((map, context) => {
  if (!brought.length) return;
  const star = getComputedStyle(section).getPropertyValue("--star");
  context.lineJoin = "round";
  const shown = boxes(map), last = shown.findIndex(({ picture }) => picture === shownPicture);
  if (last >= 0) shown.push(...shown.splice(last, 1));
  for (const { picture, left, top, side } of shown) {
    const frame = picture === shownPicture ? 3 : 2;
    context.imageSmoothingEnabled = side < 28;
    context.drawImage(picture.small, left, top, side, side);
    context.strokeStyle = style("--panel");
    context.lineWidth = frame + 2;
    context.strokeRect(left, top, side, side);
    context.strokeStyle = star;
    context.lineWidth = frame;
    context.strokeRect(left, top, side, side);
  }
});
function showPicture(picture) {
  shownPicture = picture;
  if (picture?.by === placing()) {
    pointed = { title: titleOf(picture), exact: true, original: picture.x, specs: Object.fromEntries(SIDES.map((side) => [side, { code: picture[side].code }])) };
    maps.forEach(placeMarks);
    askPointed();
  }
  for (const tile of drawerOf.querySelectorAll(".own-picture")) tile.classList.toggle("shown", brought[tile.dataset.index] === picture);
  maps.forEach(render);
}
covers.push((map, [x, y]) => {
  const inside = ({ left, top, side }) => x >= left && y >= top && x <= left + side && y <= top + side;
  const found = brought.length ? boxes(map).findLast(inside)?.picture ?? null : null;
  if (found !== shownPicture) showPicture(found);
  return found !== null;
});
for (const { ground } of maps) ground.addEventListener("pointerleave", () => { if (shownPicture) showPicture(null); });

// In the drawer.
function writePictures() {
  const words = drawerOf.querySelector(".words"), gallery = drawerOf.querySelector(".gallery"), list = drawerOf.querySelector(".refused");
  if (sending) words.textContent = vaeDemo.text("map.pictures.sending", sending);
  else words.textContent = vaeDemo.text(brought.length ? "map.pictures.kept" : "map.pictures.none", { count: brought.length });
  section.classList.toggle("brought", brought.length > 0);
  gallery.replaceChildren(...brought.map(tileOf));
  if (brought.length) gallery.append(removeAll());
  list.replaceChildren(...turnedAway.map(({ name, error }) => {
    const line = document.createElement("li");
    line.append(Object.assign(document.createElement("b"), { textContent: name }), " " + vaeDemo.text(error));
    return line;
  }));
  for (const input of drawerOf.querySelectorAll("input")) input.disabled = Boolean(sending);
  maps.forEach(render);
}
function tileOf(picture, index) {
  const tile = document.createElement("div"), { name, reading } = picture;
  tile.className = "own-picture";
  tile.dataset.index = index;
  tile.classList.toggle("shown", picture === shownPicture);
  tile.innerHTML = '<button class="see" data-testid="own-picture"><i></i><small></small></button><button class="away" data-testid="remove-picture">✕</button>';
  const [see, away] = tile.children;
  see.prepend(picture.small);
  see.querySelector("i").textContent = reading.class;
  see.querySelector("small").textContent = titleOf(picture);
  see.title = vaeDemo.text("map.pictures.reads", { name, label: reading.class, percent: Math.round(100 * reading.confidence) });
  away.title = vaeDemo.text("map.pictures.remove", { name });
  away.setAttribute("aria-label", away.title);
  see.addEventListener("pointerenter", () => showPicture(picture));
  see.addEventListener("focus", () => showPicture(picture));
  see.addEventListener("click", () => { takeOver(); showPicture(picture); });
  for (const left of ["pointerleave", "blur"]) see.addEventListener(left, () => { if (shownPicture === picture) showPicture(null); });
  see.addEventListener("keydown", ({ key }) => { if (["Delete", "Backspace"].includes(key)) away.click(); });
  away.addEventListener("click", () => {
    takeOver();
    brought = brought.filter((one) => one !== picture);
    showPicture(null);
    writePictures();
    (drawerOf.querySelectorAll(".see")[Math.min(index, brought.length - 1)] ?? $("[data-testid=pictures-files]")).focus();
  });
  return tile;
}
function removeAll() {
  const button = document.createElement("button");
  button.dataset.testid = "remove-all";
  button.textContent = vaeDemo.text("map.pictures.remove-all");
  button.addEventListener("click", () => { takeOver(); brought = []; turnedAway = []; showPicture(null); writePictures(); $("[data-testid=pictures-files]").focus(); });
  return button;
}

for (const input of drawerOf.querySelectorAll("input"))
  input.addEventListener("change", () => { const files = [...input.files]; input.value = ""; if (files.length) bring(files); });

// Dropped anywhere on the tab, folders too.
async function filesIn(entry) {
  if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
  const reader = entry.createReader(), files = [];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length || files.length > MOST) return files;
    for (const one of some) files.push(...await filesIn(one));
  }
}
const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
section.addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  section.classList.add("dropping");
});
section.addEventListener("dragleave", (event) => { if (!section.contains(event.relatedTarget)) section.classList.remove("dropping"); });
section.addEventListener("drop", async (event) => {
  section.classList.remove("dropping");
  if (!carriesFiles(event)) return;
  event.preventDefault();
  const { items, files } = event.dataTransfer, entries = [...items].map((item) => item.webkitGetAsEntry?.() ?? null);
  const dropped = [...files];
  if (!entries.some((entry) => entry?.isDirectory)) return bring(dropped);
  try { bring((await Promise.all(entries.filter(Boolean).map(filesIn))).flat()); } catch { vaeDemo.complain(element, "error.picture"); }
});

// Words, and what follows a lens ----------------------------------------------------------------------
let ruledBy = "{}";
watchers.push((what) => {
  if (what === "words") { writeRun(); writePictures(); }
  if (what !== "lens") return;
  writeRun();
  replace();
  // My digit among the neighbours that made this projection.
  if (ruledBy !== JSON.stringify(rule())) { ruledBy = JSON.stringify(rule()); askMine(); }
});
writePictures();
