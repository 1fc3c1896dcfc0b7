"""One noise for both sides, reproducible from its seed, and nothing but whole requests answered."""

import base64
import math

import numpy as np
import pytest
import torch

from vae_demo.images import to_uint8
from vae_demo.latent_map import Codes
from vae_demo.ui.exhibit import RequestError
from vae_demo.ui.points import noise
from vae_demo.ui.sample import code_spread, sample_tab, spread

ASKED = {"count": 9, "seed": 3, "temperature": 1}


@pytest.fixture(scope="module")
def ask(fake_zoo):
    return sample_tab(fake_zoo).server_fns[0]


def pictures(text):
    return np.frombuffer(base64.b64decode(text), dtype=np.uint8).reshape(-1, 28, 28)


def test_both_sides_decode_the_same_points(ask, fake_zoo):
    answer = ask(ASKED)
    with torch.inference_mode():
        z = noise(ASKED, 9)
        for side, model in zip(("left", "right"), fake_zoo.pair(), strict=True):
            expected = to_uint8(model.coder.decode(z).sigmoid())
            assert np.array_equal(pictures(answer[side]["pictures"]), expected.reshape(-1, 28, 28))
    assert answer["left"] != answer["right"]


def test_a_seed_always_gives_the_same_pictures(ask):
    assert ask(ASKED) == ask(ASKED)
    assert ask(ASKED)["right"] != ask({**ASKED, "seed": 4})["right"]


def test_more_tiles_keep_the_first_ones():
    assert torch.equal(noise(ASKED, 100)[:9], noise(ASKED, 9))


def test_temperature_scales_the_same_noise():
    z = noise(ASKED, 9)
    assert torch.allclose(noise({**ASKED, "temperature": 1.5}, 9), 1.5 * z)


def test_at_temperature_zero_all_tiles_are_the_origin(ask):
    answer = ask({**ASKED, "temperature": 0})
    left = pictures(answer["left"]["pictures"])
    assert (left == left[0]).all()
    assert answer["left"]["spread"] == 0


@pytest.mark.parametrize("count", [1, 100])
def test_as_many_pictures_as_asked_for(ask, count):
    answer = ask({**ASKED, "count": count})
    assert (
        len(pictures(answer["left"]["pictures"]))
        == len(pictures(answer["right"]["pictures"]))
        == count
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": 0},
        {"count": 101},
        {"count": 2.5},
        {"count": "9"},
        {"count": None},
        {"seed": -1},
        {"seed": 2**31},
        {"seed": True},
        {"seed": 0.5},
        {"temperature": -0.1},
        {"temperature": 2.1},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"temperature": [1]},
    ],
    ids=str,
)
def test_a_request_out_of_bounds_is_refused(ask, wrong):
    assert ask({**ASKED, **wrong}) == {"error": "error.request"}


@pytest.mark.parametrize("missing", ["count", "seed", "temperature"])
def test_a_request_with_a_gap_is_refused(ask, missing):
    assert ask({k: v for k, v in ASKED.items() if k != missing}) == {"error": "error.request"}


def test_noise_checks_what_it_is_asked_for():
    with pytest.raises(RequestError):
        noise({"seed": -1, "temperature": 1}, 1)


def test_spread_is_the_root_mean_square_distance_from_the_origin(generator):
    assert spread(torch.tensor([[3.0, 4.0], [0.0, 0.0]])) == pytest.approx(math.sqrt(25 / 2))
    z = torch.randn(20_000, 16, generator=generator)
    assert spread(z) == pytest.approx(4, abs=0.02)


def test_the_spread_of_clouds_counts_their_width(generator):
    mean, logvar = torch.randn(2, 50, 16, generator=generator)
    points = np.zeros((50, 2), dtype=np.float32)
    drawn = mean + (0.5 * logvar).exp() * torch.randn(4000, 50, 16, generator=generator)
    assert code_spread(Codes(mean, logvar, points, 15)) == pytest.approx(
        spread(drawn.flatten(0, 1)), rel=0.01
    )
    assert code_spread(Codes(mean, None, points, 15)) == pytest.approx(spread(mean))
