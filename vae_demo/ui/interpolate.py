"""Interpolate: ways, sheets and sums of code space, through both models' codes.

A request names points (see `vae_demo.ui.points`) and a mode:

    way          "start" → "end", along "path": "lerp" or "slerp"
    arithmetic   "start" + s · ("plus" − "minus"), for strengths s from −1 to 2
    sheet        "start", "end", "third", "fourth" as corners, in reading order

and how many pictures to show in a row, "steps".
"""

import base64
import json
import math
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np
import torch
from torch import Tensor

from vae_demo import exports, latent, latent_map
from vae_demo.images import to_uint8
from vae_demo.ui.exhibit import (
    SIDES,
    Payload,
    RequestError,
    exhibit,
    number,
    packed,
    pair,
    readings,
    recipe,
    saved,
    whole,
)
from vae_demo.ui.points import Pair, Point, point
from vae_demo.zoo import Zoo, ZooModel

MIN_STEPS, MAX_STEPS = 3, 20
MIN_GAPS = 48  # between the frames of the animation; fewer would stutter
PATHS = {"lerp": latent.lerp, "slerp": latent.slerp}
WEAKEST, STRONGEST = -1, 2  # strengths of arithmetic
MAX_SIDE = 7  # of a sheet, in pictures
DOTS = 1_500  # of a small map
# Where the tab opens: test digits no. 1, a 2, and no. 0, a 7; a sheet's other corners are a 4 and
# a 0; arithmetic takes the middle of all 2s away and adds that of all 7s.
START, END, THIRD, FOURTH = 1, 0, 4, 3
PLUS, MINUS = 7, 2
FRAME_MS = 40  # of a GIF


def interpolate_tab(zoo: Zoo) -> gr.HTML:
    """One request brings all pictures of a way, a sum or a sheet; the browser plays them."""

    def interpolate(payload: Payload) -> Payload:
        return answer_film(zoo, film(zoo, payload))

    def sheet(payload: Payload) -> Payload:
        made = whole_sheet(zoo, payload)
        ends = {name: about(end) for name, end in made.ends.items()}
        return {**answer_sheet(zoo, made), **ends}

    def place(payload: Payload) -> Payload:
        u, v = (torch.tensor([number(payload, key, 0, 1)]) for key in ("u", "v"))
        return answer_sheet(zoo, sheet_at(zoo, payload, u, v))

    def ground(payload: Payload) -> Payload:
        models = pair(payload, zoo)
        return {side: small_map(zoo, model) for side, model in zip(SIDES, models, strict=True)}

    def save(payload: Payload) -> Payload:
        mode = payload.get("mode", "way")
        if payload.get("file") == "json":
            # A film is worth more than its strip; a sheet is no film.
            payload = {**payload, "file": "png" if mode == "sheet" else "gif"}
            check(zoo, payload)
            made = recipe("interpolate", payload, zoo)
            return saved(f"interpolate-{mode}.json", json.dumps(made, indent=1).encode(), made)
        content = export(zoo, payload)
        name = f"interpolate-{mode}.{payload['file']}"
        return saved(name, content, recipe("interpolate", payload, zoo))

    return exhibit(
        "interpolate",
        [interpolate, sheet, place, ground, save],
        opening={
            "start": {"digit": START},
            "end": {"digit": END},
            "third": {"digit": THIRD},
            "fourth": {"digit": FOURTH},
            "plus": class_mean(PLUS),
            "minus": class_mean(MINUS),
        },
        digits=len(zoo.digits.labels),
        originals=zoo.originals is not None,
    )


def class_mean(digit: int) -> Payload:
    """The middle of a class's codes, as a point: its sampler without any noise."""
    return {"sampler": "classes", "class": digit, "seed": 0, "index": 0, "temperature": 0}


# Films --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Film:
    """Frames along a way or a sum.

    Attributes:
        steps: how many frames, evenly spread, make the strip.
        models: left and right.
        codes: of the frames (F, Z), left and right.
        decoded: what the models make of them (F, 1, 28, 28), left and right.
        fade: the same with pixels for codes (F, 1, 28, 28), no model at work.
        ends: the points it is made of, by name.
    """

    steps: int
    models: Pair
    codes: tuple[Tensor, Tensor]
    decoded: tuple[Tensor, Tensor]
    fade: Tensor
    ends: dict[str, Point]

    @property
    def rows(self) -> dict[str, Tensor]:
        return {"left": self.decoded[0], "right": self.decoded[1], "fade": self.fade}

    @property
    def strip(self) -> slice:
        """Which frames stand in the strip."""
        return slice(None, None, (len(self.fade) - 1) // (self.steps - 1))


def film(zoo: Zoo, payload: Payload) -> Film:
    """The film a request asks for.

    Raises:
        RequestError, ImageError: out of bounds or not readable.
    """
    models = pair(payload, zoo)
    mode = payload.get("mode", "way")
    steps = whole(payload, "steps", MIN_STEPS, MAX_STEPS)
    frames = frame_count(steps)
    if mode == "way":
        path = payload.get("path")
        if not isinstance(path, str) or path not in PATHS:
            raise RequestError("error.request")
        ends = points(zoo, models, payload, "start", "end")
        start, end = ends.values()
        fade = cross_fade(start.x, end.x, frames)
        left, right = (PATHS[path](start.codes[i], end.codes[i], frames) for i in range(2))
    elif mode == "arithmetic":
        if (steps - 1) % (STRONGEST - WEAKEST):  # strengths 0 and 1 are to be in the strip
            raise RequestError("error.request")
        ends = points(zoo, models, payload, "start", "plus", "minus")
        start, plus, minus = ends.values()
        s = strengths(frames)
        fade = added(start.x[0], (plus.x - minus.x)[0], s).clamp(0, 1)
        left, right = (added(start.codes[i], plus.codes[i] - minus.codes[i], s) for i in range(2))
    else:
        raise RequestError("error.request")
    return Film(steps, models, (left, right), decode(zoo, models, (left, right)), fade, ends)


def points(zoo: Zoo, models: Pair, payload: Payload, *names: str) -> dict[str, Point]:
    return {name: point(zoo, models, payload.get(name)) for name in names}


def decode(zoo: Zoo, models: Pair, codes: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """What both models make of their codes (B, Z): pictures (B, 1, 28, 28) on the CPU."""
    left, right = (
        model.coder.decode(z.to(zoo.device)).sigmoid().cpu()
        for model, z in zip(models, codes, strict=True)
    )
    return left, right


def frame_count(steps: int) -> int:
    """Frames of the animation: so many that each picture of the strip is one of them."""
    return math.ceil(MIN_GAPS / (steps - 1)) * (steps - 1) + 1


def cross_fade(a: Tensor, b: Tensor, frames: int) -> Tensor:
    """Pictures (frames, 1, 28, 28) that fade from a to b pixel by pixel: no model at work."""
    times = torch.linspace(0, 1, frames)[:, None, None, None]
    return torch.lerp(a.cpu(), b.cpu(), times)


def strengths(frames: int) -> Tensor:
    """Strengths (frames,) from −1 to 2; 0 and 1 are exact where frames − 1 is a multiple of 3."""
    gaps = (frames - 1) // (STRONGEST - WEAKEST)
    return torch.arange(frames).sub(gaps).double().div(gaps).float()


def added(x: Tensor, difference: Tensor, s: Tensor) -> Tensor:
    """x + s · difference for a code or picture x and strengths s (F,): (F, …)."""
    return x.cpu() + s.reshape(-1, *[1] * x.ndim) * difference.cpu()


def located(model: ZooModel, z: Tensor) -> list[list[float]]:
    """Places of codes z (B, Z) on a model's map, for the page."""
    places = latent_map.locate(z, model.codes)
    return [[round(float(value), 3) for value in place] for place in places]


def answer_film(zoo: Zoo, made: Film) -> Payload:
    """All frames of all rows, what the judge reads in each, and where each lies on the maps."""
    return {
        "frames": len(made.fade),
        **{row: packed(x) for row, x in made.rows.items()},
        "readings": {row: readings(zoo, x) for row, x in made.rows.items()},
        "places": places(made.models, made.codes),
        **{name: about(end) for name, end in made.ends.items()},
    }


def places(models: Pair, codes: tuple[Tensor, Tensor]) -> Payload:
    return {side: located(model, z) for side, model, z in zip(SIDES, models, codes, strict=True)}


def about(end: Point) -> Payload:
    return {"picture": packed(end.x), **end.about}


# Sheets -------------------------------------------------------------------------------------------

CORNERS = ("start", "end", "third", "fourth")


def corners(zoo: Zoo, models: Pair, payload: Payload) -> tuple[dict[str, Point], list[Tensor]]:
    """The points at the corners of a sheet, and their codes (2, 2, Z), left and right."""
    ends = points(zoo, models, payload, *CORNERS)
    return ends, [
        torch.stack([end.codes[i] for end in ends.values()]).reshape(2, 2, -1) for i in range(2)
    ]


def bilinear(corners: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Between four codes: corners (2, 2, Z), places u to the right and v down (B,), each in 0 … 1:
    (B, Z). Edges are `latent.lerp`, corners exact.

    There is no arc for sheets: going across then down would lead elsewhere than down then across.
    """
    across = [torch.lerp(row[0], row[1], u[:, None]) for row in corners]
    return torch.lerp(across[0], across[1], v[:, None])


@dataclass(frozen=True)
class Sheet:
    """Pictures between four points.

    Attributes:
        models: left and right.
        codes: of the pictures (B, Z), left and right.
        decoded: what the models make of them (B, 1, 28, 28), left and right.
        ends: the points at the corners, by name.
    """

    models: Pair
    codes: tuple[Tensor, Tensor]
    decoded: tuple[Tensor, Tensor]
    ends: dict[str, Point]


def sheet_at(zoo: Zoo, payload: Payload, u: Tensor, v: Tensor) -> Sheet:
    """The sheet a request asks for at places u to the right and v down (B,), each in 0 … 1.

    Raises:
        RequestError, ImageError: out of bounds or not readable.
    """
    models = pair(payload, zoo)
    ends, between = corners(zoo, models, payload)
    left, right = (bilinear(one, u, v) for one in between)
    return Sheet(models, (left, right), decode(zoo, models, (left, right)), ends)


def whole_sheet(zoo: Zoo, payload: Payload) -> Sheet:
    """The sheet of `steps` × `steps` pictures a side, row by row."""
    return sheet_at(zoo, payload, *grid(whole(payload, "steps", MIN_STEPS, MAX_SIDE)))


def answer_sheet(zoo: Zoo, made: Sheet) -> Payload:
    """All pictures of a sheet, each with its reading and its place on the map."""
    sides = dict(zip(SIDES, made.decoded, strict=True))
    return {
        **{side: packed(x) for side, x in sides.items()},
        "readings": {side: readings(zoo, x) for side, x in sides.items()},
        "places": places(made.models, made.codes),
    }


def grid(steps: int) -> tuple[Tensor, Tensor]:
    """Places u and v (steps²,) of the pictures of a sheet, row by row."""
    even = torch.linspace(0, 1, steps)
    return even.repeat(steps), even.repeat_interleave(steps)


# Small maps ---------------------------------------------------------------------------------------


def small_map(zoo: Zoo, model: ZooModel) -> Payload:
    """A part of a model's encoded digits, evenly taken.

    Returns:
        dots: (n, 2) places, uint16, across a square around the map, in base64; labels: (n,) their
        classes, uint8; corner and extent: the square's lower left corner and its side, in the
        map's units; middles: by class, the median of its places, None for a class of none.
    """
    all_places = model.codes.points
    indices = np.linspace(0, len(all_places) - 1, min(DOTS, len(all_places))).astype(int)
    low, high = all_places.min(0), all_places.max(0)
    extent = float(max((high - low).max(), 1e-6)) * 1.06
    corner = (low + high) / 2 - extent / 2
    dots = np.round((all_places[indices] - corner) / extent * 65535).astype("<u2")
    return {
        "dots": base64.b64encode(dots.tobytes()).decode(),
        "labels": base64.b64encode(zoo.digits.labels[indices].tobytes()).decode(),
        "corner": corner.tolist(),
        "extent": extent,
        "middles": latent_map.middles(all_places, zoo.digits.labels),
    }


# Exports ------------------------------------------------------------------------------------------


def check(zoo: Zoo, payload: Payload) -> Any:
    """Raise unless the pictures of a request can be made; the same request is then a recipe."""
    return whole_sheet(zoo, payload) if payload.get("mode") == "sheet" else film(zoo, payload)


def export(zoo: Zoo, payload: Payload) -> bytes:
    """The file of a request with `"file": "png"`, the strips or both sheets, or `"gif"`, the film
    there and back: left, cross-fade, right.

    Raises:
        RequestError, ImageError: as `film`; or a film of a sheet.
    """
    file = payload.get("file")
    inside = recipe("interpolate", payload, zoo)
    if payload.get("mode") == "sheet" and file == "png":
        return exports.png(two_sheets(zoo, payload), inside)
    if file not in ("png", "gif"):
        raise RequestError("error.request")
    made = film(zoo, payload)
    if file == "png":
        strips = [bytes_of(x[made.strip]) for x in made.rows.values()]
        return exports.png(exports.tiles(np.concatenate(strips), made.steps, 2), inside)
    left, right, fade = (bytes_of(x) for x in made.rows.values())
    there = [exports.tiles(np.stack(three), 3, 2) for three in zip(left, fade, right, strict=True)]
    return exports.gif(there + there[-2:0:-1], inside, FRAME_MS)


def two_sheets(zoo: Zoo, payload: Payload) -> exports.Grey:
    """Both sheets (H, W), side by side."""
    decoded = whole_sheet(zoo, payload).decoded
    sides = [exports.tiles(bytes_of(x), int(payload["steps"])) for x in decoded]
    return exports.tiles(np.stack(sides), 2, 14)


def bytes_of(x: Tensor) -> exports.Grey:
    """Pictures (B, 1, 28, 28) in [0, 1] as bytes (B, 28, 28)."""
    return np.asarray(to_uint8(x)).reshape(-1, 28, 28)
