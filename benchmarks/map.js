// What benchmarks/map.py times in the page.
(() => {
  const frame = () => new Promise(requestAnimationFrame);
  const node = (testId) => document.querySelector("[data-testid=" + testId + "]");
  const drawn = () => {
    for (const canvas of document.querySelectorAll(".ground .dots")) {
      const gl = canvas.getContext("webgl2");
      gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
    }
  };
  // Frames, until something is so.
  async function until(so) {
    const end = performance.now() + 20_000;
    while (!so()) {
      await frame();
      if (performance.now() > end) throw new Error("not within 20 seconds: " + so);
    }
  }
  // ms from the opening of the tab to its dots.
  async function open() {
    document.querySelector("#tab-map").click(); // no pointer came near: nothing was fetched before
    const mark = (name) => performance.getEntriesByName(name)[0];
    await until(() => mark("map-painted"));
    drawn();
    return performance.now() - mark("map-opened").startTime;
  }
  // ms from the switch to all digits, training digits among them.
  async function everything() {
    const began = performance.now();
    node("layer-everything").click();
    await until(() => ["left", "right"].every((side) => node("map-kind-" + side).textContent.includes("60,000")));
    await frame();
    await frame();
    drawn();
    return performance.now() - began;
  }
  const kilobytes = () => performance.getEntriesByType("resource").filter((one) => one.name.includes("/points/"))
    .reduce((sum, one) => sum + one.transferSize / 1e3, 0);
  // Where dots of the left map lie at home, in shares of its ground, some pixels beside them or not.
  async function places(count) {
    const buffer = await (await fetch("points/ae/umap")).arrayBuffer(), length = new DataView(buffer).getUint32(0, true);
    const { arrays, low, high } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    const points = new Float32Array(buffer, arrays.points.offset, 2 * arrays.points.shape[0]);
    const ground = node("map-left"), size = [ground.clientWidth, ground.clientHeight];
    const rim = 26, unit = Math.max(...size.map((length, k) => (high[k] - low[k]) / (length - 2 * rim))); // as map.js has it
    return Array.from({ length: count }, (_, i) => {
      const dot = (i * 7919) % (points.length / 2), beside = i % 2 ? 28 * unit : 0;
      const [x, y] = [0, 1].map((k) => (points[2 * dot + k] + beside - (low[k] + high[k]) / 2) / unit / size[k]);
      return [0.5 + x, 0.5 - y];
    });
  }
  // What the pointer is at: the marks tell.
  const pointedAt = () => (!node("map-ring-left").hidden ? "digit" : !node("map-spot-left").hidden ? "place" : null);
  // ms from a move of the pointer until both pictures are painted on their canvases.
  let heard = () => {};
  const { putImageData } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.putImageData = function (...all) {
    putImageData.apply(this, all);
    if (this.canvas.dataset.testid?.startsWith("map-rebuilt-")) heard();
  };
  const hover = (place) => new Promise((resolve) => {
    let missing = 2;
    const began = performance.now();
    heard = () => { if (--missing === 0) resolve(performance.now() - began); };
    setTimeout(() => resolve(null), 2000);
    benchmark.send("move", place);
  });
  // ms between frames, each with one more move of a drag, or one more notch of the wheel.
  async function frames(kind, count) {
    const ground = node("map-left"), box = ground.getBoundingClientRect(), times = [];
    const at = (i) => [0.5 + 0.2 * Math.sin(i / 9), 0.5 + 0.2 * Math.sin(i / 7)];
    if (kind === "drag") benchmark.send("down", at(0));
    let last = await frame();
    for (let i = 1; i <= count; i++) {
      if (kind === "drag") benchmark.send("move", at(i));
      else ground.dispatchEvent(new WheelEvent("wheel", { bubbles: true, cancelable: true, deltaY: i % 80 < 40 ? -40 : 40,
        clientX: box.left + box.width / 2, clientY: box.top + box.height / 2 }));
      const now = await frame();
      times.push(now - last);
      last = now;
    }
    if (kind === "drag") benchmark.send("up", at(count));
    return times;
  }
  // [ms to the first frame with anything at another place, ms to the last]: the names of the classes
  // are put in place with the dots, frame by frame.
  async function change(testId) {
    const look = () => [...document.querySelectorAll(".ground .class-name")].map((name) => name.style.transform).join();
    const began = performance.now();
    let before = look(), first = null, last = 0;
    node(testId).click();
    while (!first || performance.now() - began - last < 400) {
      await frame();
      const now = look(), took = performance.now() - began;
      if (now !== before) [first, last] = [first ?? took, took];
      before = now;
    }
    return [first, last];
  }
  window.measure = { open, everything, kilobytes, places, pointedAt, hover, frames, change };
})();
