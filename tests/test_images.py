"""Pen strokes and pictures to 28×28: MNIST's rule, invariances, bounds."""

import io
import struct
import zlib
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from PIL import Image

from vae_demo import checkpoints, data, images
from vae_demo.drawings import CONDITIONS, draw, drawn
from vae_demo.images import (
    MNIST_RULE,
    ImageError,
    Normalisation,
    open_image,
    preprocess,
    render_strokes,
)

SEVEN = [np.array([[20, 10], [80, 14], [45, 120]], float), np.array([[35, 60], [75, 62]], float)]


def box_and_middle(x):
    """Longest side of the half-dark ink, and its centre of mass (row, column)."""
    rows, columns = ((x[0] > 0.5).any(axis).nonzero()[:, 0] for axis in (1, 0))
    longest = 1 + max(rows[-1] - rows[0], columns[-1] - columns[0])
    index = torch.arange(28.0)
    middle = torch.stack([x[0].sum(1) @ index, x[0].sum(0) @ index]) / x.sum()
    return int(longest), middle


def difference(a, b):
    return float((a - b).abs().mean())


# Pen strokes


def test_strokes_follow_the_rule():
    x = render_strokes(SEVEN)
    longest, middle = box_and_middle(x)
    assert x.shape == (1, 28, 28) and x.dtype == torch.float32
    assert x.min() == 0 and x.max() == 1
    assert abs(longest - 20) <= 1
    assert torch.allclose(middle, torch.tensor(14.0), atol=0.25)


def test_stroke_width_is_the_one_asked_for():
    x = render_strokes([[[0, 0], [0, 50]]], width_px=2)
    assert x[0, 14].sum() == pytest.approx(2, abs=0.05)
    assert x.sum() == pytest.approx(2 * 18 + np.pi, abs=0.5)  # 18 px of path and two round ends


@pytest.mark.parametrize(("scale", "shift"), [(1, 1000), (0.01, 0), (30, -500), (0.125, 7.3)])
def test_strokes_do_not_care_about_scale_and_place(scale, shift):
    moved = render_strokes([stroke * scale + shift for stroke in SEVEN])
    assert torch.allclose(moved, render_strokes(SEVEN), atol=1e-3)


def test_more_points_draw_the_same_line():
    dense = [np.concatenate([np.linspace(a, b, 700) for a, b in pairwise(s)]) for s in SEVEN]
    assert difference(render_strokes(dense), render_strokes(SEVEN)) < 1e-3


def test_ink_is_never_cut():
    bar = np.stack([np.tile([0.0, 100.0], 40), np.linspace(0, 25, 80)], 1)
    strokes = [bar, np.array([[50.0, 25.0], [50.0, 100.0]])]
    x = render_strokes(strokes)  # centred by its mass, the stem would leave the frame below
    assert x[0, -2].max() == 1 and x[0, -1].max() < 0.8

    picture = np.zeros((28, 28), np.uint8)
    picture[4:9, 4:24] = picture[9:24, 13:15] = 255
    x = preprocess(picture)
    assert x.sum() == 130 and x[0, 8].sum() == 20 and x[0, -1].sum() == 2


@pytest.mark.parametrize("strokes", [[], [[]], [np.empty((0, 2)), []]])
def test_no_points_are_blank(strokes):
    assert torch.equal(render_strokes(strokes), torch.zeros(1, 28, 28))


@pytest.mark.parametrize(
    ("strokes", "least_extent"),
    [([[[5, 5]]], 0), ([[[5, 5], [5, 5]]], 0), ([[[5, 5]], [[6, 7]]], 500)],
)
def test_a_dot_stays_a_dot(strokes, least_extent):
    x = render_strokes(strokes, least_extent=least_extent)
    assert x[0, 14, 14] == 1 and 3 < x.sum() < 7


@pytest.mark.parametrize(
    ("strokes", "message"),
    [
        ("seven", "came as str"),
        (None, "came as NoneType"),
        ([["a", "b"]], "Stroke 0 is not made of numbers"),
        ([[[1, 2], [3]]], "Stroke 0 is not made of numbers"),
        ([[[1, 2]], [[1, 2, 3]]], r"Stroke 1 has shape \(1, 3\)"),
        ([[1, 2]], r"shape \(2,\)"),
        ([[[np.nan, 0]]], "not finite"),
        ([[[np.inf, 0]]], "not finite"),
        ([[[1e300, 0]]], "beyond"),
        ([np.zeros((20_001, 2))], "More than 20000"),
        ([[[0, 0]]] * 501, "501 strokes"),
    ],
)
def test_bad_strokes_are_refused(strokes, message):
    with pytest.raises(ImageError, match=message):
        render_strokes(strokes)


# Pictures


def test_a_picture_of_strokes_is_close_to_the_strokes():
    for condition in CONDITIONS.values():
        assert difference(preprocess(draw(SEVEN, *condition)), render_strokes(SEVEN)) < 0.025


def test_pictures_do_not_care_about_place_and_canvas():
    x = preprocess(draw(SEVEN))
    assert torch.equal(preprocess(draw(SEVEN, at=(130, 150))), x)
    assert difference(preprocess(draw(SEVEN, canvas=1100, at=(800, 300))), x) < 0.01
    assert difference(preprocess(draw(SEVEN, 54, 600, (900, 1100), 2200)), x) < 0.02
    longest, middle = box_and_middle(x)
    assert abs(longest - 20) <= 1 and torch.allclose(middle, torch.tensor(14.0), atol=0.5)


INK = draw(SEVEN)
GREY = Image.fromarray(INK)
EVERY_KIND = {
    "inverted": 255 - INK,
    "bool": INK > 127,
    "float64": INK / 255,
    "16 bit": INK.astype(np.uint16) * 257,
    "int64": INK.astype(np.int64),
    "one channel": INK[..., None],
    "grey and alpha": np.stack([INK, np.full_like(INK, 255)], 2),
    "RGB": np.stack([INK] * 3, 2),
    "blue on black": np.stack([0 * INK, 0 * INK, INK], 2),
    "yellow on white": np.stack([255 + 0 * INK, 255 + 0 * INK, 255 - INK], 2),
    "black on transparent": np.stack([0 * INK, 0 * INK, 0 * INK, INK], 2),
    "white on transparent": np.stack([0 * INK + 255] * 3 + [INK], 2),
    "white on transparent black": np.stack([INK, INK, INK, INK], 2),
    "faint": 120 + INK // 4,
    "PIL L": GREY,
    "PIL 1": GREY.convert("1"),
    "PIL I": Image.fromarray(INK.astype(np.int32) * 257),
    "PIL I;16": Image.fromarray(INK.astype(np.uint16) * 257),
    "PIL F": Image.fromarray((INK / 255).astype(np.float32)),
    "PIL P": GREY.convert("P"),
    "PIL CMYK": GREY.convert("RGB").convert("CMYK"),
}


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_kind_of_picture_gives_the_same(kind):
    assert difference(preprocess(EVERY_KIND[kind]), preprocess(INK)) < 0.005


@pytest.mark.parametrize("dark_ink", [True, False])
def test_uneven_light_noise_and_dust(dark_ink):
    rows, columns = np.mgrid[:280, :280] / 280
    light = 0.55 + 0.3 * columns - 0.15 * rows
    ink = INK / 255
    photo = light * (1 - 0.7 * ink) if dark_ink else 0.5 * light + 0.45 * ink
    photo = photo + np.random.default_rng(0).normal(0, 0.01, photo.shape)
    photo[20:23, 20:23] = 0 if dark_ink else 1
    assert difference(preprocess(photo.clip(0, 1)), preprocess(INK)) < 0.01


@pytest.mark.parametrize("value", [0, 77, 255])
@pytest.mark.parametrize("shape", [(1, 1), (1, 28), (28, 28), (300, 20, 3), (9, 9, 4)])
def test_uniform_pictures_are_blank(shape, value):
    assert torch.equal(preprocess(np.full(shape, value, np.uint8)), torch.zeros(1, 28, 28))


@pytest.mark.parametrize("side", [1, 2, 3, 5, 9, 20, 27, 29, 64, 333, 1025, 4096])
def test_every_size_is_taken(side):
    array = np.zeros((side, max(1, side // 3)), np.uint8)
    array[side // 4 : side // 2 + 1, : side // 5 + 1] = 255
    x = preprocess(array)
    assert x.shape == (1, 28, 28) and x.min() >= 0 and x.max() <= 1 and x.isfinite().all()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4097, 2), np.uint8), "2×4097 px"),
        (np.zeros((0, 5), np.uint8), "5×0 px"),
        (Image.new("1", (5000, 10)), "5000×10 px"),
        (np.zeros(28), r"shape \(28,\)"),
        (np.zeros((1, 28, 28)), "channels last"),
        (np.zeros((2, 2, 2, 2)), r"shape \(2, 2, 2, 2\)"),
        (np.full((9, 9), np.nan), "must be finite"),
        (np.full((9, 9), 255.0), "within 0 to 1"),
        (np.full((9, 9), 256), "within 0 to 255"),
        (np.full((9, 9), -1), "within 0 to 255"),
        (np.zeros((9, 9), complex), "complex"),
        ("seven.png", "type <U9"),
        (None, "type object"),
    ],
)
def test_bad_pictures_are_refused(image, message):
    with pytest.raises(ImageError, match=message):
        preprocess(image)


# The rule in parts


EVERY_RULE = [Normalisation(*parts) for parts in product([True, False], repeat=4)]
ROW_SUMS = {  # of SEVEN, before the rule could be taken apart
    render_strokes: "0 0 0 0 0 0 1.4924 10.7382 11.5303 4.2579 2.4793 2.3644 2.4575 2.4875 3.5565 "
    "8.3618 8.3096 3.0482 2.4412 2.5012 2.3644 2.433 2.5011 2.3644 2.4249 2.4319 1.0219 0",
    preprocess: "0 0 0 0 0 0 0.9026 10.23 10.6571 2.9318 2.3294 2.3529 2.3847 2.4801 3.7887 8.4724 "
    "7.2735 2.3982 2.3294 2.3425 2.3607 2.3561 2.4357 2.4615 2.3791 2.1315 0.4809 0",
}


def test_the_whole_rule_is_what_it_was():
    for see, shown in ((render_strokes, SEVEN), (preprocess, draw(SEVEN))):
        before = torch.tensor([float(part) for part in ROW_SUMS[see].split()])
        assert torch.allclose(see(shown)[0].sum(1), before, atol=2e-3)
        assert torch.equal(see(shown, normalisation=MNIST_RULE), see(shown))
    on_a_slate = render_strokes(SEVEN, normalisation=Normalisation(), board=9, pen=900)
    assert torch.equal(on_a_slate, render_strokes(SEVEN))  # neither matters under the rule


@pytest.mark.parametrize("rule", EVERY_RULE)
def test_any_part_of_the_rule_may_be_left_out(rule):
    dark = rule._replace(polarity=False)
    light = rule._replace(polarity=True)
    far = [[[-1e9, 1e9], [1e9, 0]], [[300, 300]]]
    dot = [[[308, 308]]]
    for strokes in (SEVEN, far, dot, [[[0, 0]]], []):
        for pen in (1e-6, 40, 1e9):
            x = render_strokes(strokes, normalisation=light, pen=pen)
            assert x.shape == (1, 28, 28) and x.dtype == torch.float32
            assert x.min() >= 0 and x.max() <= 1 and x.isfinite().all()
            assert torch.equal(render_strokes(strokes, normalisation=dark, pen=pen), 1 - x)
    for picture in (INK, np.eye(7), np.ones((1, 40)), np.full((3, 2), 77, np.uint8)):
        x = preprocess(picture, rule)
        assert x.shape == (1, 28, 28) and x.dtype == torch.float32
        assert x.min() >= 0 and x.max() <= 1 and x.isfinite().all()


def test_strokes_lie_as_on_the_slate():
    rule = Normalisation(crop=False, centre=False)
    strokes = [[[100, 200], [100, 400]]]
    x = render_strokes(strokes, normalisation=rule, board=800)[0]  # 1 px is 28.6 units
    rows = x.sum(1)
    assert rows[6] < rows[7] and rows[14] > rows[15] and rows[16] == 0  # 7 to 14 px, round ends
    assert x[10] @ (torch.arange(28) + 0.5) / x[10].sum() == pytest.approx(3.5, abs=0.01)
    assert x[10].sum() == pytest.approx(images.WIDTH_PX, abs=0.1)
    own_pen = rule._replace(width=False)
    for pen, width in ((100, 3.5), (900, 12), (1, 0.6)):
        seen = render_strokes(strokes, normalisation=own_pen, board=800, pen=pen)
        finely = np.clip((width + 1.1) / 2 - abs(np.arange(28) + 0.5 - 3.5), 0, 1.1) / 1.1
        assert seen[0, 10].numpy() == pytest.approx(np.clip(finely, 0, 1), abs=0.01)
    beyond = [[[900, -500], [900, 2000]]]
    assert not render_strokes(beyond, normalisation=rule, board=800).any()


def test_a_slate_scaled_with_its_drawing_shows_the_same():
    for rule in EVERY_RULE:
        x = render_strokes(SEVEN, normalisation=rule, board=150, pen=9)
        larger = [7 * stroke for stroke in SEVEN]
        same = render_strokes(larger, normalisation=rule, board=1050, pen=63)
        assert torch.allclose(same, x, atol=1e-3)


def test_a_drawing_not_centred_moves_with_the_pen():
    rule = Normalisation(centre=False)

    def middle(at):
        strokes = [stroke + at for stroke in SEVEN]
        return box_and_middle(render_strokes(strokes, normalisation=rule, board=1000))[1]

    there = middle([435, 450])  # a little up and left of the middle
    assert torch.allclose(middle([505, 415]) - there, torch.tensor([-35, 70]) * 0.028, atol=0.03)
    corner = render_strokes(SEVEN, normalisation=rule, board=1000)
    assert box_and_middle(corner)[0] >= 19 and corner[0, 0].max() < 0.5  # at the edge, but not cut
    assert corner.sum() == pytest.approx(float(render_strokes(SEVEN).sum()), rel=0.01)
    off_crop = Normalisation(crop=False)
    x = render_strokes(SEVEN, normalisation=off_crop, board=300)
    assert torch.allclose(box_and_middle(x)[1], torch.tensor(14.0), atol=0.3)


def test_a_pen_without_normalised_width_fits_the_frame_with_the_drawing():
    rule = Normalisation(width=False)
    for pen in (3, 12, 60):
        x = render_strokes(SEVEN, normalisation=rule, pen=pen)
        assert abs(box_and_middle(x)[0] - 20) <= 1
    bar = [[[0, 0], [0, 80]]]
    x = render_strokes(bar, normalisation=rule, pen=20)
    assert x[0, 14].sum() == pytest.approx(20 / 100 * 20, abs=0.05)


@pytest.mark.parametrize(("name", "size"), [("board", 0), ("pen", -1), ("board", np.nan)])
def test_bad_slates_are_refused(name, size):
    with pytest.raises(ImageError, match=f"{name} is {size}"):
        render_strokes(SEVEN, **{name: size})


def test_a_picture_without_any_rule_is_only_reduced():
    raw = Normalisation(False, False, False, False)
    picture = np.linspace(0.3, 0.7, 56 * 56, dtype=np.float32).reshape(56, 56)
    blocks = picture.reshape(28, 2, 28, 2).mean((1, 3))
    assert torch.allclose(preprocess(picture, raw)[0], torch.from_numpy(blocks), atol=0.01)
    paper = 255 - INK // 2
    x = preprocess(paper, raw)
    assert x[0, 0, 0] == 1 and x.min() == pytest.approx(0.5, abs=0.01)
    wide = np.full((20, 56), 0.6, np.float32)
    wide[8:12, 10:50] = 0
    x = preprocess(wide, raw)  # padded above and below with its ground
    assert torch.allclose(x[0, :9], torch.tensor(0.6)) and x[0, 13, 12] < 0.05


def test_a_blank_picture_is_zeros_unless_it_stays_as_it_came():
    for rule in EVERY_RULE:
        grey = 0.0 if rule.polarity else 0.8
        x = preprocess(np.full((60, 40), 0.8), rule)
        assert torch.allclose(x, torch.tensor(grey))


def test_a_picture_keeps_what_is_not_normalised():
    at = (90, 170)
    digit = draw(SEVEN, 24, 120, at)
    whole = Normalisation(crop=False, centre=False, width=False)
    x = preprocess(digit, whole)
    assert difference(x, torch.from_numpy(digit.reshape(28, 10, 28, 10).mean((1, 3)) / 255)) < 0.003
    centred = preprocess(digit, whole._replace(centre=True))
    assert torch.allclose(box_and_middle(centred)[1], torch.tensor(14.0), atol=0.1)
    assert centred.sum() == pytest.approx(float(x.sum()), rel=1e-3)

    thick, thin = (draw(SEVEN, width, 200) for width in (44, 6))
    pen = Normalisation(width=False)
    assert preprocess(thick, pen).sum() > 1.3 * preprocess(thick).sum()
    assert preprocess(thin, pen).sum() < 0.5 * preprocess(thin).sum()
    redrawn = preprocess(thin, Normalisation(crop=False, centre=False))
    assert redrawn.sum() > 2 * preprocess(thin, whole).sum()
    assert (redrawn[0, 14] > 0.5).sum() <= 4  # a slanting stroke

    boxed = preprocess(digit, Normalisation(centre=False))
    rows, columns = (boxed[0].sum(axis) > 0.3 for axis in (1, 0))
    assert abs(int(rows.nonzero().sum()) / int(rows.sum()) - 13.5) <= 0.6
    assert abs(int(columns.nonzero().sum()) / int(columns.sum()) - 13.5) <= 0.6


def test_a_picture_keeps_its_brightness():
    paper = 0.9 - 0.6 * INK / 255
    for parts in product([True, False], repeat=3):
        rule = Normalisation(*parts, polarity=True)
        ink, seen = preprocess(paper, rule), preprocess(paper, rule._replace(polarity=False))
        assert difference(seen, 0.9 - 0.6 * ink) < 0.01
    white_on_black = preprocess(INK, Normalisation(polarity=False))
    assert difference(white_on_black, preprocess(INK)) < 0.005


def test_pictures_like_mnist_come_unchanged_through_any_rule_that_keeps_their_place():
    picture = np.zeros((28, 28), np.float32)
    picture[4:7, 8:20] = picture[4:24, 12:15] = 1
    x = preprocess(picture)
    for rule in EVERY_RULE:
        if rule.centre or not rule.crop:
            assert torch.equal(preprocess(x[0], rule), x)


# Files


def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", images.FORMATS)
def test_common_files_open(kind):
    opened = open_image(encoded(GREY, kind))
    assert difference(preprocess(opened), preprocess(INK)) < 0.01


def test_photos_stand_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn a quarter clockwise to see it so
    lying = GREY.transpose(Image.Transpose.ROTATE_90)
    opened = open_image(encoded(lying, "JPEG", exif=exif, quality=95))
    assert difference(preprocess(opened), preprocess(INK)) < 0.01


def bomb():
    """A PNG of 20 KB or so whose header promises 13000×13000 pixels."""

    def chunk(name, body):
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", 13000, 13000, 1, 0, 0, 0, 0)
    lines = zlib.compress(bytes(13000 * (1 + 13000 // 8)), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")
    )


def test_a_decompression_bomb_is_never_unpacked(monkeypatch):
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("unpacked"))
    with pytest.raises(ImageError, match="13000×13000 px"):
        open_image(bomb())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"no picture", "cannot be read"),
        (encoded(GREY)[:300], "cannot be read"),
        (encoded(GREY, "TIFF"), "Save it as PNG"),
        (bytes(8_000_001), "8.0 MB"),
    ],
)
def test_bad_files_are_refused(content, message):
    with pytest.raises(ImageError, match=message):
        open_image(content)


def test_png_and_bytes_keep_the_pixels():
    x = torch.linspace(0, 1, 784).view(1, 28, 28)
    assert np.array_equal(images.to_uint8(x)[0], np.rint(np.linspace(0, 255, 784)).reshape(28, 28))
    read = np.asarray(Image.open(io.BytesIO(images.png(x, scale=3))))
    assert read.shape == (84, 84) and np.array_equal(read[1::3, 2::3], images.to_uint8(x)[0])


# Real digits


def test_mnist_comes_back_unchanged():
    try:
        digits, _ = data.load(train=False)
    except data.DataError:
        pytest.skip(f"no MNIST; fetch it with `{data.FETCH}`")
    x = digits[:1000].float() / 255
    seen = torch.stack([preprocess(digit[0].numpy()) for digit in digits[:1000]])
    different = (x != seen).flatten(1).any(1).float().mean()
    assert different < 0.01 and difference(seen, x) < 1e-3


@pytest.fixture(scope="module")
def pen_digits():
    """Some 300 digits of the UCI pen digits, strokes and labels."""
    try:
        digits, labels = data.pen_digits()
    except data.DataError as error:
        pytest.skip(str(error))
    step = len(digits) // 300
    return digits[::step], labels[::step]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_rebuilt_drawings_read_as_drawn(condition, pen_digits):
    try:
        judge, *twins = (checkpoints.load(name) for name in ("judge", "ae", "vae"))
    except checkpoints.CheckpointError as error:
        pytest.skip(str(error))
    digits, labels = pen_digits
    from_strokes = torch.stack([render_strokes(digit) for digit in digits])
    from_pictures = drawn(digits, CONDITIONS[condition])
    assert difference(from_strokes, from_pictures) < 0.02
    for x in (from_strokes, from_pictures):
        right = judge(x).argmax(1) == labels
        assert right.float().mean() >= 0.93
        for model, least in zip(twins, (0.96, 0.94), strict=True):
            rebuilt = judge(model.decode(model.encode(x)).sigmoid()).argmax(1)
            assert (rebuilt == labels)[right].float().mean() >= least, type(model).__name__
