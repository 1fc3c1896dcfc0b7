"""The terms of the evidence lower bound, in nats per picture; pure functions of tensors.

ELBO(x) = E_q(z|x)[log p(x|z)] − KL(q(z|x) ‖ p(z))      (Kingma & Welling 2014, equation 3)
"""

import math

from torch import Tensor
from torch.nn import functional as F


def bernoulli_nats(logits: Tensor, x: Tensor) -> Tensor:
    """−log p(x|z) for independent Bernoulli pixels: the binary cross-entropy.

    Grey pixels count as probabilities, so a perfect picture does not reach zero: its own entropy
    remains.

    Args:
        logits: (B, 1, 28, 28), any range.
        x: (B, 1, 28, 28) in [0, 1].

    Returns:
        (B,) nats.
    """
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


def gaussian_nats(x_hat: Tensor, x: Tensor, std: float) -> Tensor:
    """−log p(x|z) for independent Gaussian pixels N(x_hat, std²).

    Up to a constant and a scale, the squared error (Kingma & Welling 2014, appendix C.2).

    Args:
        x_hat, x: (B, 1, 28, 28).
        std: standard deviation of a pixel, > 0.

    Returns:
        (B,) nats; may be negative, a density is not a probability.
    """
    error = ((x - x_hat) / std).square() + math.log(2 * math.pi * std**2)
    return 0.5 * error.flatten(1).sum(1)


def squared_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """Mean over the pixels of (x − x_hat)²: (B, 1, 28, 28) twice → (B,), ≥ 0."""
    return (x - x_hat).square().flatten(1).mean(1)


def kl_nats(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, diag exp(logvar)) ‖ N(0, I)), one number per dimension.

    Kingma & Welling 2014, appendix B: −½ (1 + log σ² − μ² − σ²).

    Args:
        mean, logvar: (B, Z).

    Returns:
        (B, Z) nats, each ≥ 0; sum over the last axis for a picture's KL.
    """
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar)


def elbo_nats(logits: Tensor, x: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """The evidence lower bound of x with Bernoulli pixels, estimated from one z per picture.

    Args:
        logits: (B, 1, 28, 28), decoded from one sample of N(mean, exp(logvar)) per picture.
        x: (B, 1, 28, 28) in [0, 1].
        mean, logvar: (B, Z).

    Returns:
        (B,) nats, ≤ 0.
    """
    return -bernoulli_nats(logits, x) - kl_nats(mean, logvar).sum(1)
