import itertools
import json
import math
import multiprocessing
import os
import shlex
import signal
import socket
from functools import wraps
from pkgutil import resolve_name
from unittest.mock import DEFAULT, Mock

import pytest
import torch
from safetensors import safe_open
from torch.testing import assert_close

from vae_demo import checkpoints, data, objectives, train
from vae_demo.losses import kl_nats
from vae_demo.models import Autoencoder, Judge, LinearAutoencoder, VariationalAutoencoder
from vae_demo.recipes import ZOO, Recipe
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


def short(name, **changes):
    """The zoo's recipe on few digits."""
    smaller = {"epochs": EPOCHS, "batch": BATCH, "width": 4, "hidden": 8}
    return ZOO[name]._replace(**smaller | changes)


def short_run(out, name="vae", **changes):
    return train.train(name, short(name, **changes), out=out, device="cpu", bfloat16=False)


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
        pytest.param("vae_demo.objectives.kl_nats", STEPS + 2, 2, id="in the middle of epoch 2"),
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


# Several processes --------------------------------------------------------------------------------


def one_of_several(rank, world, port, out, name):
    """What `accelerate launch` starts once a GPU, here on the CPU."""
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "ACCELERATE_USE_CPU": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", some_digits)
        short_run(out, name)
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(("name", "tolerance"), [("ae", 1e-4), ("vae", 0.02)])
def test_two_processes_have_the_loss_curve_of_one(tmp_path, name, tolerance):
    pytest.importorskip("accelerate")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn = multiprocessing.get_context("spawn")
    gang = [
        spawn.Process(target=one_of_several, args=(rank, 2, port, tmp_path / "two", name))
        for rank in range(2)
    ]
    for process in gang:
        process.start()
    short_run(tmp_path / "one", name)
    for process in gang:
        process.join()
    assert [process.exitcode for process in gang] == [0, 0]
    one, two = (checkpoints.read_card(name, tmp_path / folder) for folder in ("one", "two"))
    assert two["processes"] == 2
    for expected, found in zip(one["curve"], two["curve"], strict=True):
        assert found == pytest.approx(expected, rel=tolerance, abs=1e-3)
    assert two["metrics"] == pytest.approx(one["metrics"], rel=tolerance)


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
    original = objectives.bernoulli_nats
    steps = itertools.count()

    def breaking(*tensors):
        return original(*tensors) * (math.nan if next(steps) > STEPS else 1)

    monkeypatch.setattr(objectives, "bernoulli_nats", breaking)
    path = tmp_path / "ae.resume.safetensors"
    with pytest.raises(TrainingError) as caught:
        short_run(tmp_path, "ae")
    for part in ("The loss became nan in epoch 2", str(path), "--lr"):
        assert part in str(caught.value)
    assert saved_epoch(path) == 1


def test_a_batch_larger_than_the_data_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="A batch of 65 cannot be drawn from 64 digits"):
        short_run(tmp_path, "ae", batch=STEPS * BATCH + 1)


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
    seen = []

    @wraps(objectives.judge)
    def watching(model, batch, generator, progress):
        seen.append((generator.initial_seed(), tuple(batch.labels.tolist())))
        return objectives.judge(model, batch, generator, progress)

    monkeypatch.setattr(train, "objective", lambda recipe: watching)
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


def test_the_card_keeps_the_curve_of_the_loss(uninterrupted):
    curve = checkpoints.read_card("vae", uninterrupted)["curve"]
    assert [sorted(parts) for parts in curve] == [["kl", "reconstruction"]] * EPOCHS
    assert curve[-1]["reconstruction"] < curve[0]["reconstruction"]


def test_a_resumed_curve_is_whole(unfinished, monkeypatch):
    short_run(unfinished, "judge")
    assert len(checkpoints.read_card("judge", unfinished)["curve"]) == EPOCHS


def test_the_command_on_a_card_repeats_its_run(uninterrupted, monkeypatch):
    card = checkpoints.read_card("vae", uninterrupted)
    python, *arguments = shlex.split(card["command"])
    assert [python, *arguments[:2]] == ["python", "-m", "vae_demo.train"]
    named, recipe = train.parse(arguments[2:])
    assert (named.name, recipe) == ("vae", short("vae"))


@pytest.mark.parametrize("name", ZOO)
def test_every_recipe_can_be_spelled_as_a_command(name):
    for written in (name, "a_name_of_my_own"):
        named, recipe = train.parse([written, *train.spelled(written, ZOO[name])])
        assert (named.name, recipe) == (written, ZOO[name])


def test_a_zoo_name_brings_its_recipe_and_options_change_it():
    assert train.parse(["vae_beta4"])[1] == ZOO["vae_beta4"]
    assert train.parse(["vae_beta4", "--seed", "3"])[1] == ZOO["vae_beta4"]._replace(seed=3)
    assert train.parse(["denoising_ae", "--corruption", "none"])[1].corruption is None
    mine = ["mine", "--variational", "--latent", "8", "--beta", "2", "--likelihood", "gaussian"]
    found = train.parse(mine)[1]
    assert found == Recipe(kind="variational", latent=8, beta=2.0, likelihood="gaussian")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "give one name"),
        (["../ae"], "give one name"),
        (["ae", "--all"], "give it no name and no recipe"),
        (["--all", "--beta", "2"], "give it no name and no recipe"),
        (["ae", "--latent", "0"], "--latent must be at least 1, got 0"),
        (["ae", "--linear", "--pca"], "not allowed with"),
        (["ae", "--corruption", "rain"], "invalid choice: 'rain'"),
    ],
)
def test_a_command_that_makes_no_sense_says_why(capsys, words, complaint):
    with pytest.raises(SystemExit, match="2"):
        train.parse(words)
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("error", [TrainingError("disk full"), data.DataError("no MNIST")])
def test_the_command_fails_with_the_reason_alone(monkeypatch, error):
    monkeypatch.setattr(train, "train", Mock(side_effect=error))
    monkeypatch.setattr("sys.argv", ["train", "ae"])
    with pytest.raises(SystemExit, match=f"^{error}$"):  # Python prints it and returns 1
        train.main()


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


def test_bending_fades_and_never_ends(x):
    def bent(bending, progress):
        return train.bend(x, bending, torch.Generator().manual_seed(0), progress)

    def change(progress):
        return (bent("fading", progress) - x).abs().mean().item()

    assert change(0.0) > change(0.3) > change(0.6) > 0
    assert change(0.7) == change(1.0) == pytest.approx(change(1 - train.RESTING))
    untouched = [torch.equal(a, b) for a, b in zip(bent("fading", 0.0), x, strict=True)]
    assert not all(untouched)
    assert bent("none", 0.0) is x
    assert (bent("strong", 1.0) != x).flatten(1).any(1).all()


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


def test_measure_says_what_a_mending_model_mends():
    images, labels = some_digits(train=False)
    found = train.measure(Autoencoder(width=4, hidden=8).eval(), images, labels, ZOO["superres_ae"])
    x = images / 255
    coarse = torch.nn.functional.avg_pool2d(x, 4)
    damage = (torch.nn.functional.interpolate(coarse, scale_factor=4) - x).square().mean()
    assert found["damaged_squared_error"] == pytest.approx(damage.item(), rel=1e-4)
    assert found["mended_squared_error"] > 0


# The zoo ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in ZOO if name not in ("vae", "judge")])
def test_every_model_of_the_zoo_can_be_trained_and_loaded(tmp_path, name):
    metrics = short_run(tmp_path, name, epochs=1)
    assert all(math.isfinite(value) for value in metrics.values())
    model = checkpoints.load(name, tmp_path)
    assert model.latent_size == ZOO[name].latent
    card = checkpoints.read_card(name, tmp_path)
    assert {key: card[key] for key in Recipe._fields} == short(name, epochs=1)._asdict()


@pytest.mark.parametrize("name", ZOO)
def test_what_ships_was_trained_as_the_zoo_says(name):
    card = checkpoints.read_card(name)
    assert {key: card[key] for key in Recipe._fields} == ZOO[name]._asdict()
    assert train.parse(shlex.split(card["command"])[3:])[1] == ZOO[name]


def test_all_that_ships_is_of_the_zoo_and_small():
    assert checkpoints.available() == sorted(ZOO)
    size_bytes = sum(file.stat().st_size for file in checkpoints.SHIPPED.iterdir())
    assert size_bytes < 40e6


def test_pca_is_scikit_learns(tmp_path):
    from sklearn.decomposition import PCA

    images, _ = some_digits(train=True)
    pixels = (images.double() / 255).flatten(1)
    model = LinearAutoencoder(5)
    train.fit_pca(model, images)
    oracle = PCA(5, svd_solver="full").fit(pixels.numpy())
    z = model.encode(pixels.float().view(-1, 1, 28, 28))
    expected = torch.from_numpy(oracle.transform(pixels)).float()
    assert_close(z.abs(), expected.abs(), atol=1e-3, rtol=1e-3)
    rebuilt = torch.from_numpy(oracle.inverse_transform(expected)).float()
    assert_close(model.pixels(z).flatten(1), rebuilt, atol=1e-4, rtol=1e-4)


def test_all_trains_what_is_missing_and_names_what_failed(tmp_path, monkeypatch):
    few = {name: short(name, epochs=1) for name in ("ae", "vae", "pca")}
    monkeypatch.setattr(train, "ZOO", few)
    short_run(tmp_path, "ae", epochs=1)
    short_run(tmp_path, "vae", epochs=1, seed=2)  # not the zoo's
    run = Mock(side_effect=lambda command, **_: Mock(returncode=int("pca" in command)))
    monkeypatch.setattr(train.subprocess, "run", run)
    with pytest.raises(TrainingError, match="Not trained: pca;"):
        train.train_all(None, tmp_path, "cpu")
    trained = {call.args[0][3] for call in run.call_args_list}
    assert trained == {"vae", "pca"}
    for call in run.call_args_list:
        assert call.args[0][-2:] == ["--threads", "1"]
