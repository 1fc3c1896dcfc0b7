"""Interpolate: the way from one digit to another, through both models' codes."""

import math

import gradio as gr
import torch
from torch import Tensor

from vae_demo import latent
from vae_demo.ui.exhibit import Payload, RequestError, exhibit, packed, pair, whole
from vae_demo.ui.points import Pair, Point, point
from vae_demo.zoo import Zoo

MIN_STEPS, MAX_STEPS = 3, 20
MIN_GAPS = 48  # between the frames of the animation; fewer would stutter
PATHS = {"lerp": latent.lerp, "slerp": latent.slerp}
# Where the tab opens: test digits no. 1, a 2, and no. 0, a 7.
START, END = 1, 0


def interpolate_tab(zoo: Zoo) -> gr.HTML:
    """Two ends, the strips between them and the animation; one request brings all of it."""

    def interpolate(payload: Payload) -> Payload:
        steps = whole(payload, "steps", MIN_STEPS, MAX_STEPS)
        path = payload.get("path")
        if not isinstance(path, str) or path not in PATHS:
            raise RequestError("error.request")
        models = pair(payload, zoo)
        start, end = (point(zoo, models, payload.get(key)) for key in ("start", "end"))
        return walk(zoo, models, start, end, steps, path)

    return exhibit(
        "interpolate",
        [interpolate],
        start=START,
        end=END,
        digits=len(zoo.digits.labels),
        originals=zoo.originals is not None,
    )


def walk(
    zoo: Zoo,
    models: Pair,
    start: Point,
    end: Point,
    steps: int,
    path: str,
) -> Payload:
    """Frames from start to end: both models' along one of `PATHS`, and the pixels' cross-fade."""
    frames = frame_count(steps)
    left, right = (
        packed(model.coder.decode(PATHS[path](a, b, frames).to(zoo.device)).sigmoid())
        for model, a, b in zip(models, start.codes, end.codes, strict=True)
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


def cross_fade(a: Tensor, b: Tensor, frames: int) -> Tensor:
    """Pictures (frames, 1, 28, 28) that fade from a to b pixel by pixel: no model at work."""
    times = torch.linspace(0, 1, frames)[:, None, None, None]
    return torch.lerp(a.cpu(), b.cpu(), times)


def export(zoo: Zoo, payload: Payload) -> bytes:
    raise NotImplementedError
