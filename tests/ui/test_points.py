"""One notation for points of code space, on every tab."""

import pytest
import torch

from vae_demo import latent
from vae_demo.ui.exhibit import RequestError
from vae_demo.ui.points import MAX_COUNT, draws, noise, point

TILE = {"seed": 5, "index": 7, "temperature": 0.8}


def test_all_models_and_samplers_are_fed_the_same_noise(fake_zoo):
    wide, narrow = fake_zoo.model("ae"), fake_zoo.model("ae_2d")
    z = draws(wide, TILE, 9)
    assert torch.equal(z, noise(TILE, 9))
    assert torch.equal(draws(narrow, TILE, 9), z[:, :2])
    gaussian = wide.samplers.gaussian
    expected = gaussian.means[0] + z @ gaussian.choleskys[0].T
    torch.testing.assert_close(draws(wide, {**TILE, "sampler": "gaussian"}, 9), expected)


def test_a_class_uses_the_gaussian_of_that_class(fake_zoo):
    model = fake_zoo.model("vae")
    classes = model.samplers.classes
    spec = {**TILE, "sampler": "classes", "class": 4}
    expected = classes.means[4] + noise(TILE, 9) @ classes.choleskys[4].T
    torch.testing.assert_close(draws(model, spec, 9), expected)
    assert torch.equal(draws(model, {**spec, "temperature": 0}, 1)[0], classes.means[4])


def test_a_mixture_chooses_components_by_their_weight(fake_zoo):
    model = fake_zoo.model("ae")
    spec = {"seed": 1, "temperature": 0, "sampler": "mixture"}
    found = draws(model, spec, MAX_COUNT)
    means = model.samplers.mixture.means
    chosen = torch.cdist(found, means).argmin(1)
    assert torch.equal(found, means[chosen])
    assert len(chosen.unique()) == len(means)
    assert torch.equal(draws(model, spec, 7), found[:7])


@pytest.mark.parametrize("sampler", ["prior", "gaussian", "mixture", "classes"])
def test_a_tile_is_the_same_however_many_there_are(fake_zoo, sampler):
    spec = {**TILE, "sampler": sampler}
    model = fake_zoo.model("vae")
    assert torch.allclose(draws(model, spec, 3), draws(model, spec, MAX_COUNT)[:3], atol=1e-5)
    left, right = point(fake_zoo, fake_zoo.pair(), spec).codes
    torch.testing.assert_close(right, draws(model, spec, 8)[7])
    assert torch.equal(left, right) == (sampler == "prior")


def test_codes_can_be_written_out(fake_zoo):
    models = fake_zoo.pair(("vae", "ae_2d"))
    spec = {"codes": [[0.5] * 16, [1, -2]]}
    found = point(fake_zoo, models, spec)
    assert torch.equal(found.codes[0], torch.full((16,), 0.5))
    assert torch.equal(found.codes[1], torch.tensor([1.0, -2.0]))
    with torch.no_grad():
        x = models[1].coder.decode(found.codes[1][None]).sigmoid()
    torch.testing.assert_close(found.x, x)


def test_a_digit_a_model_has_not_encoded_is_encoded_now(fake_zoo):
    from dataclasses import replace

    model = fake_zoo.model("ae")
    few = replace(model, codes=replace(model.codes, mean=model.codes.mean[:10]))
    with torch.inference_mode():
        known, new = (point(fake_zoo, (few, few), {"digit": i}).codes[0] for i in (9, 10))
        assert torch.equal(known, model.codes.mean[9])
        assert torch.equal(new, model.coder.encode(fake_zoo.digit(10))[0])


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        {},
        {**TILE, "index": MAX_COUNT},
        {**TILE, "index": 0.5},
        {**TILE, "sampler": "posterior"},
        {**TILE, "sampler": ["prior"]},
        {**TILE, "sampler": "classes", "class": 10},
        {**TILE, "temperature": 2.1},
        {"class": 3},
        {"codes": [[0] * 16]},
        {"codes": [[0] * 16, [0] * 15]},
        {"codes": [[0] * 16, [float("nan")] * 16]},
        {"codes": [[0] * 16, ["0"] * 16]},
        {"codes": [[0] * 16, [1e5] * 16]},
        {"digit": 10**9},
    ],
)
def test_what_is_no_point_is_refused(fake_zoo, wrong):
    with pytest.raises(RequestError):
        point(fake_zoo, fake_zoo.pair(), wrong)


def test_in_component_matches_torch(generator):
    mixture = latent.fit_mixture(torch.randn(60, 3, generator=generator), 2, 0)
    chosen = torch.tensor([0, 1, 1])
    noise = torch.randn(3, 3, generator=generator)
    expected = [
        mixture.means[c] + mixture.choleskys[c] @ n for c, n in zip(chosen, noise, strict=True)
    ]
    torch.testing.assert_close(latent.in_component(mixture, noise, chosen), torch.stack(expected))
