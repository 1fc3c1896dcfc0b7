"""Draw: a live canvas, and what both twins make of it while the pen still moves."""

import json

import gradio as gr
from torch import Tensor

from vae_demo.losses import bernoulli_nats, kl_nats
from vae_demo.twins import Twins
from vae_demo.ui.exhibit import HERE, Payload, exhibit, packed, picture

EXAMPLES = HERE / "examples.json"


def draw_tab(twins: Twins) -> gr.HTML:
    """The live canvas; its server function answers each movement of the pen."""

    def reconstruct(payload: Payload) -> Payload:
        return rebuild(twins, picture(payload, twins))

    return exhibit("draw", [reconstruct], examples=json.loads(EXAMPLES.read_text(encoding="utf-8")))


def rebuild(twins: Twins, x: Tensor) -> Payload:
    """Both models' answer to a picture x (1, 1, 28, 28), packed for the page."""
    if not x.any():
        return {"blank": True}
    sides = {
        side: {"picture": packed(rebuilt.pop("x_hat")), **rebuilt}
        for side, rebuilt in zip(("left", "right"), answers(twins, x), strict=True)
    }
    return {"seen": packed(x), **sides}


def answers(twins: Twins, x: Tensor) -> tuple[Payload, Payload]:
    """What the AE and the VAE rebuild, `x_hat` (1, 1, 28, 28), and the numbers shown beside it."""
    x = x.to(twins.device)
    mean, logvar = twins.vae.posterior(x)
    ae = answer(twins.ae.decode(twins.ae.encode(x)), x)
    vae = answer(twins.vae.decode(mean), x)
    return ae, {**vae, "kl_nats": kl_nats(mean, logvar).sum().item()}


def answer(logits: Tensor, x: Tensor) -> Payload:
    x_hat = logits.sigmoid()
    return {
        "x_hat": x_hat,
        "squared_error": (x_hat - x).square().mean().item(),
        "reconstruction_nats": bernoulli_nats(logits, x).item(),
    }
