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
    """Both models' answer to a picture x (1, 1, 28, 28), with the numbers shown beside it."""
    if not x.any():
        return {"blank": True}
    x = x.to(twins.device)
    mean, logvar = twins.vae.posterior(x)
    left = twins.ae.decode(twins.ae.encode(x))
    right = twins.vae.decode(mean)
    answer: Payload = {"seen": packed(x)}
    for side, logits in (("left", left), ("right", right)):
        x_hat = logits.sigmoid()
        answer[side] = {
            "picture": packed(x_hat),
            "squared_error": (x_hat - x).square().mean().item(),
            "reconstruction_nats": bernoulli_nats(logits, x).item(),
        }
    answer["right"]["kl_nats"] = kl_nats(mean, logvar).sum().item()
    return answer
