"""Map: the encoded test digits as two models see them, and the visitor's own digits among them.

The dots come by `map_points`; what they stand for, and any other point of the code spaces, by the
server functions here.
"""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import gradio as gr
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_demo import latent_map
from vae_demo.latent_map import Points
from vae_demo.projections import Projections
from vae_demo.ui.draw import encoding
from vae_demo.ui.exhibit import (
    SIDES,
    Payload,
    RequestError,
    exhibit,
    number,
    packed,
    pair,
    readings,
    whole,
)
from vae_demo.ui.map_places import Neighbourhood, codes_at, neighbourhood, neighbours, on_axes
from vae_demo.ui.map_projections import described, start, token
from vae_demo.ui.own_pictures import Read, read_pictures
from vae_demo.ui.points import MAX_CODE, Pair, Point, digit_code, point
from vae_demo.zoo import CHUNK, TRAINING, Zoo, ZooModel

NEAREST = 5
MAX_DIGITS = 200  # that are mixed into one place
MAX_PICTURES = 128
MAX_TILES = 400
MAX_CELLS = 6_000
FIELDS = 64  # fields of the judge that are kept, 12 kB each
LONG = 2  # long answers worked on at a time, so that hovering stays quick
PATIENCE_S = 2.0

Box = tuple[float, float, float, float]  # left, bottom, right, top

SCRIPTS = (
    "scatter",
    "map",
    "map_pointing",
    "map_controls",
    "map_mine",
    "map_layers",
    "map_selection",
    "map_export",
    "map_own",
)


def map_tab(zoo: Zoo, projections: Projections) -> gr.HTML:
    """Both maps. `digit` and `place` answer the pointer; the others answer when it rests."""
    places = threading.BoundedSemaphore(LONG)

    @contextmanager
    def long_work() -> Iterator[None]:
        if not places.acquire(timeout=PATIENCE_S):
            raise RequestError("error.busy")
        try:
            yield
        finally:
            places.release()

    @lru_cache(maxsize=FIELDS)
    def field(name: str, lens: str, box: Box, columns: int, rows: int) -> Payload:
        return judge_field(zoo, zoo.model(name), cells(box, columns, rows))

    def digit(payload: Payload) -> Payload:
        index = digit_number(payload, "digit", zoo)
        return decode_digit(zoo, pair(payload, zoo), index, payload.get("picture") is True)

    def place(payload: Payload) -> Payload:
        return decode_places(zoo, pair(payload, zoo), payload)

    def pictures(payload: Payload) -> Payload:
        return several_digits(zoo, side(payload, zoo), payload)

    def sheet(payload: Payload) -> Payload:
        model = side(payload, zoo)
        _, box, columns, rows = raster(payload, model, MAX_TILES)
        z = codes_at(cells(box, columns, rows), model.codes)
        return {"pictures": packed(zoo.decode(model, z))}

    def confidence(payload: Payload) -> Payload:
        model = side(payload, zoo)
        asked = raster(payload, model, MAX_CELLS)
        with long_work():
            return field(model.name, *asked)

    def locate(payload: Payload) -> Payload:
        around = neighbourhood(payload, zoo)
        return locate_point(zoo, pair(payload, zoo), payload, around)

    def project(payload: Payload) -> Payload:
        return start(zoo, pair(payload, zoo), payload, projections)

    def progress(payload: Payload) -> Payload:
        return described(projections.state(token(payload)), zoo.digits.labels)

    def cancel(payload: Payload) -> Payload:
        return described(projections.cancel(token(payload)), zoo.digits.labels)

    def own(payload: Payload) -> Payload:
        around, models = neighbourhood(payload, zoo), pair(payload, zoo)
        with long_work():
            return place_own(zoo, models, read_pictures(payload), around)

    functions = [digit, place, pictures, sheet, confidence, locate, project, progress, cancel, own]
    return exhibit("map", functions, SCRIPTS, originals=zoo.originals is not None)


# What the page asks for ---------------------------------------------------------------------------


def side(payload: Payload, zoo: Zoo) -> ZooModel:
    """The model on the side that a request names, `{"side": "left" | "right"}`."""
    if payload.get("side") not in SIDES:
        raise RequestError("error.request")
    return pair(payload, zoo)[SIDES.index(payload["side"])]


def numbers(payload: Payload, key: str, counts: range, low: float, high: float) -> list[float]:
    """A list of the request, of so many finite numbers within bounds."""
    found = payload.get(key)
    if not isinstance(found, list) or len(found) not in counts:
        raise RequestError("error.request")
    return [number({key: value}, key, low, high) for value in found]


def digit_number(payload: Payload, key: str, zoo: Zoo) -> int:
    """The number of a digit there is a picture of, see `Zoo.digit`."""
    index = whole(payload, key, 0, TRAINING.stop)
    if not zoo.has_digit(index):
        raise RequestError("error.request")
    return index


def digit_numbers(payload: Payload, most: int, below: int) -> list[int]:
    """The `digits` of a request, 1 … most of them."""
    found = numbers(payload, "digits", range(1, most + 1), 0, below - 1)
    return [whole({"digit": index}, "digit", 0, below - 1) for index in found]


def raster(payload: Payload, model: ZooModel, most: int) -> tuple[str, Box, int, int]:
    """The `lens`, `box`, `columns` and `rows` of a request: a part of a plane, cut into cells.

    Raises:
        RequestError: other than that, or no plane of this model.
    """
    lens = payload.get("lens")
    if lens not in ("plane", "pca") or (lens == "plane" and not model.codes.plane):
        raise RequestError("error.request")
    left, bottom, right, top = numbers(payload, "box", range(4, 5), -MAX_CODE, MAX_CODE)
    columns, rows = whole(payload, "columns", 1, most), whole(payload, "rows", 1, most)
    if columns * rows > most or left >= right or bottom >= top:
        raise RequestError("error.request")
    return lens, (left, bottom, right, top), columns, rows


def cells(box: Box, columns: int, rows: int) -> Points:
    """The middles of the cells of a raster (rows × columns, 2), row by row from the top."""
    left, bottom, right, top = box
    across = left + (right - left) * (np.arange(columns) + 0.5) / columns
    down = top + (bottom - top) * (np.arange(rows) + 0.5) / rows
    x, y = np.meshgrid(across, down)
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def placed_code(model: ZooModel, spec: Any) -> Tensor:
    """The code (1, Z) of a place on a map.

    Args:
        spec: {"code": [numbers]}, {"pca": [x, y] or [x, y, z]} of the principal axes, or
            {"digits": [numbers], "weights": [≥ 0]}, the weighted mean of their codes.

    Raises:
        RequestError: none of these.
    """
    if not isinstance(spec, dict):
        raise RequestError("error.request")
    if "code" in spec:
        size = model.coder.latent_size
        return torch.tensor([numbers(spec, "code", range(size, size + 1), -MAX_CODE, MAX_CODE)])
    if "pca" in spec:
        axes = numbers(spec, "pca", range(2, 4), -MAX_CODE, MAX_CODE)
        return codes_at(np.array([axes], np.float32), model.codes)
    digits = digit_numbers(spec, MAX_DIGITS, len(model.codes.mean))
    weights = np.array(numbers(spec, "weights", range(len(digits), len(digits) + 1), 0, 1e9))
    if not weights.sum() > 0:
        raise RequestError("error.request")
    shares = torch.from_numpy(weights / weights.sum()).float()
    return (shares @ model.codes.mean[digits])[None]


# While the pointer moves --------------------------------------------------------------------------


def read(zoo: Zoo, x: Tensor) -> list[Payload]:
    """What the judge reads in pictures x (B, 1, 28, 28), and how sure it is of it."""
    found = readings(zoo, x)
    return [
        {"class": label, "confidence": confidence}
        for label, confidence in zip(found["classes"], found["confidences"], strict=True)
    ]


def decode_digit(zoo: Zoo, models: Pair, index: int, picture: bool = False) -> Payload:
    """What both models rebuild from the code of a digit, and what the judge reads there.

    `original` is None where MNIST is not on disk; `picture`, if asked for, is the digit as other
    tabs show it, see `Zoo.digit`.
    """
    codes = [
        model.codes.mean[index]
        if index < len(model.codes.mean)
        else digit_code(model, zoo.digit(index), None, zoo)
        for model in models
    ]
    rebuilt = torch.cat(
        [zoo.decode(model, z[None]) for model, z in zip(models, codes, strict=True)]
    )
    left, right = map(packed, rebuilt)
    shown = packed(zoo.digit(index)) if picture or zoo.originals is not None else None
    answer = {
        "original": None if zoo.originals is None else shown,
        "left": left,
        "right": right,
        "reading": dict(zip(SIDES, read(zoo, rebuilt), strict=True)),
    }
    return {**answer, "picture": shown} if picture else answer


def decode_places(zoo: Zoo, models: Pair, specs: Payload) -> Payload:
    """What both models make of a place each, `{"left": spec, "right": spec}` (see `placed_code`),
    and what the judge reads there; None for a side without."""
    answer: Payload = dict.fromkeys(SIDES)
    asked = {
        side: model
        for side, model in zip(SIDES, models, strict=True)
        if specs.get(side) is not None
    }
    if asked:
        codes = {side: placed_code(model, specs[side]) for side, model in asked.items()}
        x = torch.cat([zoo.decode(asked[side], z) for side, z in codes.items()])
        for side, one, reading in zip(asked, x, read(zoo, x), strict=True):
            answer[side] = {"picture": packed(one), **reading}
    return answer


# When it rests ------------------------------------------------------------------------------------


def several_digits(zoo: Zoo, model: ZooModel, payload: Payload) -> Payload:
    """Pictures of several digits: the originals where MNIST is on disk, else what a model rebuilds
    from their codes."""
    if zoo.originals is not None:
        chosen = digit_numbers(payload, MAX_PICTURES, TRAINING.stop)
        if not all(map(zoo.has_digit, chosen)):
            raise RequestError("error.request")
        return {"pictures": packed(torch.cat([zoo.digit(index) for index in chosen]))}
    chosen = digit_numbers(payload, MAX_PICTURES, len(model.codes.mean))
    return {"pictures": packed(zoo.decode(model, model.codes.mean[chosen]))}


def judge_field(zoo: Zoo, model: ZooModel, places: Points) -> Payload:
    """How sure the judge is at places (B, 2) of a plane, 255 for certain, and of which class."""
    parts = codes_at(places, model.codes).split(CHUNK)
    shares = torch.cat([zoo.judge(zoo.decode(model, z)).softmax(1).cpu() for z in parts])
    sure, classes = shares.max(1)
    return {
        "confidence": base64_of((255 * sure).round().to(torch.uint8).numpy()),
        "classes": base64_of(classes.to(torch.uint8).numpy()),
    }


def base64_of(array: NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode()


def locate_point(zoo: Zoo, models: Pair, payload: Payload, around: Neighbourhood) -> Payload:
    """Where the point of code space that a request names (see `points`) lies among the digits.
    Blank for an empty drawing.

    Returns:
        of either side: code; pca, the place along three principal axes; neighbours, the digits
        among which a map places it (see `map_places`); digits and distances, the test digits whose
        codes are nearest. What takes longer may be left out of a request, `{"pictures": false,
        "deviation": false}`: pictures, these digits as the same model rebuilds them; deviation, of
        a VAE's posterior for a picture, number by number.

    Raises:
        RequestError, ImageError: no such point.
    """
    spec: Any = payload.get("point")
    found = point(zoo, models, spec)
    if not found.x.any():
        return {"blank": True}
    answer: Payload = {}
    for side, model, z in zip(SIDES, models, found.codes, strict=True):
        codes = model.codes
        indices, distances = latent_map.nearest(z[None], codes, NEAREST)
        answer[side] = {
            "code": z.tolist(),
            "pca": on_axes(z[None], codes)[0].tolist(),
            "neighbours": neighbours(found.x, z[None], codes, around, zoo)[0],
            "digits": indices[0].tolist(),
            "distances": distances[0].tolist(),
        }
        if payload.get("pictures") is not False:
            answer[side]["pictures"] = packed(zoo.decode(model, codes.mean[indices[0]]))
        if payload.get("deviation") is not False:
            answer[side]["deviation"] = deviation(zoo, model, found, spec)
    return answer


def place_own(zoo: Zoo, models: Pair, found: Read, around: Neighbourhood) -> Payload:
    """Where a visitor's own pictures lie on both maps, and what the judge reads in them."""
    pictures: list[Payload] = [
        {"name": name, "x": packed(x), "reading": reading}
        for name, x, reading in zip(found.names, found.x, read(zoo, found.x), strict=True)
    ]
    for side, model in zip(SIDES, models, strict=True):
        z = model.coder.encode(found.x.to(zoo.device)).cpu()
        around_each = neighbours(found.x, z, model.codes, around, zoo)
        axes = on_axes(z, model.codes)
        for picture, code, places, near in zip(pictures, z, axes, around_each, strict=True):
            picture[side] = {"code": code.tolist(), "pca": places.tolist(), "neighbours": near}
    return {"pictures": pictures, "refused": found.refused}


def deviation(zoo: Zoo, model: ZooModel, found: Point, spec: Payload) -> list[float] | None:
    """Standard deviation of the posterior at a picture, number by number; None where there is no
    posterior, or no picture."""
    if model.variational is None or "codes" in spec or "index" in spec:
        return None
    index, logvars = found.about.get("digit"), model.codes.logvar
    if index is not None and logvars is not None and index < len(logvars):
        logvar = logvars[index]
    else:
        _, encoded = encoding(model, found.x.to(zoo.device))
        assert encoded is not None
        logvar = encoded[0]
    deviations: list[float] = (0.5 * logvar).exp().tolist()
    return deviations
