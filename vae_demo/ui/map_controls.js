// Lenses, colours, classes, layers and drawers: what the visitor switches. Shares the scope of map.js.

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
  const line = map.ground.querySelector(".kind"), { name, points, dimensions, figures, explained, placement } = map.lens;
  const numbers = vaeDemo.latentSize(model(map)), count = (points.length / dimensions).toLocaleString(vaeDemo.language);
  const parts = [vaeDemo.text("map.kind." + name, { count, numbers, ...(projection?.words ?? {}) })];
  if (explained) parts.push(vaeDemo.text("map.kind.explained", { percent: Math.round(100 * explained.reduce((a, b) => a + b)) }));
  if (figures) parts.push(vaeDemo.text("map.kind.figures", { trust: figures.trustworthiness.toFixed(3), votes: figures.knn_accuracy.toFixed(3) }));
  line.textContent = parts.join(" · ");
  const percent = (share) => (100 * share).toFixed(1), { median, percentile_95: most, count: measured } = placement?.training ?? {};
  const hints = [figures && vaeDemo.text("map.kind.hint"), placement && vaeDemo.text("map.kind.placement", { median: percent(median), most: percent(most), count: measured.toLocaleString(vaeDemo.language) })];
  line.title = hints.filter(Boolean).join("\n\n");
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
  for (const map of maps) if (map.view) goHome(map);
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
