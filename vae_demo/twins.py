"""What every tab is handed: the two models on one device, and the digits they have encoded."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vae_demo import checkpoints, data, latent_map
from vae_demo.latent_map import EncodedDigits
from vae_demo.models import Autoencoder, VariationalAutoencoder


@dataclass(frozen=True)
class Twins:
    """Read-only, so visitors may share it.

    Attributes:
        ae, vae: in eval mode, on `device`.
        digits: the encoded MNIST test set.
        originals: its pictures (10000, 1, 28, 28), uint8, where MNIST is on disk, else None.
    """

    ae: Autoencoder
    vae: VariationalAutoencoder
    digits: EncodedDigits
    device: torch.device
    originals: Tensor | None = None

    def both(self) -> tuple[Autoencoder, VariationalAutoencoder]:
        """Left and right, as everywhere on the page."""
        return self.ae, self.vae

    def digit(self, index: int) -> Tensor:
        """Test digit number `index` as a picture x (1, 1, 28, 28): the original where MNIST is on
        disk, else what the autoencoder rebuilds from its shipped code."""
        if self.originals is not None:
            return self.originals[index : index + 1].float() / 255
        z = self.digits.codes["ae"].mean[index : index + 1].to(self.device)
        return self.ae.decode(z).sigmoid().cpu()


def load_twins(
    folder: str | Path = checkpoints.SHIPPED,
    device: str | torch.device = "cpu",
    root: str | Path | None = None,
) -> Twins:
    """Load the twins and the encoded digits.

    Args:
        folder: of the checkpoints.
        root: folder of MNIST, whose pictures then appear beside the rebuilt ones; None to do
            without.

    Raises:
        CheckpointError: a checkpoint is missing or damaged.
        DataError: no MNIST in `root`.
    """
    ae, vae = (checkpoints.load(name, folder, device) for name in ("ae", "vae"))
    if not isinstance(ae, Autoencoder) or not isinstance(vae, VariationalAutoencoder):
        raise checkpoints.CheckpointError(
            f"In {folder}, ae.json and vae.json describe {type(ae).__name__} and "
            f"{type(vae).__name__}, not the twins. {checkpoints.rebuild_hint('ae')}"
        )
    originals = None if root is None else data.load(root, train=False)[0]
    digits = latent_map.load(folder)
    return Twins(ae, vae, digits, torch.device(device), originals)
