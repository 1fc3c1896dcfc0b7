"""python -m benchmarks.live_drawing: one step of live drawing, on the server and in the browser.

Server: everything between request and answer (render, encode, decode, numbers, packing) over the
bare forward passes of both models, alternated in one run. Browser, in Chromium: from the dispatch
of a pointer move on the canvas to the first animation frame in which every output canvas has
changed.

The browser's part measures any page that way, in turn with this one, digit by digit:

    python -m benchmarks.live_drawing --url http://127.0.0.1:8000/ \\
        --canvas "#draw canvas" --output "#result canvas" --clear "#clear"

    --canvas, --output   CSS selectors: what is drawn on; what must change (all that match)
    --clear              what to click between digits, if anything
    --ready              what must be there before the first digit (default: the outputs)
    --pointer touch      fingers instead of a mouse

Each move is one PointerEvent with, for pages that know no other, the MouseEvent or TouchEvent that
browsers send beside it. Moves that change nothing within two seconds are counted apart.
"""

import argparse
import itertools
import json
import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from vae_demo.ui.app import build_app, launch_options
from vae_demo.ui.draw import EXAMPLES, draw_tab
from vae_demo.zoo import load_zoo

# What a pointer does, at x, y in shares of the canvas.
POINTER = """
({ canvas, output, touch }) => {
  const target = document.querySelector(canvas);
  target.setPointerCapture = () => {};  // there is no such pointer
  const outputs = [...document.querySelectorAll(output)];
  const scratch = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const look = () => outputs.map((one) => {
    if (!one.getContext) return one.style.transform; // a mark that moves
    scratch.canvas.width = one.width;
    scratch.canvas.height = one.height;
    scratch.drawImage(one, 0, 0);
    return scratch.getImageData(0, 0, one.width, one.height).data.join();
  });
  const send = (kind, [x, y]) => {
    const box = target.getBoundingClientRect();
    const place = { bubbles: true, cancelable: true, composed: true, view: window,
      clientX: box.left + x * box.width, clientY: box.top + y * box.height };
    const held = kind === 'up' ? 0 : 1;
    target.dispatchEvent(new PointerEvent('pointer' + kind, { ...place, pointerId: 1, buttons: held,
      isPrimary: true, button: kind === 'move' ? -1 : 0, pointerType: touch ? 'touch' : 'mouse' }));
    if (!touch) target.dispatchEvent(new MouseEvent('mouse' + kind, { ...place, buttons: held }));
    else {
      const touches = held ? [new Touch({ identifier: 1, target, ...place })] : [];
      const name = { down: 'touchstart', move: 'touchmove', up: 'touchend' }[kind];
      target.dispatchEvent(new TouchEvent(name, { bubbles: true, cancelable: true, touches,
        targetTouches: touches, changedTouches: touches }));
    }
  };
  const move = (to) => new Promise((resolve) => {
    const before = look();
    const began = performance.now();
    send('move', to);
    const frame = () => {
      if (look().every((now, i) => now !== before[i])) resolve(performance.now() - began);
      else if (performance.now() - began > 2000) resolve(null);
      else requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  window.benchmark = { send, move };
}
"""


@dataclass
class Target:
    """A page to draw on, and how long its answers took."""

    name: str
    url: str
    canvas: str
    output: str
    clear: str | None
    ready: str
    times_ms: list[float] = field(default_factory=list)
    missed: int = 0


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


OURS = {
    "canvas": "[data-testid=draw-canvas]",
    "output": "[data-testid=rebuilt-left], [data-testid=rebuilt-right]",
    "clear": "[data-testid=clear]",
    "ready": "[data-testid=clear]:not([disabled])",  # the example has begun to draw itself
}


def browser_step(rounds: int, others: Sequence[Target], touch: bool) -> None:
    from playwright.sync_api import sync_playwright

    zoo = load_zoo()
    app = build_app(zoo)
    _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, **launch_options(zoo))
    targets = [Target("this page", url, **OURS), *others]
    examples = json.loads(Path(EXAMPLES).read_text())
    with sync_playwright() as playwright:
        executable = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        pages = []
        for target in targets:
            size = {"width": 1440, "height": 900}
            page = browser.new_page(viewport=size, reduced_motion="reduce", has_touch=touch)
            page.goto(target.url)
            page.wait_for_selector(target.ready)
            page.wait_for_timeout(1000)
            options = {"canvas": target.canvas, "output": target.output, "touch": touch}
            page.evaluate(POINTER, options)
            pages.append(page)
        for example in itertools.cycle(examples):
            if all(len(target.times_ms) + target.missed >= rounds for target in targets):
                break
            for target, page in zip(targets, pages, strict=True):
                page.bring_to_front()
                draw(page, target, example[0])
        browser.close()
    app.close()
    for target in targets:
        times = milliseconds(target.times_ms) if target.times_ms else "never"
        print(f"{target.name}, move to pictures: {times}; {target.missed} moves changed nothing")


def draw(page: Any, target: Target, stroke: Sequence[float]) -> None:
    """One stroke, each of its moves timed."""
    if target.clear and page.is_enabled(target.clear):
        page.click(target.clear)
        page.wait_for_timeout(300)
    points = list(zip(stroke[::2], stroke[1::2], strict=True))
    page.evaluate("at => window.benchmark.send('down', at)", points[0])
    page.wait_for_timeout(300)
    for point in points[1:]:
        took = page.evaluate("at => window.benchmark.move(at)", point)
        if took is None:
            target.missed += 1
        else:
            target.times_ms.append(took)
    page.evaluate("at => window.benchmark.send('up', at)", points[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--no-browser", action="store_true")
    parser.add_argument("--pointer", choices=("mouse", "touch"), default="mouse")
    parser.add_argument("--url", help="another page, measured in turn with this one")
    parser.add_argument("--canvas", metavar="SELECTOR", help="what is drawn on there")
    parser.add_argument("--output", metavar="SELECTOR", help="what must change there")
    parser.add_argument("--clear", metavar="SELECTOR", help="what to click between digits there")
    parser.add_argument("--ready", metavar="SELECTOR", help="what must be there before that")
    arguments = parser.parse_args()
    others = []
    if arguments.url:
        if not (arguments.canvas and arguments.output):
            parser.error("--url needs --canvas and --output")
        ready = arguments.ready or arguments.output
        url, canvas, output = arguments.url, arguments.canvas, arguments.output
        others.append(Target(url, url, canvas, output, arguments.clear, ready))
    torch.set_num_threads(1)
    server_step(arguments.rounds)
    if not arguments.no_browser:
        browser_step(arguments.rounds, others, arguments.pointer == "touch")


if __name__ == "__main__":
    main()
