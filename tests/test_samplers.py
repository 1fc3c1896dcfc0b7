"""Fitted samplers against the codes they were fitted to, and their file."""

import json

import numpy as np
import pytest
import torch

from vae_demo import checkpoints, data, latent_map, samplers
from vae_demo.checkpoints import CheckpointError
from vae_demo.latent import in_component, prior
from vae_demo.models import Autoencoder, VariationalAutoencoder

DIGITS = 200


@pytest.fixture(scope="module")
def digits():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(DIGITS) % 10
    dark = torch.randint(0, 100, (DIGITS, 1, 28, 28), generator=generator)
    images = (dark + 15 * labels[:, None, None, None]).to(torch.uint8)
    return images, labels


@pytest.fixture
def folder(tmp_path, digits, monkeypatch):
    """Two untrained models and their samplers, made by the command."""
    monkeypatch.setattr(data, "load", lambda root, train: digits)
    checkpoints.save(tmp_path, "ae", Autoencoder(3, 4, 8), {})
    checkpoints.save(tmp_path, "vae", VariationalAutoencoder(3, 4, 8), {})
    samplers.build(folder=tmp_path, components=2)
    return tmp_path


def test_each_sampler_has_the_moments_of_its_codes(folder, digits):
    images, labels = digits
    model = checkpoints.load_coder("ae", folder)
    codes, _ = latent_map.encode(model, images)
    fitted = samplers.fit(model, images, labels, images, 2)
    torch.testing.assert_close(fitted.gaussian.means[0], codes.mean(0), atol=1e-4, rtol=1e-3)
    covariance = fitted.gaussian.choleskys[0] @ fitted.gaussian.choleskys[0].T
    torch.testing.assert_close(covariance, codes.T.cov(correction=0), atol=1e-4, rtol=1e-2)
    for label in range(10):
        mean = codes[labels == label].mean(0)
        torch.testing.assert_close(fitted.classes.means[label], mean, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(fitted.classes.weights, torch.full((10,), 0.1))
    overall = (fitted.mixture.weights[:, None] * fitted.mixture.means).sum(0)
    torch.testing.assert_close(overall, codes.mean(0), atol=1e-3, rtol=1e-2)


def test_draws_follow_the_fit(folder):
    gaussian = samplers.load(folder)["vae"].gaussian
    noise = prior(20_000, 3, torch.Generator().manual_seed(0))
    z = in_component(gaussian, noise, torch.zeros(20_000, dtype=torch.long))
    scale = gaussian.choleskys[0].norm()
    assert (z.mean(0) - gaussian.means[0]).norm() < 0.05 * scale
    expected = gaussian.choleskys[0] @ gaussian.choleskys[0].T
    assert (z.T.cov() - expected).norm() < 0.05 * expected.norm()


def test_a_vaes_samplers_are_as_wide_as_its_posteriors(folder, digits):
    model = checkpoints.load_coder("vae", folder)
    with torch.no_grad():
        model.logvar.weight.zero_()
        model.logvar.bias.fill_(4.0)  # a standard deviation of e²
    fitted = samplers.fit(model, *digits, digits[0], 1)
    deviation = fitted.gaussian.choleskys[0].diagonal()
    assert (deviation > 5).all()


def test_errors_are_percentiles_of_the_test_digits(folder, digits):
    model = checkpoints.load_coder("ae", folder)
    ranked = samplers.load(folder)["ae"].squared_errors
    x = digits[0].float() / 255
    with torch.no_grad():
        errors = (model.decode(model.encode(x)).sigmoid() - x).square().mean((1, 2, 3)).numpy()
    assert ranked.numpy() == pytest.approx(np.percentile(errors, np.arange(101)), rel=1e-4)


def test_the_file_keeps_them_to_half_precision(folder, digits):
    fitted = samplers.fit(checkpoints.load_coder("ae", folder), *digits, digits[0], 2)
    loaded = samplers.load(folder)["ae"]
    for kind in ("gaussian", "classes", "mixture"):
        for a, b in zip(getattr(fitted, kind), getattr(loaded, kind), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)
    assert torch.equal(fitted.squared_errors, loaded.squared_errors)


def test_those_of_other_weights_are_left_out_and_made_again(folder):
    before = samplers.load(folder)
    checkpoints.save(folder, "ae", Autoencoder(3, 4, 8), {})
    assert list(samplers.load(folder)) == ["vae"]
    samplers.build(folder=folder, components=2)
    after = samplers.load(folder)
    assert torch.equal(after["vae"].mixture.means, before["vae"].mixture.means)
    assert not torch.equal(after["ae"].gaussian.means, before["ae"].gaussian.means)


def test_a_missing_or_damaged_file_says_what_to_do(folder):
    path = folder / samplers.FILE
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"damaged.*python -m vae_demo.samplers"):
        samplers.load(folder)
    path.unlink()
    with pytest.raises(CheckpointError, match=r"missing.*python -m vae_demo.samplers"):
        samplers.load(folder)


def test_the_shipped_samplers_belong_to_the_shipped_weights():
    shipped = samplers.load()
    assert sorted(shipped) == checkpoints.coders()
    for name, fitted in shipped.items():
        latent_size = checkpoints.read_card(name)["latent_size"]
        assert fitted.mixture.means.shape == (samplers.COMPONENTS, latent_size)
        assert fitted.classes.means.shape == (samplers.CLASSES, latent_size)
        for mixture in fitted[:3]:
            assert mixture.weights.sum() == pytest.approx(1, abs=0.01)
        assert (fitted.squared_errors.diff() >= 0).all()


def test_the_shipped_errors_are_those_of_the_report():
    """The report's mean squared error lies between the quartiles."""
    models = json.loads((checkpoints.SHIPPED / "report.json").read_text())["models"]
    for name, fitted in samplers.load().items():
        mean = models[name]["reconstruction"]["squared_error"]
        assert fitted.squared_errors[25] < mean < fitted.squared_errors[90], name
