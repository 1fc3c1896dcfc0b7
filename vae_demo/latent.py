"""Moves in code space: draws, lines, arcs and walks; pure functions of tensors.

Randomness is an argument. Draws come from the generator's device in whole blocks of rows, so that
one seed always begins with the same codes, however many are drawn.
"""

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

# torch.randn alone is not prefix-stable: its fast path and its last elements depend on the count.
BLOCK_ROWS = 64


def prior(
    count: int, latent_size: int, generator: torch.Generator, temperature: float = 1.0
) -> Tensor:
    """Draws from p(z) = N(0, temperature² I).

    With generators of one seed, the first n rows of a larger draw are the draw of n rows, bit for
    bit, on any one device.

    Args:
        count: rows, ≥ 0.
        latent_size: Z ≥ 1.
        generator: moved on by whole blocks of `BLOCK_ROWS` rows.
        temperature: standard deviation, ≥ 0; 1 is the prior itself.

    Returns:
        (count, Z), float32, on the generator's device.

    Raises:
        ValueError: count, latent_size or temperature below its bound.
    """
    if count < 0 or latent_size < 1:
        raise ValueError(f"expected count ≥ 0 and latent_size ≥ 1, got {count} and {latent_size}")
    if not 0 <= temperature < math.inf:
        raise ValueError(f"expected a finite temperature ≥ 0, got {temperature}")
    blocks = [
        torch.randn(
            BLOCK_ROWS,
            latent_size,
            dtype=torch.float32,
            device=generator.device,
            generator=generator,
        )
        for _ in range(0, count, BLOCK_ROWS)
    ]
    if not blocks:
        return torch.empty(0, latent_size, device=generator.device)
    return temperature * torch.cat(blocks)[:count]


def sample_posterior(mean: Tensor, logvar: Tensor, generator: torch.Generator) -> Tensor:
    """Draws from q(z|x) = N(mean, diag exp(logvar)) (Kingma & Welling 2014, section 2.4).

    Its noise is that of `prior`, so the twins can be fed the very same.

    Args:
        mean, logvar: (B, Z); logvar is the logarithm of the variance, not of its root.

    Returns:
        (B, Z), one draw per row, where `mean` is.

    Raises:
        ValueError: the shapes differ or are not (B, Z).
    """
    if mean.ndim != 2 or mean.shape != logvar.shape:
        raise ValueError(
            f"expected mean and logvar of one shape (B, Z), got {tuple(mean.shape)} and "
            f"{tuple(logvar.shape)}"
        )
    noise = prior(len(mean), mean.shape[1], generator).to(mean)
    return mean + (0.5 * logvar).exp() * noise


class Mixture(NamedTuple):
    """A mixture of C Gaussians over codes, all float32; a Gaussian is a mixture of one.

    Attributes:
        weights: (C,), sum 1.
        means: (C, Z).
        choleskys: (C, Z, Z), lower triangles L with covariance L Lᵀ.
    """

    weights: Tensor
    means: Tensor
    choleskys: Tensor


def fit_mixture(codes: Tensor, components: int, seed: int) -> Mixture:
    """The density of codes, by expectation-maximisation (Dempster, Laird & Rubin 1977).

    Seconds for one Gaussian; for 50 about a minute with 60,000 codes of 16 numbers.

    Args:
        codes: (N, Z), N ≥ components; draws from the posterior, not its means, if the mixture is
            to stand in for a VAE's aggregate posterior.
        seed: decides where the search begins.

    Raises:
        ValueError: codes are not (N, Z) and finite, or there are too few.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    if codes.ndim != 2 or not codes.isfinite().all():
        raise ValueError(f"expected finite codes (N, Z), got {tuple(codes.shape)}")
    if not 1 <= components <= len(codes):
        raise ValueError(f"expected components in 1 … {len(codes)}, got {components}")
    # Brought to one scale, so that sklearn's least variance means the same for every model.
    wide = codes.detach().cpu().double()
    middle, scale = wide.mean(0), wide.std(0, correction=0)
    scale[scale == 0] = 1
    search = GaussianMixture(components, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 100 steps are near enough
        search.fit(((wide - middle) / scale).numpy())
    return Mixture(
        torch.from_numpy(search.weights_).float(),
        (middle + scale * torch.from_numpy(search.means_)).float(),
        (scale[:, None] * torch.linalg.cholesky(torch.from_numpy(search.covariances_))).float(),
    )


def mixture_log_prob(mixture: Mixture, z: Tensor) -> Tensor:
    """log p(z) in nats under a mixture: codes z (B, Z) → (B,)."""
    weights, means, choleskys = (part.to(z) for part in mixture)
    density = MixtureSameFamily(
        Categorical(weights, validate_args=False),
        MultivariateNormal(means, scale_tril=choleskys, validate_args=False),
        validate_args=False,
    )
    return density.log_prob(z)


def sample_mixture(
    mixture: Mixture, count: int, generator: torch.Generator, temperature: float = 1.0
) -> Tensor:
    """Draws from a mixture; the first n of a larger draw are the draw of n, as in `prior`.

    Args:
        count: rows, ≥ 0.
        temperature: scales the noise around each component's mean, ≥ 0.

    Returns:
        (count, Z), float32, on the generator's device.

    Raises:
        ValueError: count or temperature below its bound.
    """
    device, latent_size = generator.device, mixture.means.shape[1]
    mixture = Mixture(*(part.to(device) for part in mixture))
    blocks = [prior(min(count, 0), latent_size, generator, temperature)]  # checks its arguments
    for _ in range(0, count, BLOCK_ROWS):
        where = torch.rand(BLOCK_ROWS, device=device, generator=generator)
        noise = prior(BLOCK_ROWS, latent_size, generator, temperature)
        blocks.append(in_component(mixture, noise, component(mixture, where)))
    return torch.cat(blocks)[:count]


def component(mixture: Mixture, where: Tensor) -> Tensor:
    """Which component (B,) each of B numbers in [0, 1) falls to, by the components' weights."""
    return torch.searchsorted(mixture.weights.cumsum(0)[:-1], where, right=True)


def in_component(mixture: Mixture, noise: Tensor, chosen: Tensor) -> Tensor:
    """Standard normal noise (B, Z) made draws (B, Z) from the chosen components (B,)."""
    return mixture.means[chosen] + (mixture.choleskys[chosen] @ noise[..., None])[..., 0]


HARMONICS = 3  # of a roam: one is a circle, many are a jitter


def roam(start: Tensor, times: Tensor, generator: torch.Generator) -> Tensor:
    """Smooth random walks in closed loops: at every time, draws from N(0, I), if `start` is one.

    A sum of a few random waves is a stationary Gaussian process. These are drawn, then bent to
    pass through the start, as one conditions a Gaussian (Matheron's rule).

    Args:
        start: (N, Z), where the walks are at time 0.
        times: (T,), in rounds: 1 is the start again.
        generator: on the CPU; one seed, one walk for each row, however many there are.

    Returns:
        (T, N, Z); at time 0 the start, exactly.

    Raises:
        ValueError: start or times are not of these shapes.
    """
    if start.ndim != 2 or times.ndim != 1:
        raise ValueError(
            f"expected start (N, Z) and times (T,), got {tuple(start.shape)} and "
            f"{tuple(times.shape)}"
        )
    count, size = start.shape
    waves = prior(count, 2 * HARMONICS * size, generator).view(count, 2, HARMONICS, size)
    cosines, sines = waves[:, 0], waves[:, 1]
    weight = HARMONICS**-0.5
    cosines = cosines + weight * (start - weight * cosines.sum(1))[:, None]
    angles = 2 * math.pi * times[:, None] * torch.arange(1, HARMONICS + 1)
    path = weight * (
        torch.einsum("th,nhz->tnz", angles.cos(), cosines)
        + torch.einsum("th,nhz->tnz", angles.sin(), sines)
    )
    path[times == 0] = start
    return path


def quantiles(count: int) -> Tensor:
    """The middles of `count` equally likely parts of N(0, 1), ascending: (count,), float32."""
    shares = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return torch.special.ndtri(shares).float()


def lerp(a: Tensor, b: Tensor, steps: int) -> Tensor:
    """The straight line from a to b at even steps; its middle is nearer to 0 than its ends.

    Args:
        a, b: (Z,).
        steps: codes on the way, both ends included, ≥ 2.

    Returns:
        (steps, Z); the first is a and the last is b, exactly.

    Raises:
        ValueError: fewer than 2 steps, or a and b are not of one shape (Z,).
    """
    check_ends(a, b, steps)
    times = torch.linspace(0, 1, steps, dtype=a.dtype, device=a.device)
    path = torch.lerp(a, b, times[:, None])
    path[0], path[-1] = a, b
    return path


def slerp(a: Tensor, b: Tensor, steps: int) -> Tensor:
    """The arc from a to b: direction along the great circle, length linearly (Shoemake 1985).

    Keeps to the shell where draws from a wide N(0, I) live. Where no arc is defined, because a
    and b are parallel, opposite or zero, it is the straight line.

    Args, returns and errors are those of `lerp`.
    """
    path = lerp(a, b, steps)
    norm_a, norm_b = a.norm(), b.norm()
    u, v = a / norm_a, b / norm_b
    across = v - (u @ v) * u
    sine = across.norm()
    if not sine > 1e-3:  # also where u or v is NaN; the two paths agree to float32 there
        return path
    angle = torch.atan2(sine, u @ v)
    times = torch.linspace(0, 1, steps, dtype=a.dtype, device=a.device)[1:-1, None]
    direction = (times * angle).cos() * u + (times * angle).sin() * (across / sine)
    path[1:-1] = direction * torch.lerp(norm_a, norm_b, times)
    return path


def traversal(z: Tensor, dimension: int, values: Sequence[float] | Tensor) -> Tensor:
    """Copies of one code in which one number takes the given values.

    Args:
        z: (Z,).
        dimension: which number, 0 … Z − 1.
        values: (n,).

    Returns:
        (n, Z).

    Raises:
        ValueError: z or values are not one-dimensional, or there is no such dimension.
    """
    settings = torch.as_tensor(values, dtype=z.dtype, device=z.device)
    if z.ndim != 1 or settings.ndim != 1:
        raise ValueError(
            f"expected z (Z,) and values (n,), got {tuple(z.shape)} and {tuple(settings.shape)}"
        )
    if not 0 <= dimension < len(z):
        raise ValueError(f"expected a dimension in 0 … {len(z) - 1}, got {dimension}")
    walk = z.repeat(len(settings), 1)
    walk[:, dimension] = settings
    return walk


def check_ends(a: Tensor, b: Tensor, steps: int) -> None:
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(
            f"expected a and b of one shape (Z,), got {tuple(a.shape)} and {tuple(b.shape)}"
        )
    if steps < 2:
        raise ValueError(f"expected at least 2 steps, the two ends, got {steps}")
