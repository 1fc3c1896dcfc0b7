"""python -m benchmarks.start: how long from `python app.py` to the first page.

Compared, in the same run, with a bare `import gradio, torch` in a fresh interpreter; alternated, so
that a busy minute slows both.
"""

import argparse
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def imports_s() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import gradio, torch"], check=True)
    return time.perf_counter() - started


def first_page_s() -> float:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = time.perf_counter()
    app = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port)],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
    )
    try:
        while app.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).close()
                return time.perf_counter() - started
            except OSError:
                time.sleep(0.02)
        sys.exit("app.py stopped before it served a page; run it to see why")
    finally:
        app.terminate()
        app.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    imports_s(), first_page_s()  # what the disk has to bring in once is not counted
    pairs = [(imports_s(), first_page_s()) for _ in range(rounds)]
    bare, page = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"import gradio, torch: {bare:.2f} s; first page: {page:.2f} s; ratio {page / bare:.2f}")


if __name__ == "__main__":
    main()
