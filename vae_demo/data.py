"""MNIST through torchvision. `python -m vae_demo.data` fetches it once; the app runs without it."""

import argparse
import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FETCH = "python -m vae_demo.data"

PEN_DIGITS = Path("pendigits") / "pendigits-train.unipen"
PEN_DIGITS_PAGE = "https://archive.ics.uci.edu/dataset/81"

# What torchvision was seen to raise on missing, truncated and foreign files.
UNREADABLE = (RuntimeError, OSError, ValueError, TypeError, KeyError, AssertionError)


class DataError(RuntimeError):
    """MNIST is missing or damaged; the message names the folder and the command that mends it."""


def default_root() -> Path:
    """`VAE_DEMO_DATA` if set, else a cache folder of the user."""
    if folder := os.environ.get("VAE_DEMO_DATA"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vae_demo"


def load(
    root: str | Path | None = None, *, train: bool, download: bool = False
) -> tuple[Tensor, Tensor]:
    """One half of MNIST.

    Args:
        root: the folder that holds `MNIST/raw`; None for `default_root()`.
        train: the 60,000 training digits, else the 10,000 test digits.
        download: fetch what is missing.

    Returns:
        Pictures (N, 1, 28, 28), uint8 in 0 … 255, white ink on black; labels (N,), int64.

    Raises:
        DataError: no complete MNIST in that folder.
    """
    from torchvision.datasets import MNIST

    folder = default_root() if root is None else Path(root)
    raw = folder / "MNIST" / "raw"
    fetch = f"Delete {raw} and fetch MNIST again" if raw.exists() else "Fetch it"
    hint = f"{fetch} with `{FETCH} --data {folder}`, or name another folder with --data."
    try:
        mnist = MNIST(str(folder), train=train, download=download)
    except UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"No readable MNIST in {folder} ({reason}). {hint}") from error
    expected = 60_000 if train else 10_000
    if tuple(mnist.data.shape) != (expected, 28, 28) or len(mnist.targets) != expected:
        raise DataError(
            f"MNIST in {folder} is damaged: expected {expected} pictures of 28×28 and as many "
            f"labels, found {tuple(mnist.data.shape)} and {len(mnist.targets)}. {hint}"
        )
    return mnist.data.unsqueeze(1), mnist.targets.to(torch.int64)


def pen_digits(
    root: str | Path | None = None,
) -> tuple[list[list[NDArray[np.float64]]], Tensor]:
    """The pen digits of UCI (Alpaydin & Alimoglu 1998; CC BY 4.0): strokes by 30 writers.

    Args:
        root: the folder that holds `pendigits/pendigits-train.unipen`; None for `default_root()`.

    Returns:
        For each digit its strokes, (n, 2) pen points x, y with y downwards; labels (N,), int64.

    Raises:
        DataError: no such file in that folder, or it is damaged.
    """
    path = (default_root() if root is None else Path(root)) / PEN_DIGITS
    hint = f"Put pendigits-train.unipen of {PEN_DIGITS_PAGE} there."
    digits: list[list[list[tuple[float, float]]]] = []
    labels = []
    try:
        for line in path.read_text(encoding="ascii").splitlines():
            if line.startswith(".SEGMENT DIGIT"):
                labels.append(int(line.split('"')[1]))
                digits.append([])
            elif line.startswith(".PEN_DOWN"):
                digits[-1].append([])
            elif line[:1] in (" ", "\t") and digits and digits[-1]:
                x, y = line.split()
                digits[-1][-1].append((float(x), -float(y)))
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"No readable pen digits in {path} ({error}). {hint}") from error
    if not digits or not all(all(digit) and digit for digit in digits):
        raise DataError(f"{path} is damaged: a digit in it has no strokes. {hint}")
    strokes = [[np.array(stroke) for stroke in digit] for digit in digits]
    return strokes, torch.tensor(labels)


def digest(images: Tensor) -> str:
    """SHA-256 of the pixels: says which pictures a model was trained on."""
    return hashlib.sha256(images.numpy().tobytes()).hexdigest()


def add_argument(parser: argparse.ArgumentParser) -> None:
    """The `--data` option that all commands share."""
    parser.add_argument(
        "--data",
        type=Path,
        help="folder that holds MNIST/raw (default: $VAE_DEMO_DATA, else ~/.cache/vae_demo)",
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog=FETCH, description="Fetch MNIST (11 MB) once.")
    add_argument(parser)
    root = parser.parse_args().data or default_root()
    try:
        for train in (True, False):
            images, _ = load(root, train=train, download=True)
            print(f"{'train' if train else 'test'}: {len(images)} digits, {digest(images)[:12]}")
    except DataError as error:
        parser.exit(1, f"{error}\n")
    print(f"MNIST is in {root.resolve()}")


if __name__ == "__main__":
    main()
