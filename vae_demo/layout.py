"""python -m vae_demo.layout: encode MNIST with each model, lay the codes out with umap-learn, write
checkpoints/latent_map.npz.

    python -m vae_demo.layout        takes about half an hour on one core

Every map is turned to lie on the autoencoder's, so that what changes between two is the models'
doing. How true each map is stands in the file's card.
"""

import argparse
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_demo import checkpoints, data, latent_map
from vae_demo.checkpoints import CheckpointError
from vae_demo.images import render_strokes
from vae_demo.latent_map import (
    COMMAND,
    JUDGE,
    MODELS,
    PLANE,
    Codes,
    EncodedDigits,
    Points,
    encode,
    locate,
    on_plane,
    pca,
)
from vae_demo.losses import squared_error
from vae_demo.models import Coder, Judge
from vae_demo.projections import NEGATIVE_SAMPLES, fitted, motion
from vae_demo.yardstick import decoded, read

CPU = torch.device("cpu")
GRID = {"n_neighbors": (5, 15, 50), "min_dist": (0.0, 0.1, 0.5)}
PEN_STEP = 3  # every third pen digit, as in the report

LIBRARIES = ("umap-learn", "scikit-learn", "numba", "numpy", "torch")

Figures = dict[str, Any]
Settings = dict[str, Any]  # what `fitted` takes beside the codes


# How true a map is --------------------------------------------------------------------------------


def truth(codes: NDArray[np.float32], points: Points, labels: NDArray[np.uint8]) -> Figures:
    """How true a map (N, D) is to what it maps (N, Z), each in 0 … 1. Takes 2.6 GB of memory for
    10,000 digits.

    Returns:
        trustworthiness: of the 5 nearest points on the map, how near their codes are (Venna &
            Kaski 2001).
        knn_accuracy: digits whose 10 nearest points vote for their class, in 5-fold
            cross-validation.
    """
    from sklearn.manifold import trustworthiness
    from sklearn.model_selection import cross_val_score
    from sklearn.neighbors import KNeighborsClassifier

    trust = trustworthiness(codes, points, n_neighbors=5)
    votes = cross_val_score(KNeighborsClassifier(10), points, labels, cv=5)
    return {
        "trustworthiness": round(float(trust), 4),
        "knn_accuracy": round(float(votes.mean()), 4),
    }


def figures(codes: Codes, labels: NDArray[np.uint8]) -> Figures:
    """`truth` of a model's map, and of each lens it can be seen through."""
    mean, labels = codes.mean.numpy(), labels[: len(codes.mean)]
    if codes.plane:
        lenses = {"plane": codes.points}
    else:
        assert codes.solid is not None
        lenses = {"umap": codes.points, "umap3": codes.solid}
        lenses |= {
            "pca": pca(codes, 2).places(codes.mean),
            "pca3": pca(codes, 3).places(codes.mean),
        }
    found = {lens: truth(mean, points, labels) for lens, points in lenses.items()}
    return {**next(iter(found.values())), "lenses": found}


def placement(z: Tensor, refined: Points, codes: Codes) -> Figures:
    """How far `locate` puts codes z (B, Z) from where UMAP's own transform puts them (B, 2), as
    shares of the largest distance between two points of the map."""
    diameter = float(torch.pdist(torch.from_numpy(codes.points)).max())
    off = np.linalg.norm(locate(z, codes) - refined, axis=1) / diameter
    return {
        "count": len(off),
        "median": round(float(np.median(off)), 4),
        "percentile_95": round(float(np.percentile(off, 95)), 4),
    }


def pen_codes(model: Coder, root: Path | None) -> Tensor | None:
    """Codes of every third pen digit, as the page sees strokes; None where there are none."""
    try:
        strokes, _ = data.pen_digits(root)
    except data.DataError:
        return None
    x = torch.stack([render_strokes(digit) for digit in strokes[::PEN_STEP]])
    return encode(model, (255 * x).round().to(torch.uint8))[0]


def pictures(model: Coder, judge: Judge, mean: Tensor, images: Tensor) -> tuple[Points, Points]:
    """Of digits (N, 1, 28, 28) rebuilt from their codes (N, Z): the squared error, and how sure
    the judge is of what it reads; each (N,)."""
    x_hat = decoded(model, mean, CPU)
    error = squared_error(x_hat, images.float() / 255)
    return error.numpy(), read(judge, x_hat, CPU).confidence.numpy()


# Making them --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Layout:
    """A fitted `umap.UMAP`, turned and shifted."""

    umap: Any
    turn: NDArray[np.float64]
    shift: NDArray[np.float64]

    @property
    def points(self) -> Points:
        return self.moved(self.umap.embedding_)

    def transform(self, z: Tensor) -> Points:
        """Where umap-learn puts new codes (B, Z)."""
        return self.moved(self.umap.transform(z.numpy()))

    def moved(self, places: Points) -> Points:
        return (places @ self.turn + self.shift).astype(np.float32)


def lay_out(z: Tensor, settings: Settings, onto: Points | None) -> Layout:
    """Fit a map to codes (N, Z) and turn it to lie on the first N points of another; where there is
    none, bring its middle to 0."""
    umap = fitted(z, **settings)
    points = umap.embedding_
    target = points - points.mean(0) if onto is None else onto[: len(points)]
    return Layout(umap, *motion(points, target))


def maps_of_twin(
    flat: Layout, codes: Codes, model: Coder, train: Tensor, settings: Settings, root: Path | None
) -> tuple[Codes, Figures]:
    """A twin's codes with the training digits' places and the grid of maps; figures of placement.

    Args:
        flat: what laid its codes out.
        train: (N, 1, 28, 28), uint8.
    """
    z, _ = encode(model, train)
    training = flat.transform(z)
    found = {"training": placement(z, training, codes)}
    if (pen := pen_codes(model, root)) is not None:
        found["pen"] = placement(pen, flat.transform(pen), codes)
    say(f"  {len(z)} training digits placed: {found}")
    grid = {}
    for reach, tightness in product(*GRID.values()):
        changes = {"n_neighbors": int(reach), "min_dist": tightness}
        first = codes.mean[: latent_map.OTHERS]
        grid[int(reach), tightness] = lay_out(first, settings | changes, codes.points).points
        say(f"  {changes}")
    return replace(codes, training=training, grid=grid), {"placement": found}


def build(
    root: Path | None = None,
    folder: Path = checkpoints.SHIPPED,
    *,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
    negative_samples: int = NEGATIVE_SAMPLES,
    seed: int = 1,
) -> EncodedDigits:
    """Encode MNIST with the models of a folder and lay it out.

    Raises:
        CheckpointError: a twin or the judge is missing or damaged.
        data.DataError: no MNIST.
    """
    others = [name for name in checkpoints.coders(folder) if name not in MODELS]
    models = {name: checkpoints.load_coder(name, folder) for name in (*MODELS, *others)}
    judge = checkpoints.load(JUDGE, folder)
    if not isinstance(judge, Judge):
        raise CheckpointError(f"judge in {folder} is a {type(judge).__name__}: it reads nothing.")
    (images, targets), (train_images, train_targets) = (
        data.load(root, train=half) for half in (False, True)
    )
    labels, train_labels = (each.numpy().astype(np.uint8) for each in (targets, train_targets))
    settings: Settings = {
        "n_neighbors": n_neighbors,
        "min_dist": min_dist,
        "negative_samples": negative_samples,
        "seed": seed,
    }
    codes: dict[str, Codes] = {}
    found: dict[str, Figures] = {}
    for name, model in models.items():
        few = name not in MODELS and model.latent_size > PLANE
        shown = images[: latent_map.OTHERS] if few else images
        mean, logvar = shipped(encode(model, shown))
        error, confidence = pictures(model, judge, mean, shown)
        if model.latent_size <= PLANE:
            flat, points, solid = None, on_plane(mean), None
        else:
            say(f"{name}: laying out {len(mean)} codes in two and three dimensions …")
            onto = codes.get(MODELS[0])
            flat = lay_out(mean, settings, None if onto is None else onto.points)
            points = flat.points
            solid = lay_out(
                mean, settings | {"dimensions": 3}, None if onto is None else onto.solid
            ).points
        codes[name] = Codes(mean, logvar, points, n_neighbors, solid, error, confidence)
        found[name] = figures(codes[name], labels)
        say(f"{name}: {found[name]}")
        if flat and name in MODELS:
            codes[name], placed = maps_of_twin(
                flat, codes[name], model, train_images, settings, root
            )
            found[name] |= placed
    x = images.flatten(1).float() / 255
    say("pixels: laying out …")
    pixels = lay_out(x, settings, codes[MODELS[0]].points).points
    found["pixels"] = truth(x.numpy(), pixels, labels)
    say(f"pixels: {found['pixels']}")
    card = {
        "data": {
            "set": "MNIST",
            "test": data.digest(images),
            "train": data.digest(train_images),
        },
        "umap": {
            "n_neighbors": n_neighbors,
            "min_dist": min_dist,
            "negative_sample_rate": negative_samples,
            "metric": "euclidean",
            "seed": seed,
        },
        "grid": GRID,
        **{
            f"{name}_weights_sha256": checkpoints.read_card(name, folder)["weights_sha256"]
            for name in (*models, JUDGE)
        },
        "command": f"{COMMAND} --n-neighbors {n_neighbors} --min-dist {min_dist:g} "
        f"--negative-samples {negative_samples} --seed {seed}",
        "versions": {name: version(name) for name in LIBRARIES},
        "figures": found,
    }
    return EncodedDigits(labels, codes, card, train_labels, pixels)


def shipped(encoded: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
    """Codes as the file will hold them."""
    mean, logvar = encoded
    return mean.half().float(), None if logvar is None else logvar.half().float()


def say(words: str) -> None:
    print(time.strftime("%H:%M:%S"), words, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog=COMMAND, description="Encode MNIST with each model and lay the codes out."
    )
    data.add_argument(parser)
    parser.add_argument(
        "--folder", type=Path, default=checkpoints.SHIPPED, help="checkpoint folder"
    )
    parser.add_argument("--n-neighbors", type=int, default=15)
    parser.add_argument("--min-dist", type=float, default=0.1)
    parser.add_argument("--negative-samples", type=int, default=NEGATIVE_SAMPLES)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    try:
        digits = build(
            arguments.data,
            arguments.folder,
            n_neighbors=arguments.n_neighbors,
            min_dist=arguments.min_dist,
            negative_samples=arguments.negative_samples,
            seed=arguments.seed,
        )
    except (CheckpointError, data.DataError) as error:
        parser.exit(1, f"{error}\n")
    path = latent_map.save(digits, arguments.folder)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
