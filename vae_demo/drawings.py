"""Pictures that are not MNIST's: pen strokes on a canvas as visitors draw them, and non-digits.

What the report holds the models against; nothing here is ever trained on.
"""

import string
from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from vae_demo.images import preprocess, render_strokes

CANVAS_PX = 280

Stroke = NDArray[np.float64]  # (n, 2) pen points x, y; y grows downwards


class Condition(NamedTuple):
    """How a digit is drawn: pen width, longest side of the pen's path, and its middle, in px."""

    width: int
    size: int
    at: tuple[int, int] = (CANVAS_PX // 2, CANVAS_PX // 2)


CONDITIONS = {
    "normal": Condition(18, 200),
    "thin": Condition(6, 200),
    "thick": Condition(40, 200),
    "tiny": Condition(3, 35),
    "off-centre": Condition(14, 110, (65, 210)),
}


def draw(
    strokes: Sequence[Stroke],
    width: int = 18,
    size: int = 200,
    at: tuple[int, int] = (CANVAS_PX // 2, CANVAS_PX // 2),
    canvas: int = CANVAS_PX,
) -> NDArray[np.uint8]:
    """White ink on black (canvas, canvas), as a drawing canvas would show the strokes."""
    points = np.concatenate(strokes)
    low, high = points.min(0), points.max(0)
    scale = size / max((high - low).max(), 1e-9)
    image = Image.new("L", (canvas, canvas))
    pen = ImageDraw.Draw(image)
    for stroke in strokes:
        path = [(x, y) for x, y in (stroke - (low + high) / 2) * scale + at]
        pen.line(path, fill=255, width=width, joint="curve")
        for x, y in path:
            pen.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], fill=255)
    return np.asarray(image)


def drawn(digits: Sequence[Sequence[Stroke]], condition: Condition) -> Tensor:
    """Digits drawn under a condition, as the models see them: (N, 1, 28, 28) in [0, 1]."""
    return torch.stack([preprocess(draw(digit, *condition)) for digit in digits])


# Not digits ---------------------------------------------------------------------------------------

LETTERS = sorted(
    set(string.ascii_letters) - set("BDGIOQSZbgiloqsz")
)  # the rest looks like no digit
FONT_PX = 160


def letters() -> Tensor:
    """Letters that look like no digit, in Pillow's own font: upright and tilted, light and bold.

    Returns:
        (324, 1, 28, 28) in [0, 1], through `preprocess` as a visitor's would go.
    """
    font = ImageFont.load_default(FONT_PX)
    side, pictures = 2 * FONT_PX, []
    for letter, bold_px, turn in product(LETTERS, (0, 4, 8), (-10, 0, 10)):
        image = Image.new("L", (side, side))
        middle = (side // 2, side // 2)
        pen = ImageDraw.Draw(image)
        pen.text(middle, letter, 255, font, anchor="mm", stroke_width=bold_px)
        turned = image.rotate(turn, Image.Resampling.BICUBIC)
        pictures.append(preprocess(turned))
    return torch.stack(pictures)


def doodles(count: int, rng: np.random.Generator) -> Tensor:
    """So many of each kind of doodle, each tilted and stretched its own way.

    Returns:
        (6 · count, 1, 28, 28) in [0, 1].
    """
    return torch.stack(
        [render_strokes(loosely(doodle(rng), rng)) for doodle in DOODLES for _ in range(count)]
    )


def loosely(strokes: Sequence[Stroke], rng: np.random.Generator) -> list[Stroke]:
    """As by another hand: turned by about 8° and stretched by about 15 %."""
    turn = rng.normal(0, np.radians(8))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    shape = rotation * np.exp(rng.normal(0, 0.15, 2))
    return [stroke @ shape for stroke in strokes]


def arc(
    x: float, y: float, radius: float | NDArray[np.float64], start: float = 0, end: float = 360
) -> Stroke:
    """Around (x, y) from one angle in degrees to another, clockwise from the right.

    Args:
        radius: one for all of the arc, or (100,) for a spiral.
    """
    angles = np.radians(np.linspace(start, end, 100))
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], 1)


def zigzag(rng: np.random.Generator) -> list[Stroke]:
    corners = int(rng.integers(5, 9))
    heights = np.where(np.arange(corners) % 2, 0.0, 1.0) + rng.normal(0, 0.1, corners)
    return [np.stack([np.linspace(0, 1.4, corners), heights], 1)]


def spiral(rng: np.random.Generator) -> list[Stroke]:
    return [arc(0, 0, np.linspace(0, 1, 100), end=360 * rng.uniform(2.5, 4))]


def star(rng: np.random.Generator) -> list[Stroke]:
    angles = np.radians(-90 + 144 * np.arange(6))
    return [np.stack([np.cos(angles), np.sin(angles)], 1)]


def house(rng: np.random.Generator) -> list[Stroke]:
    roof = -rng.uniform(0.4, 0.8)
    walls = np.array([[0, 0], [0, 1], [1, 1], [1, 0], [0.5, roof], [0, 0], [1, 0]])
    return [walls, np.array([[0.4, 1], [0.4, 0.5], [0.6, 0.5], [0.6, 1]])]


def smiley(rng: np.random.Generator) -> list[Stroke]:
    smile = rng.uniform(0, 30)
    return [
        arc(0, 0, 1),
        np.array([[-0.35, -0.4], [-0.35, -0.2]]),
        np.array([[0.35, -0.4], [0.35, -0.2]]),
        arc(0, 0, 0.55, smile, 180 - smile),
    ]


def scribble(rng: np.random.Generator) -> list[Stroke]:
    corners = rng.uniform(0, 1, (8, 2))
    at = np.linspace(0, len(corners) - 1, 100)
    return [np.stack([np.interp(at, np.arange(len(corners)), axis) for axis in corners.T], 1)]


Doodle = Callable[[np.random.Generator], list[Stroke]]
DOODLES: tuple[Doodle, ...] = (zigzag, spiral, star, house, smiley, scribble)


def turned(images: Tensor, labels: Tensor) -> Tensor:
    """Digits (N, 1, 28, 28) a quarter turn to the left, without 0, 1 and 8: they stay or become
    another."""
    matters = ~torch.isin(labels, torch.tensor([0, 1, 8]))
    return images[matters].rot90(1, (2, 3))
