"""Both ends are met exactly, whatever they are, and the strip is a part of the animation."""

import base64
import io
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from vae_demo import exports, latent, latent_map
from vae_demo.images import to_uint8
from vae_demo.ui.exhibit import RequestError, recipe
from vae_demo.ui.interpolate import (
    FRAME_MS,
    MAX_STEPS,
    MIN_STEPS,
    added,
    bilinear,
    class_mean,
    cross_fade,
    export,
    film,
    frame_count,
    grid,
    interpolate_tab,
    small_map,
    strengths,
)
from vae_demo.ui.points import digit_of_class, point
from vae_demo.ui.replay import replay
from vae_demo.ui.sample import sample_tab

STROKES = {"strokes": [[100, 100, 300, 100, 200, 400]]}
DIGIT = {"digit": 17}
POINT = {"seed": 5, "index": 7, "temperature": 0.8}
ENDS = [STROKES, DIGIT, POINT]
WAY = {"mode": "way", "start": STROKES, "end": DIGIT, "steps": 9, "path": "slerp"}
SUM = {
    "mode": "arithmetic",
    "start": DIGIT,
    "plus": class_mean(7),
    "minus": class_mean(2),
    "steps": 7,
}
SHEET = {
    "mode": "sheet",
    "start": DIGIT,
    "end": POINT,
    "third": STROKES,
    "fourth": {"digit": 4},
    "steps": 5,
}
UNEVEN = {"models": ["ae_2d", "vae"]}  # codes of another size left than right


@pytest.fixture(scope="module")
def ask(fake_zoo):
    function = interpolate_tab(fake_zoo).server_fns[0]

    def call(start=DIGIT, end=POINT, steps=9, path="lerp", **others):
        return function({"start": start, "end": end, "steps": steps, "path": path, **others})

    return call


@pytest.fixture(scope="module")
def serve(fake_zoo):
    """Any of the tab's server functions, by name."""
    functions = {function.__name__: function for function in interpolate_tab(fake_zoo).server_fns}
    return lambda name, payload: functions[name](payload)


@pytest.fixture(scope="module")
def decoded(fake_zoo):
    """What one side makes of an end alone, as grey bytes."""

    def decode(side, end):
        with torch.inference_mode():
            z = point(fake_zoo, fake_zoo.pair(), end).codes[side]
            return to_uint8(fake_zoo.pair()[side].coder.decode(z[None]).sigmoid()).reshape(28, 28)

    return decode


def pictures(text):
    return np.frombuffer(base64.b64decode(text), dtype=np.uint8).reshape(-1, 28, 28)


def close(a, b):
    """Equal but for the rounding of sums whose order depends on the batch."""
    return np.abs(a.astype(int) - b.astype(int)).max() <= 1


# The way ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["lerp", "slerp"])
@pytest.mark.parametrize("start", ENDS, ids=["drawing", "digit", "point"])
@pytest.mark.parametrize("end", ENDS, ids=["drawing", "digit", "point"])
def test_the_way_begins_and_ends_where_it_was_asked_to(ask, decoded, start, end, path):
    answer = ask(start, end, path=path)
    for side, name in enumerate(("left", "right")):
        frames = pictures(answer[name])
        assert len(frames) == answer["frames"]
        assert close(frames[0], decoded(side, start))
        assert close(frames[-1], decoded(side, end))


@pytest.mark.parametrize("steps", range(MIN_STEPS, MAX_STEPS + 1))
def test_every_picture_of_the_strip_is_a_frame(steps):
    frames = frame_count(steps)
    assert (frames - 1) % (steps - 1) == 0
    assert 49 <= frames <= 67


def test_line_and_arc_differ_between_the_ends(ask):
    line, arc = ask(path="lerp"), ask(path="slerp")
    assert line["left"] != arc["left"]
    assert line["fade"] == arc["fade"]


def test_the_cross_fade_blends_the_two_pictures(ask):
    answer = ask()
    fade = pictures(answer["fade"])
    start, end = (pictures(answer[name]["picture"])[0] for name in ("start", "end"))
    assert np.array_equal(fade[0], start)
    assert np.array_equal(fade[-1], end)
    assert close(fade[len(fade) // 2], (start.astype(int) + end) / 2)


def test_cross_fade_is_even():
    fade = cross_fade(torch.zeros(1, 1, 28, 28), torch.ones(1, 1, 28, 28), 5)
    assert fade.shape == (5, 1, 28, 28)
    assert fade[:, 0, 0, 0].tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_the_same_question_gets_the_same_answer(ask):
    assert ask(STROKES, POINT) == ask(STROKES, POINT)


def film_of(zoo, payload):
    with torch.inference_mode():
        return film(zoo, payload)


@pytest.mark.parametrize("models", [["ae", "vae"], UNEVEN["models"], ["vae", "vae"]], ids=str)
@pytest.mark.parametrize("path", ["lerp", "slerp"])
def test_codes_meet_both_ends_exactly_and_arcs_keep_between_their_lengths(fake_zoo, models, path):
    made = film_of(fake_zoo, {**WAY, "models": models, "path": path})
    for side, codes in enumerate(made.codes):
        a, b = (made.ends[name].codes[side] for name in ("start", "end"))
        assert torch.equal(codes[0], a)
        assert torch.equal(codes[-1], b)
        norms, (low, high) = codes.norm(dim=1), sorted([a.norm(), b.norm()])
        assert norms.max() <= high * 1.0001
        if path == "slerp" and codes.shape[1] > 1:
            assert norms.min() >= low * 0.9999


def test_readings_are_the_judges_own(ask, fake_zoo):
    answer = ask()
    made = film_of(fake_zoo, {**WAY, "start": DIGIT, "end": POINT, "path": "lerp"})
    for row, x in made.rows.items():
        with torch.inference_mode():
            shares = fake_zoo.judge(x).softmax(1)
        assert answer["readings"][row]["classes"] == shares.argmax(1).tolist()
        assert np.allclose(answer["readings"][row]["confidences"], shares.max(1).values, atol=6e-4)


def test_the_way_on_the_map_joins_the_places_of_its_ends(ask, fake_zoo):
    answer = ask(STROKES, DIGIT)
    for side, model in zip(("left", "right"), fake_zoo.pair(), strict=True):
        way = np.array(answer["places"][side])
        assert way.shape == (answer["frames"], 2)
        for place, end in ((way[0], STROKES), (way[-1], DIGIT)):
            with torch.inference_mode():
                z = point(fake_zoo, fake_zoo.pair(), end).codes[("left", "right").index(side)]
                assert np.allclose(place, latent_map.locate(z[None], model.codes)[0], atol=1e-3)
        assert np.allclose(way[-1], model.codes.points[17], atol=1e-3)


def test_codes_of_two_numbers_are_their_own_map(ask, fake_zoo):
    answer = ask(path="lerp", **UNEVEN)
    made = film_of(fake_zoo, {**WAY, **UNEVEN, "start": DIGIT, "end": POINT, "path": "lerp"})
    assert np.allclose(answer["places"]["left"], made.codes[0], atol=1e-3)


# Arithmetic ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", range(4, 20, 3))
def test_strengths_0_and_1_are_pictures_of_the_strip(steps):
    s = strengths(frame_count(steps))[:: (frame_count(steps) - 1) // (steps - 1)]
    assert len(s) == steps
    assert (s[0], s[-1]) == (-1, 2)
    assert s[(steps - 1) // 3] == 0
    assert s[2 * (steps - 1) // 3] == 1


def test_no_strength_leaves_and_full_strength_adds_the_whole_difference(generator):
    x, difference = latent.prior(2, 16, generator)
    codes = added(x, difference, torch.tensor([0.0, 1.0, -1.0]))
    assert torch.equal(codes[0], x)
    assert torch.equal(codes[1], x + difference)
    assert torch.equal(codes[2], x - difference)


@pytest.mark.parametrize("others", [{}, UNEVEN], ids=["twins", "uneven"])
def test_arithmetic_begins_at_the_digit_and_adds_the_difference_of_class_means(fake_zoo, others):
    made = film_of(fake_zoo, {**SUM, **others})
    third = (len(made.fade) - 1) // 3
    for side, model in enumerate(made.models):
        means = model.samplers.classes.means
        x = model.codes.mean[17]
        assert torch.equal(made.codes[side][third], x)
        assert torch.equal(made.codes[side][2 * third], x + (means[7] - means[2]))
        assert torch.equal(made.codes[side][0], x - (means[7] - means[2]))
    assert torch.equal(made.fade[third], made.ends["start"].x[0])
    assert made.fade.min() >= 0
    assert made.fade.max() <= 1


def test_drawn_variants_make_a_direction(serve, fake_zoo):
    other = {"strokes": [[100, 100, 300, 110, 250, 400]]}
    answer = serve("interpolate", {**SUM, "plus": other, "minus": STROKES})
    assert pictures(answer["plus"]["picture"]).any()
    made = film_of(fake_zoo, {**SUM, "plus": other, "minus": STROKES})
    third = (len(made.fade) - 1) // 3
    plus, minus = made.ends["plus"].codes, made.ends["minus"].codes
    for side in range(2):
        wanted = made.codes[side][third] + (plus[side] - minus[side])
        assert torch.equal(made.codes[side][2 * third], wanted)


def test_nothing_added_is_the_digit_all_along(fake_zoo):
    made = film_of(fake_zoo, {**SUM, "plus": POINT, "minus": POINT})
    for codes in made.codes:
        assert (codes == codes[0]).all()


# Sheets -------------------------------------------------------------------------------------------


def test_a_sheet_has_its_corners_and_lines_for_edges(generator):
    corners = latent.prior(4, 16, generator).reshape(2, 2, 16)
    codes = bilinear(corners, *grid(7)).reshape(7, 7, 16)
    assert torch.equal(codes[::6, ::6], corners)
    assert torch.equal(codes[0], latent.lerp(corners[0, 0], corners[0, 1], 7))
    assert torch.equal(codes[-1], latent.lerp(corners[1, 0], corners[1, 1], 7))
    assert torch.equal(codes[:, 0], latent.lerp(corners[0, 0], corners[1, 0], 7))
    assert torch.equal(codes[:, -1], latent.lerp(corners[0, 1], corners[1, 1], 7))
    assert torch.allclose(codes[3, 3], corners.mean((0, 1)), atol=1e-6)


@pytest.mark.parametrize("steps", [3, 7])
def test_a_sheet_shows_its_four_ends_at_its_corners(serve, decoded, steps):
    answer = serve("sheet", {**SHEET, "steps": steps})
    for side, name in enumerate(("left", "right")):
        tiles = pictures(answer[name])
        assert len(tiles) == len(answer["places"][name]) == steps**2
        assert len(answer["readings"][name]["classes"]) == steps**2
        for index, end in ((0, "start"), (steps - 1, "end"), (-steps, "third"), (-1, "fourth")):
            assert close(tiles[index], decoded(side, SHEET[end]))


def test_a_place_of_a_sheet_is_what_the_sheet_shows_there(serve):
    sheet = serve("sheet", SHEET)
    place = serve("place", {**SHEET, "u": 0.75, "v": 0.25})
    for side in ("left", "right"):
        assert close(pictures(place[side])[0], pictures(sheet[side])[5 + 3])
        assert place["readings"][side]["classes"][0] == sheet["readings"][side]["classes"][8]
        assert np.allclose(place["places"][side][0], sheet["places"][side][8], atol=2e-3)


# Small maps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ae", "vae", "ae_2d"])
def test_a_small_map_holds_the_codes_places(fake_zoo, name):
    model = fake_zoo.model(name)
    made = small_map(fake_zoo, model)
    dots = np.frombuffer(base64.b64decode(made["dots"]), "<u2").reshape(-1, 2)
    again = np.array(made["corner"]) + dots / 65535 * made["extent"]
    assert np.allclose(again, model.codes.points, atol=made["extent"] / 65535)
    labels = np.frombuffer(base64.b64decode(made["labels"]), np.uint8)
    assert np.array_equal(labels, fake_zoo.digits.labels)
    ones = model.codes.points[labels == 1]
    assert np.allclose(made["middles"][1], np.median(ones, axis=0))


# Exports ------------------------------------------------------------------------------------------

FILES = [(WAY, "png"), (WAY, "gif"), (SUM, "png"), (SUM, "gif"), (SHEET, "png")]


@pytest.mark.parametrize("others", [{}, UNEVEN], ids=["twins", "uneven"])
@pytest.mark.parametrize(("request_", "file"), FILES, ids=lambda one: str(one)[:12])
def test_a_saved_file_comes_back_bit_for_bit(serve, fake_zoo, request_, file, others):
    answer = serve("save", {**request_, **others, "file": file})
    content = base64.b64decode(answer["file"])
    assert answer["name"] == f"interpolate-{request_['mode']}.{file}"
    inside = exports.read_recipe(content)
    assert inside == json.loads(json.dumps(answer["recipe"]))
    assert replay(inside, fake_zoo) == content


@pytest.mark.parametrize(("request_", "file"), [(WAY, "gif"), (SUM, "gif"), (SHEET, "png")])
def test_a_recipe_on_its_own_makes_the_film_or_the_sheet(serve, fake_zoo, request_, file):
    answer = serve("save", {**request_, "file": "json"})
    assert answer["name"] == f"interpolate-{request_['mode']}.json"
    alone = exports.read_recipe(base64.b64decode(answer["file"]))
    assert set(alone["weights"]) == {"ae", "vae"}
    film_or_sheet = serve("save", {**request_, "file": file})["file"]
    assert replay(alone, fake_zoo) == base64.b64decode(film_or_sheet)


def in_ink(picture):
    """The red of a picture in the page's ink on the page's ground."""
    (low, _, _), (high, _, _) = exports.GROUND, exports.INK
    return low + (high - low) * (picture.astype(float) / 255)


def test_a_film_goes_there_and_back_left_fade_right(serve):
    answer = serve("interpolate", WAY)
    gif = Image.open(io.BytesIO(base64.b64decode(serve("save", {**WAY, "file": "gif"})["file"])))
    frames = answer["frames"]
    assert gif.n_frames == 2 * frames - 2
    assert gif.info["loop"] == 0
    assert gif.info["duration"] == FRAME_MS
    shown = []
    for frame in range(gif.n_frames):
        gif.seek(frame)
        shown.append(np.asarray(gif.convert("RGB"))[::4, ::4, 0])
    for index in (0, 20, frames - 1):
        for i, row in enumerate(("left", "fade", "right")):
            wanted = in_ink(pictures(answer[row])[index])
            assert np.abs(shown[index][:, 30 * i : 30 * i + 28] - wanted).max() <= 1
    assert np.array_equal(shown[-1], shown[1])
    assert np.array_equal(shown[frames], shown[frames - 2])


def test_the_strips_are_what_the_page_shows(serve):
    answer = serve("interpolate", WAY)
    content = base64.b64decode(serve("save", {**WAY, "file": "png"})["file"])
    sheet = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))[::4, ::4, 0]
    assert sheet.shape == (3 * 30 - 2, 9 * 30 - 2)
    gap = (answer["frames"] - 1) // 8
    for j, row in enumerate(("left", "right", "fade")):
        for i, picture in enumerate(pictures(answer[row])[::gap]):
            wanted = in_ink(picture)
            assert np.abs(sheet[30 * j : 30 * j + 28, 30 * i : 30 * i + 28] - wanted).max() <= 1


def test_a_recipe_of_other_weights_is_refused(fake_zoo):
    with pytest.raises(exports.RecipeError, match="weights"):
        replay(
            {**recipe("interpolate", {**WAY, "file": "png"}, fake_zoo), "weights": {"ae": "no"}},
            fake_zoo,
        )


@pytest.mark.parametrize("file", ["mp4", None, ["png"], "GIF"], ids=str)
@pytest.mark.parametrize("request_", [WAY, SUM, SHEET], ids=lambda one: one["mode"])
def test_no_other_files_are_made(fake_zoo, request_, file):
    with pytest.raises(RequestError):
        export(fake_zoo, {**request_, "file": file})


def test_a_sheet_is_no_film(serve):
    assert serve("save", {**SHEET, "file": "gif"}) == {"error": "error.request"}


# Ends ---------------------------------------------------------------------------------------------


def test_a_digit_goes_by_each_models_own_code(fake_zoo):
    end = point(fake_zoo, fake_zoo.pair(), DIGIT)
    for z, name in zip(end.codes, ("ae", "vae"), strict=True):
        assert torch.equal(z, fake_zoo.digits.codes[name].mean[17])
    assert torch.equal(end.x, fake_zoo.digit(17))
    assert end.about == {"digit": 17, "class": 7}


def test_a_drawing_goes_by_what_each_model_encodes(fake_zoo):
    end = point(fake_zoo, fake_zoo.pair(), STROKES)
    for z, model in zip(end.codes, [one.coder for one in fake_zoo.pair()], strict=True):
        assert torch.equal(z, model.encode(end.x)[0])
    assert end.about == {}


def test_a_picture_is_an_end_too(ask):
    file = io.BytesIO()
    Image.fromarray(np.eye(40, dtype=np.uint8) * 255).save(file, "PNG")
    answer = ask({"picture": base64.b64encode(file.getvalue()).decode()})
    assert pictures(answer["start"]["picture"]).any()


def test_a_random_point_is_the_same_for_both_models(fake_zoo):
    left, right = point(fake_zoo, fake_zoo.pair(), POINT).codes
    assert torch.equal(left, right)


def test_a_random_point_is_the_tile_of_the_tab_sample(ask, fake_zoo):
    sample = sample_tab(fake_zoo).server_fns[0]
    tiles = sample({"count": 25, "seed": 5, "temperature": 0.8})
    answer = ask(DIGIT, POINT)
    for side in ("left", "right"):
        assert close(pictures(answer[side])[-1], pictures(tiles[side]["pictures"])[7])


@pytest.mark.parametrize("digit", range(10))
def test_any_digit_of_a_class_is_of_that_class(ask, fake_zoo, digit):
    answer = ask({"class": digit, "seed": 12345})["start"]
    assert answer["class"] == digit == fake_zoo.digits.labels[answer["digit"]]
    assert ask({"digit": answer["digit"]})["start"] == answer


def test_another_seed_chooses_another_digit_of_the_class(fake_zoo):
    found = {digit_of_class(fake_zoo, {"class": 3, "seed": seed}) for seed in range(30)}
    assert len(found) == 30


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 2},
        {"steps": 21},
        {"steps": 3.5},
        {"steps": math.nan},
        {"steps": "9"},
        {"path": "spline"},
        {"path": None},
        {"path": ["lerp"]},
        {"start": None},
        {"start": 3},
        {"start": {}},
        {"start": []},
        {"start": {"digit": -1}},
        {"start": {"digit": 300}},
        {"start": {"digit": True}},
        {"start": {"class": 10, "seed": 1}},
        {"start": {"class": 1}},
        {"start": {"class": 1, "seed": 2**31}},
        {"end": {"seed": 1}},
        {"end": {"seed": 1, "index": 100, "temperature": 1}},
        {"end": {"seed": 1, "index": 0, "temperature": 2.5}},
        {"end": {"seed": 1, "index": 0, "temperature": math.nan}},
        {"end": {"strokes": [["a"]]}},
        {"end": {"picture": "no base64!"}},
    ],
    ids=str,
)
def test_a_request_out_of_bounds_is_refused(ask, wrong):
    assert ask(**wrong) == {"error": "error.request"}


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("interpolate", {**SUM, "steps": 8}),
        ("interpolate", {**SUM, "plus": None}),
        ("interpolate", {**SHEET}),
        ("interpolate", {**WAY, "mode": ["way"]}),
        ("sheet", {**SHEET, "steps": 8}),
        ("sheet", {**SHEET, "fourth": {}}),
        ("place", {**SHEET, "u": 0.5}),
        ("place", {**SHEET, "u": 0.5, "v": 1.01}),
        ("place", {**SHEET, "u": math.nan, "v": 0}),
        ("save", {**WAY, "file": "json", "path": "spline"}),
        ("ground", {"models": ["ae"]}),
    ],
    ids=str,
)
def test_sums_sheets_and_places_out_of_bounds_are_refused(serve, name, payload):
    assert serve(name, payload) == {"error": "error.request"}


def test_a_file_that_is_no_picture_is_refused(ask):
    assert ask({"picture": base64.b64encode(b"text").decode()}) == {"error": "error.picture"}
