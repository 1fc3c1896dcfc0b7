"""What the Map tab asks of Python, as plain functions; tests/browser drives the page itself."""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_demo import data, latent_map
from vae_demo.projections import Projections
from vae_demo.ui.app import texts
from vae_demo.ui.exhibit import HERE, picture
from vae_demo.ui.map import (
    MAX_CELLS,
    MAX_DIGITS,
    MAX_PICTURES,
    MAX_TILES,
    NEAREST,
    SCRIPTS,
    map_tab,
)
from vae_demo.ui.map_places import principal
from vae_demo.zoo import CHUNK, TRAINING, Zoo, training_pictures

SIDES = {"left": "ae", "right": "vae"}
REFUSED = {"error": "error.request"}
NO_NUMBERS = [None, "7", True, float("nan"), float("inf"), -(10**400), 10**400, [1], {}]
Ask = Callable[[Any], dict[str, Any]]


def functions_of(zoo: Zoo) -> dict[str, Ask]:
    """The server functions, by the names the script calls them by."""
    return {function.__name__: function for function in map_tab(zoo, Projections()).server_fns}


@pytest.fixture(scope="module")
def functions(fake_zoo: Zoo) -> dict[str, Ask]:
    return functions_of(fake_zoo)


@pytest.fixture
def with_mnist(fake_zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    """The zoo where MNIST is on disk: pictures that can be told apart, if not read."""
    training_pictures.cache_clear()
    generator = torch.Generator().manual_seed(2)
    pictures = torch.randint(256, (300, 1, 28, 28), generator=generator, dtype=torch.uint8)
    trained = pictures.flip(0).repeat(200, 1, 1, 1)

    def load(root: Path, *, train: bool) -> tuple[Tensor, Tensor]:
        assert (root, train) == (Path("mnist"), True)
        return trained, torch.zeros(len(trained))

    monkeypatch.setattr(data, "load", load)
    return replace(fake_zoo, originals=pictures, root=Path("mnist"))


def array(text: str, kind: str = "u1") -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), kind)


def pictures_of(text: str) -> NDArray[np.uint8]:
    return array(text).reshape(-1, 28, 28)


def decoded(zoo: Zoo, name: str, z: Tensor) -> Tensor:
    """Pictures (B, 28, 28) in [0, 1] of codes z (B, Z)."""
    return zoo.model(name).coder.decode(z).sigmoid()[:, 0]


def assert_shows(text: str, x: Tensor) -> None:
    """Bytes of pictures x (B, 28, 28) in [0, 1]."""
    np.testing.assert_allclose(pictures_of(text), 255 * x, atol=0.51)


def assert_reads(zoo: Zoo, reading: dict[str, Any], x: Tensor) -> None:
    """What the judge reads in a picture x (28, 28)."""
    shares = zoo.judge(x[None, None]).softmax(1)[0]
    assert reading["class"] == shares.argmax()
    assert reading["confidence"] == pytest.approx(float(shares.max()), abs=6e-4)


# One digit ----------------------------------------------------------------------------------------


def test_a_digit_is_decoded_by_the_model_of_each_map(
    fake_zoo: Zoo, functions: dict[str, Ask]
) -> None:
    shown = functions["digit"]({"digit": 7})
    for side, name in SIDES.items():
        x = decoded(fake_zoo, name, fake_zoo.digits.codes[name].mean[7:8])
        assert_shows(shown[side], x)
        assert_reads(fake_zoo, shown["reading"][side], x[0])
    assert shown["left"] != shown["right"]
    json.dumps(shown, allow_nan=False)


def test_a_digit_is_decoded_by_any_two_models(fake_zoo: Zoo, functions: dict[str, Ask]) -> None:
    shown = functions["digit"]({"models": ["vae", "ae_2d"], "digit": 7})
    for side, name in (("left", "vae"), ("right", "ae_2d")):
        assert_shows(shown[side], decoded(fake_zoo, name, fake_zoo.digits.codes[name].mean[7:8]))
    assert functions["digit"]({"models": ["vae", "judge"], "digit": 7}) == {"error": "error.models"}


def test_without_mnist_the_autoencoder_stands_in_for_the_original(
    fake_zoo: Zoo, functions: dict[str, Ask]
) -> None:
    assert "picture" not in functions["digit"]({"digit": 3})  # it costs another decode
    shown = functions["digit"]({"digit": 3, "picture": True})
    assert shown["original"] is None
    assert_shows(shown["picture"], fake_zoo.digit(3)[0])


def test_with_mnist_the_original_stands_beside(with_mnist: Zoo, functions: dict[str, Ask]) -> None:
    shown = functions_of(with_mnist)["digit"]({"digit": 5, "picture": True})
    assert with_mnist.originals is not None
    np.testing.assert_array_equal(array(shown["original"]), with_mnist.originals[5].flatten())
    assert shown["picture"] == shown["original"]
    assert shown["left"] == functions["digit"]({"digit": 5})["left"]


def test_training_digits_are_encoded_where_mnist_is_on_disk(with_mnist: Zoo) -> None:
    index = 10_000 + 42
    shown = functions_of(with_mnist)["digit"]({"digit": index})
    x = data.load(Path("mnist"), train=True)[0][42:43] / 255
    assert_shows(shown["original"], x[0])
    for side, name in SIDES.items():
        model = with_mnist.model(name).coder
        assert_shows(shown[side], decoded(with_mnist, name, model.encode(x)))


@pytest.mark.parametrize("index", [300, 9_999, 70_000])
def test_numbers_between_and_beyond_are_no_digits(with_mnist: Zoo, index: int) -> None:
    functions = functions_of(with_mnist)
    assert functions["digit"]({"digit": index}) == REFUSED
    assert functions["pictures"]({"digits": [0, index], "side": "left"}) == REFUSED
    assert "error" not in functions["digit"]({"digit": 69_999})


def test_without_mnist_there_are_no_training_digits(functions: dict[str, Ask]) -> None:
    assert functions["digit"]({"digit": TRAINING.start}) == REFUSED


# Places -------------------------------------------------------------------------------------------


def test_any_place_is_decoded(fake_zoo: Zoo, functions: dict[str, Ask]) -> None:
    codes = fake_zoo.digits.codes
    code = [0.1 * i for i in range(16)]
    placed = functions["place"]({"left": {"code": code}, "right": {"pca": [1.5, -2]}})
    expected = {
        "left": torch.tensor([code]),
        "right": latent_map.pca(codes["vae"], 2).codes(np.array([[1.5, -2]], np.float32)),
    }
    for side, name in SIDES.items():
        x = decoded(fake_zoo, name, expected[side])
        assert_shows(placed[side]["picture"], x)
        assert_reads(fake_zoo, placed[side], x[0])
    json.dumps(placed, allow_nan=False)


def test_a_mixture_of_digits_is_the_mean_of_their_codes(
    fake_zoo: Zoo, functions: dict[str, Ask]
) -> None:
    spec = {"digits": [3, 11, 3], "weights": [1, 6, 1]}
    placed = functions["place"]({"left": spec, "right": spec})
    for side, name in SIDES.items():
        mean = fake_zoo.digits.codes[name].mean
        assert_shows(
            placed[side]["picture"], decoded(fake_zoo, name, (mean[3:4] + 3 * mean[11:12]) / 4)
        )
    tiny = functions["place"]({"left": {**spec, "weights": [1e-300, 6e-300, 1e-300]}})
    assert tiny["left"] == placed["left"]


def test_the_first_axes_of_three_are_those_of_two(functions: dict[str, Ask]) -> None:
    flat, solid = (functions["place"]({"left": {"pca": at}}) for at in ([2, 1], [2, 1, 0]))
    difference = pictures_of(flat["left"]["picture"]).astype(int) - pictures_of(
        solid["left"]["picture"]
    )
    assert abs(difference).max() <= 1


@pytest.mark.parametrize("place", [{"code": [1, -2]}, {"pca": [1, -2]}, {"pca": [1, -2, 7]}])
def test_the_plane_of_a_model_of_two_numbers_is_its_codes(
    fake_zoo: Zoo, functions: dict[str, Ask], place: Any
) -> None:
    placed = functions["place"]({"models": ["ae_2d", "vae"], "left": place})
    assert_shows(placed["left"]["picture"], decoded(fake_zoo, "ae_2d", torch.tensor([[1.0, -2]])))


@pytest.mark.parametrize("side", SIDES)
def test_a_side_may_be_empty(functions: dict[str, Ask], side: str) -> None:
    other = next(name for name in SIDES if name != side)
    placed = functions["place"]({side: {"pca": [0, 0]}})
    assert placed[side].keys() == {"picture", "class", "confidence"}
    assert placed[other] is None
    assert functions["place"]({side: None}) == {"left": None, "right": None}


@pytest.mark.parametrize(
    "place",
    [{}, [], 7, "code", False, {"code": None}, {"code": []}, {"code": [0] * 15}, {"code": [0] * 17}]
    + [{"code": [value] + [0] * 15} for value in [*NO_NUMBERS, 1e5]]
    + [{"pca": value} for value in (None, [], [1], [1, 2, 3, 4], {}, "12")]
    + [{"pca": [0, value]} for value in [*NO_NUMBERS, 1e5]]
    + [{"digits": [0, 1]}, {"weights": [1]}, {"digits": [], "weights": []}]
    + [{"digits": [0, 1], "weights": value} for value in (None, [1], [1, 1, 1], 1, "11")]
    + [{"digits": [0, 1], "weights": [1, value]} for value in [*NO_NUMBERS, -1, 1e300]]
    + [{"digits": [0, value], "weights": [1, 1]} for value in [*NO_NUMBERS, -1, 300, 0.5]]
    + [{"digits": [0, 1], "weights": [0, 0]}]
    + [{"digits": [0] * (MAX_DIGITS + 1), "weights": [1] * (MAX_DIGITS + 1)}],
)
def test_what_is_no_place_is_refused(functions: dict[str, Ask], place: Any) -> None:
    assert functions["place"]({"left": {"pca": [0, 0]}, "right": place}) == REFUSED


# Several pictures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_several_digits_are_shown_as_the_model_of_a_side_rebuilds_them(
    fake_zoo: Zoo, functions: dict[str, Ask], side: str
) -> None:
    chosen = [5, 299, 0, 5] * (MAX_PICTURES // 4)
    shown = functions["pictures"]({"digits": chosen, "side": side})
    mean = fake_zoo.digits.codes[SIDES[side]].mean
    assert_shows(shown["pictures"], decoded(fake_zoo, SIDES[side], mean[chosen]))


def test_several_digits_are_the_originals_where_mnist_is_on_disk(with_mnist: Zoo) -> None:
    ask = functions_of(with_mnist)["pictures"]
    shown = ask({"digits": [7, 10_003, 299], "side": "right"})
    assert with_mnist.originals is not None
    for shown_one, index in zip(pictures_of(shown["pictures"]), (7, 296, 299), strict=True):
        np.testing.assert_array_equal(shown_one, with_mnist.originals[index, 0])


@pytest.mark.parametrize(
    "wrong",
    [{"side": side} for side in (None, "middle", 0, [], {})]
    + [{"digits": digits} for digits in (None, [], 3, "12", {}, [0] * (MAX_PICTURES + 1))]
    + [{"digits": [0, digit]} for digit in [*NO_NUMBERS, -1, 300, 0.5]],
)
def test_what_is_no_list_of_digits_is_refused(functions: dict[str, Ask], wrong: Any) -> None:
    assert functions["pictures"]({"digits": [0], "side": "left", **wrong}) == REFUSED


# Planes -------------------------------------------------------------------------------------------

BOX = {"box": [-3, -1, 3, 1], "columns": 3, "rows": 2}
MIDDLES = [[-2, 0.5], [0, 0.5], [2, 0.5], [-2, -0.5], [0, -0.5], [2, -0.5]]  # row by row from above
PLANES = {"plane": ["vae", "ae_2d"], "pca": ["ae", "vae"]}


def codes_of_middles(zoo: Zoo, lens: str) -> Tensor:
    if lens == "plane":
        return torch.tensor(MIDDLES)
    plane = latent_map.pca(zoo.digits.codes["vae"], 2)
    return plane.codes(np.array(MIDDLES, np.float32))


@pytest.mark.parametrize("lens", PLANES)
def test_a_sheet_is_decoded_at_the_middles_of_its_cells(
    fake_zoo: Zoo, functions: dict[str, Ask], lens: str
) -> None:
    asked = {"models": PLANES[lens], "side": "right", "lens": lens, **BOX}
    shown = functions["sheet"](asked)
    assert_shows(
        shown["pictures"], decoded(fake_zoo, PLANES[lens][1], codes_of_middles(fake_zoo, lens))
    )


@pytest.mark.parametrize("lens", PLANES)
def test_the_judge_is_asked_at_the_middles_of_cells(
    fake_zoo: Zoo, functions: dict[str, Ask], lens: str
) -> None:
    asked = {"models": PLANES[lens], "side": "right", "lens": lens, **BOX}
    field = functions["confidence"](asked)
    x = decoded(fake_zoo, PLANES[lens][1], codes_of_middles(fake_zoo, lens))[:, None]
    sure, classes = fake_zoo.judge(x).softmax(1).max(1)
    np.testing.assert_allclose(array(field["confidence"]), 255 * sure, atol=0.51)
    np.testing.assert_array_equal(array(field["classes"]), classes)
    assert functions["confidence"](asked) == field
    assert functions["confidence"]({**asked, "box": [-6, -1, 6, 1]}) != field


def test_large_rasters_are_decoded_in_parts(fake_zoo: Zoo, functions: dict[str, Ask]) -> None:
    asked = {"models": ["vae", "ae_2d"], "side": "right", "lens": "plane", **BOX}
    sheet = functions["sheet"]({**asked, "columns": 2, "rows": MAX_TILES // 2})
    x = pictures_of(sheet["pictures"])
    assert len(x) == MAX_TILES > 2 * CHUNK
    last = torch.tensor([[1.5, -1 + 1 / MAX_TILES * 2]])
    assert_shows(sheet["pictures"][-1048:], decoded(fake_zoo, "ae_2d", last))
    field = functions["confidence"]({**asked, "columns": 2, "rows": CHUNK})
    assert len(array(field["confidence"])) == len(array(field["classes"])) == 2 * CHUNK


@pytest.mark.parametrize(("name", "most"), [("sheet", MAX_TILES), ("confidence", MAX_CELLS)])
def test_rasters_have_an_end(functions: dict[str, Ask], name: str, most: int) -> None:
    asked = {"side": "right", "lens": "pca", **BOX, "columns": most // 10, "rows": 11}
    assert functions[name](asked) == REFUSED


@pytest.mark.parametrize("name", ["sheet", "confidence"])
@pytest.mark.parametrize(
    "wrong",
    [{"side": side} for side in (None, "middle", 0, [])]
    + [{"lens": lens} for lens in (None, "umap", "plane", 3, [], {})]
    + [{"box": box} for box in (None, [], [0, 0, 1], [0, 0, 1, 1, 1], "0011", {}, 5)]
    + [{"box": [0, 0, 1, value]} for value in [*NO_NUMBERS[:4], *NO_NUMBERS[5:], 1e5]]
    + [{"box": box} for box in ([1, 0, 1, 1], [2, 0, 1, 1], [0, 1, 1, 0])]
    + [{"columns": value} for value in [*NO_NUMBERS, 0, -1, 2.5, MAX_CELLS]]
    + [{"rows": value} for value in [*NO_NUMBERS, 0, -1, 2.5, MAX_CELLS]],
)
def test_what_is_no_raster_is_refused(functions: dict[str, Ask], name: str, wrong: Any) -> None:
    assert functions[name]({"side": "right", "lens": "pca", **BOX, **wrong}) == REFUSED


def test_a_code_space_of_many_numbers_is_no_plane(functions: dict[str, Ask]) -> None:
    asked = {"models": ["vae", "ae_2d"], "side": "left", "lens": "plane", **BOX}
    assert functions["sheet"](asked) == REFUSED


# A point among others -----------------------------------------------------------------------------

STROKES = {"strokes": [[100, 100, 300, 120, 200, 500]]}


def test_a_drawing_lies_where_latent_map_places_it(
    fake_zoo: Zoo, functions: dict[str, Ask]
) -> None:
    x = picture(STROKES, fake_zoo)
    placed = functions["locate"]({"point": STROKES})
    for side, name in SIDES.items():
        model, codes = fake_zoo.model(name).coder, fake_zoo.digits.codes[name]
        z = model.encode(x)
        np.testing.assert_allclose(placed[side]["code"], z[0])
        distances = (codes.mean - z).norm(dim=1)
        nearest = distances.argsort()[:NEAREST].tolist()
        assert placed[side]["digits"] == nearest
        np.testing.assert_allclose(placed[side]["distances"], distances[nearest], rtol=1e-4)
        assert_shows(placed[side]["pictures"], decoded(fake_zoo, name, codes.mean[nearest]))
        around = placed[side]["neighbours"]
        assert around["digits"] == distances.argsort()[:15].tolist()
        point = np.array(around["weights"]) @ codes.points[around["digits"]]
        np.testing.assert_allclose(point, latent_map.locate(z, codes)[0], rtol=1e-4, atol=1e-5)
    json.dumps(placed, allow_nan=False)
    brief = functions["locate"]({"point": STROKES, "pictures": False, "deviation": False})
    for side in SIDES:
        del placed[side]["pictures"], placed[side]["deviation"]
    assert brief == placed


def test_a_point_has_a_place_along_the_principal_axes(
    fake_zoo: Zoo, functions: dict[str, Ask]
) -> None:
    placed = functions["locate"]({"models": ["vae", "ae_2d"], "point": STROKES})
    z = torch.tensor([placed["left"]["code"]])
    plane = latent_map.pca(fake_zoo.digits.codes["vae"], 3)
    np.testing.assert_allclose(placed["left"]["pca"], plane.places(z)[0], rtol=1e-4, atol=1e-4)
    assert placed["right"]["pca"] == [*placed["right"]["code"], 0]
    again = functions["place"]({"left": {"pca": placed["left"]["pca"]}})
    assert again["left"] is not None


def test_only_pictures_have_a_posterior(fake_zoo: Zoo, functions: dict[str, Ask]) -> None:
    ask = functions["locate"]
    drawn, digit = (ask({"point": spec}) for spec in (STROKES, {"digit": 4}))
    vae = fake_zoo.model("vae")
    assert vae.variational is not None
    assert vae.codes.logvar is not None
    _, logvar = vae.variational.posterior(picture(STROKES, fake_zoo))
    np.testing.assert_allclose(drawn["right"]["deviation"], (logvar[0] / 2).exp(), rtol=1e-4)
    deviation = (vae.codes.logvar[4] / 2).exp()
    np.testing.assert_allclose(digit["right"]["deviation"], deviation, rtol=1e-5)
    tile = {"seed": 3, "index": 1, "temperature": 1}
    for placed in (ask({"point": tile}), ask({"point": {"codes": [[0] * 16, [1] * 16]}})):
        assert placed["right"]["deviation"] is None
    assert drawn["left"]["deviation"] is None


@pytest.mark.parametrize("metric", latent_map.METRICS)
def test_neighbours_are_those_of_the_map_asked_about(
    fake_zoo: Zoo, functions: dict[str, Ask], metric: str
) -> None:
    asked = {"point": STROKES, "metric": metric, "n_neighbors": 40, "count": 200}
    placed = functions["locate"](asked)
    for side, name in SIDES.items():
        codes = fake_zoo.digits.codes[name]
        z = torch.tensor([placed[side]["code"]])
        first = replace(codes, mean=codes.mean[:200])
        indices, weights = latent_map.neighbours(z, first, 40, metric)
        assert placed[side]["neighbours"]["digits"] == indices[0].tolist()
        np.testing.assert_allclose(placed[side]["neighbours"]["weights"], weights[0], rtol=1e-5)
    plain = functions["locate"]({"point": STROKES})
    assert placed["left"]["digits"] == plain["left"]["digits"]  # by the codes' own distance


def test_neighbours_by_pixels_are_the_same_for_all_models(
    with_mnist: Zoo, functions: dict[str, Ask]
) -> None:
    placed = functions_of(with_mnist)["locate"]({"point": {"digit": 8}, "of": "pixels"})
    assert placed["left"]["neighbours"] == placed["right"]["neighbours"]
    assert placed["left"]["neighbours"]["digits"][0] == 8
    assert placed["left"]["neighbours"]["weights"] == [1] + [0] * 14
    x = picture(STROKES, with_mnist)
    drawn = functions_of(with_mnist)["locate"]({"point": STROKES, "of": "pixels"})
    assert with_mnist.originals is not None
    apart = (with_mnist.originals / 255 - x).flatten(1).norm(dim=1)
    assert drawn["right"]["neighbours"]["digits"] == apart.argsort()[:15].tolist()


def test_without_mnist_pixels_are_those_the_page_shows(
    fake_zoo: Zoo, functions: dict[str, Ask]
) -> None:
    placed = functions["locate"]({"point": STROKES, "of": "pixels", "n_neighbors": 3})
    shown = torch.cat([fake_zoo.digit(index) for index in range(300)])
    apart = (shown - picture(STROKES, fake_zoo)).flatten(1).norm(dim=1)
    assert placed["left"]["neighbours"]["digits"] == apart.argsort()[:3].tolist()


def test_two_neighbours_are_enough(functions: dict[str, Ask]) -> None:
    placed = functions["locate"]({"point": STROKES, "n_neighbors": 2})
    assert len(placed["left"]["neighbours"]["digits"]) == 2
    assert sum(placed["left"]["neighbours"]["weights"]) == pytest.approx(1)


@pytest.mark.parametrize(
    "wrong",
    [{"metric": metric} for metric in ("chebyshev", 3, None, [], {})]
    + [{"of": of} for of in ("images", 3, None, [], {})]
    + [{"n_neighbors": n} for n in [*NO_NUMBERS[1:], 1, 201, 2.5]]
    + [{"count": n} for n in [*NO_NUMBERS[1:], 0, 14, 301, 99.5]]
    + [{"n_neighbors": 100, "count": 99}],
)
def test_what_is_no_neighbourhood_is_refused(functions: dict[str, Ask], wrong: Any) -> None:
    assert functions["locate"]({"point": STROKES, **wrong}) == REFUSED


def test_principal_axes_are_found_once(fake_zoo: Zoo) -> None:
    codes = fake_zoo.digits.codes["ae"]
    assert principal(codes, 2) is principal(codes, 2)


def test_a_blank_drawing_has_no_place(functions: dict[str, Ask]) -> None:
    assert functions["locate"]({"point": {"strokes": []}}) == {"blank": True}


def test_a_stroke_and_a_digit_have_one(functions: dict[str, Ask]) -> None:
    for drawing in ({"strokes": [[100, 100, 200, 300]]}, {"digit": 0}):
        assert set(functions["locate"]({"point": drawing})) == set(SIDES)


@pytest.mark.parametrize(
    "payload",
    [None, [], "7", {}, {"digit": -1}]
    + [{"digit": value} for value in [*NO_NUMBERS, 300, 1e300, 0.5]],
)
@pytest.mark.parametrize("name", ["digit", "locate"])
def test_what_is_no_digit_is_refused(functions: dict[str, Ask], name: str, payload: Any) -> None:
    asked = {"point": payload} if name == "locate" else payload
    assert functions[name](asked) == REFUSED


@pytest.mark.parametrize(
    "payload", [{"strokes": [[1]]}, {"strokes": [["a", "b"]]}, {"picture": "§"}, {"strokes": [1]}]
)
def test_what_is_no_drawing_is_refused(functions: dict[str, Ask], payload: Any) -> None:
    assert functions["locate"]({"point": payload})["error"].startswith("error.")


FUNCTIONS = {"digit", "place", "pictures", "sheet", "confidence", "locate"}
FUNCTIONS |= {"project", "progress", "cancel", "own"}


def test_these_are_the_functions(functions: dict[str, Ask]) -> None:
    assert functions.keys() == FUNCTIONS


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@pytest.mark.parametrize("payload", [None, [], "{}", 3, {"models": ["ae"]}, {"models": 5}])
def test_what_is_no_request_is_refused(functions: dict[str, Ask], name: str, payload: Any) -> None:
    assert functions[name](payload) == REFUSED


def test_every_word_is_in_both_languages() -> None:
    """Keys in the template and the scripts, and no key that nobody uses."""
    scripts = [HERE / f"{name}.js" for name in SCRIPTS]
    source = "".join(path.read_text("utf-8") for path in (HERE / "map.html", *scripts))
    # "map.note." + name, "map.plot.${side}"
    families = tuple(re.findall(r'"(map\.[\w.]*\.)(?:"|\$\{)', source))
    english, korean = texts()["en"], texts()["ko"]
    keys = {key for key in english if key.startswith("map.")}
    assert keys == {key for key in korean if key.startswith("map.")}
    assert [key for key in keys if f'"{key}"' not in source and not key.startswith(families)] == []


def test_the_parts_of_the_script_share_no_name() -> None:
    """They are one script: a name given twice would leave the tab dead."""
    source = "\n".join((HERE / f"{name}.js").read_text("utf-8") for name in SCRIPTS)
    given = re.findall(r"^(?:const|let|(?:async )?function) (\w+|[\[{][^=]*[\]}])", source, re.M)
    names = [name for one in given for name in re.findall(r"\w+", one)]
    assert len(names) > 100
    assert sorted(names) == sorted(set(names))


def test_every_refusal_has_words() -> None:
    codes = set()
    for path in HERE.glob("*.py"):
        codes |= set(re.findall(r'"(error\.[\w.]+)"', path.read_text("utf-8")))
    assert "error.own.zip" in codes
    assert codes <= texts()["en"].keys() & texts()["ko"].keys()
