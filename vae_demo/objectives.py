"""What each model is trained for: a few lines a paper, its formula above them.

Each function takes a model, a `Batch`, a generator and the progress of the run from 0 to 1, and
gives back the terms of its loss, means over the batch; training minimises their sum.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from vae_demo.latent import sample_posterior
from vae_demo.losses import bernoulli_nats, gaussian_nats, kl_nats, squared_error
from vae_demo.models import Autoencoder, Judge, LinearAutoencoder, VariationalAutoencoder

KL_WARMUP = 0.1  # share of the run in which the KL term grows from 0 to its full weight
PIXEL_STD = 0.08  # of a Gaussian pixel: about the error that 16 numbers leave
STEP_STD = 0.1  # of the small noise that feels out a slope, per pixel
STACKING = 0.6  # share of the run in which a stack is trained floor by floor


class Batch(NamedTuple):
    """x is what to rebuild, `seen` what the encoder is given: the same, unless damaged on purpose.

    Shapes (B, 1, 28, 28), both in [0, 1]; labels (B,).
    """

    seen: Tensor
    x: Tensor
    labels: Tensor


Parts = dict[str, Tensor]
Objective = Callable[[Any, Batch, torch.Generator, float], Parts]


def reconstruction_nats(logits: Tensor, x: Tensor, likelihood: str) -> Tensor:
    """−log p(x|z) (B,) under "bernoulli" pixels or "gaussian" ones of deviation `PIXEL_STD`."""
    if likelihood == "gaussian":
        return gaussian_nats(logits.sigmoid(), x, PIXEL_STD)
    return bernoulli_nats(logits, x)


def autoencoder(
    model: Autoencoder, batch: Batch, generator: torch.Generator, progress: float
) -> Parts:
    """−log p(x | decode(encode(seen))).

    Hinton & Salakhutdinov 2006 (Science 313); with damaged pictures the denoising autoencoder of
    Vincent et al. 2008 (ICML).
    """
    logits = model.decode(model.encode(batch.seen)).float()
    return {"reconstruction": bernoulli_nats(logits, batch.x).mean()}


def vae(
    model: VariationalAutoencoder,
    batch: Batch,
    generator: torch.Generator,
    progress: float,
    *,
    beta: float = 1.0,
    likelihood: str = "bernoulli",
) -> Parts:
    """E_q(z|x)[−log p(x|z)] + β KL(q(z|x) ‖ N(0, I)), one draw of z.

    Kingma & Welling 2014 (arXiv:1312.6114), equation 3, at β = 1; β-VAE, Higgins et al. 2017
    (ICLR), equation 4. The KL is warmed up (Sønderby et al. 2016, arXiv:1602.02282).
    """
    mean, logvar = (t.float() for t in model.posterior(batch.seen))
    logits = model.decode(sample_posterior(mean, logvar, generator)).float()
    weight = beta * min(1.0, progress / KL_WARMUP)
    return {
        "reconstruction": reconstruction_nats(logits, batch.x, likelihood).mean(),
        "kl": weight * kl_nats(mean, logvar).sum(1).mean(),
    }


def contractive(
    model: Autoencoder,
    batch: Batch,
    generator: torch.Generator,
    progress: float,
    *,
    weight: float,
) -> Parts:
    """−log p(x|z) + λ ‖∂z/∂x‖²_F (Rifai et al. 2011, ICML, equation 6).

    Of each picture's Jacobian one row, drawn at random, stands for all Z. Codes are measured in
    units of their own spread: where decoder and encoder do not share weights, smaller codes would
    otherwise escape the penalty for nothing.
    """
    seen = batch.seen.clone().requires_grad_()
    z = model.encode(seen).float()
    row = torch.randint(z.shape[1], (len(z), 1), generator=generator, device=z.device)
    (slope,) = torch.autograd.grad(z.gather(1, row).sum(), seen, create_graph=True)
    squared = z.shape[1] * slope.float().square().flatten(1).sum(1)
    return {
        "reconstruction": bernoulli_nats(model.decode(z).float(), batch.x).mean(),
        "contraction": weight * (squared / spread(z)[row[:, 0]].square()).mean(),
    }


def stochastic_contractive(
    model: Autoencoder,
    batch: Batch,
    generator: torch.Generator,
    progress: float,
    *,
    weight: float,
) -> Parts:
    """−log p(x|z) + λ E‖encode(x + ε) − encode(x)‖² / σ², ε ~ N(0, σ² I).

    The penalty of `contractive` without a derivative, and for slopes of every order (Rifai et al.
    2011, ECML, equation 4; Alain & Bengio 2014, arXiv:1211.4246).
    """
    z = model.encode(batch.seen).float()
    step = STEP_STD * torch.randn(batch.x.shape, generator=generator, device=batch.x.device)
    moved = (model.encode(batch.seen + step).float() - z) / (STEP_STD * spread(z))
    return {
        "reconstruction": bernoulli_nats(model.decode(z).float(), batch.x).mean(),
        "contraction": weight * moved.square().sum(1).mean(),
    }


def spread(z: Tensor) -> Tensor:
    """Standard deviation of each number of the codes z (B, Z) over the batch: (Z,), > 0."""
    return (z.var(0) + 1e-8).sqrt()


def stacked(model: Autoencoder, batch: Batch, generator: torch.Generator, progress: float) -> Parts:
    """Floor by floor, each an autoencoder of what the floor below gives out; then all together.

    Greedy layer-wise pretraining (Bengio et al. 2007, NIPS; Hinton & Salakhutdinov 2006), by
    squared error, and the fine-tuning of `autoencoder`.
    """
    encoders = [model.trunk[:3], model.trunk[3:6], model.trunk[6:]]
    decoders = [model.decoder[9:], model.decoder[5:9], model.decoder[:5]]
    floor = int(progress / STACKING * len(encoders))
    if floor >= len(encoders):
        return autoencoder(model, batch, generator, progress)
    with torch.no_grad():
        below = batch.seen
        for encoder in encoders[:floor]:
            below = encoder(below)
    features = encoders[floor](below)
    if floor == len(encoders) - 1:
        features = model.mean(features)  # the topmost floor ends in the code
    answer = decoders[floor](features).float()
    if floor == 0:
        return {"reconstruction": bernoulli_nats(answer, batch.x).mean()}
    return {"floor": (answer - below).square().flatten(1).sum(1).mean()}


def linear(
    model: LinearAutoencoder, batch: Batch, generator: torch.Generator, progress: float
) -> Parts:
    """‖x − decode(encode(seen))‖²: the best a linear map can do is PCA (Baldi & Hornik 1989)."""
    x_hat = model.pixels(model.encode(batch.seen)).float()
    return {"squared_error": x_hat[0].numel() * squared_error(x_hat, batch.x).mean()}


def judge(model: Judge, batch: Batch, generator: torch.Generator, progress: float) -> Parts:
    """Cross-entropy; labels are smoothed a little so that its confidence stays honest.

    Szegedy et al. 2016 (arXiv:1512.00567), section 7.
    """
    logits = model(batch.seen).float()
    return {"cross_entropy": F.cross_entropy(logits, batch.labels, label_smoothing=0.02)}
