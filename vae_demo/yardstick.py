"""What every model of a report is held against: MNIST, the judge's reading of it, and drawings."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from vae_demo import data, drawings
from vae_demo.images import render_strokes
from vae_demo.metrics import (
    Moments,
    class_entropy_nats,
    frechet_distance,
    moments,
    nearest_distances,
)
from vae_demo.models import Coder, Judge

SURE = 0.9  # the judge's probability of its own answer
BATCH = 200  # pictures at once: fastest on one thread


class Settings(NamedTuple):
    """How much is drawn for a figure; the report repeats them."""

    importance_samples: int = 500  # codes per digit
    samples: int = 10_000  # pictures per sampler
    nearest: int = 2_000  # of these, held against every training digit
    components: int = 50  # of the fitted mixture
    pairs: int = 2_000  # of digits of two classes
    pen_step: int = 3  # every third pen digit
    doodles: int = 50  # of each kind
    noise: int = 1_000
    example_epochs: int = 10


DEFAULT = Settings()


class Reading(NamedTuple):
    """What the judge makes of N pictures.

    Attributes:
        features: (N, 128), the layer before its answer.
        classes: (N,), its answer.
        confidence: (N,), the probability it gives it.
    """

    features: Tensor
    classes: Tensor
    confidence: Tensor


@dataclass(frozen=True, eq=False)
class Yardstick:
    """What every model of a run is held against; pictures on the CPU.

    Attributes:
        train_images, images: MNIST's training and test digits, (N, 1, 28, 28), uint8.
        train_labels, labels: (N,).
        train_moments: of the training digits in the judge's features.
        reads: (N,), what the judge reads in the test digits.
        pairs: (2, P), test digits of two classes.
        pen: pictures and labels of pen digits that the judge reads right, by condition; or why
            there are none.
        not_digits: pictures in [0, 1], by kind.
    """

    train_images: Tensor
    train_labels: Tensor
    images: Tensor
    labels: Tensor
    judge: Judge
    train_moments: Moments
    reads: Tensor
    pairs: Tensor
    pen: dict[str, tuple[Tensor, Tensor]] | str
    not_digits: dict[str, Tensor]
    settings: Settings
    seed: int
    device: torch.device

    def generator(self) -> torch.Generator:
        """Every figure draws from one of its own, so it does not depend on the others."""
        return torch.Generator(self.device).manual_seed(self.seed)


@torch.no_grad()
def in_batches(function: Callable[[Tensor], Tensor], rows: Tensor, device: torch.device) -> Tensor:
    """function(rows), a few at a time on the device; the results on the CPU."""
    return torch.cat([function(part.to(device)).cpu() for part in rows.split(BATCH)])


def read(judge: Judge, x: Tensor, device: torch.device) -> Reading:
    """Show the judge pictures (N, 1, 28, 28) in [0, 1]."""
    features = in_batches(judge.features, x, device)
    confidence, classes = in_batches(judge.classes, features, device).softmax(1).max(1)
    return Reading(features, classes, confidence)


def rebuilt(model: Coder, x: Tensor, device: torch.device) -> Tensor:
    """Logits (N, 1, 28, 28) of pictures in [0, 1], through their codes."""
    return in_batches(lambda part: model.decode(model.encode(part)), x, device)


def decoded(model: Coder, z: Tensor, device: torch.device) -> Tensor:
    """Pictures (N, 1, 28, 28) in [0, 1] of codes (N, Z)."""
    return in_batches(lambda part: model.decode(part).sigmoid(), z, device)


def measuring(
    judge: Judge, root: Path | None, settings: Settings, seed: int, device: torch.device
) -> Yardstick:
    """Load MNIST, draw the drawings, let the judge read.

    Raises:
        data.DataError: no MNIST.
    """
    (train_images, train_labels), (images, labels) = (
        data.load(root, train=half) for half in (True, False)
    )
    reading = read(judge, train_images.float() / 255, device)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    return Yardstick(
        train_images,
        train_labels,
        images,
        labels,
        judge,
        train_moments=moments(reading.features),
        reads=read(judge, images.float() / 255, device).classes,
        pairs=pairs_of_two_classes(labels, settings.pairs, generator),
        pen=pen_pictures(judge, root, settings.pen_step, device),
        not_digits={
            "letters": drawings.letters(),
            "doodles": drawings.doodles(settings.doodles, rng),
            "turned": drawings.turned(images, labels).float() / 255,
            "noise": torch.rand(settings.noise, 1, 28, 28, generator=generator),
        },
        settings=settings,
        seed=seed,
        device=device,
    )


def pairs_of_two_classes(labels: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Places (2, count) in labels (N,), which name at least two classes."""
    found = torch.empty(2, 0, dtype=torch.int64)
    while found.shape[1] < count:
        drawn = torch.randint(len(labels), (2, count), generator=generator)
        found = torch.cat([found, drawn[:, labels[drawn[0]] != labels[drawn[1]]]], 1)
    return found[:, :count]


def pen_pictures(
    judge: Judge, root: Path | None, step: int, device: torch.device
) -> dict[str, tuple[Tensor, Tensor]] | str:
    """Pictures and labels by condition, where the judge reads right; else the reason why not.

    "live" is what the page does with a pen: its strokes, not a picture of them.
    """
    try:
        digits, labels = data.pen_digits(root)
    except data.DataError:
        return f"no {data.PEN_DIGITS.as_posix()} in the data folder"
    digits, labels = digits[::step], labels[::step]
    pictures = {"live": torch.stack([render_strokes(digit) for digit in digits])}
    conditions = tqdm(drawings.CONDITIONS.items(), desc="pen", unit="condition", leave=False)
    pictures |= {key: drawings.drawn(digits, condition) for key, condition in conditions}
    right = {key: read(judge, x, device).classes == labels for key, x in pictures.items()}
    return {key: (x[right[key]], labels[right[key]]) for key, x in pictures.items()}


# Pictures against real digits --------------------------------------------------------------------


def looks(x: Tensor, yardstick: Yardstick, *, nearest: bool = True) -> dict[str, Any]:
    """How far pictures (N, 1, 28, 28) in [0, 1] are from real digits, as a crowd and one by one."""
    reading = read(yardstick.judge, x, yardstick.device)
    figures: dict[str, Any] = {
        "frechet": frechet_distance(moments(reading.features), yardstick.train_moments),
        "confident_share": share(reading.confidence > SURE),
        "class_entropy_nats": class_entropy_nats(reading.classes),
    }
    if nearest:  # how far to the nearest training digit: a copy would lie at 0
        some, every = (
            pictures.flatten(1).to(yardstick.device)
            for pictures in (x[: yardstick.settings.nearest], yardstick.train_images.float() / 255)
        )
        figures["nearest_training_median"] = float(nearest_distances(some, every).median())
    return figures


def share(true: Tensor) -> float:
    return float(true.double().mean())
