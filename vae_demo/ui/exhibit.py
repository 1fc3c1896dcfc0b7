"""One tab of the page: a `gr.HTML` made of three files that lie beside its Python.

`<name>.html` is static, `<name>.js` brings it to life in the browser, `<name>.css` dresses it.
What it asks of Python goes through server functions: one dictionary in, one dictionary out,
unqueued, stateless; what follows the pointer, by `live`. A visitor's state never leaves the
visitor's browser.
"""

import base64
import binascii
import logging
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import torch
from torch import Tensor

from vae_demo import exports
from vae_demo.images import (
    ImageError,
    Normalisation,
    open_image,
    preprocess,
    render_strokes,
    to_uint8,
)
from vae_demo.zoo import TWINS, Zoo, ZooModel

HERE = Path(__file__).parent
TAP = 20  # of the canvas' 616 units: a finger that taps draws a dot, not a full-size blob
BOARD, BRUSH = 616, 40  # sides of the canvas and of its usual pen, in those units
BRUSHES = (8, 120)
SIDES = ("left", "right")
log = logging.getLogger(__name__)

Payload = dict[str, Any]
ServerFunction = Callable[[Payload], Payload]


class RequestError(ValueError):
    """A request from the page that cannot be answered; `code` is a key of the text tables."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def exhibit(
    name: str,
    server_functions: Sequence[ServerFunction] = (),
    scripts: Sequence[str] | None = None,
    **props: Any,
) -> gr.HTML:
    """A `gr.HTML` whose template and script are files of this folder.

    Args:
        name: stem of the `.html` and `.js` files, and the id of the element on the page.
        scripts: stems of the `.js` files, if there are several; in this order they are one script.
        server_functions: what the script may call as `server.<function>(dictionary)`.
        props: constants for the script, which finds them in `props`.
    """
    script = "\n".join(
        (HERE / f"{part}.js").read_text(encoding="utf-8") for part in scripts or [name]
    )
    return gr.HTML(
        html_template=(HERE / f"{name}.html").read_text(encoding="utf-8"),
        # In a block of its own, so that a script may reuse the names Gradio hands it.
        js_on_load=f"{{\n{script}\n}}",
        elem_id=name,
        apply_default_css=False,
        server_functions=[answer(function) for function in server_functions],
        **props,
    )


def answer(function: ServerFunction) -> Callable[[Any], Payload]:
    """Guard a server function: what it cannot answer becomes `{"error": code}`, no traceback."""

    @wraps(function)
    def guarded(payload: Any) -> Payload:
        try:
            if not isinstance(payload, dict):
                raise RequestError("error.request")
            with torch.inference_mode():
                return function(payload)
        except RequestError as error:
            return {"error": error.code}
        except ImageError:
            return {"error": "error.picture"}
        except Exception:
            log.exception("%s failed", function.__name__)
            return {"error": "error.server"}

    return guarded


# What the page sends ------------------------------------------------------------------------------


def number(payload: Payload, key: str, low: float, high: float) -> float:
    """A finite number of the request, within bounds.

    Raises:
        RequestError: missing, no number, or out of bounds.
    """
    value = payload.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise RequestError("error.request")
    return float(value)


def whole(payload: Payload, key: str, low: int, high: int) -> int:
    """A whole number of the request, within bounds (see `number`)."""
    value = number(payload, key, low, high)
    if value != int(value):
        raise RequestError("error.request")
    return int(value)


def pair(payload: Payload, zoo: Zoo) -> tuple[ZooModel, ZooModel]:
    """The two models that a request compares, `{"models": [left, right]}`; the twins by default.

    Raises:
        RequestError: no such models.
    """
    names = payload.get("models", TWINS)
    if not isinstance(names, list | tuple) or len(names) != 2:
        raise RequestError("error.request")
    if not all(isinstance(name, str) and name in zoo.names for name in names):
        raise RequestError("error.models")
    return zoo.pair(names)


def picture(payload: Payload, zoo: Zoo) -> Tensor:
    """The picture x (1, 1, 28, 28) that a request is about.

    It comes as pen strokes, `{"strokes": [[x0, y0, x1, y1, …], …]}`; as an uploaded file,
    `{"picture": base64}`; or as a digit of the encoded dataset, `{"digit": index}`. Strokes may
    name their pen, `"brush"`, and both they and files what of MNIST's rule is left out, `"off"`.

    Raises:
        RequestError, ImageError: none of these, or not readable.
    """
    if isinstance(strokes := payload.get("strokes"), list):
        try:
            pens = [np.asarray(s, dtype=np.float64).reshape(-1, 2) for s in strokes]
        except (ValueError, TypeError, OverflowError):
            raise RequestError("error.request") from None
        brush = number({"brush": BRUSH, **payload}, "brush", *BRUSHES)
        return render_strokes(
            pens, least_extent=TAP, normalisation=normalisation(payload), board=BOARD, pen=brush
        )[None]
    if isinstance(file := payload.get("picture"), str):
        try:
            content = base64.b64decode(file, validate=True)
        except binascii.Error:
            raise RequestError("error.request") from None
        return preprocess(open_image(content), normalisation(payload))[None]
    return zoo.digit(whole(payload, "digit", 0, len(zoo.digits.labels) - 1))


def normalisation(payload: Payload) -> Normalisation:
    """What of MNIST's rule a request applies: all but the parts named in `{"off": ["crop", …]}`."""
    off = payload.get("off", [])
    if not isinstance(off, list) or any(part not in Normalisation._fields for part in off):
        raise RequestError("error.request")
    return Normalisation(*(part not in off for part in Normalisation._fields))


# What the page receives ---------------------------------------------------------------------------


def packed(x: Tensor) -> str:
    """Pictures (…, 28, 28) in [0, 1] as base64 of their bytes, row by row."""
    return base64.b64encode(to_uint8(x.cpu()).tobytes()).decode()


def readings(zoo: Zoo, x: Tensor) -> Payload:
    """What the judge reads in pictures x (B, 1, 28, 28) in [0, 1].

    Returns:
        classes: B whole numbers; confidences: the probability it gives each, two digits.
    """
    confidence, classes = zoo.judge(x.to(zoo.device)).softmax(1).max(1)
    return {
        "classes": classes.tolist(),
        "confidences": [round(value, 3) for value in confidence.tolist()],
    }


def saved(name: str, content: bytes, recipe: exports.Recipe) -> Payload:
    """A file for the visitor to keep, and the recipe it carries."""
    return {"name": name, "file": base64.b64encode(content).decode(), "recipe": recipe}


def recipe(tab: str, payload: Payload, zoo: Zoo) -> exports.Recipe:
    """What makes an exported picture again: see `vae_demo.ui.replay`."""
    models = pair(payload, zoo)
    return {
        "tab": tab,
        "request": payload,
        "weights": {model.name: model.weights_sha256 for model in models},
        "device": zoo.device.type,
        "torch": torch.__version__,
    }
