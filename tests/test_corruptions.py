import pytest
import torch
from torch.testing import assert_close

from vae_demo.corruptions import CORRUPTIONS, jigsaw, low_resolution, noise, random_affine


@pytest.fixture
def x(generator):
    return torch.rand(6, 1, 28, 28, generator=generator)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("damage", [*CORRUPTIONS.values(), random_affine])
def test_shape_range_and_seed(x, damage):
    before = x.clone()
    damaged = damage(x, seeded())
    assert damaged.shape == x.shape
    assert 0 <= damaged.min() < damaged.max() <= 1
    assert torch.equal(damaged, damage(x, seeded()))
    assert not torch.equal(damaged, x)
    assert torch.equal(x, before), "the pictures handed in are not touched"


@pytest.mark.parametrize("damage", [noise, jigsaw, random_affine])
def test_each_picture_is_damaged_in_its_own_way(x, damage):
    same = damage(x[:1].expand(6, -1, -1, -1), seeded())
    assert all(not torch.equal(same[0], other) for other in same[1:])


def test_noise_is_gaussian_where_nothing_is_cut():
    grey = torch.full((50, 1, 28, 28), 0.5)
    added = noise(grey, seeded()) - 0.5
    inside = added[(added.abs() < 0.5)]
    assert inside.mean().abs() < 0.01
    assert len(inside) / added.numel() == pytest.approx(0.683, abs=0.01)  # one deviation


def test_low_resolution_is_the_mean_of_sixteen_pixels(x):
    coarse = low_resolution(x, seeded())
    assert_close(coarse[0, 0, 4:8, 8:12], x[0, 0, 4:8, 8:12].mean().expand(4, 4))
    assert len(coarse[0].unique()) == 49


def test_a_jigsaw_keeps_every_tile(x):
    def tiles(picture):
        cut = [picture[0, r : r + 7, c : c + 7] for r in range(0, 28, 7) for c in range(0, 28, 7)]
        return sorted(tile.flatten().tolist() for tile in cut)

    for whole, shuffled in zip(x, jigsaw(x, seeded()), strict=True):
        assert not torch.equal(whole, shuffled)
        assert tiles(whole) == tiles(shuffled)


def test_random_affine_of_no_strength_changes_nothing(x):
    assert_close(random_affine(x, seeded(), strength=0.0), x, atol=1e-5, rtol=0)
