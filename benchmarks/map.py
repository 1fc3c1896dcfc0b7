"""python -m benchmarks.map: the map in Chromium, from the click on its tab to a picture under the
pointer, beside the goals.

Everything is timed in the page, on the app that this starts; an opening ends when the graphics card
has drawn (a pixel is read back). Without a card the processor draws the dots, and it serves the app
too: the figures are then an upper bound of a visitor's.

How its dots compare with other libraries': python -m benchmarks.scatter.
"""

import argparse
import json
import shutil
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.live_drawing import POINTER, Target, draw
from vae_demo import checkpoints
from vae_demo.ui.app import build_app, launch_options
from vae_demo.ui.draw import EXAMPLES
from vae_demo.zoo import load_zoo

PICTURES = "[data-testid=map-rebuilt-left], [data-testid=map-rebuilt-right]"
STARS = "[data-testid=map-mine-left], [data-testid=map-mine-right]"
# WebGL by the processor where there is no card; the rest of the page as without one.
SOFTWARE = ("--no-sandbox", "--enable-unsafe-swiftshader")
SIZE = {"width": 1440, "height": 900}


def row(what: str, values: Sequence[float], goal: str = "", worst: bool = False) -> None:
    """One line of the table: the middle and the 95th percentile, or the worst."""
    if not values:
        print(f"{what:44} never")
        return
    high = max(values) if worst else float(np.percentile(values, 95))
    middle, of = statistics.median(values), f"of {len(values)}"
    print(f"{what:44} {middle:8.1f} {high:8.1f} {'worst' if worst else 'p95':5} {of:7} {goal}")


def open_page(browser: Any, url: str, motion: str = "reduce") -> Any:
    page = browser.new_context(viewport=SIZE, reduced_motion=motion).new_page()
    page.goto(url + "?lang=en")
    page.wait_for_selector("[data-testid=clear]:not([disabled])")
    page.wait_for_timeout(1000)
    page.evaluate(Path(__file__).with_suffix(".js").read_text())
    return page


def listen(page: Any, canvas: str, output: str) -> None:
    page.evaluate(POINTER, {"canvas": canvas, "output": output, "touch": False})


def first_paints(browser: Any, url: str, rounds: int) -> None:
    paints, whole, small, large = [], [], 0.0, 0.0
    for _ in range(rounds):
        page = open_page(browser, url)
        paints.append(page.evaluate("measure.open()"))
        small = page.evaluate("measure.kilobytes()")
        if page.is_enabled("[data-testid=layer-everything]"):
            whole.append(page.evaluate("measure.everything()"))
            large = page.evaluate("measure.kilobytes()")
        page.context.close()
    row("tab opened → 10,000 dots, twice", paints, "median ≤ 500", worst=True)
    row("switch → all 70,000 dots, twice", whole, "median ≤ 2000", worst=True)
    print(f"{'points on the wire: 10,000, 70,000 (kB)':44} {small:8.0f} {large:8.0f}")


def stocked(page: Any) -> None:
    """Wait until the page has the pictures of all digits, which come by themselves."""
    page.wait_for_function(
        "() => performance.getEntriesByName('map-stocked').length", timeout=120_000
    )
    seconds = page.evaluate(
        "() => (performance.getEntriesByName('map-stocked')[0].startTime"
        " - performance.getEntriesByName('map-painted')[0].startTime) / 1e3"
    )
    print(f"{'all rebuilt digits in the page after (s; MB)':44} {seconds:8.1f} ", end="")
    print(f"{page.evaluate('measure.kilobytes()') / 1e3:8.1f}")


def hovers(page: Any, moves: int, when: str, goal: str = "") -> None:
    """Pointer moves: on the map to dots and beside them, on the plane of two numbers anywhere.

    Each is timed until both pictures are painted on their canvases, or until the frame that shows
    them begins; waiting for frames keeps the processor busy, so each kind has moves of its own.
    """
    anywhere = np.random.default_rng(0).uniform(0.08, 0.92, (2 * moves, 2)).tolist()
    beside = page.evaluate("count => measure.places(count)", 4 * moves)
    for lens, places in (("umap", beside), ("plane", anywhere)):
        page.click(f"[data-testid=lens-{lens}]")
        page.wait_for_timeout(1500)
        listen(page, "[data-testid=map-left]", PICTURES)
        times: dict[tuple[str | None, str], list[float]] = defaultdict(list)
        for part, how in (
            (places[: len(places) // 2], "hover"),
            (places[len(places) // 2 :], "move"),
        ):
            of = "measure" if how == "hover" else "benchmark"
            for place in part:
                page.wait_for_timeout(30)
                took = page.evaluate(f"place => {of}.{how}(place)", place)
                at = None if took is None else page.evaluate("measure.pointedAt()")
                times[at, how].append(took)
        if lens == "umap":
            row(f"umap: digit → painted, {when}", times["digit", "hover"], goal)
            row("umap: digit → in a frame", times["digit", "move"])
        where = "between digits" if lens == "umap" else "anywhere"
        row(f"{lens}: {where} → painted", times["place", "hover"], "p95 ≤ 20")
        row(f"{lens}: {where} → in a frame", times["place", "move"])
        if still := len(times[None, "hover"]) + len(times[None, "move"]):
            print(f"    {still} more moves changed no picture: nothing new was there")


def slate(page: Any, moves: int) -> None:
    page.click("[data-testid=lens-umap]")
    page.wait_for_timeout(1500)
    canvas = "[data-testid=map-slate]"
    target = Target("slate", page.url, canvas, STARS, None, canvas)
    page.locator(canvas).scroll_into_view_if_needed()
    listen(page, canvas, STARS)
    for example in json.loads(Path(EXAMPLES).read_text()):
        if len(target.times_ms) >= moves:
            break
        if page.is_visible("[data-testid=map-wipe]"):
            page.click("[data-testid=map-wipe]")
        for stroke in example:
            draw(page, target, stroke)
    row("slate: pen moved → both stars moved", target.times_ms)
    if target.missed:
        print(f"    {target.missed} more moves moved no star by a tenth of a pixel")


def smoothness(page: Any, count: str) -> None:
    listen(page, "[data-testid=map-left]", PICTURES)
    for kind, what in (("drag", "a drag"), ("wheel", "the wheel")):
        page.evaluate("kind => measure.frames(kind, 20)", kind)
        row(f"{count} dots: frames of {what}", page.evaluate("k => measure.frames(k, 200)", kind))
    page.click("[data-testid=reset-view]")


def changes(browser: Any, url: str, rounds: int) -> None:
    cold, warm, whole = [], [], []
    for _ in range(rounds):
        page = open_page(browser, url, motion="no-preference")
        page.evaluate("measure.open()")
        page.wait_for_timeout(500)
        first, last = page.evaluate("measure.change('lens-pca')")
        cold.append(first)
        whole.append(last)
        for lens in ("umap", "pca"):
            first, last = page.evaluate("lens => measure.change('lens-' + lens)", lens)
            warm.append(first)
            whole.append(last)
        page.context.close()
    row("lens, the first time: click → dots set off", cold, worst=True)
    row("lens, again: click → dots set off", warm, worst=True)
    row("lens: click → dots arrived (journey: 900)", whole, worst=True)


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="pages opened, lenses changed")
    parser.add_argument("--moves", type=int, default=200, help="of each kind")
    parser.add_argument("--checkpoints", default=checkpoints.SHIPPED, help="folder of the models")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    zoo = load_zoo(arguments.checkpoints)
    app = build_app(zoo)
    _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, **launch_options(zoo))
    with sync_playwright() as playwright:
        executable = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=executable, args=SOFTWARE)
        print(f"{'ms; WebGL by the processor':44} {'median':>8}")
        first_paints(browser, url, arguments.rounds)

        page = open_page(browser, url)
        page.route("**/rebuilt-*", lambda route: route.abort())
        page.evaluate("measure.open()")
        hovers(page, arguments.moves, "asked for")
        page.context.close()

        page = open_page(browser, url)
        page.evaluate("measure.open()")
        stocked(page)
        hovers(page, arguments.moves, "in the page", "p95 ≤ 20")
        slate(page, arguments.moves)
        page.context.close()

        page = open_page(browser, url)
        page.evaluate("measure.open()")
        smoothness(page, "10,000")
        if page.is_enabled("[data-testid=layer-everything]"):
            page.evaluate("measure.everything()")
            smoothness(page, "70,000")
        page.context.close()
        changes(browser, url, arguments.rounds)
        browser.close()
    app.close()


if __name__ == "__main__":
    main()
