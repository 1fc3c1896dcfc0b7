"""What the live canvas asks of Python, as plain functions."""

import base64
import json

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from vae_demo import checkpoints, images
from vae_demo.ui.draw import EXAMPLES, draw_tab

DIGITS = json.loads(EXAMPLES.read_text(encoding="utf-8"))
SEVEN = [[100, 100, 400, 100, 200, 500]]


@pytest.fixture(scope="module")
def reconstruct(fake_zoo):
    return draw_tab(fake_zoo).reconstruct


def grey(packed):
    return np.frombuffer(base64.b64decode(packed), np.uint8).reshape(28, 28)


def test_both_models_answer_the_same_picture(reconstruct, fake_zoo):
    answer = reconstruct({"strokes": SEVEN})
    x = images.render_strokes([np.reshape(SEVEN[0], (-1, 2))])[None]
    assert np.array_equal(grey(answer["seen"]), images.to_uint8(x[0, 0]))
    for side, model in zip(("left", "right"), [one.coder for one in fake_zoo.pair()], strict=True):
        x_hat = model.decode(model.encode(x)).sigmoid()
        assert np.array_equal(grey(answer[side]["picture"]), images.to_uint8(x_hat[0, 0]))
        error = ((x_hat - x) ** 2).mean().item()
        assert answer[side]["squared_error"] == pytest.approx(error, rel=1e-5)
        nats = torch.nn.functional.binary_cross_entropy(x_hat, x, reduction="sum").item()
        assert answer[side]["reconstruction_nats"] == pytest.approx(nats, rel=1e-3)


def test_kl_is_the_vaes_alone(reconstruct, fake_zoo):
    answer = reconstruct({"strokes": SEVEN})
    x = images.render_strokes([np.reshape(SEVEN[0], (-1, 2))])[None]
    mean, logvar = fake_zoo.model("vae").coder.posterior(x)
    posterior = Independent(Normal(mean, (0.5 * logvar).exp()), 1)
    prior = Independent(Normal(torch.zeros_like(mean), 1.0), 1)
    expected = kl_divergence(posterior, prior).item()
    assert answer["right"]["kl_nats"] == pytest.approx(expected, rel=1e-4)
    assert "kl_nats" not in answer["left"]


@pytest.mark.parametrize("strokes", [[], [[]]])
def test_blank_is_a_state(reconstruct, strokes):
    assert reconstruct({"strokes": strokes}) == {"blank": True}


def test_a_tap_is_a_dot(reconstruct):
    seen = grey(reconstruct({"strokes": [[300, 300, 302, 301, 300, 302]]})["seen"])
    assert 0 < (seen > 0).sum() < 30


def test_a_digit_of_the_dataset_is_shown_as_the_autoencoder_rebuilds_it(reconstruct, fake_zoo):
    code = fake_zoo.digits.codes["ae"].mean[5:6]
    x = fake_zoo.model("ae").coder.decode(code).sigmoid()
    assert np.array_equal(grey(reconstruct({"digit": 5})["seen"]), images.to_uint8(x[0, 0]))


def test_an_uploaded_picture_is_normalised(reconstruct):
    bar = torch.ones(1, 120, 90)
    bar[0, 20:100, 40:48] = 0  # dark on light
    file = base64.b64encode(images.png(bar)).decode()
    rows, columns = np.nonzero(grey(reconstruct({"picture": file})["seen"]) > 128)
    assert np.ptp(rows) + 1 == pytest.approx(20, abs=1)  # its ends are soft
    assert np.ptp(columns) + 1 < 5


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (None, "error.request"),
        ([], "error.request"),
        ({}, "error.request"),
        ({"strokes": [[1, 2, 3]]}, "error.request"),
        ({"strokes": [["a", "b"]]}, "error.request"),
        ({"strokes": [[float("nan"), 1]]}, "error.picture"),
        ({"strokes": [[1, 2]] * 501}, "error.picture"),
        ({"digit": -1}, "error.request"),
        ({"digit": 1.5}, "error.request"),
        ({"digit": True}, "error.request"),
        ({"digit": 10**9}, "error.request"),
        ({"picture": "no base64!"}, "error.request"),
        ({"picture": base64.b64encode(b"no picture").decode()}, "error.picture"),
    ],
)
def test_what_cannot_be_answered_is_named(reconstruct, payload, code):
    assert reconstruct(payload) == {"error": code}


@pytest.mark.parametrize("digit", range(10))
def test_the_judge_reads_each_example(digit):
    strokes = [np.reshape(stroke, (-1, 2)) for stroke in DIGITS[digit]]
    judge = checkpoints.load("judge")
    assert judge(images.render_strokes(strokes)[None]).argmax().item() == digit
