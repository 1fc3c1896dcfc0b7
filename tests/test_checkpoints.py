import ast
import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from safetensors.torch import save as dump_tensors

from vae_demo import checkpoints, train
from vae_demo.checkpoints import CheckpointError
from vae_demo.models import Autoencoder, Judge, VariationalAutoencoder

ROOT = Path(checkpoints.__file__).parents[1]


@pytest.fixture
def vae():
    torch.manual_seed(0)
    return VariationalAutoencoder(latent_size=3)


@pytest.fixture
def folder(tmp_path, vae):
    checkpoints.save(tmp_path, "vae", vae, {"seed": 5})
    return tmp_path


def rewrite_card(folder, **changes):
    path = folder / "vae.json"
    card = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps({key: value for key, value in card.items() if value is not None}))


def rewrite_weights(folder, content, *, fix_digest):
    (folder / "vae.safetensors").write_bytes(content)
    if fix_digest:
        rewrite_card(folder, weights_sha256=hashlib.sha256(content).hexdigest())


# Round trip ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Autoencoder, VariationalAutoencoder, Judge])
def test_round_trip(tmp_path, kind):
    model = kind()
    checkpoints.save(tmp_path, "some", model, {})
    loaded = checkpoints.load("some", tmp_path)
    assert type(loaded) is kind
    for key, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value.half().float()), key


def test_a_loaded_model_is_frozen_in_eval_mode_and_in_float32(folder):
    model = checkpoints.load("vae", folder)
    assert not model.training
    assert model.latent_size == 3
    assert {(p.requires_grad, p.dtype) for p in model.parameters()} == {(False, torch.float32)}


def test_a_card_says_what_it_was_told_and_what_it_sees(folder, vae):
    card = checkpoints.read_card("vae", folder)
    content = (folder / "vae.safetensors").read_bytes()
    assert card == {
        "name": "vae",
        "architecture": "variational_autoencoder",
        "latent_size": 3,
        "width": vae.width,
        "hidden": vae.hidden,
        "parameters": sum(p.numel() for p in vae.parameters()),
        "seed": 5,
        "weights_sha256": hashlib.sha256(content).hexdigest(),
    }


def test_available_lists_only_complete_models(folder):
    (folder / "other.json").write_text("{}")
    assert checkpoints.available(folder) == ["vae"]


# Damage -------------------------------------------------------------------------------------------


def no_card(folder):
    (folder / "vae.json").unlink()


def card_is_no_json(folder):
    (folder / "vae.json").write_text("{")


def card_is_no_text(folder):
    (folder / "vae.json").write_bytes(b"\xff\xfe\x00")


def card_is_no_card(folder):
    (folder / "vae.json").write_text("[1, 2]")


def card_lacks_digest(folder):
    rewrite_card(folder, weights_sha256=None)


def unknown_architecture(folder):
    rewrite_card(folder, architecture="transformer")


def architecture_is_no_name(folder):
    rewrite_card(folder, architecture=["judge"])


def other_architecture(folder):
    rewrite_card(folder, architecture="judge")


def other_latent_size(folder):
    rewrite_card(folder, latent_size=4)


def latent_size_is_no_number(folder):
    rewrite_card(folder, latent_size="three")


def no_weights(folder):
    (folder / "vae.safetensors").unlink()


def truncated(folder):
    content = (folder / "vae.safetensors").read_bytes()
    rewrite_weights(folder, content[: len(content) // 2], fix_digest=False)


def one_bit_flipped(folder):
    content = bytearray((folder / "vae.safetensors").read_bytes())
    content[-1000] ^= 1
    rewrite_weights(folder, bytes(content), fix_digest=False)


def no_safetensors(folder):
    rewrite_weights(folder, b"\x80\x04not tensors", fix_digest=True)


def a_weight_is_missing(folder):
    weights = load_file(folder / "vae.safetensors")
    del weights["logvar.bias"]
    rewrite_weights(folder, dump_tensors(weights), fix_digest=True)


def a_weight_too_many(folder):
    weights = load_file(folder / "vae.safetensors")
    rewrite_weights(folder, dump_tensors(weights | {"extra": torch.ones(1)}), fix_digest=True)


DAMAGES = [
    (no_card, "vae.json", "is missing"),
    (card_is_no_json, "vae.json", "is not JSON"),
    (card_is_no_text, "vae.json", "is not JSON"),
    (card_is_no_card, "vae.json", "lacks"),
    (card_lacks_digest, "vae.json", "weights_sha256"),
    (unknown_architecture, "vae.json", "transformer"),
    (architecture_is_no_name, "vae.json", "architecture"),
    (other_architecture, "vae.safetensors", "does not fit"),
    (other_latent_size, "vae.safetensors", "does not fit"),
    (latent_size_is_no_number, "vae.safetensors", "does not fit"),
    (no_weights, "vae.safetensors", "is missing"),
    (truncated, "vae.safetensors", "is damaged"),
    (one_bit_flipped, "vae.safetensors", "is damaged"),
    (no_safetensors, "vae.safetensors", "does not fit"),
    (a_weight_is_missing, "vae.safetensors", "does not fit"),
    (a_weight_too_many, "vae.safetensors", "does not fit"),
]


@pytest.mark.parametrize(
    ("damage", "file", "reason"), DAMAGES, ids=[damage.__name__ for damage, *_ in DAMAGES]
)
def test_damage_names_the_file_the_reason_and_the_remedy(folder, damage, file, reason):
    damage(folder)
    with pytest.raises(CheckpointError) as caught:
        checkpoints.load("vae", folder)
    for part in (file, reason, "`python -m vae_demo.train vae`"):
        assert part in str(caught.value)


def test_a_missing_model_lists_those_that_are_there(folder):
    with pytest.raises(CheckpointError, match=r"models found there: vae\)"):
        checkpoints.load("gan", folder)


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    path = tmp_path / "file"
    checkpoints.write_atomically(path, b"old")
    monkeypatch.setattr("os.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"


# Nothing is unpickled -----------------------------------------------------------------------------


def unsafe_nodes(tree):
    """Imports and calls that could run code found in a file."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                modules = {alias.name for alias in names}
            case ast.ImportFrom(module=module):
                modules = {module}
            case ast.Call(func=ast.Attribute(value=ast.Name(id=library), attr="load")):
                safe = any(
                    keyword.arg == "allow_pickle" and ast.unparse(keyword.value) == "False"
                    for keyword in node.keywords
                )
                if library == "torch" or (library in ("np", "numpy") and not safe):
                    yield ast.unparse(node)
                continue
            case _:
                continue
        if modules & {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}:
            yield ast.unparse(node)


@pytest.mark.parametrize(
    "line", ["import pickle", "from joblib import load", "torch.load(f)", "np.load(f)"]
)
def test_the_check_below_sees_what_it_looks_for(line):
    assert list(unsafe_nodes(ast.parse(line))) == [line]


def test_nothing_is_ever_unpickled():
    files = [*ROOT.glob("*.py"), *ROOT.glob("vae_demo/**/*.py"), *ROOT.glob("benchmarks/**/*.py")]
    found = {
        str(path.relative_to(ROOT)): list(unsafe_nodes(ast.parse(path.read_text(encoding="utf-8"))))
        for path in files
    }
    assert {path: nodes for path, nodes in found.items() if nodes} == {}


# What is shipped ----------------------------------------------------------------------------------


def test_the_shipped_twins_are_twins(shipped):
    assert type(shipped["ae"]) is Autoencoder
    assert type(shipped["vae"]) is VariationalAutoencoder
    ours, theirs = (checkpoints.read_card(name) for name in ("ae", "vae"))
    for key in (
        "latent_size",
        "width",
        "hidden",
        "seed",
        "batch",
        "epochs",
        "lr",
        "bending",
        "images",
        "data",
    ):
        assert ours[key] == theirs[key], key


@pytest.mark.parametrize(
    ("name", "figure", "least", "most"),
    [
        ("ae", "squared_error", 0, 0.0052),
        ("vae", "negative_elbo_nats", 0, 91.5),
        ("judge", "accuracy", 0.99, 1),
    ],
)
def test_the_shipped_models_are_good_enough(name, figure, least, most):
    assert least <= checkpoints.read_card(name)["metrics"][figure] <= most


@pytest.mark.parametrize("name", ["ae", "vae", "judge"])
def test_the_figures_on_a_card_are_measured_again(shipped, mnist_test, name):
    found = train.measure(shipped[name], *mnist_test)
    assert found == pytest.approx(checkpoints.read_card(name)["metrics"], rel=1e-3)


def test_all_checkpoints_together_stay_small():
    size = sum(p.stat().st_size for p in checkpoints.SHIPPED.rglob("*") if p.is_file())
    assert size < 40_000_000
