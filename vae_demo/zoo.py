"""What every tab is handed: the models, the digits they have encoded, and a judge."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vae_demo import checkpoints, data, latent_map, recipes, samplers
from vae_demo.images import to_uint8
from vae_demo.latent_map import Codes, EncodedDigits
from vae_demo.models import Autoencoder, Coder, Judge, VariationalAutoencoder
from vae_demo.samplers import Samplers

TWINS = latent_map.MODELS
CHUNK = 128  # codes decoded at once: stays in the cache
TRAINING = range(10_000, 70_000)  # numbers of MNIST's training digits, after those of the test set


@dataclass(frozen=True, eq=False)
class ZooModel:
    """One model with all that belongs to it, read-only.

    Attributes:
        name: in the zoo, "ae" or "vae_beta4".
        coder: in eval mode, on the zoo's device.
        codes: what it made of the test digits, on the CPU.
        samplers: what was fitted to its codes, on the CPU.
        weights_sha256: digest of its weights, for recipes.
    """

    name: str
    coder: Coder
    codes: Codes
    samplers: Samplers
    weights_sha256: str

    @property
    def variational(self) -> VariationalAutoencoder | None:
        """The coder itself if it has a posterior, else None."""
        return self.coder if isinstance(self.coder, VariationalAutoencoder) else None


@dataclass(frozen=True, eq=False)
class Zoo:
    """The models of a folder, each loaded when somebody first asks for it; visitors share them.

    Attributes:
        folder: of the checkpoints.
        device: where models answer.
        names: of the models that can be shown, the twins first.
        judge: reads digits.
        digits: the encoded MNIST test set.
        samplers: by the model's name.
        originals: MNIST's test pictures (10000, 1, 28, 28), uint8, where it is on disk, else None.
        root: folder of MNIST, for its training pictures; None where it is not on disk.
    """

    folder: Path
    device: torch.device
    names: tuple[str, ...]
    judge: Judge
    digits: EncodedDigits
    samplers: dict[str, Samplers]
    originals: Tensor | None = None
    root: Path | None = None
    loaded: dict[str, ZooModel] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def model(self, name: str) -> ZooModel:
        """One of `names`.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        with self.lock:
            if name not in self.loaded:
                self.loaded[name] = ZooModel(
                    name,
                    checkpoints.load_coder(name, self.folder, self.device),
                    self.digits.codes[name],
                    self.samplers[name],
                    checkpoints.read_card(name, self.folder)["weights_sha256"],
                )
            return self.loaded[name]

    def pair(self, names: Sequence[str] = TWINS) -> tuple[ZooModel, ZooModel]:
        """Two models, left and right, as everywhere on the page; the twins unless others are named.

        Raises:
            CheckpointError: see `model`.
        """
        left, right = (self.model(name) for name in names)
        return left, right

    def has_digit(self, index: int) -> bool:
        """Whether there is a picture of that number, see `digit`."""
        return 0 <= index < len(self.digits.labels) or (self.root is not None and index in TRAINING)

    def decode(self, model: ZooModel, z: Tensor) -> Tensor:
        """Pictures (B, 1, 28, 28) in [0, 1] of codes z (B, Z), a few at a time."""
        parts = [model.coder.decode(part.to(self.device)).sigmoid() for part in z.split(CHUNK)]
        return torch.cat(parts)

    def digit(self, index: int) -> Tensor:
        """Test digit number `index` as a picture x (1, 1, 28, 28): the original where MNIST is on
        disk, else what the autoencoder rebuilds from its shipped code. Numbers in `TRAINING` are
        MNIST's training digits, where it is on disk.

        Raises:
            DataError: MNIST is not on disk any more, or damaged.
        """
        if self.root is not None and index in TRAINING:
            return training_pictures(self.root)[[index - TRAINING.start]].float() / 255
        if self.originals is not None:
            return self.originals[index : index + 1].float() / 255
        ae = self.model("ae")
        return ae.coder.decode(ae.codes.mean[[index]].to(self.device)).sigmoid().cpu()


@lru_cache(maxsize=1)
def training_pictures(root: Path) -> Tensor:
    """MNIST's training pictures (60000, 1, 28, 28), uint8; 47 MB, read when first asked for."""
    return data.load(root, train=True)[0]


@lru_cache(maxsize=1)
def shown_pictures(zoo: Zoo) -> Tensor:
    """All test digits as `Zoo.digit` shows them (N, 1, 28, 28), uint8; without MNIST they take
    seconds to rebuild, once."""
    if zoo.originals is not None:
        return zoo.originals[: len(zoo.digits.labels)]
    ae = zoo.model("ae")
    parts = ae.codes.mean.split(256)
    decoded = [to_uint8(ae.coder.decode(z.to(zoo.device)).sigmoid()) for z in parts]
    return torch.from_numpy(np.concatenate(decoded))


def load_zoo(
    folder: str | Path = checkpoints.SHIPPED,
    device: str | torch.device = "cpu",
    root: str | Path | None = None,
) -> Zoo:
    """Load the twins, the judge and the encoded digits; the other models wait to be asked for.

    Args:
        folder: of the checkpoints.
        root: folder of MNIST, whose pictures then appear beside the rebuilt ones; None to do
            without.

    Raises:
        CheckpointError: a checkpoint is missing or damaged.
        DataError: no MNIST in `root`.
    """
    for name in (*TWINS, "judge"):  # names what is missing before anything is loaded
        checkpoints.read_card(name, folder)
    judge = checkpoints.load("judge", folder, device)
    if not isinstance(judge, Judge):
        raise checkpoints.CheckpointError(
            f"In {folder}, judge.json describes {type(judge).__name__}. "
            f"{checkpoints.rebuild_hint('judge')}"
        )
    digits, fitted = latent_map.load(folder), samplers.load(folder)
    shown = set(checkpoints.available(folder)) & set(digits.codes) & set(fitted)
    order = [*recipes.ZOO, *sorted(shown - set(recipes.ZOO))]
    names = tuple(name for name in order if name in shown)
    if missing := set(TWINS) - shown:
        raise checkpoints.CheckpointError(
            f"In {folder}, {' and '.join(sorted(missing))} cannot be shown: "
            f"{samplers.FILE} does not belong to these weights. Write it with "
            f"`{samplers.COMMAND}`, or restore it with git."
        )
    originals = None if root is None else data.load(root, train=False)[0]
    zoo = Zoo(
        Path(folder), torch.device(device), names, judge, digits, fitted, originals,
        None if root is None else Path(root),
    )  # fmt: skip
    ae, vae = zoo.pair()
    if type(ae.coder) is not Autoencoder or vae.variational is None:
        raise checkpoints.CheckpointError(
            f"In {folder}, ae.json and vae.json describe {type(ae.coder).__name__} and "
            f"{type(vae.coder).__name__}, not the twins. {checkpoints.rebuild_hint('ae')}"
        )
    return zoo
