"""The zoo: who is shown, loaded once, with what belongs to each."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from vae_demo import checkpoints, recipes, zoo
from vae_demo.checkpoints import CheckpointError
from vae_demo.models import VariationalAutoencoder


@pytest.fixture(scope="module")
def shipped_zoo():
    return zoo.load_zoo()


@pytest.fixture
def copied(tmp_path):
    """A copy of the shipped folder that a test may spoil."""
    for path in checkpoints.SHIPPED.glob("*"):
        if path.stem in ("ae", "vae", "judge", "pca", "latent_map", "samplers"):
            shutil.copy(path, tmp_path)
    return tmp_path


def test_all_models_with_codes_can_be_shown_twins_first(shipped_zoo):
    assert shipped_zoo.names[:2] == zoo.TWINS
    assert sorted(shipped_zoo.names) == checkpoints.coders()
    assert list(shipped_zoo.names) == [name for name in recipes.ZOO if name != "judge"]


def test_models_are_loaded_when_asked_for_and_once(shipped_zoo):
    fresh = zoo.load_zoo()
    assert set(fresh.loaded) == set(zoo.TWINS)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: fresh.model("pca"), range(8)))
    assert all(one is found[0] for one in found)


@pytest.mark.parametrize("name", [name for name in recipes.ZOO if name != "judge"])
def test_a_model_comes_with_its_codes_and_samplers(shipped_zoo, name):
    model = shipped_zoo.model(name)
    assert model.name == name
    assert model.codes.mean.shape[1] == model.coder.latent_size
    assert model.samplers.gaussian.means.shape[1] == model.coder.latent_size
    assert model.weights_sha256 == checkpoints.read_card(name)["weights_sha256"]
    assert (model.variational is model.coder) == isinstance(model.coder, VariationalAutoencoder)
    with torch.no_grad():
        x_hat = model.coder.decode(model.codes.mean[:1]).sigmoid()
    assert x_hat.shape == (1, 1, 28, 28)


def test_a_folder_with_the_twins_alone_is_enough(copied):
    for path in copied.glob("pca.*"):
        path.unlink()
    assert zoo.load_zoo(copied).names == zoo.TWINS


def test_samplers_of_other_weights_stop_it_with_a_hint(copied):
    archive = copied / "samplers.npz"
    archive.unlink()
    with pytest.raises(CheckpointError, match=r"python -m vae_demo.samplers"):
        zoo.load_zoo(copied)


def test_a_judge_that_is_none_stops_it(copied):
    for suffix in (".json", ".safetensors"):
        shutil.copy(copied / f"pca{suffix}", copied / f"judge{suffix}")
    with pytest.raises(CheckpointError, match=r"judge.json describes LinearAutoencoder"):
        zoo.load_zoo(copied)


def test_twins_that_are_none_stop_it(copied):
    card = json.loads((copied / "vae.json").read_text())
    other = checkpoints.load("pca")
    checkpoints.save(copied, "vae", other, {})
    with pytest.raises(CheckpointError):
        zoo.load_zoo(copied)
    assert card["architecture"] == "variational_autoencoder"


def test_a_digit_is_the_original_where_there_is_one(shipped_zoo):
    rebuilt = shipped_zoo.digit(3)
    assert rebuilt.shape == (1, 1, 28, 28)
    originals = torch.full((10, 1, 28, 28), 51, dtype=torch.uint8)
    with_mnist = zoo.Zoo(
        **{**vars(shipped_zoo), "originals": originals},
    )
    assert torch.equal(with_mnist.digit(3), torch.full((1, 1, 28, 28), 0.2))
