"""Sample: one noise, two decoders; only one of them was taught what the noise looks like."""

import gradio as gr
import torch
from torch import Tensor

from vae_demo import latent
from vae_demo.latent_map import Codes
from vae_demo.twins import Twins
from vae_demo.ui.exhibit import Payload, exhibit, number, packed, whole

MAX_COUNT = 100
MAX_SEED = 2**31 - 1
MAX_TEMPERATURE = 2.0


def sample_tab(twins: Twins) -> gr.HTML:
    """Two grids from one noise; its server function answers each movement of the slider."""

    def sample(payload: Payload) -> Payload:
        count = whole(payload, "count", 1, MAX_COUNT)
        return sample_both(twins, noise(twins, payload, count))

    sides = zip(("left", "right"), ("ae", "vae"), strict=True)
    spreads = {side: code_spread(twins.digits.codes[name]) for side, name in sides}
    return exhibit("sample", [sample], spreads=spreads)


def noise(twins: Twins, payload: Payload, count: int) -> Tensor:
    """The first `count` points (count, Z) that a request's seed and temperature stand for."""
    seed = whole(payload, "seed", 0, MAX_SEED)
    temperature = number(payload, "temperature", 0, MAX_TEMPERATURE)
    generator = torch.Generator().manual_seed(seed)
    return latent.prior(count, twins.ae.latent_size, generator, temperature).to(twins.device)


def sample_both(twins: Twins, z: Tensor) -> Payload:
    """What both models decode the points z (B, Z) to, and how far these lie from the origin."""
    left, right = (packed(model.decode(z).sigmoid()) for model in twins.both())
    return {"left": left, "right": right, "spread": spread(z)}


def spread(z: Tensor) -> float:
    """Root mean square distance of points z (B, Z) from the origin; near √Z for N(0, I)."""
    return z.square().sum(1).mean().sqrt().item()


def code_spread(codes: Codes) -> float:
    """The same for a model's codes of the test digits; for a VAE, for draws from its posteriors."""
    square = codes.mean.square()
    if codes.logvar is not None:
        square = square + codes.logvar.exp()
    return square.sum(1).mean().sqrt().item()
