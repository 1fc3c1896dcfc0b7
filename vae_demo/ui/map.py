"""Map: the encoded test digits as two models see them, and the visitor's own digit among them."""

import base64
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr
import numpy as np
import plotly
from numpy.typing import NDArray

from vae_demo import latent_map
from vae_demo.latent_map import Codes
from vae_demo.ui.exhibit import SIDES, Payload, exhibit, packed, pair, whole
from vae_demo.ui.points import Pair, digit_code, point
from vae_demo.zoo import Zoo

NEAREST = 5

# Plotly's script comes with its Python package, so that no other host is asked for it.
PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


def map_tab(zoo: Zoo) -> gr.HTML:
    """Both maps; the server functions fetch their points, decode a digit and place a drawing."""

    @lru_cache(maxsize=len(zoo.names))
    def side(name: str) -> Payload:
        return pack_side(zoo.digits.codes[name], zoo.digits.labels)

    def points(payload: Payload) -> Payload:
        sides = (side(model.name) for model in pair(payload, zoo))
        return {"labels": base64_of(zoo.digits.labels), **dict(zip(SIDES, sides, strict=True))}

    def digit(payload: Payload) -> Payload:
        index = whole(payload, "digit", 0, len(zoo.digits.labels) - 1)
        return decode_digit(zoo, pair(payload, zoo), index)

    def locate(payload: Payload) -> Payload:
        return locate_point(zoo, pair(payload, zoo), payload.get("point"))

    # Below the address of the page, whatever that is.
    script = "gradio_api/file=" + quote(PLOTLY_JS.as_posix())
    return exhibit("map", [points, digit, locate], plotly=script)


def pack_side(codes: Codes, labels: NDArray[np.uint8]) -> Payload:
    """A map: the place of each digit (N, 2), float32; its corners; the middle of each class (the
    median of its places, None for a class of none); whether its axes are the codes themselves."""
    return {
        "points": base64_of(codes.points.astype("<f4")),
        "low": codes.points.min(0).tolist(),
        "high": codes.points.max(0).tolist(),
        "middles": latent_map.middles(codes, labels),
        "plane": codes.plane,
    }


def base64_of(array: NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode()


def decode_digit(zoo: Zoo, models: Pair, index: int) -> Payload:
    """What both models rebuild from the code of a test digit.

    `original` is None where MNIST is not on disk; `picture` is the digit as other tabs show it,
    see `Zoo.digit`.
    """
    x = zoo.digit(index)
    shown = packed(x)
    answer: Payload = {"picture": shown, "original": None if zoo.originals is None else shown}
    for side, model in zip(SIDES, models, strict=True):
        z = digit_code(model, x, index, zoo)[None].to(zoo.device)
        answer[side] = packed(model.coder.decode(z).sigmoid())
    return answer


def locate_point(zoo: Zoo, models: Pair, spec: Any) -> Payload:
    """Where a point of code space (see `points`) lies on either map, and the test digits whose
    codes are nearest to its own, as the same model rebuilds them. Blank for an empty drawing.

    Raises:
        RequestError, ImageError: no such point.
    """
    found = point(zoo, models, spec)
    if not found.x.any():
        return {"blank": True}
    answer: Payload = {}
    for side, model, z in zip(SIDES, models, found.codes, strict=True):
        codes = model.codes
        indices, distances = latent_map.nearest(z[None], codes, NEAREST)
        neighbors = model.coder.decode(codes.mean[indices[0]].to(zoo.device))
        answer[side] = {
            "point": latent_map.locate(z[None], codes)[0].tolist(),
            "digits": indices[0].tolist(),
            "distances": distances[0].tolist(),
            "pictures": packed(neighbors.sigmoid()),
        }
    return answer
