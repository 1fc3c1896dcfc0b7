"""Map: the encoded test digits as each twin sees them, and the visitor's own digit among them."""

import base64
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr
import numpy as np
import plotly
from numpy.typing import NDArray
from torch import Tensor

from vae_demo import latent_map
from vae_demo.ui.exhibit import Payload, exhibit, packed, picture, whole
from vae_demo.zoo import Zoo, ZooModel

NEAREST = 5

# Plotly's script comes with its Python package, so that no other host is asked for it.
PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


def map_tab(zoo: Zoo) -> gr.HTML:
    """Both maps; the server functions fetch their points, decode a digit and place a drawing."""
    all_points = pack_points(zoo)

    def points(_: Payload) -> Payload:
        return all_points

    def digit(payload: Payload) -> Payload:
        return decode_digit(zoo, whole(payload, "digit", 0, len(zoo.digits.labels) - 1))

    def locate(payload: Payload) -> Payload:
        return locate_drawing(zoo, picture(payload, zoo))

    # Below the address of the page, whatever that is.
    script = "gradio_api/file=" + quote(PLOTLY_JS.as_posix())
    return exhibit("map", [points, digit, locate], plotly=script)


def sides(zoo: Zoo) -> dict[str, ZooModel]:
    """Who stands where: the zoo, whatever is compared elsewhere, for only they have this map."""
    return dict(zip(("left", "right"), zoo.pair(), strict=True))


def pack_points(zoo: Zoo) -> Payload:
    """Every digit's class (N,), uint8, and for either map its place (N, 2), float32, the corners of
    the map, and the middle of each class (the median of its places, None for a class of none)."""
    labels = zoo.digits.labels
    answer: Payload = {"labels": base64_of(labels)}
    for side, model in sides(zoo).items():
        codes = model.codes
        classes = [codes.points[labels == label] for label in range(10)]
        answer[side] = {
            "points": base64_of(codes.points.astype("<f4")),
            "low": codes.points.min(0).tolist(),
            "high": codes.points.max(0).tolist(),
            "middles": [np.median(one, axis=0).tolist() if len(one) else None for one in classes],
        }
    return answer


def base64_of(array: NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode()


def decode_digit(zoo: Zoo, index: int) -> Payload:
    """What both models rebuild from the code of a test digit.

    `original` is None where MNIST is not on disk; `picture` is the digit as other tabs show it,
    see `Twins.digit`.
    """
    answer: Payload = {}
    for side, model in sides(zoo).items():
        z = model.codes.mean[index : index + 1].to(zoo.device)
        answer[side] = packed(model.coder.decode(z).sigmoid())
    answer["original"] = None if zoo.originals is None else packed(zoo.digit(index))
    answer["picture"] = answer["original"] or answer["left"]
    return answer


def locate_drawing(zoo: Zoo, x: Tensor) -> Payload:
    """Where a picture x (1, 1, 28, 28) lies on either map, and the test digits whose codes are
    nearest to its own, as the same model rebuilds them."""
    if not x.any():
        return {"blank": True}
    answer: Payload = {}
    for side, model in sides(zoo).items():
        codes = model.codes
        z = model.coder.encode(x.to(zoo.device))
        indices, distances = latent_map.nearest(z, codes, NEAREST)
        neighbors = model.coder.decode(codes.mean[indices[0]].to(zoo.device))
        answer[side] = {
            "point": latent_map.locate(z, codes)[0].tolist(),
            "digits": indices[0].tolist(),
            "distances": distances[0].tolist(),
            "pictures": packed(neighbors.sigmoid()),
        }
    return answer
