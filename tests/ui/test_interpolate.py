"""Both ends are met exactly, whatever they are, and the strip is a part of the animation."""

import base64
import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from vae_demo.images import to_uint8
from vae_demo.ui.interpolate import (
    MAX_STEPS,
    MIN_STEPS,
    cross_fade,
    frame_count,
    interpolate_tab,
)
from vae_demo.ui.points import digit_of_class, point
from vae_demo.ui.sample import sample_tab

STROKES = {"strokes": [[100, 100, 300, 100, 200, 400]]}
DIGIT = {"digit": 17}
POINT = {"seed": 5, "index": 7, "temperature": 0.8}
ENDS = [STROKES, DIGIT, POINT]


@pytest.fixture(scope="module")
def ask(fake_zoo):
    function = interpolate_tab(fake_zoo).server_fns[0]

    def call(start=DIGIT, end=POINT, steps=9, path="lerp", **others):
        return function({"start": start, "end": end, "steps": steps, "path": path, **others})

    return call


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


def test_a_file_that_is_no_picture_is_refused(ask):
    assert ask({"picture": base64.b64encode(b"text").decode()}) == {"error": "error.picture"}
