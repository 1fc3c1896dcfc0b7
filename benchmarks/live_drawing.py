"""python -m benchmarks.live_drawing: one step of live drawing, on the server and in the browser.

Server: everything between request and answer (render, encode, decode, numbers, packing) over the
bare forward passes of both models, alternated in one run. Browser: from the dispatch of a pointer
move to the first animation frame in which both rebuilt pictures have changed, in Chromium.
"""

import argparse
import json
import shutil
import statistics
import time
from pathlib import Path

import torch

from vae_demo.ui.app import build_app, launch_options
from vae_demo.ui.draw import EXAMPLES, draw_tab
from vae_demo.zoo import load_zoo

# Waits for the first animation frame whose output differs, then notes the time since the dispatch.
MOVE = """
([x, y]) => new Promise((resolve) => {
  const canvas = document.querySelector('[data-testid=draw-canvas]');
  const outputs = ['left', 'right'].map(
    (side) => document.querySelector(`[data-testid=rebuilt-${side}]`));
  const look = () => outputs.map((c) => c.getContext('2d').getImageData(0, 0, 28, 28).data.join());
  const box = canvas.getBoundingClientRect();
  const before = look();
  const started = performance.now();
  canvas.dispatchEvent(new PointerEvent('pointermove', { pointerId: 1, bubbles: true,
    clientX: box.left + x * box.width, clientY: box.top + y * box.height }));
  const frame = () => {
    if (look().every((now, i) => now !== before[i])) resolve(performance.now() - started);
    else if (performance.now() - started > 2000) resolve(null);
    else requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
})
"""
DOWN = """
([x, y]) => {
  const canvas = document.querySelector('[data-testid=draw-canvas]');
  canvas.setPointerCapture = () => {};  // there is no such pointer
  const box = canvas.getBoundingClientRect();
  canvas.dispatchEvent(new PointerEvent('pointerdown', { pointerId: 1, bubbles: true, button: 0,
    clientX: box.left + x * box.width, clientY: box.top + y * box.height }));
}
"""
UP = """
() => document.querySelector('[data-testid=draw-canvas]').dispatchEvent(
  new PointerEvent('pointerup', { pointerId: 1, bubbles: true }))
"""


def milliseconds(values: list[float]) -> str:
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    return f"p50 {statistics.median(values):.1f} ms, p95 {p95:.1f} ms of {len(values)}"


def server_step(rounds: int) -> None:
    zoo = load_zoo()
    step = draw_tab(zoo).reconstruct
    requests = [
        {"strokes": [[616 * value for value in stroke] for stroke in example]}
        for example in json.loads(Path(EXAMPLES).read_text())
    ]
    x = torch.rand(1, 1, 28, 28)
    whole, bare = [], []
    for i in range(rounds + 20):
        started = time.perf_counter()
        step(requests[i % 10])
        middle = time.perf_counter()
        with torch.inference_mode():
            for model in zoo.pair():
                model.coder.decode(model.coder.encode(x))
        ended = time.perf_counter()
        if i >= 20:  # warm
            whole.append(1e3 * (middle - started))
            bare.append(1e3 * (ended - middle))
    ratio = statistics.median(whole) / statistics.median(bare)
    print(f"server, one step:          {milliseconds(whole)}")
    print(f"server, bare forward pass: {milliseconds(bare)}; ratio {ratio:.2f}")


def browser_step(rounds: int) -> None:
    from playwright.sync_api import sync_playwright

    zoo = load_zoo()
    app = build_app(zoo)
    _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, **launch_options(zoo))
    examples = json.loads(Path(EXAMPLES).read_text())
    times: list[float] = []
    missed = 0
    with sync_playwright() as playwright:
        executable = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
        page.goto(url)
        page.wait_for_function("() => window.vaeDemo?.drawing")
        while len(times) + missed < rounds:
            for example in examples:
                page.get_by_test_id("clear").click()
                page.wait_for_function("() => window.vaeDemo.drawing === null")
                points = list(zip(example[0][::2], example[0][1::2], strict=True))
                page.evaluate(DOWN, points[0])
                page.wait_for_function("() => window.vaeDemo.drawing")
                for point in points[1:]:
                    took = page.evaluate(MOVE, point)
                    if took is None:
                        missed += 1
                    else:
                        times.append(took)
                page.evaluate(UP)
        browser.close()
    app.close()
    print(f"browser, move to pictures: {milliseconds(times)}; {missed} moves changed nothing")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--no-browser", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    server_step(arguments.rounds)
    if not arguments.no_browser:
        browser_step(arguments.rounds)


if __name__ == "__main__":
    main()
