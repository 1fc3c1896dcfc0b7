// Layers: what lies under and over the dots ---------------------------------------------------------
const REST = 80; // ms a view stands still before pictures are asked for
// The side of a picture in CSS pixels, so that each of its pixels covers whole ones of the screen.
const tileSide = () => (28 * Math.max(1, Math.round(devicePixelRatio))) / devicePixelRatio;
const css = (colour) => `rgb(${colour.join(" ")})`;
const sized = (width, height) => Object.assign(document.createElement("canvas"), { width, height });

// What is in view, or a part as large: [left, bottom, right, top] in map units.
function boxOf({ view: { centre, unit }, size }, rim = 1) {
  const [w, h] = size.map((length) => (length * unit * rim) / 2);
  return [centre[0] - w, centre[1] - h, centre[0] + w, centre[1] + h];
}
// Whether all places of a map are codes: only there can the plane itself be decoded.
const decodes = (map) => ["plane", "pca"].includes(lensName(model(map)));

// Density: lines that hold so much of the dots that are on --------------------------------------------
const SHARES = [0.3, 0.6, 0.9];
const ACROSS = 200, BLUR = 3, PAD = 10; // cells along the longer side, deviation of the blur, empty cells around

addLayer("contours", { on: true, fits: (map) => !spatial(map) });

layers.over.push((map, context) => {
  if (!layerOn("contours") || spatial(map)) return;
  map.contours ??= contoursOf(map);
  const { view: { centre, unit }, size } = map, { INK, GROUND } = vaeDemo;
  const [line, ground] = showsPlane(map, "sheet") ? [INK, GROUND].map(css) : [style("--text"), style("--panel")];
  context.save();
  context.translate(size[0] / 2, size[1] / 2);
  context.scale(1 / unit, -1 / unit);
  context.translate(-centre[0], -centre[1]);
  const draw = (path, colour, width, alpha) => {
    Object.assign(context, { strokeStyle: colour, lineWidth: width * unit, globalAlpha: alpha });
    context.stroke(path);
  };
  for (const { label, paths } of map.contours)
    paths.forEach((path, i) => {
      if (label === null) return draw(path, line, 1, 0.55 - 0.15 * i);
      draw(path, ground, 3.5, 0.6); // else it is lost among dots of its own colour
      draw(path, style("--class-" + label), 1.5, 1);
    });
  context.restore();
});

// One family of lines for all dots, or one for each class that is chosen.
function contoursOf(map) {
  const labelled = chosen.size ? [...chosen].sort() : [null];
  return labelled.map((label) => {
    const field = density(map, (i) => on(i) && (label === null || labels[i] === label));
    return { label, paths: field ? levels(field.values).map((level) => outline(field, level)) : [] };
  });
}

// Dots on a grid, blurred by a Gaussian: {values, columns, rows, left, bottom, cell}; null for no dots.
function density({ lens: { points, low, high } }, counts) {
  const cell = Math.max(high[0] - low[0], high[1] - low[1]) / ACROSS || 1;
  const [columns, rows] = [0, 1].map((k) => Math.ceil((high[k] - low[k]) / cell) + 2 * PAD + 1);
  const [left, bottom] = [low[0] - PAD * cell, low[1] - PAD * cell];
  let values = new Float32Array(columns * rows), any = false;
  for (let i = 0, k = 0; k < points.length; i++, k += 2) {
    if (!counts(i)) continue;
    values[Math.round((points[k + 1] - bottom) / cell) * columns + Math.round((points[k] - left) / cell)]++;
    any = true;
  }
  if (!any) return null;
  values = blurred(values, columns, rows, 1, columns);
  values = blurred(values, rows, columns, columns, 1);
  return { values, columns, rows, left, bottom, cell };
}
// Along one direction: `length` values that lie `step` apart, in `lines` rows that lie `next` apart.
function blurred(values, length, lines, step, next) {
  const reach = 3 * BLUR, result = new Float32Array(values.length);
  const bell = Array.from({ length: 2 * reach + 1 }, (_, k) => Math.exp(-0.5 * ((k - reach) / BLUR) ** 2));
  const total = bell.reduce((a, b) => a + b);
  for (let line = 0; line < lines; line++)
    for (let i = 0; i < length; i++) {
      const value = values[line * next + i * step];
      if (!value) continue; // most cells are empty
      for (let k = Math.max(0, i - reach); k <= Math.min(length - 1, i + reach); k++)
        result[line * next + k * step] += (value * bell[k - i + reach]) / total;
    }
  return result;
}
// The densities above which those shares of all dots lie.
function levels(values) {
  const sorted = values.filter((value) => value > 0).sort().reverse(), total = sorted.reduce((a, b) => a + b);
  let sum = 0, i = -1;
  return SHARES.map((share) => {
    while (sum < share * total && i < sorted.length - 1) sum += sorted[++i];
    return sorted[i];
  });
}

// Marching squares: the lines along which a field takes a value, as closed loops in map units. Each cell
// links two of its edges, or four; an edge is named by the lower or left one of its two corners.
function outline({ values, columns, rows, left, bottom, cell }, level) {
  const above = (i) => values[i] >= level, links = new Map(); // edge → the next, with the higher side on the left
  for (let row = 0; row < rows - 1; row++)
    for (let column = 0; column < columns - 1; column++) {
      const i = row * columns + column;
      const [a, b, c, d] = [above(i), above(i + 1), above(i + columns + 1), above(i + columns)];
      if (a === b && b === c && c === d) continue;
      const [south, east, north, west] = [2 * i, 2 * (i + 1) + 1, 2 * (i + columns), 2 * i + 1];
      // Around the cell, a line enters where the field falls below and leaves where it rises again.
      const corners = [a, b, c, d], edges = [south, east, north, west];
      for (let k = 0; k < 4; k++) {
        if (!corners[k] || corners[(k + 1) % 4]) continue;
        let rise = k;
        do rise = (rise + 1) % 4; while (corners[rise] || !corners[(rise + 1) % 4]);
        links.set(edges[k], edges[rise]);
      }
    }
  const point = (edge) => {
    const i = edge >> 1, along = edge & 1 ? columns : 1, share = (level - values[i]) / (values[i + along] - values[i]);
    const column = (i % columns) + (edge & 1 ? 0 : share), row = Math.floor(i / columns) + (edge & 1 ? share : 0);
    return [left + column * cell, bottom + row * cell];
  };
  const path = new Path2D();
  while (links.size) {
    const loop = [];
    for (let edge = links.keys().next().value; links.has(edge); ) {
      const next = links.get(edge);
      links.delete(edge);
      loop.push(point(edge));
      edge = next;
    }
    if (loop.length < 24) continue; // a few dots off on their own
    // Rounded from the middle of one side to the next, for those who come near.
    const middle = (k) => [0, 1].map((d) => (loop[k][d] + loop[(k + 1) % loop.length][d]) / 2);
    path.moveTo(...middle(loop.length - 1));
    loop.forEach((corner, k) => path.quadraticCurveTo(...corner, ...middle(k)));
  }
  return path;
}

// Pictures, near ------------------------------------------------------------------------------------
const ROOM = 34; // px a picture asks for on each side
const AT_ONCE = 128, KEPT = 3000; // pictures asked for at once, kept for each model

addLayer("pictures", { on: true, change: () => { maps.forEach(render); disturbed(); } });

// All pictures of a model lie on one canvas; the one not seen for longest gives way.
const albums = new Map(); // model, or "" for the originals → {canvas, slots: digit → place on it}
const scratch = sized(28, 28);
const source = (map) => (props.originals ? "" : model(map));
function album(name) {
  const COLUMNS = 60;
  if (!albums.has(name)) albums.set(name, { canvas: sized(28 * COLUMNS, 28 * Math.ceil(KEPT / COLUMNS)), slots: new Map() });
  const { canvas, slots } = albums.get(name);
  const corner = (slot) => [28 * (slot % COLUMNS), 28 * Math.floor(slot / COLUMNS)];
  return {
    has: (digit) => slots.has(digit),
    add(digit, grey, offset) {
      const oldest = slots.keys().next().value, slot = slots.size < KEPT ? slots.size : slots.get(oldest);
      if (slots.size === KEPT) slots.delete(oldest);
      slots.set(digit, slot);
      vaeDemo.paint(scratch, grey, offset);
      canvas.getContext("2d").drawImage(scratch, ...corner(slot));
    },
    draw(digit, context, x, y, side) {
      const slot = slots.get(digit);
      slots.delete(digit);
      slots.set(digit, slot);
      context.drawImage(canvas, ...corner(slot), 28, 28, x, y, side, side);
    },
  };
}

// The digits that are on and in view, as [digit, x, y, height above the screen]; null for more than `most`.
function dotsInView(map, most) {
  const found = [], limit = Math.ceil(most);
  sweep(map, (i, x, y, ahead) => {
    if (within(map, [x, y], -ROOM / 2) && on(i)) found.push([i, x, y, ahead]);
    return found.length <= limit;
  });
  return found.length <= limit ? found : null;
}
// What is near enough to be seen as pictures, and how large: twice as large where there is room for that.
// What is seen stays a little longer than it took to come.
function nearby(map) {
  const area = map.size[0] * map.size[1], most = (scale) => ((map.near >= scale ? 1.25 : 1) * area) / (scale * ROOM) ** 2;
  const found = layerOn("pictures") ? dotsInView(map, most(1)) : null;
  map.near = !found ? 0 : found.length < most(2) ? 2 : 1;
  return found ?? [];
}
layers.over.push((map, context) => {
  const { has, draw } = album(source(map)), seen = nearby(map).filter(([digit]) => has(digit));
  const side = tileSide() * map.near, ratio = devicePixelRatio;
  // Rings go around pictures, not across them.
  map.ground.classList.toggle("pictured", seen.length > 0);
  map.ground.style.setProperty("--picture", side + "px");
  if (spatial(map)) seen.sort((a, b) => a[3] - b[3]);
  context.imageSmoothingEnabled = false;
  const tones = CLASSES.map((digit) => style("--class-" + digit));
  for (const [digit, px, py] of seen) {
    const [x, y] = [px, py].map((middle) => Math.round((middle - side / 2) * ratio) / ratio);
    context.fillStyle = tones[labels[digit]];
    context.fillRect(x - 1.5, y - 1.5, side + 3, side + 3);
    draw(digit, context, x, y, side);
  }
});
const askNearby = vaeDemo.live(() => {
  for (const map of maps) {
    if (!map.view || map.journey) continue;
    const kept = album(source(map));
    const missing = nearby(map).map(([digit]) => digit).filter((digit) => !kept.has(digit) && (digit < TEST || props.originals));
    const digits = missing.filter((digit) => {
      const here = props.originals ? null : rebuilt(model(map), digit);
      if (here) kept.add(digit, here.picture, 0);
      return !here;
    });
    if (digits.length < missing.length) render(map);
    if (digits.length) return { kept, map, payload: { models: [...vaeDemo.models], side: map.side, digits: digits.slice(0, AT_ONCE) } };
  }
  return null;
}, ({ payload }) => server.pictures(payload), (answer, asked) => {
  if (answer.error) return vaeDemo.complain(element, answer.error);
  const grey = vaeDemo.bytes(answer.pictures);
  asked.payload.digits.forEach((digit, k) => asked.kept.add(digit, grey, 784 * k));
  maps.forEach(render);
  askNearby();
});
vaeDemo.on("models", () => {
  for (const name of albums.keys()) if (name && !vaeDemo.models.includes(name)) albums.delete(name);
});

// The plane itself: what its places decode to, and how sure a judge is of that --------------------------
const TILES = 400, CELLS = [350, 1400, 5600]; // tiles asked for at once; cells of the judge, coarse to fine
const AGAIN = 2000; // ms until a busy server is asked again
const LEVELS = { light: ["#3a2a6b", "#4f9d9a", "#e9eeeb"], dark: ["#fff3a0", "#3fa39b", "#343c43"] }; // unsure … sure

// Parts in the order in which they are asked for. Tiles lie on a lattice that is fixed to the map, so that
// a map that was moved finds them where they were.
const PLANES = {
  holes: {
    ask: (request) => server.confidence(request),
    parts(map) {
      const [w, h] = map.size;
      return CELLS.map((count) => {
        const rows = Math.max(1, Math.round(Math.sqrt((count * h) / w)));
        return { box: boxOf(map, 1.1), columns: Math.floor(count / rows), rows };
      });
    },
    paint: (part, { confidence }) => paintField(Object.assign(part, { sure: vaeDemo.bytes(confidence) })),
  },
  sheet: {
    ask: (request) => server.sheet(request),
    parts(map) {
      const cell = tileSide() * map.view.unit, [left, bottom, right, top] = boxOf(map).map((edge, k) => (k < 2 ? Math.floor : Math.ceil)(edge / cell));
      const columns = right - left, most = Math.floor(TILES / columns), parts = [];
      for (let row = top; row > bottom; row -= most) {
        const last = Math.max(bottom, row - most);
        parts.push({ box: [left, last, right, row].map((edge) => edge * cell), columns, rows: row - last });
      }
      return parts;
    },
    paint(part, { pictures }) {
      const grey = vaeDemo.bytes(pictures), context = (part.canvas = sized(28 * part.columns, 28 * part.rows)).getContext("2d");
      for (let k = 0; k < part.columns * part.rows; k++) {
        vaeDemo.paint(scratch, grey, 784 * k);
        context.drawImage(scratch, 28 * (k % part.columns), 28 * Math.floor(k / part.columns));
      }
    },
  },
};
function paintField(part) {
  const stops = LEVELS[vaeDemo.isDark() ? "dark" : "light"].map(rgb);
  part.canvas = sized(part.columns, part.rows);
  const context = part.canvas.getContext("2d"), image = context.createImageData(part.columns, part.rows);
  part.sure.forEach((value, i) => image.data.set([...along(stops, value / 255), 255], 4 * i));
  context.putImageData(image, 0, 0);
}

for (const name of ["sheet", "holes"]) addLayer(name, { fits: decodes, dims: true, change: () => { restyle(); disturbed(); } });
for (const map of maps) {
  map.planes = {}; // by layer: {key, of, wanted: parts to ask for, fresh: parts that came, old: what they replace}
  const line = document.createElement("p");
  line.className = "legend field";
  line.hidden = true;
  line.dataset.testid = "holes-legend-" + map.side;
  line.innerHTML = '<b data-text="map.layer.holes.legend" data-hint="map.reads.hint"></b><span>0</span><i></i><span>1</span>';
  map.ground.querySelector(".legend").after(line);
}
const showsPlane = (map, name) => layerOn(name) && decodes(map) && map.lens.name === lensName(model(map));

layers.under.push((map, context) => {
  for (const name of ["sheet", "holes"]) {
    const plane = map.planes[name];
    if (!showsPlane(map, name) || plane?.of !== planeOf(map)) continue;
    context.imageSmoothingEnabled = name === "holes";
    context.globalAlpha = name === "holes" && layerOn("sheet") ? 0.6 : 1;
    for (const { box: [left, bottom, right, top], canvas } of [...plane.fresh, ...plane.old]) {
      const [[x, y], [far, low]] = [toPixel(map, [left, top]), toPixel(map, [right, bottom])];
      context.drawImage(canvas, x, y, far - x, low - y);
    }
  }
  context.globalAlpha = 1;
});
const planeOf = (map) => model(map) + "/" + map.lens.name;

const askPlanes = vaeDemo.live(() => {
  const due = [];
  for (const map of maps)
    for (const name of Object.keys(PLANES)) {
      if (!map.view || map.journey || !showsPlane(map, name)) continue;
      const wanted = PLANES[name].parts(map), of = planeOf(map), key = of + JSON.stringify(wanted), former = map.planes[name];
      if (former?.key !== key) {
        const old = former?.of !== of ? [] : former.wanted.length ? [...former.fresh, ...former.old].slice(-6) : former.fresh;
        map.planes[name] = { key, of, wanted, fresh: [], old };
      }
      if (map.planes[name].wanted.length) due.push({ map, name, plane: map.planes[name] });
    }
  due.sort((a, b) => a.plane.fresh.length - b.plane.fresh.length);
  return due[0] ?? null;
}, ({ map, name, plane: { wanted: [part] } }) => PLANES[name].ask({ models: [...vaeDemo.models], side: map.side, lens: map.lens.name, ...part }), (answer, { map, name, plane }) => {
  vaeDemo.complain(element, answer.error);
  if (answer.error === "error.busy") setTimeout(disturbed, AGAIN);
  if (answer.error) return;
  const part = plane.wanted.shift();
  PLANES[name].paint(part, answer);
  plane.fresh.push(part);
  if (!plane.wanted.length) plane.old = [];
  render(map);
  askPlanes();
});

// My digit's posterior ----------------------------------------------------------------------------------
const SEEN = 40; // px: an ellipse of that size needs no magnifier
const STEPS = [1, 2, 5];
const ROUND = [...Array(12).keys()].flatMap((power) => STEPS.map((step) => step * 10 ** (power - 6)));
const roundBelow = (value) => ROUND.findLast((one) => one <= value) ?? ROUND[0];

for (const map of maps) {
  map.spread = document.createElement("figure");
  map.spread.className = "spread";
  map.spread.dataset.testid = "spread-" + map.side;
  map.spread.hidden = true;
  map.spread.innerHTML = "<canvas></canvas><figcaption></figcaption>";
  map.ground.querySelector(".kind").before(map.spread);
}
// {deviation} of a VAE's posterior at my digit, {} for a model without; null where there is none to show.
function spreadOf(map) {
  const point = sent ?? vaeDemo.drawing ?? {};
  if (!map.mine || !map.lens.plane || placed.blank || !(point.strokes || point.picture || point.digit !== undefined)) return null;
  const { deviation } = placed[map.side];
  return { deviation: deviation && [deviation[0], deviation[1] ?? 0] };
}
layers.over.push((map, context) => {
  const spread = spreadOf(map), radii = spread?.deviation?.map((value) => value / map.view.unit);
  map.star.classList.toggle("small", spread !== null);
  if (radii) ellipses(context, toPixel(map, map.mine), radii);
  writeSpread(map, spread, radii);
});
const star = () => getComputedStyle(section).getPropertyValue("--star");
function ellipses(context, [x, y], [a, b]) {
  for (const [sigmas, width] of [[2, 1.2], [1, 2]])
    for (const [colour, halo] of [[style("--panel"), 2], [star(), 0]]) {
      Object.assign(context, { strokeStyle: colour, lineWidth: width + halo, globalAlpha: 1 });
      context.beginPath();
      context.ellipse(x, y, sigmas * a, sigmas * b, 0, 0, 2 * Math.PI);
      context.stroke();
    }
}
function writeSpread(map, spread, radii) {
  const { spread: figure, view: { unit } } = map, [canvas, words] = figure.children;
  const size = radii && 4 * Math.max(...radii), glass = map.size[0] < 260 ? 60 : 88, [x] = map.mine ? toPixel(map, map.mine) : [0];
  figure.hidden = !spread || size >= SEEN;
  if (figure.hidden) return;
  figure.classList.toggle("right", x < map.size[0] / 2);
  canvas.hidden = !radii;
  figure.title = vaeDemo.text(radii ? "map.layer.spread.hint" : "map.layer.point.hint");
  if (!radii) return void (words.textContent = vaeDemo.text("map.layer.point"));
  const factor = roundBelow((0.8 * glass) / size), bar = roundBelow((0.5 * glass * unit) / factor), ratio = devicePixelRatio;
  words.textContent = vaeDemo.text("map.layer.spread", { factor: factor.toLocaleString(vaeDemo.language) });
  Object.assign(canvas, { width: glass * ratio, height: glass * ratio });
  figure.style.setProperty("--glass", glass + "px"); // true to scale: what the words say is measured in it
  const context = canvas.getContext("2d"), length = (bar * factor) / unit;
  context.scale(ratio, ratio);
  ellipses(context, [glass / 2, glass / 2 - 6], radii.map((radius) => radius * factor));
  context.fillStyle = star();
  context.fillRect(6, glass - 8, length, 2);
  context.font = "11px " + getComputedStyle(figure).fontFamily;
  context.fillText(bar.toLocaleString(vaeDemo.language, { maximumSignificantDigits: 1 }), 6, glass - 11);
}

// All 70,000 ----------------------------------------------------------------------------------------------
addLayer("everything", { fits: canHaveAll, change: (yes) => { everything = yes; arrange(); } });
everything = layerOn("everything");

// When something changes, and when the view has come to rest ----------------------------------------------
let resting = 0;
function disturbed() {
  clearTimeout(resting);
  resting = setTimeout(() => {
    if (maps.some((map) => map.journey)) return disturbed();
    askNearby();
    askPlanes();
  }, REST);
}
watchers.push((what) => {
  const anew = what === "lens", recoloured = anew || what === "tones";
  for (const map of maps) {
    if (anew) {
      map.near = 0;
      map.spread.hidden = true;
      map.ground.classList.remove("pictured");
    }
    if (recoloured && map.lens) {
      const { fresh = [], old = [] } = map.planes.holes ?? {};
      [...fresh, ...old].forEach(paintField);
      map.contours = null;
      map.ground.querySelector(".field").hidden = !showsPlane(map, "holes");
    }
    if (what === "words" || (what === "mine" && map.lens.plane)) render(map); // a posterior moves
  }
  if (recoloured || what === "view") disturbed();
});
