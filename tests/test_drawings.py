"""Drawings that stand for what visitors draw, and for what is no digit."""

import numpy as np
import pytest
import torch

from vae_demo import drawings
from vae_demo.drawings import CONDITIONS, draw
from vae_demo.images import preprocess

CROSS = [np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[3.0, 0.0], [0.0, 4.0]])]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions_say_pen_size_and_place(condition):
    width, size, at = CONDITIONS[condition]
    rows, columns = np.nonzero(draw(CROSS, width, size, at) > 127)
    assert np.ptp(rows) + 1 == pytest.approx(size + width, abs=2)
    middle = ((columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2)
    assert middle == pytest.approx(at, abs=1.5)


def test_the_canvases_of_all_conditions_differ():
    canvases = [draw(CROSS, *condition) for condition in CONDITIONS.values()]
    assert all((a != b).any() for i, a in enumerate(canvases) for b in canvases[:i])


def test_drawn_digits_are_what_a_model_sees_of_the_canvas():
    seen = drawings.drawn([CROSS, CROSS[:1]], CONDITIONS["tiny"])
    assert torch.equal(seen[0], preprocess(draw(CROSS, *CONDITIONS["tiny"])))
    assert not torch.equal(*seen)


def is_a_picture(x):
    inked = (x > 0.5).flatten(1).float().mean(1)
    return x.shape[1:] == (1, 28, 28) and x.min() >= 0 and x.max() <= 1 and inked.min() > 0.01


def test_letters_differ_and_look_like_no_digit():
    assert set("OoIlSsZzBgqb").isdisjoint(drawings.LETTERS)
    x = drawings.letters()
    assert len(x) == 9 * len(drawings.LETTERS) and is_a_picture(x)
    upright = x[1::9].flatten(1)  # 'C' and 'c', normalised, are all but one; so are others
    assert (torch.cdist(upright, upright) < 1).sum() < 3 * len(upright)
    assert len(x.flatten(1).unique(dim=0)) == len(x)


def test_doodles_are_seeded_and_all_differ():
    x, again, other = (drawings.doodles(3, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert len(x) == 3 * len(drawings.DOODLES) and is_a_picture(x)
    assert torch.equal(x, again) and not torch.equal(x, other)
    assert len(x.flatten(1).unique(dim=0)) == len(x)


def test_a_quarter_turn_leaves_out_what_it_does_not_change():
    images = torch.arange(10 * 784).view(10, 1, 28, 28)
    turned = drawings.turned(images, torch.arange(10))
    assert len(turned) == 7
    assert torch.equal(turned[0, 0, 0], images[2, 0, :, -1])  # the right side is on top
