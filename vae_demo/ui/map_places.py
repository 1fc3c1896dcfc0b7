"""Where codes lie beside the encoded digits: on planes through a code space, and among neighbours.

A model of one or two numbers is its own plane; any other is shown by the principal axes of its
codes, whose points can be decoded again.
"""

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_demo import latent_map
from vae_demo.latent_map import METRICS, Codes, Plane, Points
from vae_demo.projections import N_NEIGHBORS
from vae_demo.ui.exhibit import Payload, RequestError, whole
from vae_demo.zoo import Zoo, shown_pictures

SOLID = 3  # axes of the widest view


def landmarks(places: Points, labels: NDArray[np.uint8]) -> Payload:
    """Of a map (N, D): its corners, and the middle of each class (see `latent_map.middles`)."""
    return {
        "low": places.min(0).tolist(),
        "high": places.max(0).tolist(),
        "middles": latent_map.middles(places, labels),
    }


@lru_cache(maxsize=64)
def principal(codes: Codes, dimensions: int) -> Plane:
    """The principal axes of a model's codes, found once."""
    return latent_map.pca(codes, dimensions)


def codes_at(places: Points, codes: Codes) -> Tensor:
    """The codes (B, Z) at places (B, D) of a plane, D = 2 or 3: those of the model itself if it has
    one or two numbers, else the slice along its principal axes."""
    if codes.plane:
        return torch.from_numpy(places[:, : codes.mean.shape[1]]).float()
    return principal(codes, places.shape[1]).codes(places)


def on_axes(z: Tensor, codes: Codes) -> Points:
    """Codes z (B, Z) on the plane of `codes_at` with three axes: (B, 3), zeros where it has fewer;
    the first two are those of the plane with two."""
    if codes.plane:
        return np.pad(latent_map.on_plane(z), ((0, 0), (0, SOLID - latent_map.PLANE)))
    return principal(codes, SOLID).places(z)


# Neighbours ---------------------------------------------------------------------------------------


class Neighbourhood(NamedTuple):
    """Which digits surround a point.

    Attributes:
        of: whether "codes" or "pixels" are compared.
        metric: one of METRICS.
        size: how many neighbours; None for as many as the map was made with.
        first: they are among the first so many digits; None for all.
    """

    of: str
    metric: str
    size: int | None
    first: int | None


def neighbourhood(payload: Payload, zoo: Zoo) -> Neighbourhood:
    """`{"of", "metric", "n_neighbors", "count"}` of a request, each with a usual value.

    Raises:
        RequestError: no such neighbourhood.
    """
    of, metric = payload.get("of", "codes"), payload.get("metric", METRICS[0])
    if of not in ("codes", "pixels") or metric not in METRICS:
        raise RequestError("error.request")
    size = (
        None if payload.get("n_neighbors") is None else whole(payload, "n_neighbors", *N_NEIGHBORS)
    )
    least = size or min(codes.n_neighbors for codes in zoo.digits.codes.values())
    most = len(zoo.digits.labels)
    first = None if payload.get("count") is None else whole(payload, "count", least, most)
    return Neighbourhood(of, metric, size, first)


def neighbours(
    x: Tensor, z: Tensor, codes: Codes, around: Neighbourhood, zoo: Zoo
) -> list[Payload]:
    """The digits around pictures x (B, 1, 28, 28) whose codes are z (B, Z): of each picture their
    numbers, nearest first, and weights."""
    if around.of == "pixels":
        codes, z = pixel_codes(zoo), x.flatten(1)
    if around.first is not None:
        codes = replace(codes, mean=codes.mean[: around.first])
    size = around.size or codes.n_neighbors
    if size > len(codes.mean):
        raise RequestError("error.request")
    indices, weights = latent_map.neighbours(z, codes, size, around.metric)
    return [
        {"digits": digits, "weights": shares}
        for digits, shares in zip(indices.tolist(), weights.tolist(), strict=True)
    ]


@lru_cache(maxsize=1)
def pixel_codes(zoo: Zoo) -> Codes:
    """The test digits' pixels in [0, 1] in place of codes, (N, 784); 31 MB, made when first asked
    for."""
    x = shown_pictures(zoo).flatten(1).float() / 255
    n_neighbors = next(iter(zoo.digits.codes.values())).n_neighbors
    return Codes(x, None, np.empty((0, 2), np.float32), n_neighbors)
