"""Every estimator against a closed form, brute force or another library."""

import math

import pytest
import torch
from scipy import linalg
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from vae_demo import metrics
from vae_demo.latent import prior
from vae_demo.losses import kl_nats

# Likelihood ---------------------------------------------------------------------------------------

NOISE_STD = 0.5


class LinearGaussian:
    """x = W z + b + N(0, NOISE_STD²), z ~ N(0, I): evidence and posterior are known exactly."""

    def __init__(self, generator, *, orthogonal):
        self.w = torch.randn(6, 2, generator=generator)
        if orthogonal:
            self.w = torch.linalg.qr(self.w).Q * torch.tensor([2.0, 0.5])
        self.b = torch.randn(6, generator=generator)
        self.x = torch.randn(40, 2, generator=generator) @ self.w.T + self.b
        self.x += NOISE_STD * torch.randn(40, 6, generator=generator)
        covariance = self.w @ self.w.T + NOISE_STD**2 * torch.eye(6)
        self.exact = -MultivariateNormal(self.b, covariance).log_prob(self.x)
        precision = torch.eye(2) + self.w.T @ self.w / NOISE_STD**2
        self.mean = (self.x - self.b) @ self.w @ torch.linalg.inv(precision) / NOISE_STD**2
        # The diagonal Gaussian nearest to the posterior; the posterior itself if W is orthogonal.
        self.logvar = -precision.diagonal().log().expand(40, 2)

    def log_likelihood(self, z):
        return Normal(z @ self.w.T + self.b, NOISE_STD).log_prob(self.x).sum(1)

    def nats(self, draws, seed=0, *, wider=0.0):
        generator = torch.Generator().manual_seed(seed)
        return metrics.importance_weighted_nats(
            self.log_likelihood, self.mean, self.logvar + wider, draws, generator
        )


def test_the_true_posterior_gives_the_evidence_with_every_draw(generator):
    model = LinearGaussian(generator, orthogonal=True)
    for draws in (1, 7):
        torch.testing.assert_close(model.nats(draws).float(), model.exact, atol=1e-4, rtol=1e-5)


def test_many_draws_give_the_evidence(generator):
    model = LinearGaussian(generator, orthogonal=False)
    found = model.nats(4_000, wider=0.5).float()
    torch.testing.assert_close(found, model.exact, atol=0.1, rtol=0)
    assert float((found - model.exact).mean()) == pytest.approx(0, abs=0.02)


def test_more_draws_come_nearer_from_above(generator):
    model = LinearGaussian(generator, orthogonal=False)
    above = [
        float(torch.stack([model.nats(k, seed) for seed in range(50)]).mean() - model.exact.mean())
        for k in (1, 3, 9)
    ]
    assert above[0] > 2 * above[1] > 4 * above[2] > 0.001


def test_one_draw_is_the_negative_elbo(generator):
    model = LinearGaussian(generator, orthogonal=False)
    nats = torch.stack([model.nats(1, seed) for seed in range(400)]).mean(0)
    draws = Normal(model.mean, (0.5 * model.logvar).exp()).sample((400,))
    likelihood = torch.stack([model.log_likelihood(z) for z in draws]).mean(0)
    elbo = likelihood - kl_nats(model.mean, model.logvar).sum(1)
    assert float((nats + elbo).mean()) == pytest.approx(0, abs=0.03)


def test_a_posterior_without_width_stays_finite(generator):
    model = LinearGaussian(generator, orthogonal=False)
    model.logvar = torch.full_like(model.mean, -300.0)
    assert model.nats(3).isfinite().all()


def test_kl_by_monte_carlo(generator):
    mean, logvar = torch.tensor([[1.0, -0.5]]), torch.tensor([[-1.0, 0.7]])
    q, p = Normal(mean, (0.5 * logvar).exp()), Normal(torch.zeros(2), torch.ones(2))
    z = mean + q.scale * prior(200_000, 2, generator)
    sampled = (q.log_prob(z) - p.log_prob(z)).mean(0)
    torch.testing.assert_close(kl_nats(mean, logvar)[0], sampled, atol=0.01, rtol=0)
    torch.testing.assert_close(kl_nats(mean, logvar), kl_divergence(q, p))


def test_active_units_move_with_the_picture():
    spread = torch.tensor([1.0, 0.11, 0.09, 0.0])  # variances 1, .0121, .0081, 0
    mean = spread * torch.tensor([[-1.0], [1.0]]).repeat(5000, 1) + 3
    assert metrics.active_units(mean) == 2


# Features -----------------------------------------------------------------------------------------


def random_moments(generator, size):
    root = torch.randn(size, size, dtype=torch.float64, generator=generator)
    mean = torch.randn(size, dtype=torch.float64, generator=generator)
    return metrics.Moments(mean, root @ root.T)


def test_moments_are_those_of_a_sample_made_to_have_them(generator):
    wanted = random_moments(generator, 5)
    noise = torch.randn(100, 5, dtype=torch.float64, generator=generator)
    noise = torch.linalg.qr(noise - noise.mean(0)).Q * math.sqrt(99)  # mean 0, covariance I
    found = metrics.moments(noise @ torch.linalg.cholesky(wanted.covariance).T + wanted.mean)
    torch.testing.assert_close(found, wanted)


def test_frechet_distance_is_scipys(generator):
    a, b = random_moments(generator, 6), random_moments(generator, 6)
    root = linalg.sqrtm((a.covariance @ b.covariance).numpy())
    expected = float((a.mean - b.mean).square().sum())
    expected += float((a.covariance + b.covariance).trace()) - 2 * root.trace().real
    assert metrics.frechet_distance(a, b) == pytest.approx(expected)
    assert metrics.frechet_distance(b, a) == pytest.approx(expected)


def test_frechet_distance_of_axis_aligned_gaussians():
    a = metrics.Moments(torch.tensor([0.0, 0, 0]).double(), torch.tensor([1.0, 4, 0]).diag())
    b = metrics.Moments(torch.tensor([3.0, 4, 0]).double(), torch.tensor([9.0, 4, 0]).diag())
    a, b = (moments._replace(covariance=moments.covariance.double()) for moments in (a, b))
    assert metrics.frechet_distance(a, b) == pytest.approx(25 + (3 - 1) ** 2)
    assert metrics.frechet_distance(a, a) == pytest.approx(0, abs=1e-12)


def test_entropy_of_classes():
    assert metrics.class_entropy_nats(torch.arange(10)) == pytest.approx(math.log(10))
    assert metrics.class_entropy_nats(torch.full((9,), 3)) == 0
    expected = 0.25 * math.log(4) + 0.75 * math.log(4 / 3)
    assert metrics.class_entropy_nats(torch.tensor([7, 7, 7, 0])) == pytest.approx(expected)


# Codes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 16])
def test_nearest_neighbour_accuracy_is_brute_force(generator, size):
    count = metrics.CHUNK_ROWS + 7
    codes = 100 + torch.randn(count, size, generator=generator)  # far from 0: rounding shows
    labels = (codes[:, 0] > 100).long() + torch.randint(2, (count,), generator=generator)
    right = 0
    for i in range(count):
        distances = (codes - codes[i]).double().square().sum(1)
        distances[i] = math.inf
        right += int(labels[distances.argmin()] == labels[i])
    assert 0 < right < count
    assert metrics.nearest_neighbour_accuracy(codes, labels) == right / count


def test_nearest_neighbour_accuracy_is_sklearns(generator):
    codes = torch.randn(300, 3, generator=generator)
    labels = (codes[:, 0] > 0).long()
    neighbours = KNeighborsClassifier(2).fit(codes, labels).kneighbors(codes)[1][:, 1]
    expected = float((labels[neighbours] == labels).double().mean())
    assert metrics.nearest_neighbour_accuracy(codes, labels) == pytest.approx(expected)


def test_nearest_distances_are_brute_force(generator):
    a = torch.rand(metrics.CHUNK_ROWS + 3, 20, generator=generator)
    b = torch.rand(90, 20, generator=generator)
    b[5] = a[7]
    expected = (a[:, None] - b).square().sum(2).sqrt().amin(1)
    found = metrics.nearest_distances(a, b)
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=1e-4)
    assert found[7] == pytest.approx(0, abs=2e-3)


def test_a_linear_probe_reads_what_a_line_can_tell(generator):
    codes = torch.randn(400, 3, generator=generator) * torch.tensor([1e-3, 1e3, 0.0])
    line, ring = (codes[:, 0] > 0).long(), (codes[:, 0].abs() > 0.7e-3).long()
    halves = [(codes[:300], of[:300], codes[300:], of[300:]) for of in (line, ring)]
    assert metrics.linear_probe_accuracy(*halves[0]) > 0.93
    assert metrics.linear_probe_accuracy(*halves[1]) < 0.7


def test_principal_angles(generator):
    basis = torch.linalg.qr(torch.randn(30, 4, generator=generator)).Q
    mixed = basis[:, :2] @ torch.tensor([[2.0, 1.0], [-1.0, 3.0]])
    assert metrics.principal_angles(basis[:, :2], mixed) == pytest.approx([0, 0], abs=1e-3)
    tilt = math.radians(30)
    tilted = torch.stack([basis[:, 0], math.cos(tilt) * basis[:, 1] + math.sin(tilt) * basis[:, 2]])
    assert metrics.principal_angles(mixed, tilted.T) == pytest.approx([30, 0], abs=1e-3)
    assert metrics.principal_angles(basis[:, :2], basis[:, 2:]) == pytest.approx([90, 90])


# Telling kinds apart ------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 3])  # rounded scores tie often
def test_auroc_is_sklearns(generator, steps):
    positives = torch.randn(80, generator=generator) + 0.5
    negatives = torch.randn(300, generator=generator)
    if steps:
        positives, negatives = ((steps * scores).round() for scores in (positives, negatives))
    truth = [1] * 80 + [0] * 300
    expected = roc_auc_score(truth, torch.cat([positives, negatives]))
    assert metrics.auroc(positives, negatives) == pytest.approx(expected)


def test_auroc_of_the_extremes():
    low, high = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    assert metrics.auroc(high, low) == 1
    assert metrics.auroc(low, high) == 0
    assert metrics.auroc(low, low) == 0.5
