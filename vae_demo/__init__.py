"""An autoencoder (AE) and a variational autoencoder (VAE), twins, on handwritten digits.

import vae_demo

model = vae_demo.load("vae")          # in eval mode, on the best device there is
x = vae_demo.preprocess(image)        # PIL image or array → float32 (1, 28, 28) in [0, 1]
z = model.encode(x[None])             # (1, 16); for a VAE the posterior mean
x_hat = model.decode(z).sigmoid()     # (1, 1, 28, 28)
"""

from typing import TYPE_CHECKING

from vae_demo import checkpoints as _checkpoints
from vae_demo.images import preprocess, render_strokes
from vae_demo.models import best_device as _best_device

if TYPE_CHECKING:
    import torch

    from vae_demo.checkpoints import Model

__all__ = ["available", "load", "preprocess", "render_strokes"]


def available() -> list[str]:
    """Names of the shipped models, sorted; `load` takes each."""
    return _checkpoints.available()


def load(name: str, device: "str | torch.device | None" = None) -> "Model":
    """A shipped model in eval mode, its weights frozen.

    Args:
        name: one of `available()`.
        device: where to put it; CUDA if there is one, else Apple's MPS, else the CPU unless given.

    Returns:
        `Autoencoder` or `LinearAutoencoder` with `encode` and `decode`, `VariationalAutoencoder`
        with `posterior` too, or `Judge`, which reads digits.

    Raises:
        CheckpointError: no such model, or its files are missing or damaged.
        RuntimeError: no such device.
    """
    return _checkpoints.load(name, device=_best_device() if device is None else device)
