"""The real app around untrained twins: its page, its command line, and what its doors let in."""

import json
import math
import re
import runpy
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch

from vae_demo.images import render_strokes
from vae_demo.ui.app import MAX_BODY_BYTES, device_name, texts
from vae_demo.ui.draw import rebuild
from vae_demo.zoo import Zoo

ROOT = Path(__file__).parent.parent.parent
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def server_functions(http: httpx.Client) -> dict[tuple[str, str], int]:
    """Component ids by tab and function, as the page finds them."""
    found = {}
    for component in http.get("/config").json()["components"]:
        for name in component["props"].get("server_fns") or []:
            found[component["props"]["elem_id"], name] = component["id"]
    return found


def ask(http: httpx.Client, component: Any, function: Any, payload: str) -> httpx.Response:
    """Call a server function like the page does; the payload is JSON text, NaN allowed."""
    request = {"component_id": component, "fn_name": function, "session_hash": "test"}
    content = f'{json.dumps(request)[:-1]}, "data": {payload}}}'
    return http.post("/gradio_api/component_server/", content=content, headers=JSON)


# The page -----------------------------------------------------------------------------------------


def test_the_page_speaks_both_languages(http: httpx.Client) -> None:
    page = http.get("/")
    assert page.status_code == 200
    for words in texts().values():
        assert words["title"] in page.text


def test_both_languages_say_the_same_things() -> None:
    english, korean = texts()["en"], texts()["ko"]
    assert set(english) == set(korean)
    for key, words in english.items():
        assert words.strip(), key
        assert korean[key].strip(), key
        assert set(re.findall(r"\{\w+\}", words)) == set(re.findall(r"\{\w+\}", korean[key])), key


def test_the_page_asks_no_other_host(http: httpx.Client) -> None:
    styles = http.get("/theme.css").text
    page = http.get("/").text
    loaded = re.findall(r"""(?:<link[^>]*href|<(?:script|img|iframe)[^>]*src)=["']([^"']*)""", page)
    assert loaded
    loaded += re.findall(r"""url\(\s*["']?([^"')]*)""", page + styles)
    loaded += re.findall(r"""@import\s+["']([^"']*)""", page + styles)
    assert [address for address in loaded if re.match(r"(https?:)?//", address)] == []
    assert "googleapis" not in page + styles
    assert "gstatic" not in page + styles


def test_the_scripts_of_the_app_name_no_other_host() -> None:
    for path in (ROOT / "vae_demo" / "ui").rglob("*"):
        if path.suffix in {".js", ".css", ".html"}:
            found = set(re.findall(r"https?://[\w.-]+", path.read_text(encoding="utf-8")))
            assert found <= {"http://www.w3.org"}, path  # the names of XML namespaces


def test_the_page_says_where_it_runs(http: httpx.Client) -> None:
    assert re.search(r'\\?"device\\?": \\?"CPU\\?"', http.get("/").text)
    assert device_name(torch.device("mps")) == "GPU: Apple MPS"


# Doors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "app.py",
        "pyproject.toml",
        str(ROOT / "app.py"),
        str(ROOT / "checkpoints" / "ae.json"),
        "../../../../../../../../etc/passwd",
        "%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "file:///etc/passwd",
        str(ROOT),
    ],
)
def test_files_of_the_server_stay_there(http: httpx.Client, path: str) -> None:
    for route in ("gradio_api/file=", "file=", "static/", "assets/", "gradio_api/file/"):
        answer = http.get(f"/{route}{path}")
        assert answer.status_code in (403, 404), route
        assert "root:" not in answer.text


def test_requests_may_carry_a_picture_and_no_more(http: httpx.Client) -> None:
    for size, status in ((MAX_BODY_BYTES, 400), (MAX_BODY_BYTES + 1, 413)):
        answer = http.post("/gradio_api/component_server/", content=b" " * size, headers=JSON)
        assert answer.status_code == status


GARBAGE = [
    "null",
    "true",
    "[]",
    "[1, 2]",
    '"strokes"',
    "3",
    "NaN",
    "{}",
    '{"strokes": null}',
    '{"picture": 3}',
    "[" * 500 + "]" * 500,
    '{"strokes": ' + "[" * 500 + "]" * 500 + "}",
]
VALUES = [
    "null",
    "true",
    "-1",
    "1e9",
    "-1e999",
    "NaN",
    "2.5",
    "1" + "0" * 400,
    '"3"',
    '"%%%%"',
    '"aGVsbG8="',
    "[]",
    "{}",
    "[[]]",
    "[[1]]",
    "[null]",
    '[["a", "b"]]',
    "[[NaN, 1]]",
    "[[1e999, 1]]",
    "[[1e300, 1]]",
    "[{}]",
    '{"digit": -1}',
    '{"digit": 1e99}',
    '{"strokes": [[NaN, NaN]]}',
    '{"class": 10, "seed": 0}',
    '{"seed": -1, "index": 1e99}',
    "[" * 90 + "]" * 90,
    "[" + "[]," * 20_000 + "[]]",
    "[[" + "0," * 60_001 + "0]]",
]
KEYS = {
    "draw": ["strokes", "picture", "digit", "point", "off", "brush", "moved", "roll", "file"],
    "sample": ["count", "seed", "temperature"],
    "interpolate": ["steps", "path", "start", "end"],
    "map": ["digit", "left", "box"],
}
GOOD = {
    "digit": 3,
    "roll": 1,
    "file": "png",
    "count": 4,
    "seed": 1,
    "temperature": 1,
    "steps": 5,
    "path": "lerp",
    "start": {"digit": 1},
    "end": {"digit": 2},
    "left": {"code": [0] * 16},
    "side": "left",
    "lens": "pca",
    "box": [0, 0, 1, 1],
    "columns": 2,
    "rows": 2,
}


def test_server_functions_survive_anything(
    http: httpx.Client,
    server_functions: dict[tuple[str, str], int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert ("draw", "reconstruct") in server_functions
    for (tab, function), component in server_functions.items():
        payloads = list(GARBAGE)
        for key in KEYS.get(tab, []):
            others = [f'"{k}": {json.dumps(v)}' for k, v in GOOD.items() if k != key]
            payloads += ["{" + ", ".join([*others, f'"{key}": {value}']) + "}" for value in VALUES]
        for payload in payloads:
            answer = ask(http, component, function, payload)
            assert answer.status_code == 200, (tab, function, payload[-200:])
            error = answer.json().get("error")
            assert error is None or error in texts()["en"], error
            assert error != "error.server", (tab, function, payload[-200:])
    assert not caplog.records


@pytest.mark.parametrize(
    ("component", "function"),
    [
        (10**6, "reconstruct"),
        (None, "reconstruct"),
        ([], "reconstruct"),
        ({}, "reconstruct"),
        ("1", "reconstruct"),
        ("draw", "get_config"),
        ("draw", "__init__"),
        ("draw", ""),
        ("draw", None),
        ("draw", 3),
        ("draw", []),
    ],
)
def test_nothing_else_can_be_called(
    http: httpx.Client,
    server_functions: dict[tuple[str, str], int],
    component: Any,
    function: Any,
) -> None:
    if component == "draw":
        component = server_functions["draw", "reconstruct"]
    answer = ask(http, component, function, "{}")
    assert answer.status_code in (400, 404), answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("body", ["", "{", "[]", "null", "{}", '{"data": 1}', "[" * 10**6, "\0"])
def test_broken_requests_are_refused(http: httpx.Client, body: str) -> None:
    answer = http.post("/gradio_api/component_server/", content=body, headers=JSON)
    assert answer.status_code == 400


# Visitors -----------------------------------------------------------------------------------------


def test_visitors_do_not_see_each_other(
    http: httpx.Client, server_functions: dict[tuple[str, str], int], fake_zoo: Zoo
) -> None:
    component = server_functions["draw", "reconstruct"]
    strokes = [[10, 10, 10 + i, 60, 50 - i, 90 - 2 * i] for i in range(16)]
    pens = [np.reshape(stroke, (-1, 2)) for stroke in strokes]
    with torch.inference_mode():
        expected = [rebuild(fake_zoo.pair(), render_strokes([pen])[None], fake_zoo) for pen in pens]

    def visitor(number: int) -> list[Any]:
        payload = json.dumps({"strokes": [strokes[number]]})
        return [ask(http, component, "reconstruct", payload).json() for _ in range(10)]

    with ThreadPoolExecutor(16) as pool:
        for number, answers in enumerate(pool.map(visitor, range(16))):
            for answer in answers:
                assert answer["seen"] == expected[number]["seen"]
                assert answer["left"]["picture"] == expected[number]["left"]["picture"]
                nats = expected[number]["right"]["kl_nats"]
                assert math.isclose(answer["right"]["kl_nats"], nats, rel_tol=1e-5)


# The command line ---------------------------------------------------------------------------------


def start(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    """What `python app.py` exits with."""
    monkeypatch.setattr(sys, "argv", ["app.py", *arguments])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(ROOT / "app.py"), run_name="__main__")
    return stopped.value.code


def test_missing_checkpoints_stop_it_with_a_hint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = start(monkeypatch, "--checkpoints", str(tmp_path))
    assert isinstance(said, str)  # so the exit status is 1
    assert str(tmp_path / "ae.json") in said
    assert "python -m vae_demo.train ae" in said
    assert "\n" not in said


@pytest.mark.parametrize("device", ["banana", "cuda:99", "cuda:x", "-1"])
def test_an_unknown_device_stops_it_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, device: str
) -> None:
    said = start(monkeypatch, f"--device={device}", "--checkpoints", str(tmp_path))
    assert said.startswith("Cannot start: ")


def test_help_names_every_option(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(monkeypatch, "--help") == 0
    shown = capsys.readouterr().out
    for option in ("--host", "--port", "--device", "--data", "--checkpoints"):
        assert option in shown
