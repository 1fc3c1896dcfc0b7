"""Draw: a live canvas, and what two models make of it while the pen still moves."""

import json

import gradio as gr
from torch import Tensor

from vae_demo.losses import bernoulli_nats, kl_nats
from vae_demo.ui.exhibit import HERE, Payload, exhibit, packed, pair, picture
from vae_demo.zoo import Zoo, ZooModel

EXAMPLES = HERE / "examples.json"


def draw_tab(zoo: Zoo) -> gr.HTML:
    """The live canvas; its server function answers each movement of the pen."""

    def reconstruct(payload: Payload) -> Payload:
        return rebuild(pair(payload, zoo), picture(payload, zoo), zoo)

    return exhibit("draw", [reconstruct], examples=json.loads(EXAMPLES.read_text(encoding="utf-8")))


def rebuild(models: tuple[ZooModel, ZooModel], x: Tensor, zoo: Zoo) -> Payload:
    """Both models' answer to a picture x (1, 1, 28, 28), packed for the page."""
    if not x.any():
        return {"blank": True}
    sides = {}
    for side, model in zip(("left", "right"), models, strict=True):
        rebuilt = answer(model, x.to(zoo.device))
        sides[side] = {"picture": packed(rebuilt.pop("x_hat")), **rebuilt}
    return {"seen": packed(x), **sides}


def answer(model: ZooModel, x: Tensor) -> Payload:
    """What a model rebuilds, `x_hat` (1, 1, 28, 28), and the numbers shown beside it."""
    if model.variational:
        mean, logvar = model.variational.posterior(x)
        numbers = {"kl_nats": kl_nats(mean, logvar).sum().item()}
    else:
        mean, numbers = model.coder.encode(x), {}
    logits = model.coder.decode(mean)
    x_hat = logits.sigmoid()
    return {
        "x_hat": x_hat,
        "squared_error": (x_hat - x).square().mean().item(),
        "reconstruction_nats": bernoulli_nats(logits, x).item(),
        **numbers,
    }


def export(zoo: Zoo, payload: Payload) -> bytes:
    raise NotImplementedError
