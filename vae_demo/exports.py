"""Pictures and films that leave the page, each with the recipe that makes it again, bit for bit.

A recipe is a dictionary: which tab, the request it answered, the digests of both models' weights.
In a PNG it is a text chunk, in a GIF a comment, in an MP4 (which the browser makes) a last box, all
named or beginning with `KEY`.
"""

import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, UnidentifiedImageError

KEY = "vae_demo"
GROUND, INK = (18, 22, 28), (250, 246, 236)  # the page's, see ui/page.js
ADDED, MISSED = (236, 72, 162), (142, 214, 84)  # of a residual, as ui/draw.js has them
PALETTE = [
    round(low + (high - low) * value / 255)
    for value in range(256)
    for low, high in zip(GROUND, INK, strict=True)
]

Grey = NDArray[np.uint8]
Colour = NDArray[np.uint8]
Recipe = dict[str, Any]


class RecipeError(ValueError):
    """A file holds no recipe; the message says why and what to do."""


def tiles(pictures: Grey | Colour, columns: int, gap_px: int = 1) -> Grey | Colour:
    """Lay pictures (N, H, W), or (N, H, W, 3) in colours, out in rows of `columns`, a gap of ground
    between them: (H', W') or (H', W', 3)."""
    count, height, width, *colours = pictures.shape
    rows = -(-count // columns)
    size = rows * (height + gap_px) - gap_px, columns * (width + gap_px) - gap_px
    sheet = np.zeros((*size, *colours), "u1")
    for i, picture in enumerate(pictures):
        y, x = (i // columns) * (height + gap_px), (i % columns) * (width + gap_px)
        sheet[y : y + height, x : x + width] = picture
    return sheet


def in_colours(grey: Grey) -> Colour:
    """Grey (…, H, W) in the page's ink and ground: (…, H, W, 3)."""
    return np.array(PALETTE, "u1").reshape(256, 3)[grey]


def residual(x_hat: Grey, x: Grey) -> Colour:
    """What a model added to pictures x (…, H, W) and what it missed, in colours (…, H, W, 3), full
    from a difference of one half on."""
    difference = (x_hat.astype(np.float32) - x)[..., None] / 127.5
    towards = np.where(difference > 0, ADDED, MISSED)
    return np.rint(GROUND + (towards - np.array(GROUND)) * abs(difference).clip(max=1)).astype("u1")


def coloured(picture: Grey | Colour, scale: int) -> Image.Image:
    """Grey (H, W) in the page's ink and ground, or colours (H, W, 3) as they are; each pixel
    `scale` × `scale`."""
    image = Image.fromarray(picture.repeat(scale, 0).repeat(scale, 1))
    if picture.ndim == 2:
        image = image.convert("P")
        image.putpalette(PALETTE)
    return image


def png(grey: Grey | Colour, recipe: Recipe, scale: int = 4) -> bytes:
    """A PNG of a picture, grey (H, W) or in colours (H, W, 3), its recipe inside."""
    inside = PngImagePlugin.PngInfo()
    inside.add_itxt(KEY, json.dumps(recipe, ensure_ascii=False, sort_keys=True))
    buffer = io.BytesIO()
    coloured(grey, scale).save(buffer, "PNG", pnginfo=inside)
    return buffer.getvalue()


def gif(frames: Sequence[Grey], recipe: Recipe, frame_ms: int = 40, scale: int = 4) -> bytes:
    """An endless GIF of frames (H, W), its recipe inside.

    Args:
        frame_ms: how long a frame stays; GIF counts in hundredths of a second.
    """
    first, *others = (coloured(frame, scale) for frame in frames)
    buffer = io.BytesIO()
    first.save(
        buffer,
        "GIF",
        save_all=True,
        append_images=others,
        duration=frame_ms,
        loop=0,
        optimize=False,
        comment=f"{KEY} {json.dumps(recipe, sort_keys=True)}".encode(),
    )
    return buffer.getvalue()


def read_recipe(content: bytes) -> Recipe:
    """The recipe in a PNG, a GIF, an MP4 or a JSON file.

    Raises:
        RecipeError: there is none.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            comment = image.info.get("comment", b"")
            comment = comment.decode() if isinstance(comment, bytes) else str(comment)
            text = image.info.get(KEY) or comment.removeprefix(KEY)
    except UnidentifiedImageError:
        if content[4:8] == b"ftyp":  # an MP4, the recipe in its last box
            content = content.rpartition(f"{KEY} ".encode())[2]
        text = content.decode(errors="replace")
    except (OSError, ValueError, SyntaxError) as error:
        raise RecipeError(f"This picture cannot be read ({error}).") from error
    try:
        recipe = json.loads(text)
    except ValueError:
        recipe = None
    if not isinstance(recipe, dict) or not {"tab", "request", "weights"} <= set(recipe):
        raise RecipeError(
            "This file holds no recipe. Give a picture saved from the page, or its recipe as JSON; "
            "programs that edit pictures often drop what is written inside."
        )
    return recipe
