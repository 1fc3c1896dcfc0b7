"""Exported pictures show what they should and give their recipe back."""

import io
import json

import numpy as np
import pytest
from PIL import Image, ImageSequence

from vae_demo import exports

RECIPE = {"tab": "sample", "request": {"seed": 1, "text": "가"}, "weights": {"ae": "0" * 64}}
GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def inked(grey):
    """What the page's palette makes of grey values."""
    low, high = np.array(exports.GROUND), np.array(exports.INK)
    return (low + (high - low) * grey[..., None] / 255).round().astype(np.uint8)


def test_a_png_shows_the_picture_in_ink_and_ground():
    image = Image.open(io.BytesIO(exports.png(GREY, RECIPE, scale=2))).convert("RGB")
    assert np.array_equal(np.asarray(image), inked(GREY.repeat(2, 0).repeat(2, 1)))


def test_a_gif_shows_every_frame_and_never_ends():
    frames = [GREY, 255 - GREY, np.zeros_like(GREY)]
    image = Image.open(io.BytesIO(exports.gif(frames, RECIPE, frame_ms=50, scale=1)))
    assert image.info["loop"] == 0
    shown = [(f.convert("RGB"), f.info["duration"]) for f in ImageSequence.Iterator(image)]
    assert [duration for _, duration in shown] == [50, 50, 50]
    for (picture, _), frame in zip(shown, frames, strict=True):
        assert np.array_equal(np.asarray(picture), inked(frame))


def test_every_form_gives_the_recipe_back():
    long = {**RECIPE, "request": {"strokes": [list(range(2000))]}}  # beyond one GIF block
    for recipe in (RECIPE, long):
        for content in (
            exports.png(GREY, recipe),
            exports.gif([GREY, GREY[::-1]], recipe),
            json.dumps(recipe).encode(),
            b"\0\0\0\x20ftypisom vae_demo {} free" + f"vae_demo {json.dumps(recipe)}".encode(),
        ):
            assert exports.read_recipe(content) == recipe


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_a_file_without_recipe_is_refused(content):
    with pytest.raises(exports.RecipeError):
        exports.read_recipe(content)


def test_a_picture_from_elsewhere_is_refused():
    buffer = io.BytesIO()
    Image.fromarray(GREY).save(buffer, "PNG")
    with pytest.raises(exports.RecipeError, match="no recipe"):
        exports.read_recipe(buffer.getvalue())


def test_tiles_are_laid_row_by_row_with_gaps():
    pictures = np.stack([np.full((2, 3), value, np.uint8) for value in (1, 2, 3)])
    sheet = exports.tiles(pictures, 2)
    assert sheet.tolist() == [
        [1, 1, 1, 0, 2, 2, 2],
        [1, 1, 1, 0, 2, 2, 2],
        [0] * 7,
        [3, 3, 3, 0, 0, 0, 0],
        [3, 3, 3, 0, 0, 0, 0],
    ]
