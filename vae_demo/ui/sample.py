"""Sample: one noise, two decoders; only one of them was taught what the noise looks like."""

import gradio as gr
from torch import Tensor

from vae_demo.latent_map import Codes
from vae_demo.ui.exhibit import Payload, exhibit, packed, pair, whole
from vae_demo.ui.points import MAX_COUNT, Pair, draws
from vae_demo.zoo import Zoo


def sample_tab(zoo: Zoo) -> gr.HTML:
    """Two grids from one noise; its server function answers each movement of the slider."""

    def sample(payload: Payload) -> Payload:
        count = whole(payload, "count", 1, MAX_COUNT)
        return sample_both(pair(payload, zoo), payload, count, zoo)

    return exhibit("sample", [sample])


def sample_both(models: Pair, spec: Payload, count: int, zoo: Zoo) -> Payload:
    """What both models decode the first points of a sampler to (see `points.draws`), how far these
    lie from the origin, and how far the codes of test digits do."""
    answer: Payload = {}
    for side, model in zip(("left", "right"), models, strict=True):
        points = draws(model, spec, count)
        answer[side] = {
            "pictures": packed(model.coder.decode(points.to(zoo.device)).sigmoid()),
            "spread": spread(points),
            "code_spread": code_spread(model.codes),
        }
    return answer


def spread(z: Tensor) -> float:
    """Root mean square distance of points z (B, Z) from the origin; near √Z for N(0, I)."""
    return z.square().sum(1).mean().sqrt().item()


def code_spread(codes: Codes) -> float:
    """The same for a model's codes of the test digits; for a VAE, for draws from its posteriors."""
    square = codes.mean.square()
    if codes.logvar is not None:
        square = square + codes.logvar.exp()
    return square.sum(1).mean().sqrt().item()


def export(zoo: Zoo, payload: Payload) -> bytes:
    raise NotImplementedError
