"""The running app, in a real browser: what a visitor does, with mouse, finger and keyboard."""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
# WebGL in software, so that the map is drawn on machines without a graphics card too.
ARGUMENTS = [
    "--no-sandbox",
    "--enable-unsafe-swiftshader",
]

Open = Callable[..., Any]  # open_page(path, **context options) → page


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, or a skip that says what is missing; in CI, where it is installed, a failure."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        reason = f"needs a browser: none of {', '.join(BROWSERS)} is installed"
        pytest.fail(reason) if os.environ.get("VAE_DEMO_CI") else pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where `python app.py` serves, started as the README says, on a port of its own."""
    port = free_port()
    log = tmp_path_factory.mktemp("app") / "log.txt"
    command = [sys.executable, "app.py", "--port", str(port), "--device", "cpu"]
    with log.open("w") as output:
        app = subprocess.Popen(command, cwd=REPOSITORY, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(url, app, log)
        yield url
    finally:
        app.terminate()
        app.wait(timeout=20)
    assert "Traceback" not in log.read_text(), log.read_text()


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, app: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        if app.poll() is not None:
            break
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.25)
    pytest.fail(f"the app did not start:\n{log.read_text()}")


@pytest.fixture
def open_page(browser: Any, address: str) -> Iterator[Open]:
    """Opens pages, each a visitor of its own. Afterwards none may have logged an error or asked
    any other host for anything."""
    contexts, wrong = [], []

    def open_one(path: str = "/?lang=en", **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1024, "height": 768}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda m: m.type == "error" and wrong.append(f"console: {m.text}"))
        page.on("pageerror", lambda error: wrong.append(f"page: {error}"))
        page.on(
            "request",
            lambda r: (
                r.url.startswith((address, "data:", "blob:"))
                or wrong.append(f"asked another host: {r.url}")
            ),
        )
        page.goto(address + path)
        page.wait_for_selector(".masthead [role=tab][aria-selected=true]")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not wrong, wrong


# What tests look at -------------------------------------------------------------------------------


def pixels(page: Any, test_id: str) -> list[int]:
    """The red channel of a canvas, row by row."""
    canvas = page.get_by_test_id(test_id)
    return canvas.evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
        ".filter((_, i) => i % 4 === 0)"
    )


def wait_for_change(page: Any, test_id: str, before: list[int]) -> list[int]:
    """The canvas' pixels once they differ from `before`."""
    for _ in range(200):
        if (now := pixels(page, test_id)) != before:
            return now
        page.wait_for_timeout(25)
    pytest.fail(f"{test_id} did not change")


def wait_for_calm(page: Any, test_id: str) -> list[int]:
    """The canvas' pixels once they have stayed the same for a fifth of a second."""
    before = pixels(page, test_id)
    for _ in range(50):
        page.wait_for_timeout(200)
        if (now := pixels(page, test_id)) == before:
            return now
        before = now
    pytest.fail(f"{test_id} does not come to rest")


def is_blank(values: list[int]) -> bool:
    return len(set(values)) == 1
