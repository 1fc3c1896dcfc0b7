"""Interpolate: the way from one digit to another, through both models' codes."""

import math
from dataclasses import dataclass

import gradio as gr
import numpy as np
import torch
from torch import Tensor

from vae_demo import latent
from vae_demo.twins import Twins
from vae_demo.ui.exhibit import Payload, RequestError, exhibit, packed, picture, whole
from vae_demo.ui.sample import MAX_COUNT, MAX_SEED, noise

MIN_STEPS, MAX_STEPS = 3, 20
MIN_GAPS = 48  # between the frames of the animation; fewer would stutter
PATHS = {"lerp": latent.lerp, "slerp": latent.slerp}
# Where the tab opens: test digits no. 1, a 2, and no. 0, a 7.
START, END = 1, 0


def interpolate_tab(twins: Twins) -> gr.HTML:
    """Two ends, the strips between them and the animation; one request brings all of it."""

    def interpolate(payload: Payload) -> Payload:
        steps = whole(payload, "steps", MIN_STEPS, MAX_STEPS)
        path, start, end = (payload.get(key) for key in ("path", "start", "end"))
        known = isinstance(path, str) and path in PATHS
        if not known or not isinstance(start, dict) or not isinstance(end, dict):
            raise RequestError("error.request")
        return walk(twins, end_point(twins, start), end_point(twins, end), steps, str(path))

    return exhibit(
        "interpolate",
        [interpolate],
        start=START,
        end=END,
        digits=len(twins.digits.labels),
        originals=twins.originals is not None,
    )


@dataclass(frozen=True)
class EndPoint:
    """One end of the way.

    Attributes:
        codes: each model's code (Z,), left and right.
        x: its picture (1, 1, 28, 28).
        about: for a digit of the encoded dataset, its index and class.
    """

    codes: tuple[Tensor, Tensor]
    x: Tensor
    about: Payload


def walk(twins: Twins, start: EndPoint, end: EndPoint, steps: int, path: str) -> Payload:
    """Frames from start to end: both models' along one of `PATHS`, and the pixels' cross-fade."""
    frames = frame_count(steps)
    left, right = (
        packed(model.decode(PATHS[path](a, b, frames)).sigmoid())
        for model, a, b in zip(twins.both(), start.codes, end.codes, strict=True)
    )
    return {
        "frames": frames,
        "left": left,
        "right": right,
        "fade": packed(cross_fade(start.x, end.x, frames)),
        "start": {"picture": packed(start.x), **start.about},
        "end": {"picture": packed(end.x), **end.about},
    }


def frame_count(steps: int) -> int:
    """Frames of the animation: so many that each picture of the strip is one of them."""
    return math.ceil(MIN_GAPS / (steps - 1)) * (steps - 1) + 1


def end_point(twins: Twins, spec: Payload) -> EndPoint:
    """The end that the page asks for.

    It is a random point, `{"seed": …, "index": …, "temperature": …}`, as on the tab Sample; any
    digit of a class, `{"class": 0 … 9, "seed": …}`; or a picture (see `exhibit.picture`).

    Raises:
        RequestError, ImageError: none of these, or not readable.
    """
    if "class" in spec:
        spec = {"digit": digit_of_class(twins, spec)}
    if "digit" in spec:
        index = whole(spec, "digit", 0, len(twins.digits.labels) - 1)
        left, right = (
            twins.digits.codes[name].mean[index].to(twins.device) for name in ("ae", "vae")
        )
        about = {"digit": index, "class": int(twins.digits.labels[index])}
        return EndPoint((left, right), twins.digit(index), about)
    if "seed" in spec:
        index = whole(spec, "index", 0, MAX_COUNT - 1)
        z = noise(twins, spec, index + 1)[index]
        # A random point has no picture of its own; the cross-fade borrows the VAE's.
        return EndPoint((z, z), twins.vae.decode(z[None]).sigmoid(), {})
    x = picture(spec, twins)
    left, right = (model.encode(x.to(twins.device))[0] for model in twins.both())
    return EndPoint((left, right), x, {})


def digit_of_class(twins: Twins, spec: Payload) -> int:
    """Index of a digit of the encoded dataset, chosen by `class` and `seed`."""
    indices = np.flatnonzero(twins.digits.labels == whole(spec, "class", 0, 9))
    seed = whole(spec, "seed", 0, MAX_SEED)
    if not len(indices):
        raise RequestError("error.request")
    return int(indices[seed % len(indices)])


def cross_fade(a: Tensor, b: Tensor, frames: int) -> Tensor:
    """Pictures (frames, 1, 28, 28) that fade from a to b pixel by pixel: no model at work."""
    times = torch.linspace(0, 1, frames)[:, None, None, None]
    return torch.lerp(a.cpu(), b.cpu(), times)
