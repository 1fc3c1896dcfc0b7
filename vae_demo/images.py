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
from typing import Any

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
HAZE = 0.25  # less ink than this is noise, shadow or a JPEG's ringing
SPECK_SHARE = 0.01  # of all ink; smaller islands are dust
WIDTH_USUAL_PX = (2.0, 3.0)  # other pens are replaced by one of WIDTH_PX
WIDTH_MNIST_PX = (1.1, 5.2)  # all of MNIST
FINE = 8  # work pixels per final pixel while the stroke width is changed

Array = NDArray[np.float32]


class ImageError(ValueError):
    """Bad input; the message says what came, what was expected and what to do."""


# Pen strokes --------------------------------------------------------------------------------------


def render_strokes(
    strokes: Sequence[ArrayLike], *, width_px: float = WIDTH_PX, least_extent: float = 1e-6
) -> Tensor:
    """Pen strokes as MNIST would show them: same size, place and pen however they were drawn.

    Args:
        strokes: one (n, 2) array of pen points x, y per stroke, in any unit; y grows downwards.
            Empty strokes are skipped; at most 500 strokes and 20,000 points.
        width_px: stroke width in pixels of the result, 1 to 8.
        least_extent: a drawing smaller than this, in the unit of the points, is not blown up to
            full size; so the trembling of a finger that taps stays a dot.

    Returns:
        float32 (1, 28, 28) in [0, 1]; zeros if there are no points, a dot if there is one.

    Raises:
        ImageError: points of another shape, not finite or too many.
    """
    if not 1 <= width_px <= 8:
        raise ImageError(f"width_px is {width_px}; choose 1 to 8 pixels.")
    points, first = pen_points(strokes)
    if not len(points):
        return torch.zeros(1, SIDE_PX, SIDE_PX)
    low, high = points.min(0), points.max(0)
    scale = (INK_PX - width_px) / max(float((high - low).max()), least_extent, 1e-6)
    points = (points - (low + high) / 2) * scale
    points, first = skip_close(points, first)
    # Drawn twice: with the box in the middle, then with the centre of mass there. The pen is drawn
    # afresh, so no whole-pixel shift is needed, and nothing jumps while the drawing grows.
    room = (SIDE_PX - np.ptp(points, axis=0) - width_px) / 2 - 0.5 * EDGE_PX
    rough = pen_ink(points, first, width_px, COARSE, 2 * EDGE_PX)
    shift = MIDDLE_PX - (SIDE_PX - 1) / 2 - COARSE[:2] @ rough / rough.sum()
    points = points + shift.clip(-room, room)
    ink = pen_ink(points, first, width_px, PIXELS, EDGE_PX)
    return torch.from_numpy(ink.reshape(1, SIDE_PX, SIDE_PX))


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


def centre(ink: Array) -> Array:
    """Bring the centre of mass to MIDDLE_PX by a whole-pixel shift that never cuts ink.

    Args:
        ink: (28, 28) or a whole multiple of that, the ink anywhere.
    """
    side = len(ink)
    middle = (MIDDLE_PX + 0.5) * side / SIDE_PX - 0.5
    for axis in (0, 1):
        profile = ink.sum(1 - axis)
        inked = np.flatnonzero(profile)
        shift = round(float(middle - profile @ np.arange(side) / profile.sum()))
        ink = np.roll(ink, np.clip(shift, -inked[0], side - 1 - inked[-1]), axis)
    return ink


# Pictures -----------------------------------------------------------------------------------------


def preprocess(image: Image.Image | ArrayLike) -> Tensor:
    """Any picture of one digit as MNIST would show it.

    Args:
        image: PIL image of any mode, or array (H, W) or (H, W, C) with C = 1 grey, 2 grey and
            alpha, 3 RGB, 4 RGBA; bool, 8- or 16-bit integers, or floats in [0, 1]. Dark on light
            and light on dark are the same; what is transparent is ground.

    Returns:
        float32 (1, 28, 28) in [0, 1]; zeros if the picture is blank.

    Raises:
        ImageError: another shape, a side beyond 4096 px, values out of range or not finite.
    """
    ink = find_ink(one_channel(pixels(image)))
    if not ink.any():
        return torch.zeros(1, SIDE_PX, SIDE_PX)
    if max(crop(ink).shape) == INK_PX:  # perhaps MNIST's own: left alone unless the pen is odd
        ink, usual_px = crop(ink), WIDTH_MNIST_PX
    else:
        ink, usual_px = crop(drop_specks(ink)), WIDTH_USUAL_PX
    fine = resized(ink, INK_PX * FINE)
    drawn = usual_width(fine, usual_px)
    if max(ink.shape) == INK_PX and drawn is fine:
        small = centre(place(ink, SIDE_PX))
    else:
        fine = centre(place(resized(drawn, INK_PX * FINE), SIDE_PX * FINE))
        small = reduced(fine[..., None], FINE)[..., 0]
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
    """How far each pixel (H, W) is from the ground, whichever of the two is darker.

    An even ground is the median of the border. Under uneven light the ground is what remains
    after all strokes narrower than a third of the picture are opened away.
    """
    edge = border(grey)
    low, high = np.percentile(edge, (5, 95))
    if high - low < UNEVEN:
        ink = np.abs(grey - np.median(edge))
        noise = float(np.percentile(border(ink), 95))
    else:
        window = max(3, max(grey.shape) // 3)
        detail = grey - ndimage.uniform_filter(grey, window)
        if (detail**3).sum() < 0:  # strokes are rarer than ground, so theirs is the longer tail
            grey = 1 - grey
        ink = grey - ndimage.grey_opening(grey, (window, window))
        noise = float(np.median(ink)) * 2
    full = float(np.percentile(ink[ink > ink.max() / 2], 95)) if ink.any() else 0.0
    if full < CONTRAST_MIN or full < 2 * noise:
        return np.zeros_like(ink)
    return (ink * max(1.0, 0.9 / full)).clip(0, 1).astype(np.float32)


def drop_specks(ink: Array) -> Array:
    """Without haze, and without islands that hold less than SPECK_SHARE of the ink."""
    ink = np.where(ink > HAZE, ink, 0)
    islands, count = ndimage.label(ink > 0, np.ones((3, 3)))
    mass = ndimage.sum_labels(ink, islands, np.arange(count + 1))
    return np.where(mass[islands] >= SPECK_SHARE * mass.sum(), ink, 0)


def crop(ink: Array) -> Array:
    """The smallest frame that holds all ink."""
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def resized(ink: Array, longest: int) -> Array:
    """Scaled to this longest side: by area means to shrink, smoothly to grow."""
    factor = longest / max(ink.shape)
    height, width = (max(1, round(side * factor)) for side in ink.shape)
    if ink.shape == (height, width):
        return ink
    method = Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(ink).resize((width, height), method)).clip(0, 1)


def usual_width(ink: Array, usual_px: tuple[float, float]) -> Array:
    """Replace a pen outside these widths, in final pixels, by one of WIDTH_PX.

    The outline, as a signed distance field, moves in or out; a hole that a wide pen has closed
    stays closed.

    Args:
        ink: cropped, longest side INK_PX * FINE.

    Returns:
        Cropped, of any size; unchanged if the pen is usual or the ink a blob.
    """
    mask = np.pad(ink > 0.5, 2 * FINE)
    if not mask.any():
        return ink
    inside = ndimage.distance_transform_edt(mask)
    width = 4 * float(np.median(inside[mask] - 0.5))  # depths spread evenly from 0 to half a width
    if usual_px[0] <= width / FINE <= usual_px[1]:
        return ink
    path = INK_PX * FINE - width  # the longest side of what the middle of the pen drew
    if path < width:
        return ink
    wanted = WIDTH_PX * path / (INK_PX - WIDTH_PX)  # WIDTH_PX once the whole is INK_PX again
    depth = inside - ndimage.distance_transform_edt(~mask)
    return crop((depth + (wanted - width) / 2).clip(0, 1).astype(np.float32))


def place(ink: Array, frame: int) -> Array:
    """Put ink into the middle of an empty square frame."""
    top, left = ((frame - side) // 2 for side in ink.shape)
    bottom, right = frame - top - ink.shape[0], frame - left - ink.shape[1]
    return np.pad(ink, ((top, bottom), (left, right)))


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


def tile(x: Tensor, columns: int) -> Tensor:
    """Pictures (N, 1, H, W) side by side, row after row: (1, rows · H, columns · W)."""
    count, _, height, width = x.shape
    rows = -(-count // columns)
    frame = x.new_zeros(rows * columns, height, width)
    frame[:count] = x[:, 0]
    return frame.view(rows, columns, height, width).transpose(1, 2).reshape(1, rows * height, -1)
