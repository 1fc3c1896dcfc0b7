// What leaves the page: a table of the dots, or both maps as they look, as a picture or as a drawing.
// Shares the scope of map.js.

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
  const groups = new Map(), size = dotSize(map) / 2;
  sweep(map, (i, x, y, ahead) => {
    if (!within(map, [x, y])) return;
    const [r, g, b, alpha] = map.tones.subarray(4 * i, 4 * i + 4);
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
  });
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
