"""What follows the pointer: the route to it, and how many calls are worked on at once."""

import asyncio
import json
import threading
import time
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from tests.ui.conftest import COUNT
from vae_demo.projections import Projections
from vae_demo.ui.app import MAX_BODY_BYTES
from vae_demo.ui.draw import draw_tab
from vae_demo.ui.interpolate import interpolate_tab
from vae_demo.ui.live import (
    AT_ONCE,
    FUNCTIONS,
    PHOTO_BYTES,
    LiveFunctions,
    live_functions,
    live_route,
)
from vae_demo.ui.map import map_tab
from vae_demo.ui.sample import sample_tab
from vae_demo.zoo import Zoo

NAMES = [(exhibit, function) for exhibit, names in FUNCTIONS.items() for function in names]
STROKES = {"strokes": [[100, 100, 300, 500, 500, 100]]}
REFUSED = {"error": "error.request"}


@pytest.fixture(scope="module")
def functions(fake_zoo: Zoo) -> LiveFunctions:
    tabs = [
        *(tab(fake_zoo) for tab in (draw_tab, sample_tab, interpolate_tab)),
        map_tab(fake_zoo, Projections()),
    ]
    return live_functions(tabs)


def test_every_name_is_that_of_a_server_function(functions: LiveFunctions) -> None:
    assert functions.keys() == set(NAMES)


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        (("draw", "reconstruct"), STROKES),
        (("map", "digit"), {"digit": COUNT - 1}),
        (("map", "place"), {"left": {"code": [0.5] * 16}, "right": {"pca": [1, -1]}}),
        (("map", "locate"), {"point": STROKES}),
    ],
)
def test_it_answers_what_the_server_function_does(
    http: httpx.Client, functions: LiveFunctions, name: tuple[str, str], payload: Any
) -> None:
    answer = http.post("/live/" + "/".join(name), json=payload)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    expected = functions[name](payload)
    assert "error" not in expected
    assert answer.json() == json.loads(json.dumps(expected))


@pytest.mark.parametrize("name", sorted("/".join(name) for name in NAMES))
@pytest.mark.parametrize("body", [b"", b"{", b"[" * 10**5, b"\xff", b"\0", b"3", b"null", b"[{}]"])
def test_what_is_no_request_is_refused(http: httpx.Client, name: str, body: bytes) -> None:
    answer = http.post("/live/" + name, content=body)
    assert (answer.status_code, answer.json()) == (200, REFUSED)


@pytest.mark.parametrize(
    "path", ["draw/save", "draw/posterior", "map/own", "map/project", "draw", "draw/", "none/place"]
)
def test_nothing_else_is_there(http: httpx.Client, path: str) -> None:
    assert http.post("/live/" + path, json={}).status_code == 404


def test_it_is_asked_by_post_only_and_bounded(http: httpx.Client) -> None:
    assert http.get("/live/draw/reconstruct").status_code == 405
    large = http.post("/live/draw/reconstruct", content=b" " * (MAX_BODY_BYTES + 1))
    assert large.status_code == 413


def test_no_other_site_may_read_an_answer(http: httpx.Client) -> None:
    origin = {"origin": "https://example.org"}
    answer = http.post("/live/draw/reconstruct", json=STROKES, headers=origin)
    assert answer.headers.get("access-control-allow-origin") not in ("*", origin["origin"])


def served_alone(function: Any) -> httpx.AsyncClient:
    """A client of an app with one live function, `live/draw/it`."""
    app = Starlette(routes=[live_route()])
    blocks = SimpleNamespace(live={("draw", "it"): function})
    app.get_blocks = lambda: blocks  # type: ignore[attr-defined]
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://here/live")


def test_two_are_worked_on_at_once() -> None:
    lock, working, most = threading.Lock(), 0, 0

    def slow(payload: Any) -> Any:
        nonlocal working, most
        with lock:
            working += 1
            most = max(most, working)
        time.sleep(0.05)
        with lock:
            working -= 1
        return payload

    async def crowd(people: int) -> list[Any]:
        async with served_alone(slow) as client:
            asked = (client.post("/draw/it", json={"person": i}) for i in range(people))
            return [answer.json() for answer in await asyncio.gather(*asked)]

    people = 10 * AT_ONCE
    assert asyncio.run(crowd(people)) == [{"person": i} for i in range(people)]
    assert most == AT_ONCE


def test_no_pen_waits_for_photos() -> None:
    developed = threading.Event()

    def work(payload: Any) -> Any:
        if "picture" in payload:
            developed.wait(10)
        return payload

    async def crowd() -> bool:
        photo = {"picture": "A" * PHOTO_BYTES}
        async with served_alone(work) as client:
            photos = [asyncio.ensure_future(client.post("/draw/it", json=photo)) for _ in range(9)]
            await asyncio.sleep(0.1)
            answer = await client.post("/draw/it", json=STROKES)
            waited = not any(one.done() for one in photos)
            developed.set()
            assert [one.json() for one in await asyncio.gather(*photos)] == [photo] * 9
        return waited and answer.json() == STROKES

    assert asyncio.run(crowd())
