"""The four endpoints as programs call them, and what they say to arguments that do not fit."""

import base64
import gc
import io
import itertools
import json
import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from gradio.state_holder import SessionState
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

from vae_demo import latent, latent_map
from vae_demo.images import png, preprocess, render_strokes, to_uint8
from vae_demo.losses import bernoulli_nats, kl_nats
from vae_demo.ui.points import MAX_COUNT, MAX_SEED, MAX_TEMPERATURE
from vae_demo.zoo import Zoo

ENDPOINTS = {"/reconstruct", "/sample", "/interpolate", "/locate"}
SEVEN = [[[10, 10], [60, 10], [30, 90]], [[20, 50], [55, 50]]]


@pytest.fixture(scope="module")
def client(served: str) -> Iterator[Client]:
    client = Client(served, verbose=False)
    yield client
    client.close()


def pixels(picture: str) -> np.ndarray:
    image = Image.open(io.BytesIO(base64.b64decode(picture)))
    assert (image.format, image.mode, image.size) == ("PNG", "L", (28, 28))
    return np.asarray(image)


def file_of(strokes: list[Any]) -> str:
    """A drawing as a picture file: dark on light, 140×140 px."""
    return base64.b64encode(png(1 - render_strokes(strokes), 5)).decode()


def raw_call(served: str, name: str, body: str) -> tuple[str, Any]:
    """What curl does: POST, then GET the event; gives its kind and data."""
    headers = {"content-type": "application/json"}
    posted = httpx.post(f"{served}/gradio_api/call/{name}", content=body, headers=headers)
    assert posted.status_code == 200, posted.text
    event = posted.json()["event_id"]
    got = httpx.get(f"{served}/gradio_api/call/{name}/{event}", timeout=60).text
    kind, data = got.strip().split("\n")[:2]
    return kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))


# Answers ------------------------------------------------------------------------------------------


def test_reconstruct(client: Client, fake_zoo: Zoo) -> None:
    answer = client.predict(picture=SEVEN, api_name="/reconstruct")
    x = render_strokes(SEVEN)[None]
    assert answer["blank"] is False
    assert np.array_equal(pixels(answer["x"]), to_uint8(x)[0, 0])
    mean, logvar = fake_zoo.model("vae").coder.posterior(x)
    for name, z in (("ae", fake_zoo.model("ae").coder.encode(x)), ("vae", mean)):
        logits = fake_zoo.model(name).coder.decode(z)
        found = answer[name]
        assert np.array_equal(pixels(found["x_hat"]), to_uint8(logits.sigmoid())[0, 0])
        error = (logits.sigmoid() - x).square().mean().item()
        assert found["squared_error"] == pytest.approx(error, rel=1e-5)
        nats = bernoulli_nats(logits, x).item()
        assert found["reconstruction_nats"] == pytest.approx(nats, rel=1e-5)
    assert answer["vae"]["kl_nats"] == pytest.approx(kl_nats(mean, logvar).sum().item(), rel=1e-5)
    assert answer["ae"]["kl_nats"] is None


def test_a_picture_comes_as_strokes_file_or_index(client: Client, fake_zoo: Zoo) -> None:
    file = file_of(SEVEN)
    expected = to_uint8(preprocess(Image.open(io.BytesIO(base64.b64decode(file)))))[0]
    wrapped = "\n".join(file[i : i + 76] for i in range(0, len(file), 76))
    for form in (file, wrapped, f"data:image/png;base64,{file}"):
        answer = client.predict(form, api_name="/reconstruct")
        assert np.array_equal(pixels(answer["x"]), expected)
    answer = client.predict(7, api_name="/reconstruct")
    assert np.array_equal(pixels(answer["x"]), to_uint8(fake_zoo.digit(7))[0, 0])


@pytest.mark.parametrize("blank", [[], [[]], [[], []]])
def test_a_blank_drawing_is_no_error(client: Client, blank: list[Any]) -> None:
    answer = client.predict(blank, api_name="/reconstruct")
    assert answer["blank"] is True
    assert answer["ae"] is None
    assert answer["vae"] is None
    assert not pixels(answer["x"]).any()


def test_sample(client: Client, fake_zoo: Zoo) -> None:
    answer = client.predict(count=5, seed=3, temperature=0.5, api_name="/sample")
    z = latent.prior(5, 16, torch.Generator().manual_seed(3), 0.5)
    for name in ("ae", "vae"):
        expected = to_uint8(fake_zoo.model(name).coder.decode(z).sigmoid())[:, 0]
        assert np.array_equal([pixels(picture) for picture in answer[name]], expected)


def test_sample_has_defaults_and_is_repeatable(client: Client) -> None:
    answer = client.predict(api_name="/sample")
    assert len(answer["ae"]) == len(answer["vae"]) == 16
    assert answer == client.predict(16, 0, 1, api_name="/sample")
    assert answer != client.predict(seed=1, api_name="/sample")


@pytest.mark.parametrize("path", ["lerp", "slerp"])
def test_interpolate(client: Client, fake_zoo: Zoo, path: str) -> None:
    answer = client.predict(4, SEVEN, steps=6, path=path, api_name="/interpolate")
    x = render_strokes(SEVEN)[None]
    for name in ("ae", "vae"):
        model = fake_zoo.model(name).coder
        a, b = fake_zoo.digits.codes[name].mean[4], model.encode(x)[0]
        frames = model.decode(getattr(latent, path)(a, b, 6)).sigmoid()
        assert np.array_equal([pixels(p) for p in answer[name]], to_uint8(frames)[:, 0])


def test_locate(client: Client, fake_zoo: Zoo) -> None:
    answer = client.predict(SEVEN, neighbours=3, api_name="/locate")
    x = render_strokes(SEVEN)[None]
    for name in ("ae", "vae"):
        codes = fake_zoo.digits.codes[name]
        z = fake_zoo.model(name).coder.encode(x)
        place = [answer[name]["x"], answer[name]["y"]]
        assert place == pytest.approx(latent_map.locate(z, codes)[0].tolist(), rel=1e-5)
        indices, distances = latent_map.nearest(z, codes, 3)
        found = answer[name]["neighbours"]
        assert [n["index"] for n in found] == indices[0].tolist()
        assert [n["label"] for n in found] == fake_zoo.digits.labels[indices[0]].tolist()
        assert [n["distance"] for n in found] == pytest.approx(distances[0].tolist(), rel=1e-5)


def test_a_test_digit_lies_at_its_own_place(client: Client, fake_zoo: Zoo) -> None:
    answer = client.predict(11, api_name="/locate")
    for name in ("ae", "vae"):
        codes = fake_zoo.digits.codes[name]
        assert [answer[name]["x"], answer[name]["y"]] == pytest.approx(codes.points[11].tolist())
        assert answer[name]["neighbours"][0] == {"index": 11, "label": 1, "distance": 0}


def test_what_one_endpoint_gives_another_takes(client: Client) -> None:
    drawn = client.predict(SEVEN, api_name="/reconstruct")["x"]
    assert client.predict(drawn, api_name="/reconstruct")["blank"] is False
    assert len(client.predict(drawn, 3, 4, api_name="/interpolate")["vae"]) == 4


def test_curl_gets_the_same(served: str, client: Client) -> None:
    kind, data = raw_call(served, "locate", json.dumps({"data": [SEVEN, 5]}))
    assert kind == "complete"
    assert data == [client.predict(SEVEN, api_name="/locate")]
    kind, data = raw_call(served, "v2/sample", '{"count": 2}')
    assert (kind, len(data[0]["ae"])) == ("complete", 2)


def test_concurrent_callers_get_their_own_answers(served: str) -> None:
    def call(index: int) -> bool:
        _, data = raw_call(served, "locate", json.dumps({"data": [index, 1]}))
        return data[0]["vae"]["neighbours"][0]["index"] == index

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(call, range(32)))


# Refusals -----------------------------------------------------------------------------------------


def bomb(side: int) -> str:
    """A PNG of side × side white pixels, a few kilobytes long."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\xff" * -(-side // 8)) * side, 9)
    png_file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows)
    return base64.b64encode(png_file + chunk(b"IEND", b"")).decode()


def deep(depth: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(depth):
        nested = [nested]
    return nested


NAN, INFINITY, HUGE = math.nan, math.inf, 10**400

BAD_PICTURES: list[tuple[Any, str]] = [
    (None, "expected pen strokes"),
    (True, "expected pen strokes"),
    ({"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, "expected pen strokes"),
    (-1, "whole number from 0 to 299"),
    (300, "whole number from 0 to 299"),
    (1.5, "whole number from 0 to 299"),
    (HUGE, "whole number from 0 to 299"),
    (NAN, "whole number from 0 to 299"),
    (-INFINITY, "whole number from 0 to 299"),
    ("", "picture is empty"),
    ("/etc/passwd", "no base64"),
    ("https://example.org/7.png", "no base64"),
    ("ÿ", "no base64"),
    (base64.b64encode(b"no picture").decode(), "cannot be read as a picture"),
    (file_of(SEVEN)[:400], "cannot be read as a picture"),
    (bomb(13_000), "13000×13000 px; sides of 1 to 4096 px are taken"),
    ([1, 2], "expected a stroke"),
    (["12"], "expected a stroke"),
    ([[1, 2]], "expected a point [x, y]"),
    ([[[1]]], "expected a point [x, y]"),
    ([[[1, 2, 3]]], "expected a point [x, y]"),
    ([[["1", "2"]]], "expected a point [x, y]"),
    ([[[True, False]]], "expected a point [x, y]"),
    ([[[None, 1]]], "expected a point [x, y]"),
    ([[[NAN, 1]]], "two finite numbers"),
    ([[[1, INFINITY]]], "two finite numbers"),
    ([[[1e10, 1]]], "±1e+09"),
    ([[[HUGE, 1]]], "±1e+09"),
    (deep(90), "expected a point [x, y]"),
    ([[]] * 501, "at most 500"),
    ([[[0, 1]] * 20_001], "over 20000 points"),
]
BAD_CALLS: list[tuple[str, list[Any], str]] = [
    *(
        (name, [picture], text)
        for name in ("reconstruct", "locate")
        for picture, text in BAD_PICTURES
    ),
    *(("interpolate", [3, picture], "end") for picture, _ in BAD_PICTURES[4::8]),
    *(("interpolate", [picture, 3], "start") for picture, _ in BAD_PICTURES[::8]),
    *(("locate", [blank], "picture is blank") for blank in ([], [[]])),
    ("interpolate", [[], 3], "start is blank"),
]
for value in (None, True, "4", [4], {}, -1, 0, 2.5, 10**6, HUGE, NAN, INFINITY):
    BAD_CALLS += [
        ("sample", [value], "count is"),
        ("interpolate", [1, 2, value], "steps is"),
        ("locate", [1, value], "neighbours is"),
    ]
    if value != 0:
        BAD_CALLS += [("sample", [4, value if value != 10**6 else 10**12], "seed is")]
        if value != 2.5:
            BAD_CALLS += [("sample", [4, 0, value], "temperature is")]
for value in (None, True, "LERP", "", 3, ["lerp"], {}, "a" * 10**5):
    BAD_CALLS += [("interpolate", [1, 2, 4, value], "expected 'lerp' or 'slerp'")]
DEFAULTS = {"reconstruct": [], "sample": [16, 0, 1.0], "interpolate": [10, "slerp"], "locate": [5]}
REQUIRED = {"reconstruct": 1, "sample": 0, "interpolate": 2, "locate": 1}


@pytest.fixture(scope="module")
def http(served: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{served}/gradio_api", timeout=60) as http:
        yield http


@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_what_does_not_fit_gets_a_message(
    http: httpx.Client, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    for called, arguments, text in BAD_CALLS:
        if called != name:
            continue
        filled = arguments + DEFAULTS[name][len(arguments) - REQUIRED[name] :]
        body = json.dumps({"data": filled})
        posted = http.post(
            f"/call/{name}", content=body, headers={"content-type": "application/json"}
        )
        answer = http.get(f"/call/{name}/{posted.json()['event_id']}").text
        assert answer.startswith("event: error"), (arguments, answer)
        error = json.loads(answer.split("data: ")[1])["error"]
        assert text in error, (str(arguments)[:200], error)
        assert len(error) < 400
        assert "Traceback" not in error
    assert not caplog.records


def test_the_client_sees_the_message(client: Client) -> None:
    with pytest.raises(AppError, match=r"count is -3 \(int\); expected a whole number from 1 to"):
        client.predict(count=-3, api_name="/sample")


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("reconstruct", [], "reconstruct takes picture; 0 came"),
        ("interpolate", [3], "missing a required argument: 'end'"),
        ("sample", [4, 0, 1.0, 9], "too many positional arguments"),
    ],
)
def test_arguments_are_counted(served: str, name: str, arguments: list[Any], text: str) -> None:
    kind, data = raw_call(served, name, json.dumps({"data": arguments}))
    assert kind == "error"
    assert text in data["error"]


def test_optional_arguments_may_be_left_out(served: str) -> None:
    kind, data = raw_call(served, "sample", '{"data": [3]}')
    assert (kind, len(data[0]["ae"])) == ("complete", 3)


def test_a_call_leaves_nothing_behind(served: str) -> None:
    # Gradio on its own keeps the last arguments of 10,000 callers, however large.
    raw_call(served, "reconstruct", json.dumps({"data": ["a caller's own words"]}))
    sessions = [o for o in gc.get_objects() if type(o) is SessionState]
    assert sessions
    assert "own words" not in str([session.config_values for session in sessions])


@pytest.mark.parametrize(
    ("route", "body", "text"),
    [
        ("call/v2/locate", "{}", "picture"),
        ("call/v2/sample", '{"cuont": 3}', "cuont"),
        ("call/v2/sample", "[]", ""),
        ("call/nosuch", '{"data": []}', "nosuch"),
        ("call/v2/nosuch", "{}", "nosuch"),
        ("call/sample", "{}", "data"),
        ("call/sample", '{"data": 3}', "data"),
        ("call/sample", "{", ""),
        ("call/sample", "[" * 100_000, ""),
        ("queue/join", '{"data": [], "fn_index": 999, "session_hash": "a"}', ""),
        ("queue/join", '{"data": [], "fn_index": -1, "session_hash": []}', ""),
    ],
)
def test_malformed_requests_get_a_message(
    http: httpx.Client, route: str, body: str, text: str
) -> None:
    answer = http.post(route, content=body, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text
    assert text in str(answer.json()["detail"])
    assert "Traceback" not in answer.text


# What is said about it ----------------------------------------------------------------------------


def test_exactly_four_endpoints_are_public(http: httpx.Client, client: Client) -> None:
    info = http.get("/info").json()
    assert set(info["named_endpoints"]) == ENDPOINTS
    assert info["unnamed_endpoints"] == {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert set(client.view_api(return_format="dict")["named_endpoints"]) == ENDPOINTS
    public = {
        function["api_name"]
        for function in client.config["dependencies"]
        if function["api_visibility"] != "private"
    }
    assert {f"/{name}" for name in public} == ENDPOINTS


def test_each_is_described_and_typed(http: httpx.Client) -> None:
    endpoints = http.get("/info").json()["named_endpoints"]
    for name, endpoint in endpoints.items():
        assert len(endpoint["description"]) > 100, name
        for part in itertools.chain(endpoint["parameters"], endpoint["returns"]):
            assert part["type"], (name, part)
    kinds = {p["parameter_name"]: p["type"] for p in endpoints["/interpolate"]["parameters"]}
    assert [kind["type"] for kind in kinds["start"]["anyOf"]] == ["array", "string", "integer"]
    assert kinds["path"] == {"enum": ["lerp", "slerp"]}
    assert kinds["steps"] == {"type": "integer"}


def test_the_documented_bounds_are_the_real_ones(client: Client) -> None:
    last = {"count": MAX_COUNT, "seed": MAX_SEED, "temperature": MAX_TEMPERATURE}
    assert len(client.predict(**last, api_name="/sample")["ae"]) == 100
    assert len(client.predict(0, 1, 64, api_name="/interpolate")["ae"]) == 64
    assert len(client.predict(0, 50, api_name="/locate")["ae"]["neighbours"]) == 50
    for name, value in last.items():
        with pytest.raises(AppError, match=f"{name} is .* to {value:g}|{name} is .* to {value}"):
            client.predict(**{name: value + 1}, api_name="/sample")
