"""One noise for both sides, reproducible from its seed, and nothing but whole requests answered."""

import base64
import io
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.distributions import Normal

from vae_demo import exports
from vae_demo.images import to_uint8
from vae_demo.latent_map import Codes
from vae_demo.ui import sample
from vae_demo.ui.exhibit import RequestError
from vae_demo.ui.points import draws, noise, point
from vae_demo.ui.replay import replay
from vae_demo.ui.sample import code_spread, codes, export, sample_tab, spread, usual_distance

ASKED = {"count": 9, "seed": 3, "temperature": 1}
WALK = {**ASKED, "mode": "walk", "first": 0, "frames": 4}
GRID = {"mode": "grid", "count": 25, "dimensions": [0, 3]}
SIDES = ("left", "right")


@pytest.fixture(scope="module")
def ask(fake_zoo):
    return sample_tab(fake_zoo).server_fns[0]


@pytest.fixture(scope="module")
def save(fake_zoo):
    return sample_tab(fake_zoo).server_fns[1]


def pictures(text):
    return np.frombuffer(base64.b64decode(text), dtype=np.uint8).reshape(-1, 28, 28)


def test_both_sides_decode_the_same_points(ask, fake_zoo):
    answer = ask(ASKED)
    with torch.inference_mode():
        z = noise(ASKED, 9)
        for side, model in zip(SIDES, fake_zoo.pair(), strict=True):
            expected = to_uint8(model.coder.decode(z).sigmoid())
            assert np.array_equal(pictures(answer[side]["pictures"]), expected.reshape(-1, 28, 28))
    assert answer["left"] != answer["right"]


def test_a_seed_always_gives_the_same_pictures(ask):
    assert ask(ASKED) == ask(ASKED)
    assert ask(ASKED)["right"] != ask({**ASKED, "seed": 4})["right"]


def test_more_tiles_keep_the_first_ones():
    assert torch.equal(noise(ASKED, 100)[:9], noise(ASKED, 9))


def test_temperature_scales_the_same_noise():
    z = noise(ASKED, 9)
    assert torch.allclose(noise({**ASKED, "temperature": 1.5}, 9), 1.5 * z)


def test_at_temperature_zero_all_tiles_are_the_origin(ask):
    answer = ask({**ASKED, "temperature": 0})
    left = pictures(answer["left"]["pictures"])
    assert (left == left[0]).all()
    assert answer["left"]["spread"] == 0


@pytest.mark.parametrize("count", [1, 100])
def test_as_many_pictures_as_asked_for(ask, count):
    answer = ask({**ASKED, "count": count})
    for side in SIDES:
        assert len(pictures(answer[side]["pictures"])) == count
        for key in ("classes", "confidences", "distances"):
            assert len(answer[side][key]) == count


WRONG = [
    {"count": 0},
    {"count": 101},
    {"count": 2.5},
    {"count": "9"},
    {"count": None},
    {"seed": -1},
    {"seed": 2**31},
    {"seed": True},
    {"seed": 0.5},
    {"temperature": -0.1},
    {"temperature": 2.1},
    {"temperature": math.nan},
    {"temperature": math.inf},
    {"temperature": [1]},
    {"sampler": "flow"},
    {"sampler": ["prior"]},
    {"sampler": "classes", "class": 10},
    {"sampler": "classes", "class": "3"},
    {"mode": "mosaic"},
    {"mode": ["walk"]},
    {"tile": 9},
    {"tile": None},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_request_out_of_bounds_is_refused(ask, wrong):
    assert ask({**ASKED, **wrong}) == {"error": "error.request"}


@pytest.mark.parametrize("missing", ["count", "seed", "temperature"])
def test_a_request_with_a_gap_is_refused(ask, missing):
    assert ask({k: v for k, v in ASKED.items() if k != missing}) == {"error": "error.request"}


def test_noise_checks_what_it_is_asked_for():
    with pytest.raises(RequestError):
        noise({"seed": -1, "temperature": 1}, 1)


def test_spread_is_the_root_mean_square_distance_from_the_origin(generator):
    assert spread(torch.tensor([[3.0, 4.0], [0.0, 0.0]])) == pytest.approx(math.sqrt(25 / 2))
    z = torch.randn(20_000, 16, generator=generator)
    assert spread(z) == pytest.approx(4, abs=0.02)


def test_the_spread_of_clouds_counts_their_width(generator):
    mean, logvar = torch.randn(2, 50, 16, generator=generator)
    points = np.zeros((50, 2), dtype=np.float32)
    drawn = mean + (0.5 * logvar).exp() * torch.randn(4000, 50, 16, generator=generator)
    assert code_spread(Codes(mean, logvar, points, 15)) == pytest.approx(
        spread(drawn.flatten(0, 1)), rel=0.01
    )
    assert code_spread(Codes(mean, None, points, 15)) == pytest.approx(spread(mean))


# Samplers -----------------------------------------------------------------------------------------


def many(model, **spec):
    """2,000 draws from twenty seeds."""
    seeds = range(20)
    return torch.cat([draws(model, {"temperature": 1, "seed": s, **spec}, 100) for s in seeds])


@pytest.mark.parametrize("name", ["ae", "vae", "ae_2d"])
@pytest.mark.parametrize("sampler", ["gaussian", "mixture", "classes"])
def test_draws_have_the_moments_of_what_was_fitted(fake_zoo, name, sampler):
    model = fake_zoo.model(name)
    z, fitted = many(model, sampler=sampler), getattr(model.samplers, sampler)
    mean = fitted.weights @ fitted.means
    inside = fitted.choleskys @ fitted.choleskys.mT
    apart = (fitted.means - mean)[:, :, None] * (fitted.means - mean)[:, None]
    covariance = (fitted.weights[:, None, None] * (inside + apart)).sum(0)
    width = covariance.diagonal().sqrt()
    assert ((z.mean(0) - mean).abs() < 5 * width / math.sqrt(len(z))).all()
    assert torch.allclose(z.T.cov(), covariance, atol=0.25 * float(width.max()) ** 2)


def test_the_prior_draws_the_noise_itself(fake_zoo):
    for name in ("ae", "ae_2d"):
        model = fake_zoo.model(name)
        assert torch.equal(draws(model, ASKED, 9), noise(ASKED, 9)[:, : model.coder.latent_size])


def test_a_fitted_gaussian_is_the_noise_moved_and_stretched(fake_zoo):
    model = fake_zoo.model("vae")
    _, means, choleskys = model.samplers.gaussian
    z = draws(model, {**ASKED, "sampler": "gaussian"}, 9)
    back = torch.linalg.solve_triangular(choleskys[0], (z - means[0]).T, upper=False).T
    assert torch.allclose(back, noise(ASKED, 9), atol=1e-4)


@pytest.mark.parametrize("digit", range(10))
def test_a_class_draws_from_its_own_gaussian_by_the_same_noise(fake_zoo, digit):
    model = fake_zoo.model("ae")
    _, means, choleskys = model.samplers.classes
    spec = {**ASKED, "sampler": "classes", "class": digit}
    expected = means[digit] + noise(ASKED, 9) @ choleskys[digit].T
    assert torch.allclose(draws(model, spec, 9), expected, atol=1e-4)


def test_which_component_a_tile_has_hangs_neither_on_temperature_nor_on_count(fake_zoo):
    model, spec = fake_zoo.model("ae"), {**ASKED, "sampler": "classes", "temperature": 0}
    cold = draws(model, spec, 100)
    chosen = torch.cdist(cold, model.samplers.classes.means).argmin(1)
    assert torch.equal(cold, model.samplers.classes.means[chosen])
    assert len(chosen.unique()) > 5
    warm = draws(model, {**spec, "temperature": 1}, 20)
    assert torch.allclose(
        warm,
        model.samplers.classes.means[chosen[:20]]
        + (model.samplers.classes.choleskys[chosen[:20]] @ noise(ASKED, 20)[..., None])[..., 0],
        atol=1e-4,
    )


def test_class_means_are_classes_without_temperature(ask, fake_zoo):
    models = fake_zoo.pair(["ae", "ae_2d"])
    left, right = codes(fake_zoo, models, {"mode": "means"})
    for digit in range(10):
        spec = {"seed": 0, "index": 0, "temperature": 0, "sampler": "classes", "class": digit}
        place = point(fake_zoo, models, spec)
        assert torch.equal(place.codes[0], left[digit]) and torch.equal(
            place.codes[1], right[digit]
        )
    for name, z in (("ae", left), ("ae_2d", right)):
        mean, labels = fake_zoo.digits.codes[name].mean, torch.from_numpy(fake_zoo.digits.labels)
        expected = torch.stack([mean[labels == digit].mean(0) for digit in range(10)])
        assert torch.allclose(z, expected, atol=1e-4)
    assert len(ask({"mode": "means"})["left"]["classes"]) == 10


# Readings and distances ---------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [ASKED, {"mode": "means"}, GRID, WALK], ids=str)
def test_readings_are_the_judges_own(ask, fake_zoo, spec):
    answer = ask(spec)
    with torch.inference_mode():
        z = codes(fake_zoo, fake_zoo.pair(), spec)
        for side, model, points in zip(SIDES, fake_zoo.pair(), z, strict=True):
            logits = fake_zoo.judge(model.coder.decode(points).sigmoid())
            assert answer[side]["classes"] == logits.argmax(1).tolist()
            sure = logits.softmax(1).amax(1).tolist()
            assert answer[side]["confidences"] == pytest.approx(sure, abs=6e-4)


def nearest_by_brute_force(z, mean, skip=()):
    distances = (z[:, None].double() - mean[None].double()).norm(dim=2)
    for row, own in enumerate(skip):
        distances[row, own] = math.inf
    return distances.min(1)


@pytest.mark.parametrize("models", [["ae", "vae"], ["ae_2d", "vae"]])
def test_distances_are_those_of_brute_force(ask, fake_zoo, models):
    answer = ask({**ASKED, "models": models, "tile": 4})
    for side, name in zip(SIDES, models, strict=True):
        model = fake_zoo.model(name)
        z = draws(model, ASKED, 9)
        least = nearest_by_brute_force(z, model.codes.mean)
        unit = usual_distance(model.codes)
        expected = (least.values / unit).tolist()
        assert answer[side]["distances"] == pytest.approx(expected, abs=1e-3)
        landed = answer[side]["landed"]
        assert landed["code"] == z[4].tolist()
        assert landed["digit"] == least.indices[4]
        assert landed["class"] == fake_zoo.digits.labels[least.indices[4]]
        assert landed["of"] == len(model.codes.mean)
        assert landed["distance"] == pytest.approx(float(least.values[4]), rel=1e-4)
        x = model.coder.decode(model.codes.mean[landed["digit"]][None]).sigmoid()
        assert np.array_equal(pictures(landed["picture"])[0], to_uint8(x)[0, 0])


def test_the_usual_distance_leaves_a_digit_itself_out(fake_zoo):
    mean = fake_zoo.digits.codes["ae"].mean
    own = range(len(mean))
    expected = nearest_by_brute_force(mean, mean, own).values.mean()
    assert usual_distance(fake_zoo.digits.codes["ae"]) == pytest.approx(float(expected), rel=1e-4)


def test_draws_from_the_posteriors_lie_as_usual():
    """A VAE's samples carry its posterior's width; so must what they are held against."""
    generator = torch.Generator().manual_seed(5)
    mean, points = torch.randn(400, 16, generator=generator), np.zeros((400, 2), np.float32)
    narrow = usual_distance(Codes(mean, torch.full_like(mean, -20), points, 15))
    wide = usual_distance(Codes(mean, torch.zeros_like(mean), points, 15))
    assert narrow == pytest.approx(usual_distance(Codes(mean, None, points, 15)), rel=1e-3)
    drawn = mean + torch.randn(400, 16, generator=generator)
    expected = nearest_by_brute_force(drawn, mean, range(400)).values.mean()
    assert wide == pytest.approx(float(expected), rel=0.05)


def test_codes_that_are_all_the_same_leave_a_finite_unit():
    same = Codes(torch.zeros(20, 2), None, np.zeros((20, 2), np.float32), 15)
    assert 0 < usual_distance(same) < 1e-30


def test_the_baseline_is_the_reports(tmp_path, fake_zoo):
    from dataclasses import replace

    assert sample.baseline(fake_zoo) is None
    report = {"reference": {"test_digits": {"confident_share": 0.95}}}
    (tmp_path / "report.json").write_text(json.dumps(report))
    assert sample.baseline(replace(fake_zoo, folder=tmp_path)) == 0.95
    (tmp_path / "report.json").write_text('{"reference": []}')
    assert sample.baseline(replace(fake_zoo, folder=tmp_path)) is None


# The grid -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [1, 2, 5, 10])
def test_a_grid_stands_on_even_quantiles(fake_zoo, side):
    spec = {**GRID, "count": side**2}
    shares = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    values = Normal(0.0, 1.0).icdf(shares).float()
    for z in codes(fake_zoo, fake_zoo.pair(), spec):
        z = z.view(side, side, 16)
        assert torch.allclose(z[:, :, 0], values.expand(side, side), atol=1e-5)
        assert torch.allclose(z[:, :, 3], values.flip(0)[:, None].expand(side, side), atol=1e-5)
        others = [d for d in range(16) if d not in (0, 3)]
        assert (z[..., others] == 0).all()


def test_a_grid_of_the_fitted_gaussian_has_its_marginals(fake_zoo):
    for z, model in zip(
        codes(fake_zoo, fake_zoo.pair(), {**GRID, "sampler": "gaussian"}),
        fake_zoo.pair(),
        strict=True,
    ):
        gaussian = model.samplers.gaussian
        variance = (gaussian.choleskys[0] @ gaussian.choleskys[0].T).diagonal()
        corner = Normal(gaussian.means[0], variance.sqrt()).icdf(torch.tensor(0.1))
        bottom_left = z.view(5, 5, 16)[4, 0]
        assert torch.allclose(bottom_left[[0, 3]], corner[[0, 3]], atol=1e-4)
        assert torch.equal(bottom_left[1], gaussian.means[0][1])


def test_a_grid_around_a_sample_keeps_its_other_numbers(fake_zoo):
    base = {**ASKED, "index": 4}
    around = codes(fake_zoo, fake_zoo.pair(), {**GRID, "base": base})[0]
    plain = codes(fake_zoo, fake_zoo.pair(), GRID)[0]
    z = noise(ASKED, 9)[4]
    assert torch.equal(around[:, [0, 3]], plain[:, [0, 3]])
    assert torch.equal(around[:, 1], z[1].expand(25))


def test_a_smaller_code_does_not_change_along_a_number_it_lacks(fake_zoo):
    left, _ = codes(fake_zoo, fake_zoo.pair(["ae_2d", "ae"]), {**GRID, "dimensions": [1, 5]})
    left = left.view(5, 5, 2)
    assert torch.equal(left, left[:1].expand(5, 5, 2))
    assert len(left[0, :, 1].unique()) == 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": 24},
        {"dimensions": [0, 0]},
        {"dimensions": [0, 16]},
        {"dimensions": [0]},
        {"dimensions": "01"},
        {"dimensions": [0.5, 1]},
        {"sampler": "mixture"},
        {"base": 3},
        {"base": {"codes": [[0], [0]]}},
    ],
    ids=str,
)
def test_a_grid_that_makes_no_sense_is_refused(ask, wrong):
    assert ask({**GRID, **wrong})["error"] in ("error.request", "error.models")


# The walk -----------------------------------------------------------------------------------------


def test_a_walk_begins_with_the_tiles_of_the_wall(ask):
    standing, walking = ask(ASKED), ask({**WALK, "frames": 1})
    assert walking["left"]["pictures"] == standing["left"]["pictures"]
    mixture = {"sampler": "mixture", "temperature": 0.7}
    assert ask({**WALK, **mixture, "frames": 1}) == ask({**ASKED, **mixture})


def test_a_walk_is_the_same_in_whatever_pieces_it_comes(ask):
    whole = pictures(ask({**WALK, "first": 94, "frames": 4})["right"]["pictures"])
    parts = [ask({**WALK, "first": f, "frames": 1}) for f in (94, 95, 0, 1)]
    assert np.array_equal(whole, np.concatenate([pictures(p["right"]["pictures"]) for p in parts]))
    assert not np.array_equal(whole[:9], whole[9:18])


def test_more_walkers_leave_the_first_on_their_way(fake_zoo):
    models = fake_zoo.pair()
    few, more = (sample.walk(models, {**WALK, "count": count}, [0, 7, 50])[0] for count in (4, 49))
    assert torch.equal(few, more[:, :4])


def test_a_seed_and_nothing_else_decides_a_walk(fake_zoo):
    models = fake_zoo.pair()
    one, again, other = (sample.walk(models, {**WALK, "seed": seed}, [7])[0] for seed in (3, 3, 4))
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)


def test_a_walk_cools_with_the_noise(fake_zoo):
    warm, cold = (
        sample.walk(fake_zoo.pair(), {**WALK, "temperature": t}, [9, 33])[0] for t in (1, 0.5)
    )
    assert torch.allclose(cold, warm / 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"first": 96},
        {"first": -1},
        {"frames": 0},
        {"frames": 12},  # 12 × 9 pictures
        {"count": 50, "frames": 1},
        {"frames": None},
        {"sampler": "nowhere"},
    ],
    ids=str,
)
def test_a_walk_is_answered_in_small_pieces_only(ask, wrong):
    assert ask({**WALK, **wrong}) == {"error": "error.request"}


# Files --------------------------------------------------------------------------------------------

SAVED = {**ASKED, "models": ["vae", "ae_2d"], "file": "png"}


@pytest.mark.parametrize(
    "request_",
    [
        SAVED,
        {**SAVED, "sampler": "classes", "class": 4, "shown": [[8, 0], [5, 1, 2]]},
        {"mode": "means", "file": "png"},
        {**GRID, "file": "png", "base": {**ASKED, "index": 2}},
        {**WALK, "frames": 1, "first": 17, "file": "png"},
        {**WALK, "count": 2, "frames": 1, "file": "gif"},
    ],
    ids=str,
)
def test_a_saved_file_is_made_again_bit_for_bit(save, fake_zoo, request_):
    answer = save(request_)
    content = base64.b64decode(answer["file"])
    assert answer["name"].startswith("sample-") and answer["name"].endswith(request_["file"])
    assert exports.read_recipe(content) == answer["recipe"]
    assert replay(exports.read_recipe(content), fake_zoo) == content


def grey(content):
    """Every pixel of a saved picture, by its place in the palette."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)


def test_a_saved_picture_shows_both_walls_in_the_order_shown(ask, fake_zoo):
    answer = ask(ASKED)
    orders = [[8, 1, 2, 3, 4, 5, 6, 7, 0], [2, 1, 0]]
    with torch.inference_mode():
        image = grey(export(fake_zoo, {**ASKED, "file": "png", "shown": orders}))
    scale = image.shape[0] // 86
    assert image.shape == (86 * scale, (86 + 8 + 86) * scale)
    image = image[::scale, ::scale]
    for side, order, left in zip(SIDES, orders, (0, 94), strict=True):
        tiles = pictures(answer[side]["pictures"])
        for place, tile in enumerate(order):
            y, x = 29 * (place // 3), left + 29 * (place % 3)
            assert np.array_equal(image[y : y + 28, x : x + 28], tiles[tile]), (side, place)
    assert (image[29:, 94:] == 0).all()


def test_a_film_goes_once_around_and_its_frames_are_the_walks(ask, fake_zoo):
    asked = {**WALK, "count": 4, "frames": 1, "file": "gif"}
    with torch.inference_mode():
        content = export(fake_zoo, asked)
    with Image.open(io.BytesIO(content)) as film:
        assert film.n_frames == sample.FRAMES
        assert film.info["loop"] == 0
        film.seek(31)
        frame = np.asarray(film.convert("RGB"))[..., 0]
    tile = pictures(ask({**asked, "first": 31})["left"]["pictures"])[0]
    scale = frame.shape[0] // 57
    red = np.asarray(exports.PALETTE[::3])[tile]
    assert np.array_equal(frame[: 28 * scale : scale, : 28 * scale : scale], red)


def test_one_film_at_a_time(save):
    with sample.film:
        answer = save({**WALK, "count": 1, "file": "gif"})
    assert answer == {"error": "sample.busy"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"file": "bmp"},
        {"file": "gif"},
        {"shown": [[0]]},
        {"shown": [[0, 0], [1]]},
        {"shown": [[9], [0]]},
        {"shown": [["a"], [0]]},
        {"shown": 3},
        {"shown": [0, 1]},
    ],
    ids=str,
)
def test_what_cannot_be_saved_is_refused(save, wrong):
    assert save({**SAVED, **wrong}) == {"error": "error.request"}
