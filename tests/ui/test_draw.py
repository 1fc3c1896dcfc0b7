"""What the live canvas asks of Python, as plain functions."""

import base64
import io
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.distributions import Independent, Normal, kl_divergence

from vae_demo import checkpoints, exports, images
from vae_demo.ui.draw import DOODLES, EXAMPLES, SAMPLES, draw_tab, export, strangeness
from vae_demo.ui.exhibit import RequestError
from vae_demo.ui.replay import replay
from vae_demo.zoo import load_zoo

DIGITS = json.loads(EXAMPLES.read_text(encoding="utf-8"))
SEVEN = [[100, 100, 400, 100, 200, 500]]
TWINS = ["ae", "vae"]


@pytest.fixture(scope="module")
def tab(fake_zoo):
    return draw_tab(fake_zoo)


@pytest.fixture(scope="module")
def reconstruct(tab):
    return tab.reconstruct


def seven():
    return images.render_strokes([np.reshape(SEVEN[0], (-1, 2))])[None]


def grey(packed):
    return np.frombuffer(base64.b64decode(packed), np.uint8).reshape(28, 28)


def test_both_models_answer_the_same_picture(reconstruct, fake_zoo):
    answer = reconstruct({"strokes": SEVEN})
    x = images.render_strokes([np.reshape(SEVEN[0], (-1, 2))])[None]
    assert np.array_equal(grey(answer["seen"]), images.to_uint8(x[0, 0]))
    for side, model in zip(("left", "right"), [one.coder for one in fake_zoo.pair()], strict=True):
        x_hat = model.decode(model.encode(x)).sigmoid()
        assert np.array_equal(grey(answer[side]["picture"]), images.to_uint8(x_hat[0, 0]))
        error = ((x_hat - x) ** 2).mean().item()
        assert answer[side]["squared_error"] == pytest.approx(error, rel=1e-5)
        nats = torch.nn.functional.binary_cross_entropy(x_hat, x, reduction="sum").item()
        assert answer[side]["reconstruction_nats"] == pytest.approx(nats, rel=1e-3)


def test_kl_is_the_vaes_alone(reconstruct, fake_zoo):
    answer = reconstruct({"strokes": SEVEN})
    x = images.render_strokes([np.reshape(SEVEN[0], (-1, 2))])[None]
    mean, logvar = fake_zoo.model("vae").coder.posterior(x)
    posterior = Independent(Normal(mean, (0.5 * logvar).exp()), 1)
    prior = Independent(Normal(torch.zeros_like(mean), 1.0), 1)
    expected = kl_divergence(posterior, prior).item()
    assert answer["right"]["kl_nats"] == pytest.approx(expected, rel=1e-4)
    assert "kl_nats" not in answer["left"]


@pytest.mark.parametrize("strokes", [[], [[]]])
def test_blank_is_a_state(reconstruct, strokes):
    assert reconstruct({"strokes": strokes}) == {"blank": True}


def test_a_tap_is_a_dot(reconstruct):
    seen = grey(reconstruct({"strokes": [[300, 300, 302, 301, 300, 302]]})["seen"])
    assert 0 < (seen > 0).sum() < 30


def test_a_digit_of_the_dataset_is_shown_as_the_autoencoder_rebuilds_it(reconstruct, fake_zoo):
    code = fake_zoo.digits.codes["ae"].mean[5:6]
    x = fake_zoo.model("ae").coder.decode(code).sigmoid()
    assert np.array_equal(grey(reconstruct({"digit": 5})["seen"]), images.to_uint8(x[0, 0]))


def test_an_uploaded_picture_is_normalised(reconstruct):
    bar = torch.ones(1, 120, 90)
    bar[0, 20:100, 40:48] = 0  # dark on light
    file = base64.b64encode(images.png(bar)).decode()
    rows, columns = np.nonzero(grey(reconstruct({"picture": file})["seen"]) > 128)
    assert np.ptp(rows) + 1 == pytest.approx(20, abs=1)  # its ends are soft
    assert np.ptp(columns) + 1 < 5


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (None, "error.request"),
        ([], "error.request"),
        ({}, "error.request"),
        ({"strokes": [[1, 2, 3]]}, "error.request"),
        ({"strokes": [["a", "b"]]}, "error.request"),
        ({"strokes": [[10**400, 1]]}, "error.request"),
        ({"strokes": [[float("nan"), 1]]}, "error.picture"),
        ({"strokes": [[1, 2]] * 501}, "error.picture"),
        ({"digit": -1}, "error.request"),
        ({"digit": 1.5}, "error.request"),
        ({"digit": True}, "error.request"),
        ({"digit": 10**9}, "error.request"),
        ({"strokes": SEVEN, "off": "crop"}, "error.request"),
        ({"strokes": SEVEN, "off": ["colour"]}, "error.request"),
        ({"strokes": SEVEN, "off": [["crop"]]}, "error.request"),
        ({"strokes": SEVEN, "brush": 0}, "error.request"),
        ({"strokes": SEVEN, "brush": "40"}, "error.request"),
        ({"strokes": SEVEN, "moved": {}}, "error.request"),
        ({"strokes": SEVEN, "moved": [{}]}, "error.request"),
        ({"strokes": SEVEN, "moved": [{"16": 1}, {}]}, "error.request"),
        ({"strokes": SEVEN, "moved": [{}, {"-1": 1}]}, "error.request"),
        ({"strokes": SEVEN, "moved": [{}, {"0": "1"}]}, "error.request"),
        ({"strokes": SEVEN, "moved": [{}, {"0": float("inf")}]}, "error.request"),
        ({"strokes": SEVEN, "models": ["ae", "gan"]}, "error.models"),
        ({"point": {"seed": 1}}, "error.request"),
        ({"point": None}, "error.request"),
        ({"picture": "no base64!"}, "error.request"),
        ({"picture": base64.b64encode(b"no picture").decode()}, "error.picture"),
    ],
)
def test_what_cannot_be_answered_is_named(reconstruct, payload, code):
    assert reconstruct(payload) == {"error": code}


@pytest.mark.parametrize("digit", range(10))
def test_the_judge_reads_each_example(digit):
    strokes = [np.reshape(stroke, (-1, 2)) for stroke in DIGITS[digit]]
    judge = checkpoints.load("judge")
    assert judge(images.render_strokes(strokes)[None]).argmax().item() == digit


# The rule -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", images.Normalisation._fields)
def test_each_part_of_the_rule_can_be_left_out(reconstruct, part):
    small = [[20, 20, 90, 20, 50, 110]]
    whole = reconstruct({"strokes": small, "brush": 100})
    without = reconstruct({"strokes": small, "brush": 100, "off": [part]})
    rule = images.MNIST_RULE._replace(**{part: False})
    pens = [np.reshape(small[0], (-1, 2))]
    x = images.render_strokes(pens, normalisation=rule, board=616, pen=100, least_extent=20)
    assert np.array_equal(grey(without["seen"]), images.to_uint8(x[0]))
    assert without["seen"] != whole["seen"]


def test_the_rule_covers_pictures_too(reconstruct):
    bar = torch.ones(1, 120, 90)
    bar[0, 5:25, 10:14] = 0
    file = base64.b64encode(images.png(bar)).decode()
    assert np.ptp(np.nonzero(grey(reconstruct({"picture": file})["seen"]) > 128)[0]) > 17
    off = reconstruct({"picture": file, "off": ["crop", "centre"]})
    assert np.nonzero(grey(off["seen"]) > 128)[0].max() < 8


def test_an_empty_slate_is_blank_in_white_too(reconstruct):
    assert reconstruct({"strokes": [], "off": ["polarity"]}) == {"blank": True}


@pytest.mark.parametrize("name", TWINS)
def test_a_negative_shakes_the_shipped_twins_but_every_number_stays_one(name):
    zoo = load_zoo()
    tab = draw_tab(zoo)
    strokes = [[616 * value for value in stroke] for stroke in DIGITS[3]]
    it = {"strokes": strokes, "off": ["polarity"], "models": [name, name], "roll": 1}
    answer = tab.reconstruct(it)["left"]
    assert answer["beyond"]
    json.dumps([answer, tab.posterior(it), tab.neighbours(it)], allow_nan=False)


def test_the_brush_counts_only_where_its_width_is_kept(reconstruct):
    thin, thick = ({"strokes": SEVEN, "brush": brush} for brush in (20, 100))
    assert reconstruct(thin)["seen"] == reconstruct(thick)["seen"]
    inks = [grey(reconstruct({**it, "off": ["width"]})["seen"]).sum() for it in (thin, thick)]
    assert inks[1] > 1.5 * inks[0]


# Codes --------------------------------------------------------------------------------------------


def test_codes_come_with_each_answer(reconstruct, fake_zoo):
    answer = reconstruct({"strokes": SEVEN})
    mean, logvar = fake_zoo.model("vae").coder.posterior(seven())
    assert answer["right"]["mean"] == pytest.approx(mean[0].tolist(), abs=1e-4)
    assert answer["right"]["std"] == pytest.approx((0.5 * logvar[0]).exp().tolist(), abs=1e-4)
    assert len(answer["left"]["mean"]) == 16
    assert "std" not in answer["left"]


def test_a_number_moved_by_hand_replaces_the_codes_on_its_side_alone(reconstruct, fake_zoo):
    plain = reconstruct({"strokes": SEVEN})
    moved = reconstruct({"strokes": SEVEN, "moved": [{}, {"3": 2.5, "0": -1}]})
    assert moved["left"] == plain["left"]
    vae = fake_zoo.model("vae").coder
    code = vae.encode(seven())
    code[0, 3], code[0, 0] = 2.5, -1.0
    x_hat = vae.decode(code).sigmoid()
    assert np.array_equal(grey(moved["right"]["picture"]), images.to_uint8(x_hat[0, 0]))
    assert moved["right"]["mean"] == plain["right"]["mean"]  # what it encodes stays
    assert moved["right"]["kl_nats"] == plain["right"]["kl_nats"]
    error = ((x_hat - seven()) ** 2).mean().item()
    assert moved["right"]["squared_error"] == pytest.approx(error, rel=1e-5)


def test_dimensions_are_ordered_by_what_they_tell(tab, fake_zoo):
    left, right = tab.dimensions({"models": ["ae_2d", "vae"]}).values()
    codes = fake_zoo.digits.codes["vae"]
    posteriors = Normal(codes.mean, (0.5 * codes.logvar).exp())
    kl = kl_divergence(posteriors, Normal(0.0, 1.0)).mean(0)
    assert right["measure"] == "kl"
    assert right["weights"] == pytest.approx(sorted(kl.tolist(), reverse=True), rel=1e-3)
    assert [kl[d].item() for d in right["order"]] == pytest.approx(right["weights"], rel=1e-3)
    plane = fake_zoo.digits.codes["ae_2d"].mean
    assert left["measure"] == "variance"
    assert left["order"] == ([0, 1] if plane[:, 0].var() > plane[:, 1].var() else [1, 0])
    assert 2 < left["reach"] < 5


@pytest.mark.parametrize("models", [["ae", "ae"], ["vae", "ae_2d"], ["ae_2d", "vae"]])
def test_any_two_models_answer_everything(tab, models):
    it = {"models": models, "strokes": SEVEN, "roll": 1, "seed": 1}
    for name in ("reconstruct", "dimensions", "posterior", "neighbours", "surprise", "save"):
        answer = getattr(tab, name)({**it, "file": "png"})
        assert "error" not in answer, name


# Points of code space -----------------------------------------------------------------------------


def test_a_sample_shows_its_code_and_claims_no_numbers(reconstruct, fake_zoo):
    spec = {"seed": 3, "index": 7, "temperature": 1}
    answer = reconstruct({"point": spec})
    noise = torch.Generator().manual_seed(3)
    z = torch.randn(64, 16, generator=noise)[7:8]
    for side, name in zip(("left", "right"), TWINS, strict=True):
        x_hat = fake_zoo.model(name).coder.decode(z).sigmoid()
        assert np.array_equal(grey(answer[side]["picture"]), images.to_uint8(x_hat[0, 0]))
        assert answer[side]["mean"] == pytest.approx(z[0].tolist(), abs=1e-4)
        assert answer[side].keys() == {"picture", "mean"}
    assert "seen" not in answer


# Not a digit? -------------------------------------------------------------------------------------


def test_strangeness_is_a_place_among_the_test_digits(fake_zoo):
    model = fake_zoo.model("ae")  # errors from 0 to 0.1, evenly
    assert strangeness(model, 0.025) == {"percentile": 25, "beyond": False}
    assert strangeness(model, 0.0505)["percentile"] == pytest.approx(50.5)
    assert strangeness(model, 0.1) == {"percentile": 100, "beyond": False}
    assert strangeness(model, 0.11) == {"percentile": 100, "beyond": True}


def test_the_shipped_twins_find_doodles_odd():
    """No doodle is rebuilt better than a digit drawn for this project, by either twin."""

    def errors(drawings, model):
        pens = [[np.reshape(stroke, (-1, 2)) for stroke in drawing] for drawing in drawings]
        x = torch.stack([images.render_strokes(pen) for pen in pens])
        return (model.decode(model.encode(x)).sigmoid() - x).square().flatten(1).mean(1)

    doodles = json.loads(DOODLES.read_text(encoding="utf-8"))
    for name in TWINS:
        model = checkpoints.load(name)
        with torch.no_grad():
            assert errors(doodles, model).median() > errors(DIGITS, model).max()


# When the pen rests -------------------------------------------------------------------------------


def test_one_input_has_several_outputs_if_there_is_a_posterior(tab, fake_zoo):
    it = {"strokes": SEVEN, "roll": 5}
    answer = tab.posterior(it)
    assert (answer["left"]["count"], answer["right"]["count"]) == (1, SAMPLES)
    vae = fake_zoo.model("vae").coder
    mean, logvar = vae.posterior(seven())
    noise = torch.randn(64, 16, generator=torch.Generator().manual_seed(5))[:SAMPLES]
    x_hat = vae.decode(mean + (0.5 * logvar).exp() * noise).sigmoid()
    sent = np.frombuffer(base64.b64decode(answer["right"]["pictures"]), np.uint8)
    assert (
        np.abs(sent.reshape(SAMPLES, 28, 28) - images.to_uint8(x_hat[:, 0]).astype(int)).max() < 2
    )
    assert tab.posterior(it) == answer
    assert tab.posterior({**it, "roll": 6})["right"] != answer["right"]
    assert tab.posterior({"strokes": SEVEN}) == {"error": "error.request"}


def test_the_nearest_digits_are_the_nearest(tab, fake_zoo):
    digit = {"digit": 42, "models": ["ae_2d", "vae"]}
    for moved in ([{}, {}], [{"0": 1.5}, {"2": 0.5}]):
        answer = tab.neighbours({**digit, "moved": moved})
        for side, name, moves in zip(("left", "right"), digit["models"], moved, strict=True):
            model = fake_zoo.model(name)
            code = model.coder.encode(fake_zoo.digit(42))[0]
            for dimension, value in moves.items():
                code[int(dimension)] = value
            distances = (model.codes.mean - code).norm(dim=1)
            nearest = distances.argsort()[:5]
            assert answer[side]["digits"] == nearest.tolist()
            assert answer[side]["distances"] == pytest.approx(distances[nearest].tolist(), rel=1e-4)
            assert answer[side]["classes"] == fake_zoo.digits.labels[nearest.numpy()].tolist()
            assert answer[side]["searched"] == 300


def test_surprises_are_digits_and_the_hard_one_is_hard(tab, fake_zoo):
    easy = tab.surprise({"seed": 3})
    assert easy["class"] == fake_zoo.digits.labels[easy["digit"]]
    x = fake_zoo.digit(easy["digit"])
    assert np.array_equal(grey(easy["picture"]), images.to_uint8(x[0, 0]))
    assert len({tab.surprise({"seed": seed})["digit"] for seed in range(8)}) > 4

    def chance(index):
        """What the judge gives the true class, in both models' rebuilds."""
        total = 0.0
        for name in TWINS:
            model = fake_zoo.model(name)
            x_hat = model.coder.decode(model.codes.mean[[index]]).sigmoid()
            label = fake_zoo.digits.labels[index]
            total += fake_zoo.judge(x_hat).softmax(1)[0, int(label)].item()
        return total

    hard = [tab.surprise({"seed": seed, "hard": True})["digit"] for seed in range(6)]
    any_digits = [tab.surprise({"seed": seed})["digit"] for seed in range(60)]
    usual = np.mean([chance(index) for index in any_digits])
    assert np.mean([chance(index) for index in hard]) < usual


# Exports ------------------------------------------------------------------------------------------

EXPORTS = [
    {"strokes": SEVEN},
    {"strokes": SEVEN, "brush": 80, "off": ["width", "crop"], "moved": [{"1": 2}, {}]},
    {"digit": 7, "models": ["ae_2d", "ae_2d"]},
    {"point": {"seed": 1, "index": 2, "temperature": 1}},
]


@pytest.mark.parametrize("request_", EXPORTS)
def test_a_saved_picture_can_be_made_again_bit_for_bit(tab, fake_zoo, request_):
    answer = tab.save({**request_, "file": "png"})
    content = base64.b64decode(answer["file"])
    assert exports.read_recipe(content) == answer["recipe"]
    assert replay(answer["recipe"], fake_zoo) == content


def test_a_saved_picture_shows_what_the_page_shows(tab, reconstruct):
    answer = reconstruct({"strokes": SEVEN})
    seen, left, right = (
        grey(one) for one in (answer["seen"], answer["left"]["picture"], answer["right"]["picture"])
    )
    content = base64.b64decode(tab.save({"strokes": SEVEN, "file": "png"})["file"])
    with Image.open(io.BytesIO(content)) as image:
        sheet = np.asarray(image.convert("RGB"))[::8, ::8]
    assert sheet.shape == (57, 86, 3)
    for column, one in enumerate((seen, left, right)):
        at = slice(29 * column, 29 * column + 28)
        assert np.array_equal(sheet[:28, at], exports.in_colours(one))
        assert np.array_equal(sheet[29:, at], exports.residual(one, seen))


def test_a_recipe_holds_nothing_that_was_not_read(tab):
    recipe = tab.save({"strokes": SEVEN, "file": "png", "digit": 10**400, "x": "y"})["recipe"]
    assert recipe["request"] == {"strokes": SEVEN, "file": "png"}


def test_residuals_tell_added_ink_from_missed():
    x = np.array([[0, 255, 100]], np.uint8)
    x_hat = np.array([[255, 0, 100]], np.uint8)
    assert exports.residual(x_hat, x).tolist() == [
        [list(exports.ADDED), list(exports.MISSED), list(exports.GROUND)]
    ]
    faint = exports.residual(np.array([[64]], np.uint8), np.array([[0]], np.uint8))[0, 0]
    half = [(g + a) / 2 for g, a in zip(exports.GROUND, exports.ADDED, strict=True)]
    assert all(math.isclose(a, b, abs_tol=1.5) for a, b in zip(faint, half, strict=True))


@pytest.mark.parametrize(
    "payload",
    [{"strokes": SEVEN}, {"strokes": SEVEN, "file": "gif"}, {"strokes": [], "file": "png"}],
)
def test_nothing_else_can_be_saved(fake_zoo, payload):
    with pytest.raises(RequestError), torch.inference_mode():
        export(fake_zoo, payload)
