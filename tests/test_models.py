import pytest
import torch
from torch.testing import assert_close

from vae_demo.models import Autoencoder, Judge, VariationalAutoencoder, best_device

TWINS = [Autoencoder, VariationalAutoencoder]


def build(kind, seed=1, **sizes):
    torch.manual_seed(seed)
    return kind(**sizes).eval().requires_grad_(False)


@pytest.fixture
def x(generator):
    return torch.rand(4, 1, 28, 28, generator=generator)


@pytest.mark.parametrize("latent_size", [1, 2, 16])
@pytest.mark.parametrize("kind", TWINS)
def test_shapes(kind, latent_size, x):
    model = build(kind, latent_size=latent_size)
    z = model.encode(x)
    assert z.shape == (4, latent_size)
    assert model.decode(z).shape == x.shape
    assert model.decode(z).min() < 0, "decode gives logits, not probabilities"


def test_posterior_shapes(x):
    mean, logvar = build(VariationalAutoencoder, latent_size=3).posterior(x)
    assert mean.shape == logvar.shape == (4, 3)


def test_judge_shape(x):
    assert build(Judge)(x).shape == (4, 10)


def test_the_twins_start_from_the_same_weights_and_differ_in_one_head():
    ae, vae = (build(kind).state_dict() for kind in TWINS)
    assert vae.keys() - ae.keys() == {"logvar.weight", "logvar.bias"}
    for key, value in ae.items():
        assert torch.equal(value, vae[key]), key


def test_another_seed_gives_other_weights():
    first, second = (build(Autoencoder, seed).mean.weight for seed in (1, 2))
    assert not torch.equal(first, second)


def test_a_vae_encodes_to_its_posterior_mean(x):
    vae = build(VariationalAutoencoder)
    assert torch.equal(vae.encode(x), vae.posterior(x)[0])


@pytest.mark.parametrize("kind", TWINS)
def test_the_same_picture_has_the_same_code_alone_in_a_batch_and_again(kind, x):
    model = build(kind)
    z = model.encode(x)
    assert torch.equal(z, model.encode(x))
    assert torch.equal(model.decode(z), model.decode(z))
    assert_close(torch.cat([model.encode(one[None]) for one in x]), z)
    assert_close(torch.cat([model.decode(one[None]) for one in z]), model.decode(z))


@pytest.mark.parametrize("kind", TWINS)
def test_pictures_and_codes_matter(kind, x):
    model = build(kind)
    z = model.encode(x)
    assert not torch.equal(z[0], z[1])
    assert not torch.equal(*model.decode(10 * z[:2]))


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [
        (True, True, "cuda"),
        (True, False, "cuda"),
        (False, True, "mps"),
        (False, False, "cpu"),
    ],
)
def test_best_device(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert best_device() == torch.device(expected)


@pytest.mark.skipif(best_device().type == "cpu", reason="this machine has no GPU")
@pytest.mark.parametrize("kind", TWINS)
def test_a_gpu_computes_what_the_cpu_computes(kind, x):
    model = build(kind)
    expected = model.decode(model.encode(x))
    device = best_device()
    found = model.to(device).decode(model.encode(x.to(device)))
    assert found.device.type == device.type
    assert_close(found.cpu(), expected, atol=1e-2, rtol=1e-2)  # TF32
