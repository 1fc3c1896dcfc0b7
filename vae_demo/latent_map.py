"""The encoded test set and its map: where every test digit lies in each model's code space.

    python -m vae_demo.latent_map        encode, lay out, write checkpoints/latent_map.npz

The app only loads that file. A new code is placed by the first half of UMAP's own transform
(McInnes, Healy & Melville 2018, arXiv:1802.03426): the mean of its nearest codes' points, weighted
by fuzzy membership. UMAP would then refine the place by gradient steps; here it stays.
"""

import argparse
import io
import json
import math
import zipfile
import zlib
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_demo import checkpoints, data
from vae_demo.checkpoints import CheckpointError
from vae_demo.models import Coder, VariationalAutoencoder
from vae_demo.projections import NEGATIVE_SAMPLES, fit, orient

FILE = "latent_map.npz"
COMMAND = "python -m vae_demo.latent_map"
MODELS = ("ae", "vae")  # must be there, with all test digits
PLANE = 2  # codes of so many numbers are their own map
OTHERS = 2_000  # test digits of any other model; a plane needs no UMAP and holds all
HALF_ROUNDING = 2.0**-11  # largest relative error of a number stored as float16

# What np.load was seen to raise on truncated, altered and foreign files.
UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    RuntimeError,
    SyntaxError,
    zipfile.BadZipFile,
    zlib.error,
)

Points = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Codes:
    """What one model made of the first N test digits, in the order of MNIST's test file.

    Attributes:
        mean: (N, Z) float32 codes; for a VAE the posterior means.
        logvar: (N, Z) float32 log-variances of the posterior; None for an AE.
        points: (N, 2) float32 places on the map: a UMAP, whose axes have no meaning and no unit;
            codes of one or two numbers are their own map.
        n_neighbors: UMAP's own, ≥ 3; `locate` uses as many.
        solid: (N, 3) float32 places on a UMAP of three dimensions; None for codes that are their
            own map.
        error: (N,) float32 squared error, mean per pixel, of the digit rebuilt from its code.
        confidence: (N,) float32 probability the judge gives what it reads in that picture.
        training: (60000, 2) float32 places of MNIST's training digits on the map, by UMAP's own
            transform; None but for the twins.
        grid: maps of the first digits, (n, 2) float32, by (n_neighbors, min_dist); empty but for
            the twins.
    """

    mean: Tensor
    logvar: Tensor | None
    points: Points
    n_neighbors: int
    solid: Points | None = None
    error: Points | None = None
    confidence: Points | None = None
    training: Points | None = None
    grid: dict[tuple[int, float], Points] = field(default_factory=dict)

    @property
    def plane(self) -> bool:
        """Whether the map's axes are the numbers of the codes."""
        return self.mean.shape[1] <= PLANE


@dataclass(frozen=True, eq=False)
class EncodedDigits:
    """The test digits as the models see them.

    Attributes:
        labels: (N,) uint8 in 0 … 9.
        codes: by the model's name; "ae" and "vae" have all, others may have fewer.
        card: how the map was made: UMAP's settings, weights, versions, figures.
        training_labels: (60000,) uint8, of MNIST's training digits.
        pixels: (N, 2) float32 places on a UMAP of the digits' pixels, no model between.
    """

    labels: NDArray[np.uint8]
    codes: dict[str, Codes]
    card: dict[str, Any]
    training_labels: NDArray[np.uint8] | None = None
    pixels: Points | None = None


# The file -----------------------------------------------------------------------------------------


def save(digits: EncodedDigits, folder: str | Path) -> Path:
    """Write the map, codes rounded to float16, in one step."""
    arrays: dict[str, NDArray[Any]] = {"labels": digits.labels}
    for name, codes in digits.codes.items():
        arrays[f"{name}_mean"] = codes.mean.half().numpy()
        if codes.logvar is not None:
            arrays[f"{name}_logvar"] = codes.logvar.half().numpy()
        arrays[f"{name}_umap"] = codes.points
    arrays["card"] = np.array(json.dumps(digits.card))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    path = Path(folder) / FILE
    checkpoints.write_atomically(path, buffer.getvalue())
    return path


def load(folder: str | Path = checkpoints.SHIPPED) -> EncodedDigits:
    """Read the map that belongs to the checkpoints in the same folder.

    Raises:
        CheckpointError: the file is missing, damaged, or was made with other weights.
    """
    path = Path(folder) / FILE
    hint = f"Rebuild it with `{COMMAND} --folder {folder}`, or restore it with git."
    try:
        # From memory: np.load would leave a damaged file open.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            arrays = {key: np.asarray(archive[key]) for key in archive.files}
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing. {hint}") from None
    except UNREADABLE as error:
        raise CheckpointError(f"{path} is damaged or no .npz file ({error}). {hint}") from error
    needed = {"labels", "card", "vae_logvar"}
    needed |= {f"{name}_{kind}" for name in MODELS for kind in ("mean", "umap")}
    if missing := needed - set(arrays):
        raise CheckpointError(f"{path} lacks {sorted(missing)}. {hint}")
    try:
        card = json.loads(str(arrays["card"]))
        n_neighbors = int(card["umap"]["n_neighbors"])
        digests = {name: card[f"{name}_weights_sha256"] for name in MODELS}
        others = checkpoints.available(folder)
        digests |= {name: card[key] for name in others if (key := f"{name}_weights_sha256") in card}
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} has an unreadable card ({error!r}). {hint}") from error
    codes = {}
    for name in digests:
        model_card = checkpoints.read_card(name, folder)
        if digests[name] != model_card["weights_sha256"]:
            raise CheckpointError(f"{path} was made with other weights of {name!r}. {hint}")
        check_shapes(arrays, name, model_card, n_neighbors, path, hint)
        logvar = arrays.get(f"{name}_logvar")
        codes[name] = Codes(
            mean=torch.from_numpy(arrays[f"{name}_mean"].astype(np.float32)),
            logvar=None if logvar is None else torch.from_numpy(logvar.astype(np.float32)),
            points=arrays[f"{name}_umap"].astype(np.float32),
            n_neighbors=n_neighbors,
        )
    return EncodedDigits(labels=arrays["labels"], codes=codes, card=card)


def check_shapes(
    arrays: dict[str, NDArray[Any]],
    name: str,
    model_card: dict[str, Any],
    n_neighbors: int,
    path: Path,
    hint: str,
) -> None:
    """Raise CheckpointError unless labels and one model's arrays fit each other and its card."""
    total = len(np.atleast_1d(arrays["labels"]))
    count = total if name in MODELS else min(total, len(np.atleast_1d(arrays[f"{name}_mean"])))
    size = model_card.get("latent_size", 0)
    expected = {
        "labels": ((total,), "u"),
        f"{name}_mean": ((count, size), "f"),
        f"{name}_logvar": ((count, size), "f"),
        f"{name}_umap": ((count, 2), "f"),
    }
    for key, (shape, kind) in expected.items():
        array = arrays.get(key)
        if array is None:
            continue
        if array.shape != shape or array.dtype.kind != kind:
            raise CheckpointError(
                f"{path}: {key} should be {'float' if kind == 'f' else 'unsigned'} {shape}, "
                f"is {array.dtype} {array.shape}. {hint}"
            )
        if not np.isfinite(array).all():
            raise CheckpointError(f"{path}: {key} holds numbers that are not finite. {hint}")
    if total and arrays["labels"].max() > 9:
        raise CheckpointError(f"{path}: labels should be in 0 … 9. {hint}")
    if not 3 <= n_neighbors <= count:
        raise CheckpointError(
            f"{path}: n_neighbors should be in 3 … {count}, is {n_neighbors}. {hint}"
        )


# Places -------------------------------------------------------------------------------------------


def nearest(z: Tensor, codes: Codes, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The test digits whose codes are nearest, by Euclidean distance.

    Args:
        z: (B, Z), any device.
        k: 1 … N.

    Returns:
        Indices (B, k) into the test set and distances (B, k), nearest first.

    Raises:
        ValueError: z does not fit the codes or is not finite, or k is out of range.
    """
    count, size = codes.mean.shape
    if z.ndim != 2 or z.shape[1] != size:
        raise ValueError(f"expected z (B, {size}), got {tuple(z.shape)}")
    if not 1 <= k <= count:
        raise ValueError(f"expected k in 1 … {count}, got {k}")
    z = z.detach().to(codes.mean)
    if not z.isfinite().all():
        raise ValueError("expected finite z, got NaN or infinity")
    indices, distances = [], []
    for part in z.split(256):  # bounds the distances held at once to 256 × N
        # The product form loses a short distance between far codes to rounding.
        all_distances = torch.cdist(part, codes.mean, compute_mode="donot_use_mm_for_euclid_dist")
        found = all_distances.topk(k, largest=False)
        indices.append(found.indices.numpy())
        distances.append(found.values.numpy())
    if not indices:
        return np.empty((0, k), np.int64), np.empty((0, k), np.float32)
    return np.concatenate(indices), np.concatenate(distances)


def locate(z: Tensor, codes: Codes) -> Points:
    """Where codes lie on the map: approximate, at once, without UMAP. Codes of one or two numbers
    are their own place.

    A code that is one of the test set's, up to the rounding of the file, lies at that digit's
    point, as it does in UMAP.

    Args:
        z: (B, Z), any device.

    Returns:
        (B, 2), on a UMAP within the convex hull of its points.

    Raises:
        ValueError: z does not fit the codes or is not finite.
    """
    if codes.plane:
        nearest(z, codes, 1)  # checks z
        return on_plane(z)
    indices, distances = nearest(z, codes, codes.n_neighbors)
    weights = membership(distances)
    weights /= weights.sum(1, keepdims=True)
    places = np.einsum("bk,bkd->bd", weights, codes.points[indices]).astype(np.float32)
    same = distances[:, 0] <= HALF_ROUNDING * z.detach().norm(dim=1).cpu().numpy()
    places[same] = codes.points[indices[same, 0]]
    return places


def on_plane(z: Tensor) -> Points:
    """Codes z (B, Z) of one or two numbers as places (B, 2)."""
    return np.pad(z.detach().cpu().numpy(), ((0, 0), (0, PLANE - z.shape[1]))).astype(np.float32)


def middles(codes: Codes, labels: NDArray[np.uint8]) -> list[list[float] | None]:
    """Where the name of each class belongs: the median of its places; None for a class of none."""
    labels = labels[: len(codes.points)]
    classes = [codes.points[labels == label] for label in range(10)]
    return [np.median(one, axis=0).tolist() if len(one) else None for one in classes]


def membership(distances: NDArray[np.float32]) -> NDArray[np.float64]:
    """UMAP's fuzzy membership exp(−d/σ) of a new point's neighbours.

    As in `umap.UMAP.transform`, nothing is taken off the nearest distance (ρ = 0), and σ makes the
    weights of all neighbours but the nearest sum to log2(k). UMAP bisects for σ; the sum is convex
    and falling in 1/σ, so Newton's steps from 0 climb to the same root and never pass it.

    Args:
        distances: (B, k) ≥ 0, ascending, k ≥ 3.

    Returns:
        (B, k) in (0, 1].
    """
    d = distances.astype(np.float64)
    others = d[:, 1:]
    # UMAP keeps σ above a thousandth of the mean distance; the rest guards a row of zeros.
    mean = np.maximum(d.mean(1, keepdims=True), np.finfo(np.float32).tiny)
    limit = 1e3 / mean
    inverse = np.zeros_like(mean)  # 1/σ
    for _ in range(64):
        terms = np.exp(-inverse * others)
        excess = terms.sum(1, keepdims=True) - math.log2(d.shape[1])
        slope = np.maximum((terms * others).sum(1, keepdims=True), 1e-9 * mean)
        inverse = np.minimum(inverse + excess / slope, limit)
        if np.all((excess < 1e-6) | (inverse >= limit)):
            break
    return np.exp(-inverse * d)


# Making the map -----------------------------------------------------------------------------------


@torch.no_grad()
def encode(
    model: Coder, images: Tensor, device: str | torch.device = "cpu"
) -> tuple[Tensor, Tensor | None]:
    """Codes of pictures (N, 1, 28, 28), uint8; each (N, Z) float32 on the CPU.

    Returns:
        Means and log-variances for a VAE, codes and None for any other.
    """
    means, logvars = [], []
    for part in images.split(500):
        x = part.to(device).float() / 255
        if isinstance(model, VariationalAutoencoder):
            mean, logvar = model.posterior(x)
            logvars.append(logvar.cpu())
        else:
            mean = model.encode(x)
        means.append(mean.cpu())
    return torch.cat(means), torch.cat(logvars) if logvars else None


def figures(codes: Codes, labels: NDArray[np.uint8]) -> dict[str, float]:
    """How true a map is to its codes, each in 0 … 1. Takes 2.6 GB of memory for 10,000 codes.

    Returns:
        trustworthiness: of the 5 nearest points on the map, how near their codes are (Venna &
            Kaski 2001).
        knn_accuracy: digits whose 10 nearest points vote for their class, in 5-fold
            cross-validation.
    """
    from sklearn.manifold import trustworthiness
    from sklearn.model_selection import cross_val_score
    from sklearn.neighbors import KNeighborsClassifier

    trust = trustworthiness(codes.mean.numpy(), codes.points, n_neighbors=5)
    votes = cross_val_score(KNeighborsClassifier(10), codes.points, labels, cv=5)
    return {
        "trustworthiness": round(float(trust), 4),
        "knn_accuracy": round(float(votes.mean()), 4),
    }


def build(
    root: Path | None = None,
    folder: Path = checkpoints.SHIPPED,
    *,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
    negative_samples: int = NEGATIVE_SAMPLES,
    seed: int = 1,
) -> EncodedDigits:
    """Encode the test digits with the models of a folder and lay them out.

    Raises:
        CheckpointError: a twin is missing or damaged.
        data.DataError: no MNIST.
    """
    others = [name for name in checkpoints.coders(folder) if name not in MODELS]
    models = {name: checkpoints.load_coder(name, folder) for name in (*MODELS, *others)}
    images, targets = data.load(root, train=False)
    labels = targets.numpy().astype(np.uint8)
    settings = {
        "n_neighbors": n_neighbors,
        "min_dist": min_dist,
        "negative_sample_rate": negative_samples,
        "metric": "euclidean",
        "seed": seed,
    }
    card: dict[str, Any] = {
        "data": {"set": "MNIST test", "sha256": data.digest(images)},
        "umap": settings,
        **{
            f"{name}_weights_sha256": checkpoints.read_card(name, folder)["weights_sha256"]
            for name in models
        },
        "command": f"{COMMAND} --n-neighbors {n_neighbors} --min-dist {min_dist:g} "
        f"--negative-samples {negative_samples} --seed {seed}",
        "versions": {name: version(name) for name in ("umap-learn", "numpy", "torch")},
        "figures": {},
    }
    codes: dict[str, Codes] = {}
    for name, model in models.items():
        plane = model.latent_size <= PLANE
        shown = images if name in MODELS or plane else images[:OTHERS]
        mean, logvar = (
            None if part is None else part.half().float() for part in encode(model, shown)
        )
        assert mean is not None
        if plane:
            points = on_plane(mean)
        else:
            print(f"{name}: laying out {len(mean)} codes with UMAP …", flush=True)
            points = fit(mean, n_neighbors, min_dist, seed=seed, negative_samples=negative_samples)
            points -= points.mean(0)
            if codes:
                points = orient(points, codes[MODELS[0]].points[: len(points)])
        codes[name] = Codes(mean, logvar, points, n_neighbors)
        card["figures"][name] = figures(codes[name], labels[: len(mean)])
        print(f"{name}: " + "  ".join(f"{k} {v:.3f}" for k, v in card["figures"][name].items()))
    return EncodedDigits(labels, codes, card)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog=COMMAND, description="Encode the test digits with each model and lay them out."
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
    path = save(digits, arguments.folder)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
