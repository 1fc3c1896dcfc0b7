"""The zoo: every model that ships, and the options it is trained with."""

from functools import partial
from typing import NamedTuple

from vae_demo import objectives
from vae_demo.models import (
    HIDDEN,
    LATENT_SIZE,
    WIDTH,
    Autoencoder,
    Judge,
    LinearAutoencoder,
    VariationalAutoencoder,
)
from vae_demo.objectives import Objective

KINDS = ("autoencoder", "variational", "linear", "pca", "judge")
LIKELIHOODS = ("bernoulli", "gaussian")
BENDINGS = ("none", "fading", "strong")


class Recipe(NamedTuple):
    """All that decides a training run besides the data; each field is an option of the command.

    Attributes:
        kind: of model, one of `KINDS`; "pca" is computed, not trained.
        latent: numbers in a code.
        width, hidden: of the convolutions and the dense layers, see `Autoencoder`.
        beta: weight of the KL.
        likelihood: of a pixel, one of `LIKELIHOODS`.
        corruption: a damage the model is to mend, a key of `CORRUPTIONS`; None for none.
        contractive: weight λ of the slope of the encoder.
        stochastic: whether that slope is felt out with noise instead of computed.
        stacked: whether the floors are first trained one by one.
        bending: how digits are bent: not at all, ever less, or strongly.
        epochs, batch, lr: passes over the data, pictures a step, peak of the learning rate.
    """

    kind: str = "autoencoder"
    latent: int = LATENT_SIZE
    width: int = WIDTH
    hidden: int = HIDDEN
    beta: float = 1.0
    likelihood: str = "bernoulli"
    corruption: str | None = None
    contractive: float = 0.0
    stochastic: bool = False
    stacked: bool = False
    bending: str = "fading"
    epochs: int = 40
    batch: int = 64
    lr: float = 1.5e-3
    seed: int = 1


TWINS = {"ae": Recipe(), "vae": Recipe(kind="variational")}

# The others are smaller, and compared with each other: `vae_beta1` is their measure, not `vae`.
SMALL = Recipe(width=16, hidden=128, bending="none", epochs=6)
SMALL_VAE = SMALL._replace(kind="variational")

ZOO = {
    **TWINS,
    "judge": Recipe(kind="judge", bending="strong", epochs=12, batch=128, lr=1e-3),
    "ae_2d": SMALL._replace(latent=2, epochs=8),
    "vae_2d": SMALL_VAE._replace(latent=2, epochs=8),
    "ae_1d": SMALL._replace(latent=1),
    "pca": SMALL._replace(kind="pca"),
    "linear_ae": SMALL._replace(kind="linear", epochs=60),
    "denoising_ae": SMALL._replace(corruption="noise"),
    "superres_ae": SMALL._replace(corruption="lowres"),
    "jigsaw_ae": SMALL._replace(corruption="jigsaw"),
    "stacked_ae": SMALL._replace(stacked=True),
    "contractive_ae": SMALL._replace(contractive=1.0),
    "stochastic_contractive_ae": SMALL._replace(contractive=1.0, stochastic=True),
    "vae_beta0": SMALL_VAE._replace(beta=0.0),
    "vae_beta0.1": SMALL_VAE._replace(beta=0.1),
    "vae_beta1": SMALL_VAE,
    "vae_beta4": SMALL_VAE._replace(beta=4.0),
    "vae_beta16": SMALL_VAE._replace(beta=16.0),
    "vae_mse": SMALL_VAE._replace(likelihood="gaussian"),
}


def new_model(recipe: Recipe) -> Autoencoder | LinearAutoencoder | Judge:
    """A model with the weights it starts from; they come from torch's global generator."""
    match recipe.kind:
        case "judge":
            return Judge()
        case "linear" | "pca":
            return LinearAutoencoder(recipe.latent)
        case "variational":
            return VariationalAutoencoder(recipe.latent, recipe.width, recipe.hidden)
        case "autoencoder":
            return Autoencoder(recipe.latent, recipe.width, recipe.hidden)
    raise ValueError(f"expected a kind of {KINDS}, got {recipe.kind!r}")


def objective(recipe: Recipe) -> Objective:
    """What the recipe minimises."""
    if recipe.kind == "judge":
        return objectives.judge
    if recipe.kind in ("linear", "pca"):
        return objectives.linear
    if recipe.kind == "variational":
        return partial(objectives.vae, beta=recipe.beta, likelihood=recipe.likelihood)
    if recipe.stacked:
        return objectives.stacked
    if recipe.contractive and recipe.stochastic:
        return partial(objectives.stochastic_contractive, weight=recipe.contractive)
    if recipe.contractive:
        return partial(objectives.contractive, weight=recipe.contractive)
    return objectives.autoencoder
