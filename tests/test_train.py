import itertools
import json
import math
import multiprocessing
import os
import shlex
import signal
from functools import wraps
from pkgutil import resolve_name
from unittest.mock import DEFAULT, Mock

import pytest
import torch
from safetensors import safe_open
from torch.testing import assert_close

from vae_demo import checkpoints, data, train
from vae_demo.losses import elbo_nats, kl_nats
from vae_demo.models import Autoencoder, Judge, VariationalAutoencoder
from vae_demo.train import TrainingError

EPOCHS, STEPS, BATCH = 3, 4, 16  # of the short runs below
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has but one


def some_digits(root=None, *, train, download=False):
    """In place of `data.load`: grey blobs, always the same."""
    generator = torch.Generator().manual_seed(int(train))
    coarse = torch.rand(STEPS * BATCH, 1, 7, 7, generator=generator)
    pixels = torch.nn.functional.interpolate(coarse, size=(28, 28), mode="bilinear")
    labels = torch.randint(10, (len(pixels),), generator=generator)
    return (255 * pixels).to(torch.uint8), labels


def short_run(out, name="vae", **changes):
    options = {"epochs": EPOCHS, "batch": BATCH, "device": "cpu", "bfloat16": False} | changes
    return train.train(name, out=out, **options)


@pytest.fixture(autouse=True)
def few_digits(monkeypatch):
    monkeypatch.setattr(data, "load", some_digits)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The folder of a short run that nothing disturbed."""
    out = tmp_path_factory.mktemp("uninterrupted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", some_digits)
        short_run(out)
    return out


def weights(out, name="vae"):
    return (out / f"{name}.safetensors").read_bytes()


# Killed and started again -------------------------------------------------------------------------


def killed_run(out, target, call):
    """In a process of its own: a run that is killed when `target` is called for that time."""
    torch.set_num_threads(1)
    original = resolve_name(target)
    calls = itertools.count(1)

    def killing(*arguments):
        if next(calls) == call:
            os.kill(os.getpid(), KILL)
        return original(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", some_digits)
        patch.setattr(target, killing)
        short_run(out)


@pytest.mark.parametrize(
    ("target", "call", "epochs_left"),
    [
        pytest.param("vae_demo.train.kl_nats", STEPS + 2, 2, id="in the middle of epoch 2"),
        pytest.param("os.replace", 2, 2, id="while the state of epoch 2 is written"),
        pytest.param("os.replace", EPOCHS + 2, 0, id="between weights and card"),
    ],
)
def test_a_killed_run_goes_on_to_the_same_weights(
    tmp_path, monkeypatch, uninterrupted, target, call, epochs_left
):
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=killed_run, args=(tmp_path, target, call))
    process.start()
    process.join()
    assert abs(process.exitcode) == KILL

    epoch = Mock(wraps=train.train_epoch)
    monkeypatch.setattr(train, "train_epoch", epoch)
    short_run(tmp_path)
    assert epoch.call_count == epochs_left
    assert weights(tmp_path) == weights(uninterrupted)
    assert sorted(os.listdir(tmp_path)) == ["vae.json", "vae.safetensors"]


@pytest.fixture
def unfinished(tmp_path, monkeypatch):
    """A folder in which a run stopped before its checkpoint was written."""
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            short_run(tmp_path, "judge")
    return tmp_path


def test_a_run_of_another_recipe_is_not_continued(unfinished):
    path = unfinished / "judge.resume.safetensors"
    before = path.read_bytes()
    with pytest.raises(TrainingError) as caught:
        short_run(unfinished, "judge", lr=0.5)
    for part in (str(path), "'lr': 0.001", "'lr': 0.5", "Delete that file"):
        assert part in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"no tensors at all", None], ids=["empty", "text", "cut"])
def test_a_damaged_state_is_to_be_deleted(unfinished, content):
    path = unfinished / "judge.resume.safetensors"
    path.write_bytes(path.read_bytes()[:50_000] if content is None else content)
    with pytest.raises(TrainingError, match="Delete it"):
        short_run(unfinished, "judge")


def test_a_full_disk_is_reported_and_leaves_the_epoch_before(unfinished, monkeypatch):
    path = unfinished / "judge.resume.safetensors"
    path.unlink()
    full = OSError(28, "No space left on device")
    replace = Mock(wraps=os.replace, side_effect=[DEFAULT, full])
    monkeypatch.setattr("os.replace", replace)
    with pytest.raises(TrainingError, match="No space left"):
        short_run(unfinished, "judge")
    assert saved_epoch(path) == 1


def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_the_epoch_before(tmp_path, monkeypatch):
    recipe = train.RECIPES["ae"]

    def breaking(model, x, labels, generator, progress):
        parts = recipe.objective(model, x, labels, generator, progress)
        return {key: value * (math.nan if progress > 0.5 else 1) for key, value in parts.items()}

    monkeypatch.setitem(train.RECIPES, "ae", recipe._replace(objective=breaking))
    path = tmp_path / "ae.resume.safetensors"
    with pytest.raises(TrainingError) as caught:
        short_run(tmp_path, "ae")
    for part in ("The loss became nan in epoch 2", str(path), "--lr"):
        assert part in str(caught.value)
    assert saved_epoch(path) == 1


def saved_epoch(path):
    """Which epoch a state is of; all its numbers are finite."""
    with safe_open(path, framework="pt") as file:
        names = file.keys()
        assert all(file.get_tensor(name).isfinite().all() for name in names)
        return json.loads(file.metadata()["run"])["epoch"]


# Reproducible -------------------------------------------------------------------------------------


def test_a_seed_decides_every_weight(tmp_path, uninterrupted):
    for seed in (1, 2):
        short_run(tmp_path / str(seed), seed=seed)
    assert weights(tmp_path / "1") == weights(uninterrupted)
    assert weights(tmp_path / "2") != weights(uninterrupted)


def test_each_epoch_has_its_own_order_and_noise(tmp_path, monkeypatch):
    recipe = train.RECIPES["judge"]
    seen = []

    @wraps(recipe.objective)
    def watching(model, x, labels, generator, progress):
        seen.append((generator.initial_seed(), tuple(labels.tolist())))
        return recipe.objective(model, x, labels, generator, progress)

    monkeypatch.setitem(train.RECIPES, "judge", recipe._replace(objective=watching))
    short_run(tmp_path, "judge")
    noise, order = zip(*seen[::STEPS], strict=True)
    assert len(set(noise)) == len(set(order)) == EPOCHS


def test_a_run_leaves_the_global_random_numbers_alone(tmp_path):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    short_run(tmp_path, "judge", epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_the_card_describes_the_run(uninterrupted):
    card = checkpoints.read_card("vae", uninterrupted)
    images, _ = some_digits(train=True)
    assert card["data"]["sha256"] == data.digest(images)
    assert (card["seed"], card["epochs"], card["batch"], card["images"]) == (1, 3, 16, 64)
    model = checkpoints.load("vae", uninterrupted)
    assert card["metrics"] == pytest.approx(train.measure(model, *some_digits(train=False)))


def test_the_command_on_a_card_repeats_its_run(uninterrupted, monkeypatch):
    card = checkpoints.read_card("vae", uninterrupted)
    repeated = Mock(return_value={})
    monkeypatch.setattr(train, "train", repeated)
    python, *arguments = shlex.split(card["command"])
    assert [python, *arguments[:2]] == ["python", "-m", "vae_demo.train"]
    monkeypatch.setattr("sys.argv", arguments[1:])
    train.main()
    assert repeated.call_args.args == ("vae",)
    for key in ("epochs", "batch", "lr", "seed"):
        assert repeated.call_args.kwargs[key] == card[key], key


@pytest.mark.parametrize("error", [TrainingError("disk full"), data.DataError("no MNIST")])
def test_the_command_fails_with_the_reason_alone(monkeypatch, capsys, error):
    monkeypatch.setattr(train, "train", Mock(side_effect=error))
    monkeypatch.setattr("sys.argv", ["train", "ae"])
    with pytest.raises(SystemExit, match="1"):
        train.main()
    assert capsys.readouterr().err == f"{error}\n"


# Parts --------------------------------------------------------------------------------------------


def test_learning_rate_rises_in_a_line_and_falls_like_a_cosine():
    steps, top = 2400, train.LR_WARMUP_STEPS
    rates = [train.learning_rate(step, steps, 0.5) for step in range(steps + 1)]
    assert rates[0] == 0.5 / top
    assert rates[top - 1] == rates[top] == max(rates) == 0.5
    assert rates[(top + steps) // 2] == pytest.approx(0.25)
    assert rates[steps] == pytest.approx(0)
    assert rates[top:] == sorted(rates[top:], reverse=True)


@pytest.fixture
def x(generator):
    return torch.rand(6, 1, 28, 28, generator=generator)


def test_the_vae_loss_is_the_negative_elbo_once_warm(x):
    vae = VariationalAutoencoder()
    parts = train.vae_loss(vae, x, None, torch.Generator().manual_seed(3), progress=0.5)
    mean, logvar = vae.posterior(x)
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(3))
    logits = vae.decode(mean + (0.5 * logvar).exp() * noise)
    assert_close(sum(parts.values()), -elbo_nats(logits, x, mean, logvar).mean())


@pytest.mark.parametrize(("progress", "share"), [(0, 0), (0.025, 0.25), (0.1, 1), (1, 1)])
def test_the_kl_term_is_warmed_up(x, generator, progress, share):
    vae = VariationalAutoencoder()
    parts = train.vae_loss(vae, x, None, generator, progress)
    assert_close(parts["kl"], share * kl_nats(*vae.posterior(x)).sum(1).mean())


@pytest.mark.parametrize("name", train.RECIPES)
def test_every_objective_teaches_every_weight(x, generator, name):
    recipe = train.RECIPES[name]
    model = recipe.model()
    parts = recipe.objective(model, x, torch.arange(6), generator, 1.0)
    torch.stack(list(parts.values())).sum().backward()
    assert [key for key, p in model.named_parameters() if p.grad is None] == []


def test_random_affine_bends_each_picture_its_own_way_and_keeps_its_range(x):
    pictures = x[:1].expand(6, -1, -1, -1)
    bent = train.random_affine(pictures, torch.Generator().manual_seed(0))
    again = train.random_affine(pictures, torch.Generator().manual_seed(0))
    assert torch.equal(bent, again)
    assert bent.shape == x.shape
    assert 0 <= bent.min() < bent.max() <= 1
    assert not torch.equal(bent[0], bent[1])


def test_the_last_quarter_of_a_run_sees_mnist_as_it_is(x):
    generator = torch.Generator().manual_seed(0)
    early, late = (train.bent_less_and_less(x, generator, progress) for progress in (0.0, 0.75))
    assert late is x
    same = [torch.equal(a, b) for a, b in zip(early, x, strict=True)]
    assert not all(same)


def test_measure_averages_over_all_pictures():
    images, labels = some_digits(train=False)
    ae, vae, judge = (kind().eval() for kind in (Autoencoder, VariationalAutoencoder, Judge))
    x = images / 255
    with torch.no_grad():
        error = torch.nn.functional.mse_loss(ae.decode(ae.encode(x)).sigmoid(), x)
        kl = kl_nats(*vae.posterior(x)).sum() / len(x)
        right = (judge(x).argmax(1) == labels).float().mean()
    found = train.measure(vae, images, labels)
    total = found["reconstruction_nats"] + found["kl_nats"]
    assert train.measure(ae, images, labels)["squared_error"] == pytest.approx(error.item())
    assert found["kl_nats"] == pytest.approx(kl.item(), rel=1e-4)
    assert found["negative_elbo_nats"] == pytest.approx(total, rel=1e-4)
    assert train.measure(judge, images, labels) == {"accuracy": pytest.approx(right.item())}
