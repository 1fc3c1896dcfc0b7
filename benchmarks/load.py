"""python -m benchmarks.load: many people drawing at once, each one stroke step a second.

Measures from sending a step to holding the whole answer, with one step of a person in flight at a
time, as on the page, which asks by `vae_demo.ui.live`; `--way gradio` asks by Gradio's own way.
Server and people share the processor, so a quiet machine matters. Asks servers on this machine
only; starts one if given none.
"""

import argparse
import asyncio
import contextlib
import ipaddress
import json
import math
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
PEOPLE_MAX = 1000
SECONDS_MAX = 120
START_S = 120  # given to a server to start


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the server under many visitors.")
    parser.add_argument("--url", type=loopback, help="server to ask (default: starts app.py)")
    parser.add_argument("--people", type=within(PEOPLE_MAX), default=100)
    parser.add_argument("--seconds", type=within(SECONDS_MAX), default=10)
    parser.add_argument("--way", choices=("live", "gradio"), default="live")
    parser.add_argument("--checkpoints", help="handed on to app.py")
    arguments = parser.parse_args()
    with contextlib.nullcontext(arguments.url) if arguments.url else started(arguments) as url:
        began = time.monotonic()
        times_ms, failures = asyncio.run(
            crowd(url, arguments.way, arguments.people, arguments.seconds)
        )
        took_s = time.monotonic() - began
    print(f"{arguments.people} people, {arguments.seconds} s, {os.cpu_count()} processors")
    if times_ms:
        p50, p95, p100 = np.percentile(times_ms, (50, 95, 100))
        rate = len(times_ms) / took_s
        print(f"p50 {p50:.0f} ms   p95 {p95:.0f} ms   longest {p100:.0f} ms   {rate:.0f} answers/s")
    print(f"{len(times_ms)} answers, {len(failures)} errors {sorted(set(failures))[:5]}")
    sys.exit(1 if failures or not times_ms else 0)


def loopback(url: str) -> str:
    """The address without a slash at its end, if it is one of this machine."""
    host = urlsplit(url).hostname or ""
    with contextlib.suppress(ValueError):
        if host == "localhost" or ipaddress.ip_address(host).is_loopback:
            return url.rstrip("/")
    raise argparse.ArgumentTypeError(f"{url} is not on this machine; use http://127.0.0.1:PORT")


def within(limit: int) -> Callable[[str], int]:
    """Reads a whole number from 1 to a limit."""

    def whole(text: str) -> int:
        if text.isdecimal() and 1 <= int(text) <= limit:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 1 to {limit}")

    return whole


@contextlib.contextmanager
def started(arguments: argparse.Namespace) -> Iterator[str]:
    """The address of an app that runs as long as the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(ROOT / "app.py"), "--host", "127.0.0.1", "--port", str(port)]
    if arguments.checkpoints:
        command += ["--checkpoints", arguments.checkpoints]
    app = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + START_S
        while True:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(url)
                break
            if app.poll() is not None or time.monotonic() > until:
                sys.exit("The app did not start.")
            time.sleep(0.2)
        yield url
    finally:
        app.terminate()
        app.wait(10)


async def crowd(url: str, way: str, people: int, seconds: int) -> tuple[list[float], list[str]]:
    """Milliseconds of each answer, and what went wrong."""
    times_ms: list[float] = []
    failures: list[str] = []
    limits = httpx.Limits(max_connections=people, max_keepalive_connections=people)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=30) as client:
        component = await draw_component(client) if way == "gradio" else None
        await asyncio.gather(
            *(person(client, component, i, seconds, times_ms, failures) for i in range(people))
        )
    return times_ms, failures


async def draw_component(client: httpx.AsyncClient) -> int:
    """By what number Gradio knows the Draw tab."""
    components = (await client.get("/config")).json()["components"]
    return next(one["id"] for one in components if one["props"].get("elem_id") == "draw")


async def person(
    client: httpx.AsyncClient,
    component: int | None,
    number: int,
    seconds: int,
    times_ms: list[float],
    failures: list[str],
) -> None:
    """Draws a circle, a bit more of it each second, from a moment of their own on; by Gradio's way
    to a component, if one is given."""
    chance = random.Random(number)
    due = time.monotonic() + chance.random()
    for step in range(seconds):
        await asyncio.sleep(max(0, due - time.monotonic()))
        due += 1
        angles = [2 * math.pi * i / 100 for i in range(10 * (step % 10 + 1))]
        points = ((150 + 90 * math.sin(a), 150 - 90 * math.cos(a)) for a in angles)
        stroke = [round(c, 1) for point in points for c in point]
        path, request = "/live/draw/reconstruct", {"strokes": [stroke]}
        if component is not None:
            path = "/gradio_api/component_server/"
            request = {
                "data": request,
                "component_id": component,
                "fn_name": "reconstruct",
                "session_hash": f"load-{number}",
            }
        began = time.monotonic()
        try:
            answer = await client.post(
                path,
                content=json.dumps(request),
                headers={"content-type": "application/json"},
            )
            if answer.status_code != 200 or "left" not in answer.json():
                failures.append(f"{answer.status_code} {answer.text[:80]}")
                continue
        except httpx.HTTPError as error:
            failures.append(type(error).__name__)
            continue
        times_ms.append(1000 * (time.monotonic() - began))


if __name__ == "__main__":
    main()
