"""What the Map tab asks of Python, as plain functions; tests/browser drives the page itself."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vae_demo import latent_map
from vae_demo.ui.app import texts
from vae_demo.ui.exhibit import HERE, picture
from vae_demo.ui.map import NEAREST, PLOTLY_JS, decode_digit, locate_point, map_tab, pack_side
from vae_demo.zoo import Zoo

SIDES = {"left": "ae", "right": "vae"}
Ask = Callable[[Any], dict[str, Any]]


@pytest.fixture(scope="module")
def functions(fake_zoo: Zoo) -> dict[str, Ask]:
    """The server functions, by the names the script calls them by."""
    return {function.__name__: function for function in map_tab(fake_zoo).server_fns}


def array(text: str, kind: str) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), kind)


def test_points_arrive_exactly_as_the_map_has_them(
    fake_zoo: Zoo, functions: dict[str, Ask]
) -> None:
    packed = functions["points"]({})
    labels = array(packed["labels"], "u1")
    np.testing.assert_array_equal(labels, fake_zoo.digits.labels)
    for side, name in SIDES.items():
        points = array(packed[side]["points"], "<f4").reshape(-1, 2)
        np.testing.assert_array_equal(points, fake_zoo.digits.codes[name].points)
        np.testing.assert_allclose(packed[side]["low"], points.min(0))
        np.testing.assert_allclose(packed[side]["high"], points.max(0))
        for label, middle in enumerate(packed[side]["middles"]):
            np.testing.assert_allclose(middle, np.median(points[labels == label], axis=0))
    json.dumps(packed, allow_nan=False)
    assert packed["left"]["plane"] is False


def test_any_two_models_have_their_maps(fake_zoo: Zoo, functions: dict[str, Ask]) -> None:
    packed = functions["points"]({"models": ["vae", "ae_2d"]})
    points = array(packed["left"]["points"], "<f4").reshape(-1, 2)
    np.testing.assert_array_equal(points, fake_zoo.digits.codes["vae"].points)
    assert packed["right"]["plane"] is True
    assert functions["points"]({"models": ["vae", "judge"]}) == {"error": "error.models"}
    codes = {"codes": [[0.0] * 16, [3, -4]]}
    placed = functions["locate"]({"models": ["vae", "ae_2d"], "point": codes})
    assert placed["right"]["point"] == [3, -4]


def test_a_class_without_digits_has_no_middle(fake_zoo: Zoo) -> None:
    labels = np.where(fake_zoo.digits.labels == 4, 9, 3).astype(np.uint8)
    middles = pack_side(fake_zoo.digits.codes["ae"], labels)["middles"]
    assert [label for label, middle in enumerate(middles) if middle] == [3, 9]


def test_a_digit_is_decoded_by_the_model_of_each_map(fake_zoo: Zoo) -> None:
    shown = decode_digit(fake_zoo, fake_zoo.pair(), 7)
    for side, name in SIDES.items():
        z = fake_zoo.digits.codes[name].mean[7:8]
        x = fake_zoo.model(name).coder.decode(z).sigmoid()[0, 0]
        np.testing.assert_allclose(array(shown[side], "u1").reshape(28, 28), 255 * x, atol=0.51)
    assert shown["left"] != shown["right"]


def test_without_mnist_the_autoencoder_stands_in_for_the_original(fake_zoo: Zoo) -> None:
    shown = decode_digit(fake_zoo, fake_zoo.pair(), 3)
    assert shown["original"] is None
    x = fake_zoo.digit(3)[0, 0]
    np.testing.assert_allclose(array(shown["picture"], "u1").reshape(28, 28), 255 * x, atol=0.51)


def test_with_mnist_the_original_stands_beside(fake_zoo: Zoo) -> None:
    originals = torch.arange(300 * 784).remainder(251).to(torch.uint8).view(300, 1, 28, 28)
    shown = decode_digit(replace(fake_zoo, originals=originals), fake_zoo.pair(), 5)
    np.testing.assert_array_equal(array(shown["original"], "u1"), originals[5].flatten())
    assert shown["picture"] == shown["original"]
    assert shown["left"] == decode_digit(fake_zoo, fake_zoo.pair(), 5)["left"]


def test_a_drawing_lies_where_latent_map_places_it(fake_zoo: Zoo) -> None:
    strokes = {"strokes": [[100, 100, 300, 120, 200, 500]]}
    x = picture(strokes, fake_zoo)
    placed = locate_point(fake_zoo, fake_zoo.pair(), strokes)
    for side, name in SIDES.items():
        model, codes = fake_zoo.model(name).coder, fake_zoo.digits.codes[name]
        z = model.encode(x)
        np.testing.assert_allclose(placed[side]["point"], latent_map.locate(z, codes)[0])
        distances = (codes.mean - z).norm(dim=1)
        nearest = distances.argsort()[:NEAREST].tolist()
        assert placed[side]["digits"] == nearest
        np.testing.assert_allclose(placed[side]["distances"], distances[nearest], rtol=1e-4)
        pictures = array(placed[side]["pictures"], "u1").reshape(NEAREST, 28, 28)
        first = model.decode(codes.mean[nearest[:1]]).sigmoid()[0, 0]
        np.testing.assert_allclose(pictures[0], 255 * first, atol=0.51)
    json.dumps(placed, allow_nan=False)


def test_a_blank_drawing_has_no_place(functions: dict[str, Ask]) -> None:
    assert functions["locate"]({"point": {"strokes": []}}) == {"blank": True}


def test_a_stroke_and_a_digit_have_one(functions: dict[str, Ask]) -> None:
    for drawing in ({"strokes": [[100, 100, 200, 300]]}, {"digit": 0}):
        assert set(functions["locate"]({"point": drawing})) == set(SIDES)


@pytest.mark.parametrize(
    "payload",
    [None, [], "7", {}, {"digit": None}, {"digit": "7"}, {"digit": True}, {"digit": -1}]
    + [{"digit": value} for value in (300, 1e300, 0.5, float("nan"), float("inf"), [1], {})],
)
@pytest.mark.parametrize("name", ["digit", "locate"])
def test_what_is_no_digit_is_refused(functions: dict[str, Ask], name: str, payload: Any) -> None:
    asked = {"point": payload} if name == "locate" else payload
    assert functions[name](asked) == {"error": "error.request"}


@pytest.mark.parametrize(
    "payload", [{"strokes": [[1]]}, {"strokes": [["a", "b"]]}, {"picture": "§"}, {"strokes": [1]}]
)
def test_what_is_no_drawing_is_refused(functions: dict[str, Ask], payload: Any) -> None:
    assert functions["locate"]({"point": payload})["error"].startswith("error.")


def test_plotly_is_at_hand() -> None:
    assert PLOTLY_JS.stat().st_size > 1_000_000


def test_every_word_is_in_both_languages() -> None:
    """Keys in the template and the script, and no key that nobody uses."""
    source = (HERE / "map.html").read_text("utf-8") + (HERE / "map.js").read_text("utf-8")
    english, korean = texts()["en"], texts()["ko"]
    keys = {key for key in english if key.startswith("map.")}
    assert keys == {key for key in korean if key.startswith("map.")}
    assert {key for key in keys if f'"{key}"' not in source} == set()
    assert "error.map" in english
    assert "error.map" in korean
