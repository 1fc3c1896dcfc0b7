"""The report's figures: on made-up digits, and a sample of the shipped ones afresh on MNIST."""

import json
import math
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from vae_demo import (
    checkpoints,
    data,
    evaluate,
    latent,
    metrics,
    reference,
    report,
    train,
    yardstick,
)
from vae_demo.checkpoints import CheckpointError
from vae_demo.losses import bernoulli_nats, kl_nats
from vae_demo.models import Autoencoder, Judge, VariationalAutoencoder
from vae_demo.samplers import Samplers
from vae_demo.yardstick import Settings

CPU = torch.device("cpu")
SETTINGS = Settings(
    importance_samples=3,
    samples=60,
    nearest=20,
    components=3,
    pairs=20,
    pen_step=1,
    doodles=1,
    noise=5,
    example_epochs=1,
)
GROUPS = {"reconstruction", "codes", "samples", "midpoints", "pen", "not_a_digit"}


def some_digits(root=None, *, train, download=False):
    """In place of `data.load`: grey blobs, always the same."""
    generator = torch.Generator().manual_seed(int(train))
    coarse = torch.rand(150 if train else 90, 1, 7, 7, generator=generator)
    pixels = F.interpolate(coarse, size=(28, 28), mode="bilinear")
    return (255 * pixels).to(torch.uint8), torch.arange(len(pixels)) % 10


def keep(folder, name, model, **card):
    checkpoints.save(folder, name, model, card)


@pytest.fixture
def few_drawings(monkeypatch):
    """Made-up digits and letters, so that a report takes a second."""
    monkeypatch.setattr(data, "load", some_digits)
    some = some_digits(train=False)[0][:7] / 255
    monkeypatch.setattr("vae_demo.drawings.letters", lambda: some)


@pytest.fixture
def folder(tmp_path, few_drawings):
    """Untrained models and a judge."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        keep(tmp_path, "ae", Autoencoder(2))
        keep(tmp_path, "vae_beta0.1", VariationalAutoencoder(3))
        keep(tmp_path, "judge", Judge())
    return tmp_path


@pytest.fixture
def measure_by(folder):
    judge = checkpoints.load("judge", folder)
    return yardstick.measuring(judge, folder, SETTINGS, 1, CPU)


def measured(folder, *names, **changes):
    options = {"root": folder, "folder": folder, "settings": SETTINGS, "device": "cpu"}
    return evaluate.evaluate(names, **options | changes)


def strictly(path):
    return json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)


# The command --------------------------------------------------------------------------------------


def test_every_model_with_codes_gets_what_applies_to_it(folder):
    found = measured(folder)
    assert found == strictly(folder / report.FILE)
    assert found["models"].keys() == {"ae", "vae_beta0.1"}
    for name, entry in found["models"].items():
        assert entry.keys() >= GROUPS
        assert entry["weights_sha256"] == checkpoints.read_card(name, folder)["weights_sha256"]
        assert entry["pen"] == "no pendigits/pendigits-train.unipen in the data folder"
        assert entry["samples"].keys() == {"prior", "gaussian", "mixture", "best_fitted_ratio"}
        assert entry["not_a_digit"].keys() == {"letters", "doodles", "turned", "noise"}
    ae, vae = found["models"].values()
    assert "likelihood" not in ae and "kl_nats" not in ae["codes"]
    assert vae["likelihood"]["binarised"]["importance_samples"] == 3
    assert len(vae["codes"]["kl_nats"]) == vae["codes"]["size"] == 3
    assert {"test_digits", "midpoints", "pytorch_example"} == found["reference"].keys()
    assert (
        found["judge"]["accuracy"]
        == train.measure(checkpoints.load("judge", folder), *some_digits(train=False))["accuracy"]
    )
    assert str(folder) not in (folder / report.FILE).read_text()  # nobody else has these paths


def test_the_same_seed_gives_the_same_report(folder):
    first = measured(folder, "vae_beta0.1")
    (folder / report.FILE).unlink()
    assert measured(folder, "vae_beta0.1") == first


@pytest.fixture
def runs(monkeypatch):
    """Measuring takes no time; the names that were measured, in order."""
    names = []

    def measuring(judge, root, settings, seed, device):
        return Mock(reads=torch.zeros(2), labels=torch.zeros(2), settings=settings)

    def measure(name, folder, yardstick, reference, shipped):
        names.append(name)
        entry = {"weights_sha256": checkpoints.read_card(name, folder)["weights_sha256"]}
        if name.startswith("vae"):
            draws = yardstick.settings.importance_samples
            entry["likelihood"] = {"binarised": {"importance_samples": draws}}
        return entry | {"run": len(names)}

    monkeypatch.setattr(evaluate, "measuring", measuring)
    monkeypatch.setattr(evaluate, "reference_figures", lambda yardstick: {"run": len(names)})
    monkeypatch.setattr(evaluate, "measure", measure)
    return names


def test_named_models_are_measured_and_the_others_kept(folder, runs):
    first = measured(folder)
    assert runs == ["ae", "vae_beta0.1"]
    found = measured(folder, "vae_beta0.1")
    assert runs == ["ae", "vae_beta0.1", "vae_beta0.1"]
    assert found["models"]["ae"] == first["models"]["ae"]
    assert found["models"]["vae_beta0.1"]["run"] == 3
    assert found["reference"] == first["reference"]


def test_runs_side_by_side_keep_each_others_figures(folder, runs, monkeypatch):
    measured(folder, "ae")
    measure = evaluate.measure

    def meanwhile(name, *others):
        if name == "ae":  # another run measures other models while this one is at work
            keep(folder, "new", Autoencoder(2))
            measured(folder, "vae_beta0.1", "new")
        return measure(name, *others)

    monkeypatch.setattr(evaluate, "measure", meanwhile)
    assert measured(folder, "ae")["models"].keys() == {"ae", "new", "vae_beta0.1"}


def test_figures_of_other_weights_are_dropped(folder, runs):
    measured(folder)
    other = Autoencoder(2)
    torch.nn.init.ones_(other.mean.bias)
    keep(folder, "ae", other)
    assert measured(folder, "vae_beta0.1")["models"].keys() == {"vae_beta0.1"}
    (folder / "vae_beta0.1.json").unlink()
    assert measured(folder, "ae")["models"].keys() == {"ae"}


def test_another_judge_or_seed_drops_everything(folder, runs):
    measured(folder)
    found = measured(folder, "ae", seed=2)
    assert found["models"].keys() == {"ae"} and found["reference"]["run"] == 2
    measured(folder, seed=2)
    other = Judge()
    torch.nn.init.ones_(other.classes.bias)  # whatever the seed of the moment
    keep(folder, "judge", other)
    found = measured(folder, "ae", seed=2)
    assert found["models"].keys() == {"ae"} and found["reference"]["run"] == 5


def test_only_what_is_missing_or_stale_is_measured(folder, runs):
    measured(folder, "ae")
    for settings, expected in [
        (SETTINGS, ["vae_beta0.1"]),
        (SETTINGS, []),
        (SETTINGS._replace(importance_samples=4), ["vae_beta0.1"]),
    ]:
        runs.clear()
        found = measured(folder, missing=True, settings=settings)
        assert runs == expected
        assert found["models"].keys() == {"ae", "vae_beta0.1"}
    keep(folder, "ae", Autoencoder(2))
    measured(folder, missing=True, settings=settings)
    assert runs == ["vae_beta0.1", "ae"]


def test_a_killed_run_loses_the_work_on_one_model(folder, runs, monkeypatch):
    measure = Mock(side_effect=[{"weights_sha256": "x"}, KeyboardInterrupt])
    monkeypatch.setattr(evaluate, "measure", measure)
    with pytest.raises(KeyboardInterrupt):
        measured(folder)
    assert report.read_report(folder)["models"] == {"ae": {"weights_sha256": "x"}}


@pytest.mark.parametrize("name", ["no_such_model", "judge"])
def test_what_has_no_codes_is_refused_at_once(folder, monkeypatch, name):
    monkeypatch.setattr(evaluate, "measuring", Mock(side_effect=AssertionError))
    with pytest.raises(CheckpointError, match=f"no model with codes named {name}.*ae, vae_beta0.1"):
        measured(folder, "ae", name)


def test_the_command_passes_its_options_and_prints_the_goals(folder, monkeypatch, capsys):
    goals = [{"figure": "a/b", "value": 1, "relation": "≤", "bound": 2, "reached": True}]
    run = Mock(return_value={"goals": goals})
    monkeypatch.setattr(evaluate, "evaluate", run)
    arguments = ["evaluate", "ae", "--missing", "--importance-samples", "7", "--seed", "5"]
    monkeypatch.setattr("sys.argv", [*arguments, "--data", "d", "--folder", str(folder)])
    evaluate.main()
    assert run.call_args.args == (["ae"],)
    options = run.call_args.kwargs
    assert options["settings"] == Settings(importance_samples=7)
    assert (options["missing"], options["seed"], options["folder"]) == (True, 5, folder)
    assert capsys.readouterr().out == "reached  a/b 1 (goal ≤ 2)\n"


@pytest.mark.parametrize("error", [CheckpointError("no judge"), data.DataError("no MNIST")])
def test_the_command_fails_with_the_reason_alone(monkeypatch, capsys, error):
    monkeypatch.setattr(evaluate, "evaluate", Mock(side_effect=error))
    monkeypatch.setattr("sys.argv", ["evaluate"])
    with pytest.raises(SystemExit, match="1"):
        evaluate.main()
    assert capsys.readouterr().err == f"{error}\n"


# Odd models ---------------------------------------------------------------------------------------


def numbers(value):
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from numbers(item)
    elif isinstance(value, int | float):
        yield value


@pytest.mark.parametrize("logvar", [-60_000.0, -40.0, 8.0])
def test_a_posterior_of_any_width_gives_numbers(folder, measure_by, logvar):
    vae = VariationalAutoencoder(3).requires_grad_(False)
    torch.nn.init.constant_(vae.logvar.bias, logvar)
    values = list(numbers(evaluate.likelihood_figures(vae, measure_by, "vae")))
    assert len(values) == 8 and all(math.isfinite(value) for value in values)
    codes = evaluate.encoded(vae, measure_by)
    values = list(numbers(evaluate.code_figures(codes, measure_by)))
    assert len(values) == 7 and all(math.isfinite(value) for value in values)
    fitted = latent.fit_mixture(codes.drawn, 3, seed=1)
    assert all(part.isfinite().all() for part in fitted)


@pytest.mark.parametrize("kind", [Autoencoder, VariationalAutoencoder])
def test_codes_of_one_number(folder, kind):
    keep(folder, "ae", kind(1))
    entry = measured(folder, "ae")["models"]["ae"]
    assert entry["codes"]["size"] == 1
    assert entry["midpoints"]["lerp"] == entry["midpoints"]["slerp"]  # a line has no arcs


def test_nats_of_gaussian_pixels_are_left_out(folder, measure_by, monkeypatch):
    keep(folder, "vae_mse", VariationalAutoencoder(2), likelihood="gaussian")
    monkeypatch.setattr(evaluate, "sample_figures", lambda *arguments: {})
    entry = evaluate.measure("vae_mse", folder, measure_by, {}, None)
    assert "Bernoulli" in entry["likelihood"]
    assert len(entry["codes"]["kl_nats"]) == 2


def test_a_judge_that_is_sure_of_nothing_leaves_no_hole_in_the_file(folder):
    judge = Judge()
    torch.nn.init.zeros_(judge.classes.weight)
    keep(folder, "judge", judge)
    measured(folder, "ae")
    found = strictly(folder / report.FILE)
    assert found["models"]["ae"]["samples"]["prior"]["confident_relative"] is None
    assert found["undefined"]["models/ae/samples/prior/confident_relative"] == "not a number"


# Figures ------------------------------------------------------------------------------------------


def test_likelihood_is_that_of_the_card_and_bounded_by_it(folder, measure_by):
    vae = checkpoints.load("vae_beta0.1", folder)
    found = evaluate.likelihood_figures(vae, measure_by, "vae")
    card = train.measure(vae, *some_digits(train=False))
    for part, value in found["grey"].items():
        assert value == card[part]
    black_and_white = found["binarised"]
    # An untrained posterior is hardly better than any: the bound is tight, and its draws are noisy.
    assert black_and_white["nll_nats"] < black_and_white["negative_elbo_nats"] + 0.1
    total = black_and_white["reconstruction_nats"] + black_and_white["kl_nats"]
    assert black_and_white["negative_elbo_nats"] == pytest.approx(total, rel=1e-4)


def test_a_fitted_prior_that_is_the_prior_changes_nothing(folder, measure_by):
    vae = checkpoints.load("vae_beta0.1", folder)
    size = vae.latent_size
    prior = latent.Mixture(torch.ones(1), torch.zeros(1, size), torch.eye(size)[None])
    found = evaluate.fitted_prior_figures(vae, prior, measure_by)
    expected = evaluate.likelihood_figures(vae, measure_by, "vae")["grey"]
    assert found["negative_elbo_nats"] == pytest.approx(expected["negative_elbo_nats"], abs=1.0)
    assert found["kl_nats"] == pytest.approx(expected["kl_nats"], abs=0.3)  # one draw a digit
    far = prior._replace(means=torch.full((1, size), 10.0))
    assert evaluate.fitted_prior_figures(vae, far, measure_by)["kl_nats"] > found["kl_nats"] + 40


def test_one_importance_sample_is_the_negative_elbo(folder, measure_by, monkeypatch):
    vae = checkpoints.load("vae_beta0.1", folder)
    monkeypatch.setattr(train, "fast_bfloat16", lambda device: False)
    one = replace(measure_by, settings=SETTINGS._replace(importance_samples=1))
    found = evaluate.likelihood_figures(vae, one, "vae")["binarised"]
    assert found["nll_nats"] == pytest.approx(found["negative_elbo_nats"], abs=1.0)
    monkeypatch.setattr(train, "fast_bfloat16", lambda device: True)
    rough = evaluate.likelihood_figures(vae, one, "vae")["binarised"]["nll_nats"]
    assert rough == pytest.approx(found["nll_nats"], abs=0.05)
    assert rough != found["nll_nats"]


def test_the_encoder_sees_the_binarised_digits_that_are_scored(folder, measure_by, monkeypatch):
    vae = checkpoints.load("vae_beta0.1", folder)
    posterior, scored = Mock(wraps=vae.posterior), Mock(wraps=bernoulli_nats)
    monkeypatch.setattr(vae, "posterior", posterior)
    monkeypatch.setattr(evaluate, "bernoulli_nats", scored)
    evaluate.likelihood_figures(vae, measure_by, "vae")
    x, grey = posterior.call_args_list[0].args[0], measure_by.images / 255
    assert x.unique().tolist() == [0, 1]
    assert (x - grey)[grey > 0.5].mean().abs() < 0.02 and (x - grey)[grey < 0.5].mean().abs() < 0.02
    assert scored.call_count == SETTINGS.importance_samples
    assert all(torch.equal(call.args[1], x) for call in scored.call_args_list)


def test_reconstruction_is_at_the_posterior_mean(folder, measure_by):
    vae = checkpoints.load("vae_beta0.1", folder)
    x = measure_by.images / 255
    logits = vae.decode(vae.posterior(x)[0])
    found, squared_error = evaluate.reconstruction_figures(vae, measure_by)
    assert found["squared_error"] == pytest.approx(float(F.mse_loss(logits.sigmoid(), x)))
    assert found["squared_error"] == pytest.approx(float(squared_error.mean()))
    assert found["bce_nats"] == pytest.approx(float(bernoulli_nats(logits, x).mean()))
    judge = measure_by.judge
    agree = judge(logits.sigmoid()).argmax(1) == judge(x).argmax(1)
    assert found["reads_as_before"] == pytest.approx(float(agree.float().mean()))


def test_codes_are_means_and_a_vaes_draws_spread_around_them(folder, measure_by):
    ae, vae = (checkpoints.load(name, folder) for name in ("ae", "vae_beta0.1"))
    x = measure_by.images / 255
    codes = evaluate.encoded(ae, measure_by)
    assert codes.drawn is codes.train and codes.test_logvar is None
    torch.testing.assert_close(codes.test, ae.encode(x))
    codes = evaluate.encoded(vae, measure_by)
    mean, logvar = vae.posterior(measure_by.train_images / 255)
    torch.testing.assert_close(codes.train, mean)
    assert ((codes.drawn - mean) / (0.5 * logvar).exp()).std() == pytest.approx(1, abs=0.1)
    expected = kl_nats(*vae.posterior(x)).mean(0).tolist()
    assert evaluate.code_figures(codes, measure_by)["kl_nats"] == pytest.approx(expected, rel=1e-4)


def test_samples_are_of_the_prior_and_of_fits_to_the_drawn_codes(folder, measure_by, monkeypatch):
    vae = checkpoints.load("vae_beta0.1", folder)
    codes = evaluate.encoded(vae, measure_by)
    fit = Mock(wraps=latent.fit_mixture)
    monkeypatch.setattr(latent, "fit_mixture", fit)
    samplers = evaluate.fitted_samplers(codes, measure_by, None)
    assert [call.args[1] for call in fit.call_args_list] == [1, SETTINGS.components]
    assert all(call.args[0] is codes.drawn for call in fit.call_args_list)
    some, other = latent.Mixture(torch.ones(3) / 3, *[torch.zeros(3)] * 2), samplers["gaussian"]
    shipped = Samplers(other, some, some, torch.zeros(101))
    taken = evaluate.fitted_samplers(codes, measure_by, shipped)
    assert taken["mixture"] is some  # of as many components as the settings ask for
    assert taken["gaussian"] is other
    assert fit.call_count == 2

    scale = {"pytorch_example": {"frechet": 4.0}, "test_digits": {"confident_share": 0.5}}
    looks = Mock(side_effect=[{"frechet": f, "confident_share": 0.25} for f in (1.0, 3.0, 2.0)])
    monkeypatch.setattr(evaluate, "looks", looks)
    found = evaluate.sample_figures(vae, samplers, measure_by, scale)
    ratios = {key: found[key]["frechet_ratio"] for key in ("prior", "gaussian", "mixture")}
    assert ratios == {"prior": 0.25, "gaussian": 0.75, "mixture": 0.5}
    assert found["prior"]["confident_relative"] == 0.5
    assert found["best_fitted_ratio"] == 0.5
    shown = [call.args[0] for call in looks.call_args_list]
    noise = latent.prior(SETTINGS.samples, 3, measure_by.generator())
    torch.testing.assert_close(shown[0], vae.decode(noise).sigmoid())
    assert [len(x) for x in shown] == [SETTINGS.samples] * 3


def test_midpoints_lie_between_the_codes_of_pairs(folder, measure_by, monkeypatch):
    ae = checkpoints.load("ae", folder)
    codes = evaluate.encoded(ae, measure_by)
    decoded = Mock(wraps=evaluate.decoded)
    monkeypatch.setattr(evaluate, "decoded", decoded)
    assert evaluate.midpoint_figures(ae, codes, measure_by).keys() == {"lerp", "slerp"}
    lerp, slerp = (call.args[1] for call in decoded.call_args_list)
    a, b = codes.test[measure_by.pairs]
    torch.testing.assert_close(lerp, (a + b) / 2)
    torch.testing.assert_close(slerp.norm(dim=1), (a.norm(dim=1) + b.norm(dim=1)) / 2)


def test_what_is_rebuilt_worse_than_digits_is_no_digit(measure_by):
    class Blank:
        """Rebuilds everything as black, so the error of a picture is its mean square."""

        latent_size = 1

        def encode(self, x):
            return torch.zeros(len(x), 1)

        def decode(self, z):
            return torch.full((len(z), 1, 28, 28), -100.0)

    bright, dark = torch.full((5, 1, 28, 28), 0.9), torch.full((5, 1, 28, 28), 0.1)
    kinds = {"bright": bright, "dark": dark, "both": torch.cat([bright, dark])}
    digits = torch.full((7,), 0.25)
    found = evaluate.not_a_digit_figures(Blank(), digits, replace(measure_by, not_digits=kinds))
    assert found == {"bright": 1, "dark": 0, "both": 0.5}


def test_looks_compare_with_the_training_digits(measure_by):
    x = measure_by.train_images / 255
    same = yardstick.looks(x, measure_by)
    assert same["frechet"] == pytest.approx(0, abs=1e-6)
    assert same["nearest_training_median"] == pytest.approx(0, abs=2e-2)
    other = yardstick.looks(1 - x, measure_by)
    assert other["frechet"] > 100 * abs(same["frechet"])
    assert other["nearest_training_median"] > 1
    reading = yardstick.read(measure_by.judge, x, CPU)
    probabilities = measure_by.judge(x).softmax(1)
    torch.testing.assert_close(reading.confidence, probabilities.amax(1))
    assert torch.equal(reading.classes, probabilities.argmax(1))


def test_pairs_are_of_two_classes_and_seeded(measure_by):
    a, b = measure_by.pairs
    assert len(a) == SETTINGS.pairs and (measure_by.labels[a] != measure_by.labels[b]).all()
    generator = torch.Generator().manual_seed(1)
    again = yardstick.pairs_of_two_classes(measure_by.labels, SETTINGS.pairs, generator)
    assert torch.equal(again, measure_by.pairs)


def test_pen_digits_count_where_the_judge_reads_them_right(folder, monkeypatch):
    strokes = [np.array([[0.0, 0.0], [10.0, 30.0]]), np.array([[10.0, 0.0], [0.0, 30.0]])]
    digits = [[strokes[0]], [strokes[1]], strokes]
    monkeypatch.setattr(data, "pen_digits", lambda root: (digits, torch.tensor([4, 4, 9])))
    judge = checkpoints.load("judge", folder)
    monkeypatch.setattr(judge.classes, "forward", lambda features: F.one_hot(counted, 10).float())
    counted = torch.tensor([4, 4, 4])
    found = yardstick.measuring(judge, folder, SETTINGS, 1, CPU)
    assert found.pen.keys() == {"live", "normal", "thin", "thick", "tiny", "off-centre"}
    assert all(labels.tolist() == [4, 4] for _, labels in found.pen.values())
    counted = torch.tensor([4, 7])
    figures = evaluate.pen_figures(checkpoints.load("ae", folder), found)
    assert figures == {"least": 0.5, **dict.fromkeys(found.pen, 0.5)}


def test_pytorchs_example_learns_and_disturbs_nobody():
    images, _ = some_digits(train=True)
    x = images / 255
    nats = []
    for epochs in (1, 30):
        torch.manual_seed(3)
        expected = torch.rand(1)
        torch.manual_seed(3)
        encoder, decoder = reference.pytorch_example(images, epochs, 1, CPU)
        assert torch.equal(torch.rand(1), expected)
        mean, logvar = encoder(x).chunk(2, 1)
        assert mean.shape == logvar.shape == (len(x), 20)
        nats.append(float((bernoulli_nats(decoder(mean), x) + kl_nats(mean, logvar).sum(1)).mean()))
    assert nats[1] < nats[0] - 3
    again, _ = reference.pytorch_example(images, 30, 1, CPU)
    assert torch.equal(again(x), encoder(x))


def test_the_angles_of_linear_models_are_of_their_decoders(folder, monkeypatch):
    assert evaluate.linear_figures(folder) == "no linear_ae and pca in the folder"
    basis = torch.eye(784)
    weights = {"linear_ae": basis[:, [0, 1]], "pca": basis[:, [1, 2]]}

    def load(name, folder):
        model = torch.nn.Module()
        model.decoder = torch.nn.Linear(2, 784)
        model.decoder.weight = torch.nn.Parameter(weights[name], requires_grad=False)
        return model

    monkeypatch.setattr(checkpoints, "available", lambda folder: ["linear_ae", "pca"])
    monkeypatch.setattr(checkpoints, "load", load)
    found = evaluate.linear_figures(folder)["principal_angles_degrees"]
    assert found == pytest.approx([90, 0], abs=1e-3)


# The shipped report -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped_report():
    return report.read_report()


def test_the_shipped_report_is_of_the_shipped_weights(shipped_report):
    cards = {name: checkpoints.read_card(name) for name in checkpoints.available()}
    assert shipped_report["judge"]["weights_sha256"] == cards.pop("judge")["weights_sha256"]
    assert shipped_report["models"].keys() == cards.keys()
    for name, entry in shipped_report["models"].items():
        assert entry["weights_sha256"] == cards[name]["weights_sha256"], name
    assert shipped_report["settings"] == yardstick.DEFAULT._asdict()
    assert shipped_report["goals"] == report.goals(shipped_report)
    assert strictly(checkpoints.SHIPPED / report.FILE) == shipped_report


@pytest.fixture(scope="module")
def read_digits(mnist_test, shipped):
    """The judge's reading of the test digits."""
    return yardstick.read(shipped["judge"], mnist_test[0] / 255, CPU)


def test_shipped_reference_figures_hold(shipped_report, read_digits, mnist_test, shipped):
    images, _ = data.load(train=True)
    features = torch.cat([shipped["judge"].features(part / 255) for part in images.split(200)])
    floor = metrics.frechet_distance(
        metrics.moments(features), metrics.moments(read_digits.features)
    )
    found = shipped_report["reference"]["test_digits"]
    assert found["frechet"] == pytest.approx(floor, rel=1e-3)
    sure = (read_digits.confidence > 0.9).double().mean()
    assert found["confident_share"] == pytest.approx(float(sure), abs=2e-4)
    right = (read_digits.classes == mnist_test[1]).double().mean()
    assert shipped_report["judge"]["accuracy"] == pytest.approx(float(right), abs=2e-4)


@pytest.mark.parametrize("name", ["ae", "vae"])
def test_shipped_figures_hold(shipped_report, read_digits, mnist_test, shipped, generator, name):
    images, labels = mnist_test
    model, found = shipped[name], shipped_report["models"][name]
    errors, agree, codes, nats = [], [], [], []
    for chosen in torch.arange(len(images)).split(200):
        x = images[chosen] / 255
        z = model.encode(x)
        x_hat = model.decode(z).sigmoid()
        errors.append((x_hat - x).square().flatten(1).mean(1))
        agree.append(shipped["judge"](x_hat).argmax(1) == read_digits.classes[chosen])
        codes.append(z)
        if name == "vae":
            mean, logvar = model.posterior(x)
            drawn = mean + (0.5 * logvar).exp() * torch.randn(mean.shape, generator=generator)
            nats.append(bernoulli_nats(model.decode(drawn), x) + kl_nats(mean, logvar).sum(1))
    figures = found["reconstruction"]
    assert figures["squared_error"] == pytest.approx(float(torch.cat(errors).mean()), rel=1e-4)
    assert figures["reads_as_before"] == pytest.approx(
        float(torch.cat(agree).double().mean()), abs=2e-4
    )
    nearest = metrics.nearest_neighbour_accuracy(torch.cat(codes), labels)
    assert found["codes"]["nearest_neighbour_accuracy"] == pytest.approx(nearest, abs=3e-4)
    if name == "vae":  # other draws, so equal but for noise
        elbo = found["likelihood"]["grey"]["negative_elbo_nats"]
        assert elbo == pytest.approx(float(torch.cat(nats).mean()), abs=0.2)
