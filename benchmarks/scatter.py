"""python -m benchmarks.scatter: what draws the map's dots, beside libraries that could.

In Chromium, in turn on one bare page each, the same dots on 480×350 pixels: the script each loads
and how long that takes; how long points in memory take to their first pixels, and to the last that
change; and how long a move of a drag takes to the first frame with other pixels.

Plotly comes with the requirements of app.py. Others are measured if their packages lie in a folder:

    cd FOLDER; npm pack regl-scatterplot@1.16.0 regl@2.1.1 pub-sub-es@3.0.0 embedding-atlas@0.26.0
    python -m benchmarks.scatter --libraries FOLDER

After each frame all pixels are read back, so that nothing is timed before it is drawn. WebGL and
WebGPU are drawn by the processor, on any machine: what to compare is one library with another.
"""

import argparse
import functools
import http.server
import shutil
import statistics
import tarfile
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.live_drawing import POINTER, milliseconds

REPOSITORY = Path(__file__).resolve().parents[1]
# WebGL and WebGPU by the processor.
SOFTWARE = ("--no-sandbox", "--enable-unsafe-swiftshader")
SOFTWARE += ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
COUNTS = (10_000, 70_000)
NEEDS = {
    "scatter.js": (),
    "Plotly": (),
    "regl-scatterplot": ("regl-scatterplot", "regl", "pub-sub-es"),
    "Embedding Atlas": ("embedding-atlas",),
}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(libraries: Path | None) -> Iterator[tuple[str, list[str]]]:
    """The address of a page that can load what there is, and the names of that."""
    import plotly

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copy(REPOSITORY / "benchmarks" / "scatter.html", root / "index.html")
        shutil.copy(REPOSITORY / "vae_demo" / "ui" / "scatter.js", root)
        shutil.copy(Path(plotly.__file__).parent / "package_data" / "plotly.min.js", root)
        for package in sorted(libraries.glob("*.tgz")) if libraries else ():
            with tarfile.open(package) as archive:
                archive.extractall(root, filter="data")
            (root / "package").rename(root / package.name.rpartition("-")[0])
        rng = np.random.default_rng(0)
        for count in COUNTS:
            classes = rng.integers(0, 10, count)
            middles = rng.uniform(-0.8, 0.8, (10, 2))
            points = middles[classes] + rng.normal(0, 0.07, (count, 2))
            for name, values in (("x", points[:, 0]), ("y", points[:, 1]), ("classes", classes)):
                values.astype(np.float32).tofile(root / f"{name}{count}")
        handler = functools.partial(Quiet, directory=folder)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        there = []
        for name, packages in NEEDS.items():
            missing = [package for package in packages if not (root / package).exists()]
            if missing:
                print(f"{name}: not measured, without {', '.join(missing)}")
            else:
                there.append(name)
        yield f"http://127.0.0.1:{server.server_port}/", there
        server.shutdown()
        server.server_close()


def measure(browser: Any, url: str, name: str, count: int, steps: int) -> dict[str, Any] | str:
    """The figures of one page, or why there are none."""
    from playwright.sync_api import Error

    page = browser.new_page(viewport={"width": 640, "height": 480})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    try:
        page.goto(url)
        found = page.evaluate("([name, count]) => show(name, count)", [name, count])
        dragged = "#host " + page.evaluate("name => libraries[name].dragged", name)
        page.evaluate(POINTER, {"canvas": dragged, "output": "nothing", "touch": False})
        found["drag"] = page.evaluate("steps => drag(steps)", steps)
        return dict(found)
    except Error as error:
        return "; ".join([error.message.splitlines()[0], *said])
    finally:
        page.close()


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--libraries", type=Path, metavar="FOLDER", help="packages from npm pack")
    parser.add_argument("--rounds", type=int, default=5, help="pages of each")
    parser.add_argument("--steps", type=int, default=60, help="moves of each page's drag")
    arguments = parser.parse_args()
    found = defaultdict(list)
    with served(arguments.libraries) as (url, names), sync_playwright() as playwright:
        executable = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=executable, args=SOFTWARE)
        for name in names[:]:  # the browser's own start is nobody's
            trial = measure(browser, url, name, COUNTS[0], 1)
            if isinstance(trial, str):
                print(f"{name}: not measured: {trial}")
                names.remove(name)
        for _ in range(arguments.rounds):
            for count in COUNTS:
                for name in names:
                    run = measure(browser, url, name, count, arguments.steps)
                    if isinstance(run, str):
                        print(f"{name}, {count:,} dots: a page without figures: {run}")
                    else:
                        found[count, name].append(run)
        browser.close()
    print("dots    library          script        load  first dots   all dots  a move of a drag")
    for (count, name), runs in found.items():
        kb, *times = (
            statistics.median(run[key] for run in runs)
            for key in ("kilobytes", "loaded", "first", "whole")
        )
        row = "".join(f"{took:8.0f} ms" for took in times)
        drag = [took for run in runs for took in run["drag"]]
        moved = [took for took in drag if took is not None]
        still = f"; {len(drag) - len(moved)} moves drew nothing" if len(moved) < len(drag) else ""
        print(f"{count:6,}  {name:16} {kb:5,.0f} kB {row}  {milliseconds(moved)}{still}")


if __name__ == "__main__":
    main()
