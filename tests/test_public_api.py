"""What a notebook gets: four names, light to import, as the documentation says."""

import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

import vae_demo
from vae_demo import checkpoints, images
from vae_demo.models import Autoencoder, VariationalAutoencoder, best_device

NAMES = {"available", "load", "preprocess", "render_strokes"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint folder in place of the shipped one, with untrained twins."""
    for name, kind in (("ae", Autoencoder), ("vae", VariationalAutoencoder)):
        checkpoints.save(tmp_path, name, kind(4), {})
    load, available = checkpoints.load, checkpoints.available
    monkeypatch.setattr(checkpoints, "load", lambda name, device: load(name, tmp_path, device))
    monkeypatch.setattr(checkpoints, "available", lambda folder=tmp_path: available(folder))
    return tmp_path


def test_nothing_else_is_public() -> None:
    assert set(vae_demo.__all__) == NAMES
    public = {name for name in vars(vae_demo) if not name.startswith("_")}
    modules = {name for name in public if isinstance(vars(vae_demo)[name], types.ModuleType)}
    assert public - modules - {"TYPE_CHECKING"} == NAMES


def test_importing_is_light() -> None:
    heavy = ("gradio", "matplotlib", "numba", "plotly", "sklearn", "torchvision", "umap")
    code = f"import sys, vae_demo; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.usefixtures("folder")
def test_the_documented_example() -> None:
    assert vae_demo.available() == ["ae", "vae"]
    model = vae_demo.load("vae", device="cpu")
    assert isinstance(model, VariationalAutoencoder)
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    picture = np.full((60, 60), 255, np.uint8)
    picture[10:50, 28:33] = 0
    x = vae_demo.preprocess(picture)
    assert x.shape == (1, 28, 28)
    assert x.dtype == torch.float32
    assert x.max() > 0.9
    z = model.encode(x[None])
    assert z.shape == (1, 4)
    assert torch.equal(z, model.posterior(x[None])[0])
    assert model.decode(z).shape == (1, 1, 28, 28)


@pytest.mark.usefixtures("folder")
def test_the_best_device_unless_given() -> None:
    model = vae_demo.load("ae")
    assert next(model.parameters()).device.type == best_device().type
    assert type(model) is Autoencoder


@pytest.mark.usefixtures("folder")
def test_an_unknown_model_is_named() -> None:
    with pytest.raises(checkpoints.CheckpointError, match="models found there: ae, vae"):
        vae_demo.load("gan")


def test_the_rules_for_pictures_are_those_of_the_app() -> None:
    assert vae_demo.preprocess is images.preprocess
    assert vae_demo.render_strokes is images.render_strokes
    assert vae_demo.render_strokes([]).shape == (1, 28, 28)
