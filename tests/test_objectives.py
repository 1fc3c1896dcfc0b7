"""Each objective against its formula, written anew."""

import pytest
import torch
from torch.testing import assert_close

from vae_demo import objectives
from vae_demo.losses import bernoulli_nats, elbo_nats, gaussian_nats, kl_nats
from vae_demo.models import Autoencoder, LinearAutoencoder, VariationalAutoencoder
from vae_demo.objectives import KL_WARMUP, PIXEL_STD, STACKING, Batch
from vae_demo.recipes import ZOO, new_model, objective


@pytest.fixture
def x(generator):
    return torch.rand(6, 1, 28, 28, generator=generator)


@pytest.fixture
def batch(x):
    return Batch(x, x, torch.arange(6))


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


def small(kind, **sizes):
    torch.manual_seed(1)
    return kind(**{"latent_size": 3, "width": 4, "hidden": 8} | sizes)


def test_the_autoencoder_rebuilds_the_whole_picture_from_the_damaged_one(batch, x):
    ae = small(Autoencoder)
    (loss,) = objectives.autoencoder(ae, batch._replace(seen=0 * x), seeded(), 1.0).values()
    assert_close(loss, bernoulli_nats(ae.decode(ae.encode(0 * x)), x).mean())


def test_the_vae_loss_is_the_negative_elbo_once_warm(batch, x):
    vae = small(VariationalAutoencoder, latent_size=16)
    parts = objectives.vae(vae, batch, seeded(), 0.5)
    mean, logvar = vae.posterior(x)
    noise = torch.randn(mean.shape, generator=seeded())
    logits = vae.decode(mean + (0.5 * logvar).exp() * noise)
    assert_close(sum(parts.values()), -elbo_nats(logits, x, mean, logvar).mean())


@pytest.mark.parametrize(
    ("progress", "share"), [(0, 0), (KL_WARMUP / 4, 0.25), (KL_WARMUP, 1), (1, 1)]
)
@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
def test_the_kl_term_is_weighted_and_warmed_up(batch, progress, share, beta):
    vae = small(VariationalAutoencoder)
    parts = objectives.vae(vae, batch, seeded(), progress, beta=beta)
    assert_close(parts["kl"], beta * share * kl_nats(*vae.posterior(batch.x)).sum(1).mean())


def test_a_gaussian_likelihood_measures_pixels_not_logits(batch, x):
    vae = small(VariationalAutoencoder)
    with torch.no_grad():
        vae.logvar.weight.zero_()
        vae.logvar.bias.fill_(-100)  # no noise: the draw is the mean
    parts = objectives.vae(vae, batch, seeded(), 1.0, likelihood="gaussian")
    x_hat = vae.decode(vae.encode(x)).sigmoid()
    assert_close(parts["reconstruction"], gaussian_nats(x_hat, x, PIXEL_STD).mean())


def penalty(loss, model, batch, draws):
    """The mean over many draws of a contraction term."""
    generator = seeded()
    drawn = [loss(model, batch, generator, 1.0, weight=1.0)["contraction"] for _ in range(draws)]
    return torch.stack(drawn).mean().item()


@pytest.fixture
def squared_slope(x):
    """A model, and its ‖∂z/∂x‖²_F in units of the spread of its codes, row by row."""
    model = small(Autoencoder)
    slopes = torch.func.vmap(torch.func.jacrev(lambda one: model.encode(one[None])[0]))(x)
    spread = model.encode(x).std(0)
    squares = slopes.flatten(2).square().sum(2) / spread**2
    return model, squares.sum(1).mean().item()


def test_the_contraction_is_the_squared_norm_of_the_jacobian(batch, squared_slope):
    model, expected = squared_slope
    assert penalty(objectives.contractive, model, batch, 300) == pytest.approx(expected, rel=0.1)


def test_its_stochastic_form_approaches_it_for_small_steps(batch, squared_slope, monkeypatch):
    model, expected = squared_slope
    monkeypatch.setattr(objectives, "STEP_STD", 1e-3)
    found = penalty(objectives.stochastic_contractive, model, batch, 300)
    assert found == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("loss", [objectives.contractive, objectives.stochastic_contractive])
def test_smaller_codes_do_not_escape_the_contraction(batch, loss):
    model = small(Autoencoder)
    before = loss(model, batch, seeded(), 1.0, weight=1.0)["contraction"].item()
    with torch.no_grad():
        model.mean.weight /= 2
        model.mean.bias /= 2
    after = loss(model, batch, seeded(), 1.0, weight=1.0)["contraction"].item()
    assert after == pytest.approx(before, rel=0.02)


@pytest.mark.parametrize(
    ("progress", "taught"),
    [
        (0.0, {"trunk.0", "trunk.1", "decoder.9", "decoder.11"}),
        (STACKING * 0.4, {"trunk.3", "trunk.4", "decoder.5", "decoder.7"}),
        (STACKING * 0.9, {"trunk.7", "trunk.8", "mean", "decoder.0", "decoder.1", "decoder.3"}),
    ],
)
def test_a_stack_is_taught_floor_by_floor(batch, progress, taught):
    model = small(Autoencoder)
    (loss,) = objectives.stacked(model, batch, seeded(), progress).values()
    loss.backward()
    found = {key for key, p in model.named_parameters() if p.grad is not None}
    assert {
        ".".join(key.split(".")[:2]) if "mean" not in key else "mean" for key in found
    } == taught


def test_the_linear_loss_counts_what_leaves_the_range_of_pixels(batch, x):
    model = LinearAutoencoder(3)
    with torch.no_grad():
        model.decoder.bias.fill_(2.0)
    (loss,) = objectives.linear(model, batch, seeded(), 1.0).values()
    x_hat = model.decoder(model.encoder(x.flatten(1)))
    assert_close(loss, (x_hat - x.flatten(1)).square().sum(1).mean())


@pytest.mark.parametrize("name", ZOO)
def test_in_the_end_every_objective_teaches_every_weight(batch, name):
    recipe = ZOO[name]._replace(width=4, hidden=8)
    model = new_model(recipe)
    parts = objective(recipe)(model, batch, seeded(), 1.0)
    torch.stack(list(parts.values())).sum().backward()
    assert [key for key, p in model.named_parameters() if p.grad is None] == []
