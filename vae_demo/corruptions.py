"""What is done to a picture before an encoder sees it: damage to be mended, bends to be survived.

Each takes pictures x (B, 1, 28, 28) in [0, 1] and a generator on their device, gives back the same
shape and range, and treats every picture in its own way.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

NOISE_STD = 0.5
COARSE_PX = 7  # side of the picture that is left of 28
TILE_PX = 7  # sixteen tiles


def noise(x: Tensor, generator: torch.Generator) -> Tensor:
    """Gaussian noise on every pixel, cut to [0, 1] (Vincent et al. 2008)."""
    drawn = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    return (x + NOISE_STD * drawn).clamp(0, 1)


def low_resolution(x: Tensor, generator: torch.Generator) -> Tensor:
    """7×7 pixels, each the mean of sixteen, shown at 28×28; the generator is not used."""
    return F.interpolate(F.adaptive_avg_pool2d(x, COARSE_PX), scale_factor=28 // COARSE_PX)


def jigsaw(x: Tensor, generator: torch.Generator) -> Tensor:
    """Sixteen tiles in an order drawn for each picture (the task of Noroozi & Favaro 2016)."""
    across = 28 // TILE_PX
    tiles = F.unfold(x, TILE_PX, stride=TILE_PX)  # (B, 49, 16)
    keys = torch.rand(len(x), 1, across**2, generator=generator, device=x.device)
    shuffled = tiles.gather(2, keys.argsort(2).expand_as(tiles))
    return F.fold(shuffled, x.shape[2:], TILE_PX, stride=TILE_PX)


CORRUPTIONS = {"noise": noise, "lowres": low_resolution, "jigsaw": jigsaw}


def random_affine(
    x: Tensor, generator: torch.Generator, strength: float = 1.0, shift_px: float = 0.0
) -> Tensor:
    """Turn ±8°, scale ±6 % and shear ±0.12, times strength.

    Stands in for the writers that MNIST does not have.

    Args:
        shift_px: largest shift along each axis.
    """

    def uniform(limit: float) -> Tensor:
        return limit * (2 * torch.rand(len(x), generator=generator, device=x.device) - 1)

    angle, shear = uniform(strength * math.radians(8)), uniform(strength * 0.12)
    scale_x, scale_y = 1 + uniform(strength * 0.06), 1 + uniform(strength * 0.06)
    shift_x, shift_y = (uniform(shift_px / 14) if shift_px else 0 * angle for _ in range(2))
    cos, sin = angle.cos(), angle.sin()
    rows = [
        torch.stack([scale_x * cos, shear - sin, shift_x], 1),
        torch.stack([sin, scale_y * cos, shift_y], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bicubic", align_corners=False).clamp(0, 1)
