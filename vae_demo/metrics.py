"""Estimators behind the report: pure functions of tensors, each with a closed form in the tests.

Sources: the importance-weighted bound and active units, Burda et al. 2016 (arXiv:1509.00519); the
Fréchet distance of Gaussians, Dowson & Landau 1982, between pictures by Heusel et al. 2017
(arXiv:1706.08500); the area under the ROC curve as a rank statistic, Hanley & McNeil 1982.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from vae_demo.latent import prior

ACTIVE = 0.01  # variance of the posterior mean above which a dimension is in use (Burda et al.)
CHUNK_ROWS = 500  # bounds the distances held at once to so many × all the others


# Likelihood ---------------------------------------------------------------------------------------


def importance_weighted_nats(
    log_likelihood: Callable[[Tensor], Tensor],
    mean: Tensor,
    logvar: Tensor,
    draws: int,
    generator: torch.Generator,
) -> Tensor:
    """−log p(x), estimated from above (Burda et al. 2016, equation 8).

    −log 1/k Σᵢ p(x|zᵢ) p(zᵢ) / q(zᵢ|x) with zᵢ ~ q(z|x) = N(mean, diag exp(logvar)) and p(z) =
    N(0, I). One draw gives −ELBO; more come nearer to the truth, and never below it on average.

    Args:
        log_likelihood: codes (B, Z), row by row for the pictures at hand → log p(x|z) (B,), nats.
        mean, logvar: (B, Z).
        draws: k ≥ 1.

    Returns:
        (B,) nats, float64, on the CPU.

    Raises:
        ValueError: no draws.
    """
    if draws < 1:
        raise ValueError(f"expected draws ≥ 1, got {draws}")
    total = torch.full((len(mean),), -math.inf, dtype=torch.float64)  # not every device has it
    spread = (0.5 * logvar).exp()
    for _ in range(draws):
        noise = prior(len(mean), mean.shape[1], generator).to(mean)
        z = mean + spread * noise
        # log p(z) − log q(z|x): from the noise, for z − mean is lost to rounding where q is narrow.
        log_ratio = 0.5 * (noise.square() + logvar - z.square()).sum(1)
        total = torch.logaddexp(total, (log_likelihood(z) + log_ratio).cpu().double())
    return math.log(draws) - total


def active_units(mean: Tensor) -> int:
    """Dimensions whose posterior mean moves with the picture: Var_x(E[z|x]) > 0.01.

    Args:
        mean: (N, Z) posterior means.
    """
    return int((mean.double().var(0) > ACTIVE).sum())


# Pictures in a judge's features -------------------------------------------------------------------


class Moments(NamedTuple):
    """Mean (D,) and covariance (D, D), float64."""

    mean: Tensor
    covariance: Tensor


def moments(features: Tensor) -> Moments:
    """Of features (N, D), N > 1."""
    wide = features.double()
    return Moments(wide.mean(0), torch.atleast_2d(wide.T.cov()))


def frechet_distance(a: Moments, b: Moments) -> float:
    """The Fréchet distance, squared as is usual, of two Gaussians with these moments.

    |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½); the trace of the root comes from the eigenvalues of
    Σ₁^½ Σ₂ Σ₁^½, which is symmetric, so it stays real where features never vary.
    """
    values, vectors = torch.linalg.eigh(a.covariance)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ b.covariance @ root).clamp(min=0).sqrt().sum()
    apart = (a.mean - b.mean).square().sum()
    return float(apart + a.covariance.trace() + b.covariance.trace() - 2 * cross)


def class_entropy_nats(classes: Tensor) -> float:
    """Entropy of how often each class (N,) occurs; log 10 where ten are equally frequent."""
    counts = classes.bincount()
    shares = counts[counts > 0].double() / len(classes)
    return abs(float((shares * shares.log()).sum()))


# Codes --------------------------------------------------------------------------------------------


def nearest_neighbour_accuracy(codes: Tensor, labels: Tensor) -> float:
    """Share of rows of (N, D) whose nearest other row bears the same label (N,)."""
    wide = codes.double()  # the product form of distances is exact enough in double
    right = 0
    for rows in torch.arange(len(wide)).split(CHUNK_ROWS):
        distances = torch.cdist(wide[rows], wide)
        distances[torch.arange(len(rows)), rows] = math.inf
        right += int((labels[distances.argmin(1)] == labels[rows]).sum())
    return right / len(wide)


def nearest_distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distance of each row of a (N, D) to the nearest of b (M, D): (N,)."""
    return torch.cat([torch.cdist(part, b).amin(1) for part in a.split(CHUNK_ROWS)])


def linear_probe_accuracy(
    codes: Tensor, labels: Tensor, test_codes: Tensor, test_labels: Tensor
) -> float:
    """Share of test codes (M, Z) that a logistic regression reads right, fitted to codes (N, Z).

    Every dimension is brought to one scale first, so that the scale of the codes plays no part.
    """
    from sklearn.linear_model import LogisticRegression

    wide, test_wide = codes.double(), test_codes.double()
    middle, scale = wide.mean(0), wide.std(0).clamp(min=1e-12)
    probe = LogisticRegression(max_iter=2000)
    probe.fit(((wide - middle) / scale).numpy(), labels.numpy())
    return float(probe.score(((test_wide - middle) / scale).numpy(), test_labels.numpy()))


def principal_angles(a: Tensor, b: Tensor) -> list[float]:
    """Angles in degrees, largest first, between the spaces that the columns of two matrices span.

    Args:
        a, b: (D, Z); two spaces are one if all angles are 0.
    """
    from scipy.linalg import subspace_angles

    angles = subspace_angles(a.double().numpy(), b.double().numpy())
    return [math.degrees(angle) for angle in angles]


# Telling two kinds apart --------------------------------------------------------------------------


def auroc(positives: Tensor, negatives: Tensor) -> float:
    """How often a score of (N,) exceeds one of (M,), a tie counting half; ½ is chance.

    The area under the receiver operating characteristic (Hanley & McNeil 1982).
    """
    ascending = negatives.sort().values
    below = torch.searchsorted(ascending, positives)
    up_to = torch.searchsorted(ascending, positives, right=True)
    return float((below + up_to).double().mean() / (2 * len(negatives)))
