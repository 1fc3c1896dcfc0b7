"""Draws against their distribution, paths against spherical geometry."""

import math

import pytest
import torch
from torch import Tensor

from vae_demo import latent
from vae_demo.latent import Mixture

NO_ARC = {
    "equal": ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]),
    "parallel": ([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]),
    "nearly parallel": ([1.0, 0.0, 0.0], [1.0, 1e-5, 0.0]),
    "opposite": ([1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]),
    "nearly opposite": ([1.0, 0.0, 0.0], [-1.0, 1e-5, 0.0]),
    "from zero": ([0.0, 0.0, 0.0], [1.0, 2.0, 3.0]),
    "to zero": ([1.0, 2.0, 3.0], [0.0, 0.0, 0.0]),
    "zero to zero": ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def angle(a: Tensor, b: Tensor) -> Tensor:
    """Angle in radians between rows, in double precision."""
    u, v = (t.double() / t.double().norm(dim=-1, keepdim=True) for t in (a, b))
    return 2 * torch.atan2((u - v).norm(dim=-1), (u + v).norm(dim=-1))


# Draws --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("latent_size", [1, 2, 3, 16, 17])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 63, 64, 65, 200])
def test_a_smaller_draw_is_the_beginning_of_a_larger_one(count: int, latent_size: int) -> None:
    larger = latent.prior(1000, latent_size, seeded())
    assert torch.equal(latent.prior(count, latent_size, seeded()), larger[:count])


def test_seeds_decide() -> None:
    assert torch.equal(latent.prior(9, 16, seeded(3)), latent.prior(9, 16, seeded(3)))
    assert not torch.equal(latent.prior(9, 16, seeded(3)), latent.prior(9, 16, seeded(4)))


def test_a_generator_goes_on() -> None:
    generator = seeded()
    first, second = latent.prior(5, 16, generator), latent.prior(5, 16, generator)
    assert not torch.equal(first, second)


def test_prior_is_standard_normal() -> None:
    z = latent.prior(40_000, 4, seeded())
    assert torch.allclose(z.mean(0), torch.zeros(4), atol=0.025)  # 5 standard errors
    assert torch.allclose(z.T.cov(), torch.eye(4), atol=0.04)
    assert torch.allclose(z.pow(4).mean(0), torch.full((4,), 3.0), atol=0.25)
    blocks = z.view(-1, latent.BLOCK_ROWS, 4)
    assert len(blocks.flatten(1).unique(dim=0)) == len(blocks)  # no block is drawn twice


@pytest.mark.parametrize("temperature", [0.0, 0.5, 2.0])
def test_temperature_scales_the_same_draw(temperature: float) -> None:
    assert torch.equal(
        latent.prior(70, 3, seeded(), temperature), temperature * latent.prior(70, 3, seeded())
    )


@pytest.mark.parametrize(
    ("count", "latent_size", "temperature"),
    [(-1, 2, 1.0), (1, 0, 1.0), (1, 2, -0.1), (1, 2, math.nan), (1, 2, math.inf)],
)
def test_prior_refuses(count: int, latent_size: int, temperature: float) -> None:
    with pytest.raises(ValueError, match=r"expected .* got"):
        latent.prior(count, latent_size, seeded(), temperature)


def test_posterior_has_its_mean_and_variance() -> None:
    mean, logvar = torch.tensor([1.0, -2.0, 30.0]), torch.tensor([0.0, -4.0, 2.0])
    z = latent.sample_posterior(mean.expand(40_000, 3), logvar.expand(40_000, 3), seeded())
    scaled = (z - mean) / (0.5 * logvar).exp()
    assert torch.allclose(scaled.mean(0), torch.zeros(3), atol=0.025)
    assert torch.allclose(scaled.T.cov(), torch.eye(3), atol=0.04)


def test_posterior_equal_to_the_prior_draws_the_prior() -> None:
    zeros = torch.zeros(70, 16)
    assert torch.equal(
        latent.sample_posterior(zeros, zeros, seeded()), latent.prior(70, 16, seeded())
    )


def test_posterior_without_variance_is_its_mean() -> None:
    mean = latent.prior(5, 16, seeded())
    drawn = latent.sample_posterior(mean, torch.full_like(mean, -200.0), seeded(1))
    assert torch.equal(drawn, mean)


def test_posterior_refuses_unequal_shapes() -> None:
    with pytest.raises(ValueError, match=r"got \(2, 3\) and \(2, 4\)"):
        latent.sample_posterior(torch.zeros(2, 3), torch.zeros(2, 4), seeded())


# Fitted samplers ----------------------------------------------------------------------------------


@pytest.fixture
def two_clusters() -> Mixture:
    """A quarter upright and wide, three quarters slanted and narrow."""
    return Mixture(
        torch.tensor([0.25, 0.75]),
        torch.tensor([[-5.0, 0.0], [5.0, 1.0]]),
        torch.tensor([[[1.0, 0.0], [0.0, 2.0]], [[0.5, 0.0], [0.4, 0.3]]]),
    )


def test_mixture_draws_have_its_moments(two_clusters: Mixture) -> None:
    z = latent.sample_mixture(two_clusters, 40_000, seeded())
    left = z[:, 0] < 0
    assert left.float().mean() == pytest.approx(0.25, abs=0.01)
    for part, mean, root in zip((z[left], z[~left]), *two_clusters[1:], strict=True):
        assert torch.allclose(part.mean(0), mean, atol=0.08)
        assert torch.allclose(part.T.cov(), root @ root.T, rtol=0.06, atol=0.03)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 200])
def test_a_smaller_draw_of_a_mixture_is_the_beginning(two_clusters: Mixture, count: int) -> None:
    larger = latent.sample_mixture(two_clusters, 1000, seeded())
    assert torch.equal(latent.sample_mixture(two_clusters, count, seeded()), larger[:count])
    assert len(larger.unique(dim=0)) == 1000


def test_without_temperature_a_mixture_draws_its_means(two_clusters: Mixture) -> None:
    cold = latent.sample_mixture(two_clusters, 200, seeded(), temperature=0.0)
    warm = latent.sample_mixture(two_clusters, 200, seeded())
    assert torch.equal(cold.unique(dim=0), two_clusters.means)
    assert torch.equal(cold[:, 0] < 0, warm[:, 0] < 0)


def test_rounded_weights_leave_no_gap(two_clusters: Mixture) -> None:
    short = two_clusters._replace(weights=torch.tensor([0.25, 0.7]))
    whole, drawn = (latent.sample_mixture(m, 1000, seeded()) for m in (two_clusters, short))
    assert torch.equal(whole, drawn)


@pytest.mark.parametrize(("count", "temperature"), [(-1, 1.0), (1, -0.1), (0, math.nan)])
def test_a_mixture_refuses(two_clusters: Mixture, count: int, temperature: float) -> None:
    with pytest.raises(ValueError, match=r"expected .* got"):
        latent.sample_mixture(two_clusters, count, seeded(), temperature)


def test_a_gaussian_is_a_mixture_of_one(two_clusters: Mixture) -> None:
    codes = latent.sample_mixture(two_clusters, 5000, seeded())
    fitted = latent.fit_mixture(codes, 1, seed=1)
    assert fitted.weights.tolist() == [1]
    assert torch.allclose(fitted.means[0], codes.mean(0), atol=1e-4)
    assert torch.equal(fitted.choleskys, fitted.choleskys.tril())
    covariance = fitted.choleskys[0] @ fitted.choleskys[0].T
    assert torch.allclose(covariance, codes.T.cov(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("unit", [1e-4, 1.0, 1e4])
def test_a_mixture_is_found_again_at_every_scale(two_clusters: Mixture, unit: float) -> None:
    codes = unit * latent.sample_mixture(two_clusters, 20_000, seeded())
    fitted = latent.fit_mixture(codes, 2, seed=1)
    order = fitted.means[:, 0].argsort()
    weights, means, roots = (part[order] for part in fitted)
    assert torch.allclose(weights, two_clusters.weights, atol=0.01)
    assert torch.allclose(means / unit, two_clusters.means, atol=0.1)
    assert torch.allclose(roots / unit, two_clusters.choleskys, atol=0.1)


def test_the_density_of_a_mixture_is_scikit_learns(two_clusters: Mixture) -> None:
    from sklearn.mixture import GaussianMixture

    oracle = GaussianMixture(len(two_clusters.weights))
    oracle.weights_, oracle.means_ = (part.double().numpy() for part in two_clusters[:2])
    # scikit-learn keeps U with precision U Uᵀ
    oracle.precisions_cholesky_ = two_clusters.choleskys.double().inverse().mT.numpy()
    z = 3 * latent.prior(50, two_clusters.means.shape[1], seeded())
    expected = torch.from_numpy(oracle.score_samples(z.double().numpy())).float()
    torch.testing.assert_close(latent.mixture_log_prob(two_clusters, z), expected)


def test_a_seed_decides_a_mixture() -> None:
    codes = latent.prior(500, 3, seeded())
    first, again, other = (latent.fit_mixture(codes, 5, seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.means, other.means)


def test_one_number_and_one_that_never_changes() -> None:
    line = latent.prior(500, 1, seeded())
    z = latent.sample_mixture(latent.fit_mixture(line, 3, seed=1), 20_000, seeded())
    assert torch.allclose(z.std(), line.std(), rtol=0.03)
    flat = torch.cat([line, torch.full_like(line, 7.0)], 1)
    z = latent.sample_mixture(latent.fit_mixture(flat, 3, seed=1), 100, seeded())
    assert torch.allclose(z[:, 1], torch.tensor(7.0), atol=0.01)
    assert z[:, 0].std() > 0.5


@pytest.mark.parametrize(
    ("codes", "components"),
    [
        (torch.zeros(5), 1),
        (torch.full((5, 2), math.nan), 1),
        (torch.zeros(5, 2), 6),
        (torch.zeros(5, 2), 0),
    ],
)
def test_a_mixture_cannot_be_fitted(codes: Tensor, components: int) -> None:
    with pytest.raises(ValueError, match=r"expected .* got"):
        latent.fit_mixture(codes, components, seed=1)


# Paths --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [latent.lerp, latent.slerp])
@pytest.mark.parametrize("steps", [2, 3, 10])
def test_ends_are_exact(path, steps: int) -> None:
    for a, b in latent.prior(200, 16, seeded()).view(100, 2, 16):
        walked = path(a, b, steps)
        assert walked.shape == (steps, 16)
        assert torch.equal(walked[0], a)
        assert torch.equal(walked[-1], b)


@pytest.mark.parametrize("path", [latent.lerp, latent.slerp])
def test_the_way_back_is_the_way(path) -> None:
    a, b = latent.prior(2, 16, seeded())
    assert torch.allclose(path(b, a, 9).flip(0), path(a, b, 9), atol=1e-6)


@pytest.mark.parametrize("path", [latent.lerp, latent.slerp])
def test_arguments_stay_as_they_were(path) -> None:
    a, b = latent.prior(2, 16, seeded())
    copies = a.clone(), b.clone()
    path(a, b, 5).zero_()
    assert torch.equal(a, copies[0])
    assert torch.equal(b, copies[1])


def test_lerp_has_even_steps() -> None:
    a, b = latent.prior(2, 16, seeded())
    path = latent.lerp(a, b, 5)
    assert torch.allclose(path[2], (a + b) / 2, atol=1e-6)
    assert torch.allclose(path.diff(dim=0), ((b - a) / 4).expand(4, 16), atol=1e-6)


def test_slerp_of_a_quarter_turn_is_a_quarter_circle() -> None:
    path = latent.slerp(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0]), 4)
    turn = torch.arange(4) * math.pi / 6
    assert torch.allclose(path, 2 * torch.stack([turn.cos(), turn.sin()], 1), atol=1e-6)


def test_slerp_turns_at_constant_speed_with_linear_length() -> None:
    for a, b in latent.prior(100, 16, seeded()).view(50, 2, 16) * torch.tensor([[1.0], [5.0]]):
        path = latent.slerp(a, b, 9)
        turned = angle(path[:-1], path[1:])
        assert torch.allclose(turned, (angle(a, b) / 8).expand(8), atol=1e-5)
        lengths = torch.linspace(float(a.norm()), float(b.norm()), 9)
        assert torch.allclose(path.norm(dim=1), lengths, rtol=1e-5)
        plane = torch.linalg.svdvals(path)
        assert plane[2] < 1e-5 * plane[0]  # all on one great circle


def test_slerp_keeps_to_the_shell_that_lerp_leaves() -> None:
    a, b = latent.prior(2, 16, seeded())
    shorter = min(float(a.norm()), float(b.norm()))
    assert latent.lerp(a, b, 3)[1].norm() < shorter <= latent.slerp(a, b, 3)[1].norm()


@pytest.mark.parametrize(("a", "b"), NO_ARC.values(), ids=NO_ARC)
def test_slerp_without_an_arc_is_the_line(a: list[float], b: list[float]) -> None:
    ends = torch.tensor(a), torch.tensor(b)
    assert torch.equal(latent.slerp(*ends, 5), latent.lerp(*ends, 5))
    assert latent.slerp(*ends, 5).isfinite().all()


def test_slerp_does_not_jump_where_it_turns_into_the_line() -> None:
    a = torch.tensor([1.0, 0.0])
    for tilt in (0.9e-3, 1.1e-3):
        b = torch.tensor([math.cos(tilt), math.sin(tilt)])
        assert torch.allclose(latent.slerp(a, b, 5), latent.lerp(a, b, 5), atol=1e-6)


@pytest.mark.parametrize("path", [latent.lerp, latent.slerp])
@pytest.mark.parametrize("steps", [1, 0, -3])
def test_paths_need_two_steps(path, steps: int) -> None:
    with pytest.raises(ValueError, match=f"at least 2 steps.* got {steps}"):
        path(torch.zeros(2), torch.ones(2), steps)


@pytest.mark.parametrize("path", [latent.lerp, latent.slerp])
@pytest.mark.parametrize(("a", "b"), [((2,), (3,)), ((1, 2), (1, 2)), ((), ())])
def test_paths_need_two_codes(path, a, b) -> None:
    with pytest.raises(ValueError, match=r"one shape \(Z,\)"):
        path(torch.zeros(a), torch.zeros(b), 3)


def test_traversal_moves_one_number() -> None:
    z = latent.prior(1, 4, seeded())[0]
    before = z.clone()
    walk = latent.traversal(z, 2, [-3, 0, 1.5])
    assert torch.equal(walk[:, 2], torch.tensor([-3.0, 0.0, 1.5]))
    assert torch.equal(walk[:, [0, 1, 3]], before[[0, 1, 3]].expand(3, 3))
    walk.zero_()
    assert torch.equal(z, before)


@pytest.mark.parametrize("dimension", [-1, 4])
def test_traversal_needs_a_dimension_of_the_code(dimension: int) -> None:
    with pytest.raises(ValueError, match=rf"0 … 3, got {dimension}"):
        latent.traversal(torch.zeros(4), dimension, [0.0])


def test_traversal_needs_one_code_and_a_row_of_values() -> None:
    with pytest.raises(ValueError, match=r"got \(1, 4\)"):
        latent.traversal(torch.zeros(1, 4), 0, [0.0])
    with pytest.raises(ValueError, match=r"and \(1, 1\)"):
        latent.traversal(torch.zeros(4), 0, torch.zeros(1, 1))


# Walks and quantiles ------------------------------------------------------------------------------

TIMES = torch.arange(24) / 24


def roams(count: int, seed: int = 1, size: int = 4) -> tuple[Tensor, Tensor]:
    start = latent.prior(count, size, seeded())
    return start, latent.roam(start, TIMES, torch.Generator().manual_seed(seed))


def test_a_roam_starts_at_its_start_and_comes_back() -> None:
    start, path = roams(50)
    assert path.shape == (24, 50, 4)
    assert torch.equal(path[0], start)
    again = latent.roam(start, torch.tensor([1.0, 1.25]), torch.Generator().manual_seed(1))
    assert torch.allclose(again[0], start, atol=1e-4)
    assert torch.allclose(again[1], path[6], atol=1e-4)


def test_a_roam_is_standard_normal_at_every_time() -> None:
    _, path = roams(20_000)
    for z in path:
        assert torch.allclose(z.mean(0), torch.zeros(4), atol=0.035)
        assert torch.allclose(z.T.cov(), torch.eye(4), atol=0.05)
    norms = path.norm(dim=2)
    assert torch.allclose(norms.mean(1), norms[0].mean().expand(24), atol=0.03)
    assert torch.allclose(norms.std(1), norms[0].std().expand(24), atol=0.03)


def test_a_roam_forgets_its_start_and_moves_in_small_steps() -> None:
    start, path = roams(20_000)
    with_start = (path * start).mean((1, 2))
    # The waves' own covariance over time: the mean of their cosines.
    expected = torch.stack([(2 * math.pi * TIMES * h).cos() for h in (1, 2, 3)]).mean(0)
    assert torch.allclose(with_start, expected, atol=0.02)
    fine = latent.roam(start[:50], torch.arange(96) / 96, torch.Generator().manual_seed(1))
    steps = fine.diff(dim=0).norm(dim=2) / start.shape[1] ** 0.5
    assert steps.max() < 0.45  # a new draw would be √2 away
    assert fine.diff(n=2, dim=0).norm(dim=2).max() < steps.max()


def test_a_roam_is_seeded_and_each_row_walks_for_itself() -> None:
    start, path = roams(50)
    assert torch.equal(path, roams(50)[1])
    assert not torch.allclose(path[5], roams(50, seed=2)[1][5])
    few = latent.roam(start[:3], TIMES, torch.Generator().manual_seed(1))
    assert torch.allclose(few, path[:, :3], atol=1e-6)


@pytest.mark.parametrize(("start", "times"), [((3,), (2,)), ((2, 3), (2, 1)), ((2, 3), ())])
def test_a_roam_needs_rows_and_times(start, times) -> None:
    with pytest.raises(ValueError, match=r"expected .* got"):
        latent.roam(torch.zeros(start), torch.zeros(times), seeded())


@pytest.mark.parametrize("count", [1, 2, 5, 100])
def test_quantiles_part_the_normal_evenly(count: int) -> None:
    values = latent.quantiles(count)
    assert torch.equal(values, values.sort().values)
    expected = (torch.arange(count) + 0.5) / count
    assert torch.allclose(torch.distributions.Normal(0.0, 1.0).cdf(values), expected, atol=1e-6)
