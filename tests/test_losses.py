"""Every term against torch.distributions."""

import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence
from torch.testing import assert_close

from vae_demo.losses import bernoulli_nats, elbo_nats, gaussian_nats, kl_nats

PICTURES = (5, 1, 28, 28)


def per_picture(values):
    return values.flatten(1).sum(1)


@pytest.fixture
def x(generator):
    return torch.rand(PICTURES, generator=generator)


@pytest.fixture
def logits(generator):
    return 3 * torch.randn(PICTURES, generator=generator)


@pytest.fixture
def mean(generator):
    return 2 * torch.randn(5, 16, generator=generator)


@pytest.fixture
def logvar(generator):
    return torch.randn(5, 16, generator=generator) - 1


def test_bernoulli_of_black_and_white_pixels(logits, x):
    ink = (x > 0.7).float()
    assert_close(bernoulli_nats(logits, ink), -per_picture(Bernoulli(logits=logits).log_prob(ink)))


def test_bernoulli_of_grey_pixels_is_the_expectation_over_their_binarisations(logits, x):
    pixel = Bernoulli(logits=logits)
    white, black = pixel.log_prob(torch.ones_like(x)), pixel.log_prob(torch.zeros_like(x))
    assert_close(bernoulli_nats(logits, x), -per_picture(x * white + (1 - x) * black))


def test_bernoulli_is_least_at_the_picture_itself_where_its_entropy_remains(logits, x):
    least = bernoulli_nats(x.logit(), x)
    assert_close(least, per_picture(Bernoulli(probs=x).entropy()))
    assert (least < bernoulli_nats(logits, x)).all()


@pytest.mark.parametrize("std", [0.1, 0.5, 2.0])
def test_gaussian(logits, x, std):
    x_hat = logits.sigmoid()
    assert_close(gaussian_nats(x_hat, x, std), -per_picture(Normal(x_hat, std).log_prob(x)))


def test_kl_per_dimension(mean, logvar):
    posterior = Normal(mean, (0.5 * logvar).exp())
    expected = kl_divergence(posterior, Normal(0.0, 1.0))
    assert_close(kl_nats(mean, logvar), expected, atol=1e-5, rtol=1e-5)


def test_kl_is_zero_at_the_prior_and_grows_away_from_it(mean, logvar):
    prior = torch.zeros_like(mean)
    assert (kl_nats(prior, prior) == 0).all()
    assert (kl_nats(mean, logvar) > 0).all()


def test_elbo(logits, x, mean, logvar):
    log_likelihood = per_picture(Bernoulli(logits=logits, validate_args=False).log_prob(x))
    kl = kl_divergence(Normal(mean, (0.5 * logvar).exp()), Normal(0.0, 1.0)).sum(1)
    assert_close(elbo_nats(logits, x, mean, logvar), log_likelihood - kl)
    assert elbo_nats(logits, x, mean, logvar).shape == (5,)


@pytest.mark.parametrize("size", [1e2, 1e6, 1e30])
def test_extreme_logits_keep_a_finite_loss_and_the_right_gradient(x, size):
    sign = torch.ones_like(x)
    sign[..., ::2] = -1
    logits = (size * sign).requires_grad_()
    loss = bernoulli_nats(logits, x)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert_close(logits.grad, (sign > 0).float() - x)  # sigmoid(logit) − x


def test_gradients_agree_with_finite_differences(mean, logvar):
    inputs = [t[:2, :3].double().requires_grad_() for t in (mean, logvar)]
    assert torch.autograd.gradcheck(kl_nats, inputs)
