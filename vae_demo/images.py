"""From pen strokes or any picture to the 28×28 a model sees, and from there to files.

One rule for training, app and map, the one MNIST was made by (LeCun et al. 1998, Proc. IEEE
86:2278, section III-A): the longest side of the ink becomes 20 px, keeping the aspect, and a
whole-pixel shift brings the centre of mass to the middle of a 28×28 frame. Measured on the 60,000
training digits, that middle is index 14 of both axes, counted from 0.

Ink is 1 and ground is 0 everywhere; x runs right and y down.
"""

import io
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageOps
from scipy import ndimage
from torch import Tensor

SIDE_PX = 28
INK_PX = 20  # longest side of the ink
MIDDLE_PX = 14  # index of the centre of mass

# The pen that `render_strokes` draws with.
WIDTH_PX = 2.3  # between half-dark edges
EDGE_PX = 1.1  # from full ink to none, across an edge
STEP_PX = 0.5  # pen points that lie closer than this along the stroke are skipped
SEGMENTS_MAX = 600  # … and further apart, once a scribble has more
BLOCK = 100  # segments worked on at once: stays in the cache, a third of the time
WIDTH_DRAWN_PX = (0.6, 12.0)  # a pen as thick as on the slate is drawn within these
POINTS_MAX = 20_000
STROKES_MAX = 500
COORDINATE_MAX = 1e9

# What `preprocess` and `open_image` take.
IMAGE_SIDE_MAX = 4096
FILE_BYTES_MAX = 8_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")

WORK_SIDE_PX = 1024  # larger pictures are reduced to this first
CONTRAST_MIN = 0.1  # a picture with less is blank
UNEVEN = 0.1  # the border of an evenly lit picture varies less
GROUND_SIDE_PX = 80  # fine enough for the edge of a shadow
DIM = 0.5  # of the usual ground; on what is darker, a table say, noise would pass for ink
SHARP = 0.6  # of its contrast, an outline rises within a 40th of the picture
STAIN_SHARE = 0.03  # of all ink of a photo; smaller islands are no strokes
GRAIN_SHARE = 1e-4  # of all pixels; smaller islands of a photo are noise
HAZE = 0.25  # less ink than this is noise, shadow or a JPEG's ringing
SPECK_SHARE = 0.01  # of all ink; smaller islands are dust
WIDTH_USUAL_PX = (2.0, 3.0)  # other pens are replaced by one of WIDTH_PX
WIDTH_MNIST_PX = (1.1, 5.2)  # all of MNIST
FINE = 8  # work pixels per final pixel while the stroke width is changed

Array = NDArray[np.float32]


class ImageError(ValueError):
    """Bad input; the message says what came, what was expected and what to do."""


class Normalisation(NamedTuple):
    """Which parts of MNIST's rule are applied; each can be left out to see what it is good for."""

    crop: bool = True  # the longest side of the ink becomes 20 px
    centre: bool = True  # the centre of mass comes to the middle
    width: bool = True  # the pen has one thickness
    polarity: bool = True  # ink is 1 and ground 0


MNIST_RULE = Normalisation()


# Pen strokes --------------------------------------------------------------------------------------


def render_strokes(
    strokes: Sequence[ArrayLike],
    *,
    width_px: float = WIDTH_PX,
    least_extent: float = 1e-6,
    normalisation: Normalisation = MNIST_RULE,
    board: float = 616.0,
    pen: float = 40.0,
) -> Tensor:
    """Pen strokes as MNIST would show them: same size, place and pen however they were drawn.

    Args:
        strokes: one (n, 2) array of pen points x, y per stroke, in any unit; y grows downwards.
            Empty strokes are skipped; at most 500 strokes and 20,000 points.
        width_px: stroke width in pixels of the result, 1 to 8.
        least_extent: a drawing smaller than this, in the unit of the points, is not blown up to
            full size; so the trembling of a finger that taps stays a dot.
        normalisation: what of the rule is applied. Without
            crop: the slate becomes 28 px, not the ink's box 20 px; what lies beyond is not seen;
            centre: the ink stays where it was drawn; with crop, the middle of its box stays at its
                place on the slate, but for a shift so that no ink is cut;
            width: the pen is as thick as on the slate, scaled as the points are, 0.6 to 12 px;
            polarity: dark ink on light ground, 1 − x; no points are then ones.
        board: side of the square slate, in the unit of the points, its corner at 0, 0.
        pen: width of the pen on the slate, in the unit of the points.

    Returns:
        float32 (1, 28, 28) in [0, 1]; zeros if there are no points, a dot if there is one.

    Raises:
        ImageError: points of another shape, not finite or too many; sizes out of range.
    """
    if not 1 <= width_px <= 8:
        raise ImageError(f"width_px is {width_px}; choose 1 to 8 pixels.")
    for name, size in (("board", board), ("pen", pen)):
        if not 1e-6 <= size <= COORDINATE_MAX:
            raise ImageError(f"{name} is {size}; choose 1e-6 to {COORDINATE_MAX:g}.")
    points, first = pen_points(strokes)
    if not len(points):
        ink = np.zeros(SIDE_PX**2, np.float32)
    else:
        ink = stroke_ink(points, first, width_px, least_extent, normalisation, board, pen)
    x = torch.from_numpy(ink.reshape(1, SIDE_PX, SIDE_PX))
    return x if normalisation.polarity else 1 - x


def stroke_ink(
    points: NDArray[np.float64],
    first: NDArray[np.bool_],
    width_px: float,
    least_extent: float,
    normalisation: Normalisation,
    board: float,
    pen: float,
) -> Array:
    """Ink (784,) of points (N, 2), at least one, where `first` (N,) begins strokes.

    The arguments are those of `render_strokes`.
    """
    if not normalisation.crop:  # from further off than a slate, only rounding would be seen
        points = points.clip(-board, 2 * board)
    low, high = points.min(0), points.max(0)
    extent = max(float((high - low).max()), least_extent, 1e-6)
    if not normalisation.width:
        per_unit = INK_PX / (extent + pen) if normalisation.crop else SIDE_PX / board
        width_px = float(np.clip(pen * per_unit, *WIDTH_DRAWN_PX))
    scale = (INK_PX - width_px) / extent if normalisation.crop else SIDE_PX / board
    points = (points - (low + high) / 2) * scale
    points, first = skip_close(points, first)
    if normalisation.centre:
        # Drawn twice: with the box in the middle, then with the centre of mass there. The pen is
        # drawn afresh, so no whole-pixel shift is needed, and nothing jumps while it draws.
        rough = pen_ink(points, first, width_px, COARSE, 2 * EDGE_PX)
        mass = max(rough.sum(), 1e-6)  # a fine dot may lie between all coarse pixels
        shift = MIDDLE_PX - (SIDE_PX - 1) / 2 - COARSE[:2] @ rough / mass
    else:
        shift = ((low + high) / 2 / board - 0.5) * SIDE_PX
    if normalisation.crop or normalisation.centre:
        room = (SIDE_PX - np.ptp(points, axis=0) - width_px) / 2 - 0.5 * EDGE_PX
        room = room.clip(0)  # a drawing larger than the frame is cut on both sides alike
        shift = shift.clip(-room, room)
    return pen_ink(points + shift, first, width_px, PIXELS, EDGE_PX)


def pen_points(strokes: Sequence[ArrayLike]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """All points (N, 2) in a row, and whether each begins a stroke (N,).

    Raises:
        ImageError: see `render_strokes`.
    """
    wanted = "expected a list of strokes, each an (n, 2) array of finite x, y"
    if isinstance(strokes, str | bytes | dict) or not hasattr(strokes, "__len__"):
        raise ImageError(f"Strokes came as {type(strokes).__name__}; {wanted}.")
    if len(strokes) > STROKES_MAX:
        raise ImageError(f"{len(strokes)} strokes came; draw at most {STROKES_MAX}.")
    arrays, total = [], 0
    for i, stroke in enumerate(strokes):
        try:
            array = np.asarray(stroke, dtype=np.float64)
        except (TypeError, ValueError):
            raise ImageError(f"Stroke {i} is not made of numbers; {wanted}.") from None
        if not array.size:
            continue
        if array.ndim != 2 or array.shape[1] != 2:
            raise ImageError(f"Stroke {i} has shape {array.shape}; {wanted}.")
        total += len(array)
        if total > POINTS_MAX:
            raise ImageError(f"More than {POINTS_MAX} pen points came; send fewer.")
        arrays.append(array)
    if not arrays:
        return np.empty((0, 2)), np.empty(0, dtype=bool)
    points = np.concatenate(arrays)
    if not (np.abs(points) <= COORDINATE_MAX).all():  # NaN fails this too
        raise ImageError(f"A coordinate is not finite or beyond ±{COORDINATE_MAX:g}; {wanted}.")
    first = np.zeros(len(points), dtype=bool)
    first[np.cumsum([0] + [len(array) for array in arrays[:-1]])] = True
    return points, first


def skip_close(
    points: NDArray[np.float64], first: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Fewer points (M, 2) for the same line: about one per STEP_PX, and the ends of each stroke."""
    walked = np.zeros(len(points))
    walked[1:] = np.hypot(*np.diff(points, axis=0).T)
    walked[first] = 0
    walked = walked.cumsum()
    step = max(STEP_PX, walked[-1] / SEGMENTS_MAX)
    mark = np.floor(walked / step)
    keep = first | np.append(first[1:], True)  # both ends of each stroke
    keep[1:] |= mark[1:] != mark[:-1]
    return points[keep], first[keep]


def pen_ink(
    points: NDArray[np.float64],
    first: NDArray[np.bool_],
    width_px: float,
    pixels: Array,
    edge_px: float,
) -> Array:
    """Ink (P,) at some pixels: 1 under the pen, 0 away from it, a ramp across its edge.

    Args:
        points: (M, 2) x, y in pixels from the middle of the frame.
        first: (M,) whether a point begins a stroke; the others are joined to the one before.
        pixels: (3, P), see `pixel_grid`.
    """
    end = points.astype(np.float32)
    start = np.roll(end, 1, axis=0)
    start[first] = end[first]
    along = end - start
    length = np.hypot(along[:, :1], along[:, 1:])  # (M, 1)
    along /= np.maximum(length, 1e-6)
    # With r = pixel − start and s = r · along, the nearest point of a piece lies t = clip(s, 0,
    # length) along it, at a squared distance of |r|² − t (2 s − t). |pixel|² is added at the end.
    to_s = np.column_stack([along, -(start * along).sum(1)])
    to_squared = np.column_stack([-2 * start, (start**2).sum(1)])
    nearest = np.full(pixels.shape[1], np.inf, np.float32)
    for i in range(0, len(end), BLOCK):
        s = to_s[i : i + BLOCK] @ pixels  # (BLOCK, P)
        squared = to_squared[i : i + BLOCK] @ pixels
        t = np.clip(s, 0, length[i : i + BLOCK])
        s += s
        s -= t
        s *= t
        squared -= s
        np.minimum(nearest, squared.min(0), out=nearest)
    distance = np.sqrt(np.maximum(nearest + (pixels[:2] ** 2).sum(0), 0))
    return np.clip(((width_px + edge_px) / 2 - distance) / edge_px, 0, 1)


def pixel_grid(step: int) -> Array:
    """x, y and 1 of the middle of each step × step block, from the middle of the frame: (3, P)."""
    line = np.arange(step / 2, SIDE_PX, step, dtype=np.float32) - SIDE_PX / 2
    return np.stack([np.tile(line, len(line)), np.repeat(line, len(line)), np.ones(len(line) ** 2)])


PIXELS: Array = pixel_grid(1).astype(np.float32)  # (3, 784)
COARSE: Array = pixel_grid(2).astype(np.float32)  # (3, 196)


def to_centre(ink: Array) -> tuple[int, int]:
    """Whole-pixel shift (down, right) of the centre of mass to MIDDLE_PX that never cuts ink.

    Args:
        ink: (28, 28) or a whole multiple of that, the ink anywhere.
    """
    side = len(ink)
    middle = (MIDDLE_PX + 0.5) * side / SIDE_PX - 0.5
    shift = []
    for axis in (0, 1):
        profile = ink.sum(1 - axis)
        inked = np.flatnonzero(profile)
        wanted = round(float(middle - profile @ np.arange(side) / profile.sum()))
        shift.append(int(np.clip(wanted, -inked[0], side - 1 - inked[-1])))
    return shift[0], shift[1]


def shifted(array: Array, shift: tuple[int, int], ground: float) -> Array:
    """(H, W) moved so far (down, right); what comes in is ground."""
    for axis, by in enumerate(shift):
        array = np.roll(array, by, axis)
        came_in = slice(0, by) if by >= 0 else slice(by, None)
        array[came_in if axis == 0 else (slice(None), came_in)] = ground
    return array


# Pictures -----------------------------------------------------------------------------------------


def preprocess(image: Image.Image | ArrayLike, normalisation: Normalisation = MNIST_RULE) -> Tensor:
    """Any picture of one digit as MNIST would show it.

    Args:
        image: PIL image of any mode, or array (H, W) or (H, W, C) with C = 1 grey, 2 grey and
            alpha, 3 RGB, 4 RGBA; bool, 8- or 16-bit integers, or floats in [0, 1]. Dark on light
            and light on dark are the same; what is transparent is ground.
        normalisation: what of the rule is applied. Without
            crop: the whole picture, padded to a square with its ground, becomes 28 px;
            centre: no shift to the centre of mass; with crop, the ink's box is in the middle;
            width: strokes are as thick as they come;
            polarity: as bright as it came, in the colour channel that shows most; strokes of
                another width are redrawn in their own brightness.

    Returns:
        float32 (1, 28, 28) in [0, 1]; zeros if the picture is blank, but the whole of it, as it
        came, without polarity.

    Raises:
        ImageError: another shape, a side beyond 4096 px, values out of range or not finite.
    """
    grey = one_channel(pixels(image))
    ink, usual_px = find_ink(grey), WIDTH_MNIST_PX
    if not ink.any():  # nothing to crop, centre or redraw
        normalisation = Normalisation(False, False, False, normalisation.polarity)
    elif max(crop(ink).shape) != INK_PX:  # else perhaps MNIST's own, and fine unless the pen is odd
        ink, usual_px = drop_specks(ink), WIDTH_USUAL_PX
    ground = 0.0 if normalisation.polarity else float(np.median(border(grey)))
    seen = ink if normalisation.polarity else grey  # goes wherever the ink goes
    if normalisation.crop:
        ink, seen, side = crop(ink), seen[box(ink)], INK_PX
    else:
        longest, side = max(ink.shape), SIDE_PX
        ink, seen = place(ink, longest), place(seen, longest, ground)
    if normalisation.width:
        fine = resized(ink, side * FINE)
        drawn = usual_width(fine, usual_px, resize=normalisation.crop)
        if drawn is not fine:
            tone = 1.0 if normalisation.polarity else float(np.median(seen[ink > ink.max() / 2]))
            ink, seen = drawn, ground + (tone - ground) * drawn
    if max(ink.shape) != side:
        ink, seen = resized(ink, side * FINE), resized(seen, side * FINE)
    frame = SIDE_PX * max(ink.shape) // side
    ink, seen = place(ink, frame), place(seen, frame, ground)
    if normalisation.centre:
        seen = shifted(seen, to_centre(ink), ground)
    small = reduced(seen[..., None], frame // SIDE_PX)[..., 0]
    return torch.from_numpy(small)[None]


def pixels(image: Image.Image | ArrayLike) -> Array:
    """Values in [0, 1], (H, W, C), no side beyond WORK_SIDE_PX.

    Raises:
        ImageError: see `preprocess`.
    """
    if isinstance(image, Image.Image):
        check_side(*image.size)
        if image.mode not in ("1", "L", "F", "I") and not image.mode.startswith("I;16"):
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        elif image.mode == "I":
            image = np.asarray(image).clip(0, 65535).astype(np.uint16)
    try:
        array = np.asarray(image)
    except (TypeError, ValueError) as error:
        raise ImageError(f"This is no picture ({error}); give a PIL image or an array.") from error
    if array.dtype.kind not in "buif":
        raise ImageError(f"Pixels are of type {array.dtype}; give bool, integers or floats.")
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4):
        raise ImageError(
            f"The array has shape {array.shape}; expected (H, W) or (H, W, C) with C = 1 to 4 "
            "channels last."
        )
    height, width = array.shape[:2]
    check_side(width, height)
    full = {"b": 1, "f": 1}.get(array.dtype.kind, 65535 if array.dtype == np.uint16 else 255)
    array = reduced(array, -(-max(height, width) // WORK_SIDE_PX)) / np.float32(full)
    slack = 0.01 if full == 1 else 1e-6  # resampled floats overshoot a little
    if not ((array >= -slack) & (array <= 1 + slack)).all():  # NaN fails this too
        raise ImageError(
            f"Pixels run from {array.min() * full:g} to {array.max() * full:g}; {array.dtype} "
            f"pictures must be finite and within 0 to {full}. Scale them first."
        )
    return array.clip(0, 1)


def check_side(width: int, height: int) -> None:
    if not (1 <= width <= IMAGE_SIDE_MAX and 1 <= height <= IMAGE_SIDE_MAX):
        raise ImageError(
            f"The picture is {width}×{height} px; sides of 1 to {IMAGE_SIDE_MAX} px are taken. "
            "Make it smaller."
        )


def reduced(array: NDArray[Any], factor: int) -> Array:
    """Means of factor × factor blocks of (H, W, C); the last ones may be smaller."""
    if factor == 1:
        return array.astype(np.float32)
    for axis in (0, 1):
        edges = np.arange(0, array.shape[axis], factor)
        sizes = np.diff(np.append(edges, array.shape[axis])).astype(np.float32)
        array = np.add.reduceat(array, edges, axis, dtype=np.float32)
        array /= np.expand_dims(sizes, [i for i in range(3) if i != axis])
    return array


def border(array: NDArray[Any]) -> NDArray[Any]:
    """The outermost pixels of (H, W, …) in a row, the corners twice."""
    return np.concatenate([array[0], array[-1], array[:, 0], array[:, -1]])


def one_channel(array: Array) -> Array:
    """The colour channel that shows most, (H, W), over a ground that sets it off."""
    if array.shape[2] in (2, 4):
        array, alpha = array[..., :-1], array[..., -1:]
        seen = max(float(alpha.sum()), 1e-6)
        tone = (array * alpha).sum((0, 1)) / seen  # mean colour of what is not transparent
        spread = np.sqrt(((array - tone) ** 2 * alpha).sum((0, 1)) / seen).max()
        if np.median(border(alpha)) > 0.5 and spread > 0.1:
            ground = tone  # a sheet with a drawing on it and, say, round corners
        else:
            ground = np.float32(tone.mean() < 0.5)  # the drawing alone: set it off
        array = array * alpha + ground * (1 - alpha)
    return array[..., array.std((0, 1)).argmax()]


def find_ink(grey: Array) -> Array:
    """How far each pixel (H, W) is from the ground, whichever of the two is darker, in [0, 1].

    An even ground is the median of the border; for any other see `ink_of_photo`.
    """
    edge = border(grey)
    low, high = np.percentile(edge, (5, 95))
    ink = np.abs(grey - np.median(edge))
    full = float(np.percentile(ink[ink > ink.max() / 2], 95)) if ink.any() else 0.0
    between = (ink > 0.1 * full) & (ink < 0.4 * full)  # the light itself, if this is much
    if high - low > UNEVEN or between.mean() > UNEVEN:
        return ink_of_photo(grey)
    noise = float(np.percentile(border(ink), 95))
    if full < CONTRAST_MIN or full < 2 * noise:
        return np.zeros_like(ink)
    return (ink * max(1.0, 0.9 / full)).clip(0, 1).astype(np.float32)


def ink_of_photo(grey: Array) -> Array:
    """Ink (H, W) in [0, 1] under light that differs from place to place.

    The ground of a place is the median around it: strokes are rarer than ground, and the straight
    edge of a shadow or a table stays one. What is half as far from it as full ink is the stroke's
    outline.
    """
    factor = -(-max(grey.shape) // GROUND_SIDE_PX)
    coarse = reduced(grey[..., None], factor)[..., 0]
    ground = ndimage.median_filter(coarse, max(3, max(coarse.shape) // 3), mode="nearest")
    grey = ndimage.gaussian_filter(grey, min(1.0, max(grey.shape) / 600))  # less grain
    # Beside the edge of a shadow, ground is anything between its light and its dark.
    rows, columns = (  # of the first of the two coarse pixels that each lies between
        ((np.arange(side) + 0.5) / factor - 0.5).clip(0).astype(int) for side in grey.shape
    )
    bright, dark = (
        pick(ground, 2, origin=-1)[rows][:, columns]
        for pick in (ndimage.maximum_filter, ndimage.minimum_filter)
    )
    darker, lighter = (dark - grey).clip(0), (grey - bright).clip(0)
    # Shadow takes as much from ink and chalk as from what they are on.
    dim = max(CONTRAST_MIN / 2, DIM * float(np.median(ground)))
    either = [
        strokes_on_ground(away / near.clip(dim))
        for away, near in ((darker, dark), (lighter, bright))
    ]
    # Strokes are long and thin, other than a lit corner of the sheet.
    length = [
        float((ink * away).sum() / (1 + ndimage.distance_transform_edt(ink > 0.5).max()))
        for ink, away in zip(either, (darker, lighter), strict=True)
    ]
    return either[int(np.argmax(length))]


def strokes_on_ground(contrast: Array) -> Array:
    """Ink (H, W) in [0, 1], half full where the contrast (H, W) is half that of the strokes.

    Without islands that are no strokes: too faint, too small or without a sharp outline, as light
    and stains are, or going on beyond the border, as tables do, if there are others.
    """
    seen = contrast[contrast > CONTRAST_MIN]
    if not seen.size:
        return np.zeros_like(contrast)
    full = float(np.percentile(seen, 90))
    ink = ((contrast / full - 0.3) / 0.4).clip(0, 1).astype(np.float32)
    islands, count = ndimage.label(ink > 0, np.ones((3, 3)))
    index = np.arange(count + 1)
    mass = ndimage.sum_labels(ink, islands, index)
    outline = np.where(ndimage.minimum_filter(islands, 3), 0, islands)
    nearby = max(3, max(ink.shape) // 40)
    rise = ndimage.maximum_filter(contrast, nearby) - ndimage.minimum_filter(contrast, nearby)
    length = ndimage.sum_labels(outline > 0, outline, index).clip(1)
    sharp = ndimage.sum_labels(rise, outline, index) / length > SHARP * full
    strokes = sharp & (mass > STAIN_SHARE * mass.sum()) & (mass > GRAIN_SHARE * ink.size)
    strokes[0] = False  # the ground
    inner = strokes & ~np.isin(index, border(islands))
    return np.where((inner if inner.any() else strokes)[islands], ink, 0)


def drop_specks(ink: Array) -> Array:
    """Without haze, and without islands that hold less than SPECK_SHARE of the ink."""
    ink = np.where(ink > HAZE, ink, 0)
    islands, count = ndimage.label(ink > 0, np.ones((3, 3)))
    mass = ndimage.sum_labels(ink, islands, np.arange(count + 1))
    return np.where(mass[islands] >= SPECK_SHARE * mass.sum(), ink, 0)


def crop(ink: Array) -> Array:
    """The smallest frame that holds all ink."""
    return ink[box(ink)]


def box(ink: NDArray[Any]) -> tuple[slice, slice]:
    """Rows and columns of the smallest frame that holds all ink, of which there is some."""
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def resized(ink: Array, longest: int) -> Array:
    """Scaled to this longest side: by area means to shrink, smoothly to grow."""
    factor = longest / max(ink.shape)
    height, width = (max(1, round(side * factor)) for side in ink.shape)
    if ink.shape == (height, width):
        return ink
    method = Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(ink).resize((width, height), method)).clip(0, 1)


def usual_width(ink: Array, usual_px: tuple[float, float], resize: bool = True) -> Array:
    """Replace a pen outside these widths, in final pixels, by one of WIDTH_PX.

    The outline, as a signed distance field, moves in or out; a hole that a wide pen has closed
    stays closed.

    Args:
        ink: FINE pixels per final pixel; if to be resized, cropped, longest side INK_PX * FINE.
        resize: the longest side will become INK_PX * FINE once more.

    Returns:
        Cropped, of any size, if to be resized, else of the same shape; unchanged if the pen is
        usual or the ink a blob.
    """
    mask = np.pad(ink > 0.5, 2 * FINE)
    if not mask.any():
        return ink
    inside = ndimage.distance_transform_edt(mask)
    width = 4 * float(np.median(inside[mask] - 0.5))  # depths spread evenly from 0 to half a width
    if usual_px[0] <= width / FINE <= usual_px[1]:
        return ink
    # The longest side of what the middle of the pen drew.
    path = (INK_PX * FINE if resize else max(mask[box(mask)].shape)) - width
    if path < width:
        return ink
    wanted = WIDTH_PX * (path / (INK_PX - WIDTH_PX) if resize else FINE)
    depth = inside - ndimage.distance_transform_edt(~mask)
    drawn = (depth + (wanted - width) / 2).clip(0, 1).astype(np.float32)
    return crop(drawn) if resize else drawn[2 * FINE : -2 * FINE, 2 * FINE : -2 * FINE]


def place(ink: Array, frame: int, ground: float = 0.0) -> Array:
    """Put ink into the middle of an otherwise empty square frame."""
    top, left = ((frame - side) // 2 for side in ink.shape)
    bottom, right = frame - top - ink.shape[0], frame - left - ink.shape[1]
    return np.pad(ink, ((top, bottom), (left, right)), constant_values=ground)


def open_image(content: bytes) -> Image.Image:
    """Decode an uploaded file, upright.

    Args:
        content: a PNG, JPEG, WEBP, BMP or GIF (its first frame) of at most 8 MB and 4096×4096 px;
            the size is read from the header, before anything is unpacked.

    Raises:
        ImageError: anything else, or damaged.
    """
    if len(content) > FILE_BYTES_MAX:
        raise ImageError(
            f"The file has {len(content) / 1e6:.1f} MB; at most {FILE_BYTES_MAX / 1e6:.0f} MB are "
            "taken. Make it smaller."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=FORMATS)
        check_side(*image.size)
        image.load()
        return ImageOps.exif_transpose(image)
    except ImageError:
        raise
    except Exception as error:  # damaged files make Pillow raise nearly anything
        raise ImageError(
            f"The file cannot be read as a picture ({error}). Save it as {', '.join(FORMATS)}."
        ) from error


# Back to files ------------------------------------------------------------------------------------


def to_uint8(x: Tensor) -> NDArray[np.uint8]:
    """Pictures (..., 28, 28) in [0, 1] as bytes 0 … 255 of the same shape."""
    return (x.detach().cpu() * 255).round().clamp(0, 255).to(torch.uint8).numpy()


def png(x: Tensor, scale: int = 1) -> bytes:
    """A picture (H, W) or (1, H, W) in [0, 1] as a grey PNG, each pixel scale × scale."""
    grey = to_uint8(x).reshape(x.shape[-2:]).repeat(scale, 0).repeat(scale, 1)
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG")
    return file.getvalue()
