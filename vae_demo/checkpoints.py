"""Checkpoints on disk: `<name>.safetensors` holds the weights, `<name>.json` says what they are.

The card is read first, the weights are loaded strictly, and nothing is ever unpickled.
"""

import hashlib
import json
import os
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors

from vae_demo.models import Autoencoder, Judge, LinearAutoencoder, VariationalAutoencoder

SHIPPED = Path(__file__).resolve().parent.parent / "checkpoints"
Model = Autoencoder | LinearAutoencoder | Judge
ARCHITECTURES: dict[str, type[Model]] = {
    "autoencoder": Autoencoder,
    "variational_autoencoder": VariationalAutoencoder,
    "linear_autoencoder": LinearAutoencoder,
    "judge": Judge,
}


class CheckpointError(RuntimeError):
    """A file is missing, damaged or does not fit; the message says which, why and what to do."""


def rebuild_hint(name: str) -> str:
    return f"Rebuild it with `python -m vae_demo.train {name}`, or restore it with git."


def available(folder: str | Path = SHIPPED) -> list[str]:
    """Names of the models in a folder, sorted."""
    cards = Path(folder).glob("*.json")
    return sorted(card.stem for card in cards if card.with_suffix(".safetensors").exists())


def coders(folder: str | Path = SHIPPED) -> list[str]:
    """Names of the models with codes in a folder, sorted: all but a judge."""
    return [
        name for name in available(folder) if read_card(name, folder)["architecture"] != "judge"
    ]


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file in one step: whoever is killed in between leaves the old one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    with open(unfinished, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def save(folder: str | Path, name: str, model: Model, card: dict[str, Any]) -> None:
    """Write weights (as float16) and card.

    Args:
        card: everything a reader should know: objective, seed, data, command, metrics. The
            architecture and the weights' digest are added here.
    """
    weights = dump_tensors(
        {key: value.half().contiguous() for key, value in model.state_dict().items()}
    )
    architecture = next(key for key, kind in ARCHITECTURES.items() if type(model) is kind)
    described = {
        "name": name,
        "architecture": architecture,
        **{size: getattr(model, size) for size in signature(type(model)).parameters},
        "parameters": sum(p.numel() for p in model.parameters()),
        **card,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    write_atomically(Path(folder) / f"{name}.safetensors", weights)
    text = json.dumps(described, indent=2, ensure_ascii=False) + "\n"
    write_atomically(Path(folder) / f"{name}.json", text.encode())


def read_card(name: str, folder: str | Path = SHIPPED) -> dict[str, Any]:
    """The JSON card of a model.

    Raises:
        CheckpointError: missing, or not a card.
    """
    path = Path(folder) / f"{name}.json"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(available(folder)) or "none"
        raise CheckpointError(
            f"{path} is missing (models found there: {known}). {rebuild_hint(name)}"
        ) from None
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON ({error}). {rebuild_hint(name)}") from error
    missing = {"architecture", "weights_sha256"} - set(card if isinstance(card, dict) else {})
    if missing:
        raise CheckpointError(f"{path} lacks {sorted(missing)}. {rebuild_hint(name)}")
    return card


def load(name: str, folder: str | Path = SHIPPED, device: str | torch.device = "cpu") -> Model:
    """A model in eval mode, its weights frozen.

    Raises:
        CheckpointError: card or weights are missing, truncated, or do not fit each other.
    """
    card = read_card(name, folder)
    path = Path(folder) / f"{name}.safetensors"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing. {rebuild_hint(name)}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != card["weights_sha256"]:
        raise CheckpointError(
            f"{path} is damaged or belongs to another card: its SHA-256 is {found[:12]}…, "
            f"{name}.json says {str(card['weights_sha256'])[:12]}…. {rebuild_hint(name)}"
        )
    kind = ARCHITECTURES.get(str(card["architecture"]))
    if kind is None:
        raise CheckpointError(
            f"{name}.json names the architecture {card['architecture']!r}; this version knows "
            f"{sorted(ARCHITECTURES)}. {rebuild_hint(name)}"
        )
    try:
        with torch.device("meta"):  # no time spent on weights that are replaced at once
            model = kind(
                **{size: card[size] for size in signature(kind).parameters if size in card}
            )
        weights = {key: value.float() for key, value in load_tensors(content).items()}
        model.load_state_dict(weights, assign=True)
    except (SafetensorError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f"{path} does not fit its card: {reason} {rebuild_hint(name)}"
        ) from error
    model = model.requires_grad_(False).eval()
    # Channels last makes one picture a quarter faster on a CPU.
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def load_coder(
    name: str, folder: str | Path = SHIPPED, device: str | torch.device = "cpu"
) -> Autoencoder | LinearAutoencoder:
    """A model that has codes, see `load`.

    Raises:
        CheckpointError: it has none, or cannot be loaded.
    """
    model = load(name, folder, device)
    if isinstance(model, Judge):
        raise CheckpointError(f"{name} in {folder} has no codes: it is a {type(model).__name__}.")
    return model
