"""Where all digits lie, for the page's own WebGL: one binary file for each model and each lens.

points/{model}/umap         (N, 2) the map; also umap3 (N, 3)
points/{model}/pca          (N, 2) along the principal axes; also pca3 (N, 3)
points/{model}/plane        (N, 2) the codes of a model of one or two numbers, which answers
                            the four above with the same
points/{model}/training     (60000, 2) MNIST's training digits on the map
points/{model}/grid-15-0.1  (n, 2) a map by other n_neighbors and min_dist
points/{model}/values       (N,) each: error, confidence, gap, kl_nats; those there are
points/{model}/rebuilt-3     digits 1500 … 1999 as the model rebuilds them: pictures (n, 784), what
                            the judge reads there: classes (n,), confidences (n,)
points/pixels/umap          (N, 2) a map of the pixels themselves
points/digits/labels        (N,) classes; training_labels (60000,)
"""

import gzip
import json
import struct
import threading
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vae_demo import latent_map
from vae_demo.images import to_uint8
from vae_demo.latent_map import Codes, Points
from vae_demo.losses import kl_nats
from vae_demo.ui.exhibit import readings
from vae_demo.ui.map_places import landmarks, principal
from vae_demo.zoo import Zoo

SHELF = 500  # rebuilt digits in one file
ALIGN = 4  # bytes; what a Float32Array asks of its place
REBUILT = "rebuilt-"
TRUTH = {"trustworthiness", "knn_accuracy"}
LENSES = {"umap": 2, "umap3": 3, "pca": 2, "pca3": 3}  # dimensions

Array = NDArray[np.float32] | NDArray[np.uint8]


def points_route(zoo: Zoo) -> Route:
    """`GET points/{model}/{lens}`, see this module; 404 for what there is not."""
    places, shelves = threading.Lock(), threading.Lock()

    @cache  # what there is not is not kept
    def made(model: str, lens: str) -> bytes:
        content = points_file(zoo, model, lens)
        return gzip.compress(content, 6) if lens.startswith(REBUILT) else content

    def points(request: Request) -> Response:
        lens, headers = request.path_params["lens"], {}
        try:
            with shelves if lens.startswith(REBUILT) else places:  # each is made once
                content = made(**request.path_params)
        except NoPointsError:
            return JSONResponse({"detail": "There are no such points."}, 404)
        if lens.startswith(REBUILT):
            if "gzip" in request.headers.get("accept-encoding", ""):
                headers = {"content-encoding": "gzip"}
            else:
                content = gzip.decompress(content)
        return Response(content, headers=headers, media_type="application/octet-stream")

    return Route("/points/{model}/{lens}", points)


class NoPointsError(LookupError):
    """No such model, or no such lens on it."""


def points_file(zoo: Zoo, model: str, lens: str) -> bytes:
    """The file at `points/{model}/{lens}`, see this module.

    Raises:
        NoPointsError: there is none.
    """
    digits = zoo.digits
    if (model, lens) == ("digits", "labels"):
        both = {"labels": digits.labels, "training_labels": digits.training_labels}
        return pack({name: labels for name, labels in both.items() if labels is not None})
    if (model, lens) == ("pixels", "umap") and digits.pixels is not None:
        return map_file(digits.pixels, digits.labels, figures=figures(zoo, "pixels", "umap"))
    if model not in zoo.names:
        raise NoPointsError(model)
    codes = digits.codes[model]
    if lens.startswith(REBUILT):
        return pack(shelf(zoo, model, lens.removeprefix(REBUILT)))
    if lens == "values":
        return pack(values(codes, digits.labels))
    if lens == "training" and codes.training is not None and digits.training_labels is not None:
        return map_file(codes.training, digits.training_labels)
    if codes.plane and (lens == "plane" or lens in LENSES):
        known = figures(zoo, model, "plane")
        return map_file(codes.points, digits.labels, plane=True, figures=known)
    if lens not in LENSES:
        grid = {f"grid-{size}-{apart:g}": points for (size, apart), points in codes.grid.items()}
        return map_file(found(grid.get(lens)), digits.labels)
    facts: dict[str, Any] = {"figures": figures(zoo, model, lens)}
    if lens in ("pca", "pca3"):
        plane = principal(codes, LENSES[lens])
        facts["explained"] = plane.explained.tolist()
        return map_file(plane.places(codes.mean), digits.labels, **facts)
    if lens == "umap":
        facts["placement"] = digits.card.get("figures", {}).get(model, {}).get("placement")
    return map_file(found(codes.points if lens == "umap" else codes.solid), digits.labels, **facts)


def found(points: Points | None) -> Points:
    """Points that are there.

    Raises:
        NoPointsError: they are not.
    """
    if points is None:
        raise NoPointsError
    return points


def map_file(places: Points, labels: NDArray[np.uint8], **facts: Any) -> bytes:
    """Places (N, D) with their corners, the middle of each class (the median of its places, None
    for a class of none), and what else is known of them."""
    usual = {
        "count": len(places),
        **landmarks(places, labels),
        "plane": False,
        "figures": None,
    }
    return pack({"points": places}, **{**usual, **facts})


def figures(zoo: Zoo, model: str, lens: str) -> dict[str, float] | None:
    """How true a map is to its codes, where that was measured (see `layout.truth`)."""
    known = zoo.digits.card.get("figures", {}).get(model, {})
    measured = known.get("lenses", {"umap": known}).get(lens, {})  # of pixels there is one map
    return {key: measured[key] for key in TRUTH} if measured.keys() >= TRUTH else None


def shelf(zoo: Zoo, model: str, number: str) -> dict[str, Array]:
    """Some of a model's digits as it rebuilds them, and what the judge reads there.

    Raises:
        NoPointsError: no such number.
    """
    means = zoo.digits.codes[model].mean
    if number not in map(str, range(-(-len(means) // SHELF))):
        raise NoPointsError(number)
    with torch.inference_mode():
        x = zoo.decode(zoo.model(model), means[SHELF * int(number) :][:SHELF])
        found = readings(zoo, x)
    return {
        "pictures": to_uint8(x).reshape(len(x), -1),
        "classes": np.array(found["classes"], np.uint8),
        "confidences": np.array(found["confidences"], np.float32),
    }


def values(codes: Codes, labels: NDArray[np.uint8]) -> dict[str, Array]:
    """Numbers of each digit (N,): what the model rebuilds, how sure the judge is, how far the next
    class is, what the code tells."""
    measured = {
        "error": codes.error,
        "confidence": codes.confidence,
        "gap": latent_map.gaps(codes, labels),
        "kl_nats": None
        if codes.logvar is None
        else kl_nats(codes.mean, codes.logvar).sum(1).numpy(),
    }
    return {name: array for name, array in measured.items() if array is not None}


def pack(arrays: dict[str, Array], **facts: Any) -> bytes:
    """Arrays in one file: the length of a JSON header, uint32; the header; the arrays, each row by
    row from a multiple of four bytes. All little-endian.

    Args:
        arrays: of float32 or uint8. The header says of each, under "arrays" and its name, "dtype",
            "shape" and "offset", in bytes from the start of the file.
        facts: for JSON, beside "arrays" in the header.
    """
    described = {
        name: {"dtype": array.dtype.name, "shape": array.shape, "offset": 2**32}
        for name, array in arrays.items()
    }
    header = {**facts, "arrays": described}
    length = padded(len(json.dumps(header)))  # with offsets longer than any will be
    offset = struct.calcsize("<I") + length
    for name, array in arrays.items():
        described[name]["offset"] = offset
        offset += padded(array.nbytes)
    body = [array.astype(array.dtype.newbyteorder("<")).tobytes() for array in arrays.values()]
    return b"".join(
        [
            struct.pack("<I", length),
            json.dumps(header, allow_nan=False).encode().ljust(length),
            *(part.ljust(padded(len(part)), b"\0") for part in body),
        ]
    )


def padded(length: int) -> int:
    """A length in bytes, rounded up to a multiple of four."""
    return length + -length % ALIGN
