"""The encoded test set and its maps: where every test digit lies in each model's code space.

`python -m vae_demo.layout` makes checkpoints/latent_map.npz, the app only loads it. A new code is
placed by the first half of UMAP's own transform (McInnes, Healy & Melville 2018, arXiv:1802.03426):
the mean of its nearest codes' points, weighted by fuzzy membership. UMAP would then refine the
place by gradient steps; here it stays.
"""

import io
import json
import math
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_demo import checkpoints, projections
from vae_demo.checkpoints import CheckpointError
from vae_demo.models import Coder, VariationalAutoencoder

FILE = "latent_map.npz"
COMMAND = "python -m vae_demo.layout"
MODELS = ("ae", "vae")  # must be there, with all test digits
JUDGE = "judge"
PLANE = 2  # codes of so many numbers are their own map
OTHERS = 2_000  # test digits of any other model, and on a grid of maps; a plane holds all
METRICS = projections.METRICS
HALF_ROUNDING = 2.0**-11  # largest relative error of a number stored as float16
STEPS = 2**16 - 1  # a place is stored in so many equal steps from the least to the greatest
SURE = 2**8 - 1  # a probability of 1 as it is stored

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

Arrays = dict[str, NDArray[Any]]
Points = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Codes:
    """What one model made of the first N test digits, in the order of MNIST's test file.

    What may be None is so too where a map was made without it.

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
    """Write the map in one step, rounded: codes and errors to float16, a probability to a 255th,
    a place to a 65,535th of the extent of its map."""
    arrays: Arrays = {"labels": digits.labels}
    if digits.training_labels is not None:
        arrays["training_labels"] = digits.training_labels
    if digits.pixels is not None:
        arrays |= rounded("pixels", digits.pixels)
    for name, codes in digits.codes.items():
        arrays[f"{name}_mean"] = codes.mean.half().numpy()
        if codes.logvar is not None:
            arrays[f"{name}_logvar"] = codes.logvar.half().numpy()
        if not codes.plane:
            arrays |= rounded(f"{name}_umap", codes.points)
        if codes.solid is not None:
            arrays |= rounded(f"{name}_umap3", codes.solid)
        if codes.error is not None:
            arrays[f"{name}_error"] = codes.error.astype(np.float16)
        if codes.confidence is not None:
            arrays[f"{name}_confidence"] = np.rint(SURE * codes.confidence).astype(np.uint8)
        if codes.training is not None:
            arrays |= rounded(f"{name}_training", codes.training)
        if codes.grid:
            arrays |= rounded(f"{name}_grid", np.stack([*codes.grid.values()]))
    arrays["card"] = np.array(json.dumps(digits.card))
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, allow_pickle=False, **{key: shuffled(array) for key, array in arrays.items()}
    )
    path = Path(folder) / FILE
    checkpoints.write_atomically(path, buffer.getvalue())
    return path


def rounded(key: str, points: Points) -> Arrays:
    """Places (…, N, D) as they are stored: in steps, and the extent (…, 2, D) that these divide."""
    extent = np.stack([points.min(-2), points.max(-2)], -2).astype(np.float32)
    low, high = np.split(extent.astype(np.float64), 2, axis=-2)
    steps = (points - low) / np.maximum(high - low, np.finfo(np.float32).tiny) * STEPS
    return {key: np.rint(steps).astype(np.uint16), f"{key}_extent": extent}


def shuffled(array: NDArray[Any], *, back: bool = False) -> NDArray[Any]:
    """Numbers of 16 bits, all low bytes before all high bytes, as HDF5's shuffle filter has them:
    high bytes are alike, and the file gets a twentieth smaller. Other numbers as they are."""
    if array.dtype not in (np.float16, np.uint16):
        return array
    row = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    pairs = row.reshape((2, -1) if back else (-1, 2))
    return np.ascontiguousarray(pairs.T).reshape(-1).view(array.dtype).reshape(array.shape)


def restored(arrays: Arrays, key: str) -> Points | None:
    """What `rounded` stored, to half a step; None if it is not there."""
    if key not in arrays:
        return None
    low, high = np.split(arrays[f"{key}_extent"].astype(np.float64), 2, axis=-2)
    return (low + arrays[key] / STEPS * (high - low)).astype(np.float32)


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
            arrays = {key: shuffled(archive[key], back=True) for key in archive.files}
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing. {hint}") from None
    except UNREADABLE as error:
        raise CheckpointError(f"{path} is damaged or no .npz file ({error}). {hint}") from error
    try:
        return unpacked(arrays, folder)
    except ValueError as error:
        raise CheckpointError(f"{path} {error}. {hint}") from error


def unpacked(arrays: Arrays, folder: str | Path) -> EncodedDigits:
    """The arrays of a file as digits.

    Raises:
        ValueError: they do not fit each other or the models of the folder.
        CheckpointError: the card of a model is missing or damaged.
    """
    require(arrays, ["card", "labels", "vae_logvar"])
    try:
        card = json.loads(str(arrays["card"]))
        n_neighbors = int(card["umap"]["n_neighbors"])
        digests = {name: card[f"{name}_weights_sha256"] for name in MODELS}
        others = checkpoints.available(folder)
        digests |= {name: card[key] for name in others if (key := f"{name}_weights_sha256") in card}
        grid = card.get("grid", {"n_neighbors": [], "min_dist": []})
        settings = [*product(map(int, grid["n_neighbors"]), map(float, grid["min_dist"]))]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"has an unreadable card ({error!r})") from error
    model_cards = {name: checkpoints.read_card(name, folder) for name in digests}
    for name, digest in digests.items():
        if digest != model_cards[name]["weights_sha256"]:
            raise ValueError(f"was made with other weights of {name!r}")

    total, trained = (
        arrays[key].size if key in arrays else 0 for key in ("labels", "training_labels")
    )
    check(arrays, "labels", (total,), np.uint8)
    check(arrays, "training_labels", (trained,), np.uint8)
    check_places(arrays, "pixels", (total, 2))
    for key in ("labels", "training_labels"):
        if key in arrays and arrays[key].max(initial=0) > 9:
            raise ValueError(f"has {key} that should be in 0 … 9")
    codes = {}
    for name, model_card in model_cards.items():
        if name == JUDGE:
            continue
        size = model_card.get("latent_size", 0)
        require(arrays, [f"{name}_mean", *([f"{name}_umap"] if size > PLANE else [])])
        count = total if name in MODELS else min(total, len(np.atleast_1d(arrays[f"{name}_mean"])))
        if not 3 <= n_neighbors <= count:
            raise ValueError(f"has n_neighbors {n_neighbors} that should be in 3 … {count}")
        check(arrays, f"{name}_mean", (count, size), np.float16)
        check(arrays, f"{name}_logvar", (count, size), np.float16)
        check(arrays, f"{name}_error", (count,), np.float16)
        check(arrays, f"{name}_confidence", (count,), np.uint8)
        check_places(arrays, f"{name}_umap", (count, 2))
        check_places(arrays, f"{name}_umap3", (count, 3))
        check_places(arrays, f"{name}_training", (trained, 2))
        check_places(arrays, f"{name}_grid", (len(settings), min(count, OTHERS), 2))
        codes[name] = codes_of(name, arrays, n_neighbors, settings)
    return EncodedDigits(
        labels=arrays["labels"],
        codes=codes,
        card=card,
        training_labels=arrays.get("training_labels"),
        pixels=restored(arrays, "pixels"),
    )


def codes_of(
    name: str, arrays: Arrays, n_neighbors: int, settings: Iterable[tuple[int, float]]
) -> Codes:
    """One model's part of the file, once checked."""

    def wide(kind: str) -> Points | None:
        key = f"{name}_{kind}"
        return arrays[key].astype(np.float32) if key in arrays else None

    mean = torch.from_numpy(arrays[f"{name}_mean"].astype(np.float32))
    logvar, confidence = wide("logvar"), wide("confidence")
    points = restored(arrays, f"{name}_umap")
    grid = restored(arrays, f"{name}_grid")
    return Codes(
        mean=mean,
        logvar=None if logvar is None else torch.from_numpy(logvar),
        points=on_plane(mean) if points is None else points,
        n_neighbors=n_neighbors,
        solid=restored(arrays, f"{name}_umap3"),
        error=wide("error"),
        confidence=None if confidence is None else confidence / np.float32(SURE),
        training=restored(arrays, f"{name}_training"),
        grid={} if grid is None else dict(zip(settings, grid, strict=True)),
    )


def require(arrays: Arrays, keys: Iterable[str]) -> None:
    if missing := set(keys) - set(arrays):
        raise ValueError(f"lacks {sorted(missing)}")


def check(arrays: Arrays, key: str, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    """Raise ValueError if an array is there and not what it should be."""
    if (array := arrays.get(key)) is None:
        return
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(
            f"has {key} that should be {dtype.__name__} {shape}, is {array.dtype} {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"has numbers in {key} that are not finite")


def check_places(arrays: Arrays, key: str, shape: tuple[int, ...]) -> None:
    check(arrays, key, shape, np.uint16)
    check(arrays, f"{key}_extent", (*shape[:-2], 2, shape[-1]), np.float32)
    require(arrays, [f"{key}_extent"] if key in arrays else [])


# Places -------------------------------------------------------------------------------------------


def nearest(
    z: Tensor, codes: Codes, k: int, metric: str = "euclidean"
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The test digits whose codes are nearest.

    Args:
        z: (B, Z), any device.
        k: 1 … N.
        metric: one of METRICS.

    Returns:
        Indices (B, k) into the test set and distances (B, k), nearest first.

    Raises:
        ValueError: z does not fit the codes or is not finite, k is out of range, or there is no
            such metric.
    """
    count, size = codes.mean.shape
    if z.ndim != 2 or z.shape[1] != size:
        raise ValueError(f"expected z (B, {size}), got {tuple(z.shape)}")
    if not 1 <= k <= count:
        raise ValueError(f"expected k in 1 … {count}, got {k}")
    if metric not in METRICS:
        raise ValueError(f"expected one of {METRICS}, got {metric!r}")
    z = z.detach().to(codes.mean)
    if not z.isfinite().all():
        raise ValueError("expected finite z, got NaN or infinity")
    among, z = (directions(rows, metric) for rows in (codes.mean, z))
    indices, distances = [], []
    for part in z.split(256):  # bounds the distances held at once to 256 × N
        # The product form loses a short distance between far codes to rounding.
        all_distances = torch.cdist(
            part,
            among,
            p=1.0 if metric == "manhattan" else 2.0,
            compute_mode="donot_use_mm_for_euclid_dist",
        )
        found = all_distances.topk(k, largest=False)
        indices.append(found.indices.numpy())
        distances.append(found.values.numpy())
    if not indices:
        return np.empty((0, k), np.int64), np.empty((0, k), np.float32)
    apart = np.concatenate(distances)
    if metric in ("cosine", "correlation"):
        apart = apart**2 / 2  # 1 − cos of the angle, as |u − v|² = 2 − 2 cos for unit vectors
    return np.concatenate(indices), apart


def directions(codes: Tensor, metric: str) -> Tensor:
    """Codes (N, Z) as unit vectors for a metric of angles, as they are for any other."""
    if metric == "correlation":
        codes = codes - codes.mean(1, keepdim=True)
    if metric in ("cosine", "correlation"):
        codes = torch.nn.functional.normalize(codes)
    return codes


def neighbours(
    z: Tensor, codes: Codes, k: int, metric: str = "euclidean"
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The nearest codes, and how far UMAP would count each as a neighbour.

    A code that is one of the test set's, up to the rounding of the file, has no other neighbour:
    UMAP leaves such a digit where it lies.

    Args:
        z: (B, Z), any device.
        k: 1 … N.
        metric: one of METRICS.

    Returns:
        Indices (B, k) into the test set, nearest first, and weights (B, k) whose rows sum to 1.

    Raises:
        ValueError: as `nearest`.
    """
    indices, distances = nearest(z, codes, k, metric)
    weights = membership(distances)
    weights /= weights.sum(1, keepdims=True)
    z = z.detach().to(codes.mean)
    off = (codes.mean[torch.from_numpy(indices)] - z[:, None]).norm(dim=2)
    same = (off.amin(1) <= HALF_ROUNDING * z.norm(dim=1)).numpy()
    weights[same] = np.eye(k)[off.argmin(1).numpy()[same]]
    return indices, weights.astype(np.float32)


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
    indices, weights = neighbours(z, codes, codes.n_neighbors)
    return np.einsum("bk,bkd->bd", weights, codes.points[indices], dtype=np.float64).astype(
        np.float32
    )


def on_plane(z: Tensor) -> Points:
    """Codes z (B, Z) of one or two numbers as places (B, 2)."""
    return np.pad(z.detach().cpu().numpy(), ((0, 0), (0, PLANE - z.shape[1]))).astype(np.float32)


def middles(points: Points, labels: NDArray[np.uint8]) -> list[list[float] | None]:
    """Where the name of each class belongs: the median of its places; None for a class of none."""
    labels = labels[: len(points)]
    classes = [points[labels == label] for label in range(10)]
    return [np.median(one, axis=0).tolist() if len(one) else None for one in classes]


def gaps(codes: Codes, labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How far each code is from the nearest of another class, by Euclidean distance.

    Args:
        labels: of at least the N digits.

    Returns:
        (N,), infinite where there is no other class.
    """
    classes = torch.from_numpy(labels[: len(codes.mean)])
    found = torch.full((len(classes),), math.inf)
    for label in classes.unique():
        own = classes == label
        others = codes.mean[~own]
        if len(others):
            found[own] = torch.cat(
                [
                    torch.cdist(part, others, compute_mode="donot_use_mm_for_euclid_dist").amin(1)
                    for part in codes.mean[own].split(256)
                ]
            )
    return found.numpy()


def membership(distances: NDArray[np.float32]) -> NDArray[np.float64]:
    """UMAP's fuzzy membership exp(−d/σ) of a new point's neighbours.

    As in `umap.UMAP.transform`, nothing is taken off the nearest distance (ρ = 0), and σ makes the
    weights of all neighbours but the nearest sum to log2(k). UMAP bisects for σ; the sum is convex
    and falling in 1/σ, so Newton's steps from 0 climb to the same root and never pass it.

    Args:
        distances: (B, k) ≥ 0, ascending.

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


# Planes through code space ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Plane:
    """A flat map of D axes at right angles, through the mean of codes.

    Attributes:
        mean: (Z,)
        axes: (Z, D), each of length 1.
        explained: (D,) share of the codes' variance along each axis.
    """

    mean: Tensor
    axes: Tensor
    explained: Tensor

    def places(self, z: Tensor) -> Points:
        """Codes z (B, Z), dropped onto the plane: (B, D)."""
        return ((z.detach().to(self.mean) - self.mean) @ self.axes).numpy()

    def codes(self, places: Points) -> Tensor:
        """The codes (B, Z) that lie on the plane at places (B, D)."""
        return self.mean + torch.as_tensor(places).to(self.mean) @ self.axes.T


def pca(codes: Codes, dimensions: int = 2) -> Plane:
    """The plane that keeps most of the codes' variance (Pearson 1901).

    Args:
        dimensions: D, 1 … Z.

    Returns:
        Its axes, that of most variance first; the largest entry of each is positive.

    Raises:
        ValueError: dimensions is out of range.
    """
    size = codes.mean.shape[1]
    if not 1 <= dimensions <= size:
        raise ValueError(f"expected dimensions in 1 … {size}, got {dimensions}")
    z = codes.mean.double()
    mean = z.mean(0)
    variances, axes = torch.linalg.eigh((z - mean).T @ (z - mean))
    axes = axes.flip(1)[:, :dimensions]
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    explained = variances.flip(0)[:dimensions] / variances.sum()
    return Plane(mean.float(), (axes * largest.sign()).float(), explained.float())


# Making a map -------------------------------------------------------------------------------------


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
