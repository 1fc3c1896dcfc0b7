"""Draw: the live canvas under mouse, finger and keyboard."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import Open, is_blank, pixels, wait_for_calm, wait_for_change
from vae_demo import exports
from vae_demo.ui.draw import DOODLES, EXAMPLES

PICTURES = ("seen", "rebuilt-left", "rebuilt-right")
DIGITS = json.loads(EXAMPLES.read_text())  # pen strokes of ten digits, in shares of the canvas


def start_clear(page: Any) -> Any:
    """Stop the example that draws itself, and wait for the blank canvas."""
    page.wait_for_function("() => window.vaeDemo?.drawing !== null")
    page.get_by_test_id("clear").click()
    page.wait_for_function("() => window.vaeDemo?.drawing === null")
    return page.get_by_test_id("draw-canvas").bounding_box()


def pen_path(box: Any, stroke: list[float]) -> list[tuple[float, float]]:
    points = zip(stroke[::2], stroke[1::2], strict=True)
    return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]


def draw(page: Any, digit: int) -> None:
    box = page.get_by_test_id("draw-canvas").bounding_box()
    for stroke in DIGITS[digit]:
        path = pen_path(box, stroke)
        page.mouse.move(*path[0])
        page.mouse.down()
        for place in path[1:]:
            page.mouse.move(*place)
        page.mouse.up()


def test_an_example_draws_itself_when_the_page_opens(open_page: Open) -> None:
    page = open_page()
    page.wait_for_function("() => window.vaeDemo?.drawing !== null")
    assert not any(is_blank(pixels(page, name)) for name in PICTURES)


def test_a_chosen_example_is_not_replaced_by_the_first_one(open_page: Open) -> None:
    page = open_page()
    page.add_init_script(  # a slow machine, on which the first example would be a one
        """window.requestAnimationFrame = (draw) => setTimeout(() => draw(performance.now()), 1000);
        window.cancelAnimationFrame = clearTimeout;
        Math.random = () => 0.15;"""
    )
    page.reload()
    page.wait_for_selector("[data-testid=example-8]", state="attached")
    page.evaluate("document.querySelector('[data-testid=example-8]').click()")
    page.wait_for_function("() => window.vaeDemo.drawing?.strokes?.[0]?.length > 50")
    eight = np.array(DIGITS[8][0])
    drawn = np.array(page.evaluate("window.vaeDemo.drawing.strokes[0]"))
    assert len(drawn) <= len(eight)
    np.testing.assert_allclose(drawn / drawn[0], (eight / eight[0])[: len(drawn)], atol=0.02)


def test_both_pictures_change_before_the_pen_is_lifted(open_page: Open) -> None:
    page = open_page()
    box = start_clear(page)
    path = pen_path(box, DIGITS[2][0])
    before = {name: pixels(page, name) for name in PICTURES}
    assert all(is_blank(values) for values in before.values())
    page.mouse.move(*path[0])
    page.mouse.down()
    for half in (path[: len(path) // 2], path[len(path) // 2 :]):
        for place in half:
            page.mouse.move(*place)
        before = {name: wait_for_change(page, name, before[name]) for name in PICTURES}
    page.mouse.up()


def test_a_drawn_digit_shows_its_numbers(open_page: Open) -> None:
    page = open_page()
    start_clear(page)
    draw(page, 4)
    page.wait_for_function("() => window.vaeDemo?.drawing?.strokes?.length === 2")
    shown = page.eval_on_selector_all(
        "[data-number]", "cells => cells.map(c => [c.dataset.number, parseFloat(c.textContent)])"
    )
    numbers = dict(shown)
    assert page.locator("[data-number='left.kl_nats']").inner_text() == "–"
    del numbers["left.kl_nats"]
    assert numbers.keys() == {
        f"{side}.{name}"
        for side in ("left", "right")
        for name in ("squared_error", "reconstruction_nats")
    } | {"right.kl_nats"}
    assert all(value > 0 for value in numbers.values())


def test_undo_takes_back_one_stroke_and_clear_all(open_page: Open) -> None:
    page = open_page()
    start_clear(page)
    blank = pixels(page, "seen")
    draw(page, 4)
    page.wait_for_function("() => window.vaeDemo?.drawing?.strokes?.length === 2")
    page.keyboard.press("Control+z")
    page.wait_for_function("() => window.vaeDemo?.drawing?.strokes?.length === 1")
    page.get_by_test_id("clear").click()
    page.wait_for_function("() => window.vaeDemo?.drawing === null")
    assert pixels(page, "seen") == blank
    page.get_by_test_id("undo").click()
    page.wait_for_function("() => window.vaeDemo?.drawing?.strokes?.length === 1")


def test_a_finger_draws_and_the_page_does_not_scroll(open_page: Open) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    page = open_page(**phone)
    box = start_clear(page)
    touch = page.context.new_cdp_session(page)

    def send(kind: str, places: list[tuple[float, float]]) -> None:
        points = [{"x": x, "y": y} for x, y in places]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    path = pen_path(box, DIGITS[7][0])
    send("touchStart", path[:1])
    for place in path[1:]:
        send("touchMove", [place])
    page.wait_for_function("() => window.vaeDemo?.drawing?.strokes?.[0]?.length > 10")
    send("touchEnd", [])
    assert page.evaluate("scrollY") == 0
    assert not is_blank(pixels(page, "rebuilt-right"))


def test_a_picture_is_read_and_a_wrong_file_keeps_the_drawing(open_page: Open) -> None:
    page = open_page()
    start_clear(page)
    draw(page, 3)
    page.wait_for_function("() => window.vaeDemo?.drawing?.strokes?.length === 1")
    drawn = wait_for_calm(page, "seen")

    page.get_by_test_id("upload").set_input_files(
        {"name": "not.png", "mimeType": "image/png", "buffer": b"no picture at all"}
    )
    page.get_by_text("could not be read").wait_for()
    assert pixels(page, "seen") == drawn

    paper = np.full((300, 400), 235, np.uint8)
    paper[60:240, 195:210] = 20  # a dark 1 on light paper
    file = io.BytesIO()
    Image.fromarray(paper).save(file, "PNG")
    page.get_by_test_id("upload").set_input_files(
        {"name": "one.png", "mimeType": "image/png", "buffer": file.getvalue()}
    )
    seen = np.array(wait_for_change(page, "seen", drawn)).reshape(28, 28)
    rows, columns = np.nonzero(seen > 128)
    assert np.ptp(rows) + 1 == pytest.approx(20, abs=1)
    assert np.ptp(columns) < 6
    assert page.locator(".draw .complaint").is_hidden()


def test_a_silent_server_loses_no_drawing(open_page: Open) -> None:
    page = open_page()
    start_clear(page)
    page.route(
        "**/component_server/**", lambda route: route.fulfill(json={"error": "error.server"})
    )
    page.route("**/live/**", lambda route: route.fulfill(json={"error": "error.server"}))
    draw(page, 8)
    page.get_by_text("The server stumbled").wait_for()
    assert not is_blank(pixels(page, "draw-canvas"))
    page.unroute_all()
    page.get_by_test_id("clear").click()
    page.get_by_test_id("undo").click()
    page.wait_for_function("() => window.vaeDemo?.drawing?.strokes?.length === 1")
    assert page.locator(".draw .complaint").is_hidden()


# Tools --------------------------------------------------------------------------------------------


def drag(page: Any, test_id: str, *path: tuple[float, float]) -> None:
    """Along places given in shares of an element's box."""
    box = page.get_by_test_id(test_id).bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in path]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()


def strokes_are(page: Any, count: int) -> None:
    page.wait_for_function(f"() => (window.vaeDemo?.drawing?.strokes ?? []).length === {count}")


def test_the_eraser_cuts_strokes_and_redo_follows_undo(open_page: Open) -> None:
    page = open_page()
    start_clear(page)
    drag(page, "draw-canvas", (0.2, 0.5), (0.8, 0.5))
    strokes_are(page, 1)
    page.keyboard.press("e")
    drag(page, "draw-canvas", (0.5, 0.3), (0.5, 0.7))
    strokes_are(page, 2)
    left, right = page.evaluate("window.vaeDemo?.drawing.strokes")
    assert max(left[::2]) < 308 - 30 < 308 + 30 < min(right[::2])
    for key, count in (
        ("Control+z", 1),
        ("Control+Shift+Z", 2),
        ("Control+z", 1),
        ("Control+y", 2),
    ):
        page.keyboard.press(key)
        strokes_are(page, count)
    page.keyboard.press("e")
    drag(page, "draw-canvas", (0.2, 0.2), (0.8, 0.2))
    strokes_are(page, 3)
    assert page.get_by_test_id("redo").is_disabled()


def ink(values: list[int]) -> int:
    """How many pixels are more ink than ground."""
    return sum(value > 128 for value in values)


def test_the_models_see_another_pen_only_if_told_to(open_page: Open) -> None:
    page = open_page()
    start_clear(page)
    drag(page, "draw-canvas", (0.3, 0.2), (0.7, 0.2), (0.4, 0.8))
    strokes_are(page, 1)
    seen, slate = wait_for_calm(page, "seen"), pixels(page, "draw-canvas")
    for _ in range(5):
        page.keyboard.press("]")
    page.wait_for_function("() => window.vaeDemo?.drawing.brush === 80")
    assert ink(pixels(page, "draw-canvas")) > 1.4 * ink(slate)
    assert wait_for_calm(page, "seen") == seen
    page.get_by_text("Pen", exact=True).click()
    thick = wait_for_change(page, "seen", seen)
    assert ink(thick) > 1.2 * ink(seen)
    page.get_by_text("White on black").click()
    light = wait_for_change(page, "seen", thick)
    assert ink(light) > 784 / 2


def test_surprises_come_in_turn(open_page: Open) -> None:
    page = open_page(reduced_motion="reduce")
    page.wait_for_function("() => window.vaeDemo?.drawing !== null")
    kinds = set()
    for _ in range(3):
        before = page.evaluate("JSON.stringify(window.vaeDemo?.drawing)")
        page.get_by_test_id("surprise").click()
        page.wait_for_function("it => JSON.stringify(window.vaeDemo?.drawing) !== it", arg=before)
        kinds.add(page.locator(".seen-side .note").inner_text().split(" no. ")[0])
        kinds.add("hard" if "hard" in page.locator(".seen-side .note").inner_text() else "")
    assert kinds >= {"Test digit", "hard", "No digit at all: they know nothing else"}


def test_a_saved_picture_carries_its_recipe(open_page: Open) -> None:
    page = open_page()
    start_clear(page)
    draw(page, 7)
    strokes_are(page, len(DIGITS[7]))
    with page.expect_download() as download:
        page.get_by_test_id("draw-save").click()
    content = Path(download.value.path()).read_bytes()
    request = exports.read_recipe(content)["request"]
    assert request["strokes"] == page.evaluate("window.vaeDemo?.drawing.strokes")
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (8 * 86, 8 * 57)


# What both models make of it ----------------------------------------------------------------------


def answers_of(page: Any, function: str) -> list[Any]:
    """What the server function answers from now on, as it comes."""
    found: list[Any] = []

    def note(response: Any) -> None:
        asked = response.url
        if "component_server" in asked:
            asked += response.request.post_data or ""
        if function in asked:
            found.append(response.json())

    page.on("response", note)
    return found


def grey(packed: str) -> Any:
    return np.frombuffer(base64.b64decode(packed), np.uint8).reshape(28, 28)


def colours(page: Any, test_id: str) -> Any:
    canvas = page.get_by_test_id(test_id)
    data = canvas.evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )
    return np.reshape(data, (28, 28, 4))[..., :3]


def test_residuals_are_those_of_an_export(open_page: Open) -> None:
    page = open_page("/?lang=en&right=ae_2d")
    start_clear(page)
    answers = answers_of(page, "reconstruct")
    draw(page, 2)
    strokes_are(page, 1)
    wait_for_calm(page, "rebuilt-right")
    page.wait_for_timeout(200)
    for side in ("left", "right"):
        expected = exports.residual(grey(answers[-1][side]["picture"]), grey(answers[-1]["seen"]))
        assert np.abs(colours(page, f"residual-{side}") - expected.astype(int)).max() <= 1


def test_the_sparkline_grows_while_one_draws(open_page: Open) -> None:
    page = open_page()
    start_clear(page)
    line = page.get_by_test_id("spark-right").locator("path.kl")
    assert not line.get_attribute("d")
    draw(page, 3)
    strokes_are(page, 1)
    page.wait_for_timeout(300)
    assert line.get_attribute("d").count("L") > 4
    elbo, rest, kl = (
        float(page.locator(selector).inner_text())
        for selector in (
            "[data-testid=elbo-right]",
            "[data-number='right.reconstruction_nats']",
            "[data-number='right.kl_nats']",
        )
    )
    assert elbo == pytest.approx(rest + kl, abs=0.11)
    assert page.get_by_test_id("elbo-left").inner_text() == "–"
    page.get_by_test_id("clear").click()
    page.wait_for_function("() => window.vaeDemo?.drawing === null")
    assert not line.get_attribute("d")


def strangeness(page: Any) -> list[float]:
    return [
        float(page.get_by_test_id(f"meter-{side}").get_attribute("aria-valuenow"))
        for side in ("left", "right")
    ]


def test_what_is_no_digit_is_at_the_far_end_of_the_meter(open_page: Open) -> None:
    page = open_page()
    packed = {}
    for name, drawing in {"digit": DIGITS[3], "smiley": json.loads(DOODLES.read_text())[7]}.items():
        strokes = [[round(616 * value) for value in stroke] for stroke in drawing]
        packed[name] = page.evaluate("it => window.vaeDemo.packStrokes(it)", strokes)
    page = open_page(f"/?lang=en&strokes={packed['digit']}")
    strokes_are(page, 1)
    assert max(strangeness(page)) < 80
    page = open_page(f"/?lang=en&strokes={packed['smiley']}")
    strokes_are(page, 4)
    assert min(strangeness(page)) > 95


# Look inside --------------------------------------------------------------------------------------


def test_moving_a_number_moves_its_side_alone(open_page: Open) -> None:
    page = open_page("/?lang=en&digit=5")
    page.wait_for_function("() => window.vaeDemo?.drawing !== null")
    before = {name: wait_for_calm(page, name) for name in PICTURES}
    page.get_by_test_id("together").click()
    assert "only VAE follows" in page.locator(".draw .pane.right .note").inner_text()
    bar = page.get_by_test_id("bars-right").get_by_role("slider").first
    value = float(bar.get_attribute("aria-valuenow"))
    bar.focus()
    for _ in range(6):
        page.keyboard.press("ArrowUp" if value < 0 else "ArrowDown")
    wait_for_change(page, "rebuilt-right", before["rebuilt-right"])
    assert abs(float(bar.get_attribute("aria-valuenow")) - value) > 0.3
    assert "VAE, number" in page.locator(".draw .readout").inner_text()
    assert pixels(page, "rebuilt-left") == before["rebuilt-left"]
    assert pixels(page, "seen") == before["seen"]
    page.keyboard.press("ArrowRight")
    assert bar.evaluate("it => it.nextSibling === document.activeElement")
    drag(page, "bars-left", (0.03, 0.5), (0.03, 0.02))
    wait_for_change(page, "rebuilt-left", before["rebuilt-left"])
    assert wait_for_calm(page, "rebuilt-right") != before["rebuilt-right"]
    page.get_by_test_id("reset").click()
    assert wait_for_calm(page, "rebuilt-right") == before["rebuilt-right"]
    assert wait_for_calm(page, "rebuilt-left") == before["rebuilt-left"]
    assert page.get_by_test_id("reset").is_disabled()


def test_both_decoders_follow_a_dragged_number(open_page: Open) -> None:
    page = open_page("/?lang=en&digit=5")
    page.wait_for_function("() => window.vaeDemo?.drawing !== null")
    before = {name: wait_for_calm(page, name) for name in PICTURES}
    drag(page, "bars-left", (0.03, 0.5), (0.03, 0.05))
    for name in ("rebuilt-left", "rebuilt-right"):
        wait_for_change(page, name, before[name])
    heights = [
        float(bar.get_attribute("aria-valuenow")) / float(bar.get_attribute("aria-valuemax"))
        for side in ("left", "right")
        for bar in [page.get_by_test_id(f"bars-{side}").get_by_role("slider").first]
    ]
    assert heights[0] > 0.5 and abs(heights[0] - heights[1]) < 0.01
    assert pixels(page, "seen") == before["seen"]
    page.get_by_test_id("reset").click()
    for name in ("rebuilt-left", "rebuilt-right"):
        assert wait_for_calm(page, name) == before[name]


def test_a_posterior_has_several_answers(open_page: Open) -> None:
    page = open_page("/?lang=en&digit=5&look=posterior")
    page.get_by_text("6 draws from the posterior of VAE").wait_for()
    page.get_by_text("AE has one answer").wait_for()
    right, left = (wait_for_calm(page, f"posterior-{side}") for side in ("right", "left"))
    assert (len(left), len(right)) == (28 * 28, 86 * 57)
    page.get_by_test_id("roll").click()
    wait_for_change(page, "posterior-right", right)
    assert pixels(page, "posterior-left") == left


def test_the_nearest_digits_can_be_put_on_the_slate(open_page: Open) -> None:
    page = open_page("/?lang=en&digit=5&look=neighbours")
    near = page.get_by_test_id("near-right").get_by_role("button")
    near.nth(4).wait_for()
    assert near.count() == page.get_by_test_id("near-left").get_by_role("button").count() == 5
    assert "away in code space" in near.nth(1).get_attribute("title")
    page.get_by_text("Rebuilt by VAE; 10,000 searched").wait_for()
    digit = int(near.nth(4).get_attribute("data-digit"))
    near.nth(4).click()
    page.wait_for_function("it => window.vaeDemo?.drawing?.digit === it", arg=digit)
    assert not is_blank(pixels(page, "draw-canvas"))


def test_a_sample_from_another_tab_shows_its_code(open_page: Open) -> None:
    page = open_page("/?lang=en&tab=sample")
    picture = base64.b64encode(bytes([0, 255] * 392)).decode()
    point = {"codes": [[0.5] * 16, [-0.5] * 16]}
    page.wait_for_function("() => window.vaeDemo.latentSize")
    page.wait_for_timeout(500)
    page.evaluate("it => window.vaeDemo.send('to-draw', it)", {"point": point, "picture": picture})
    page.wait_for_function(
        "() => document.querySelector('[data-testid=bars-right] .bar')?.ariaValueNow === '-0.50'"
    )
    left = page.get_by_test_id("bars-left").get_by_role("slider")
    assert {left.nth(i).get_attribute("aria-valuenow") for i in range(16)} == {"0.50"}
    assert is_blank(pixels(page, "seen"))
    assert not is_blank(pixels(page, "rebuilt-left"))
    assert page.locator("[data-number='right.squared_error']").inner_text() == "–"


def test_other_models_change_what_is_inside(open_page: Open) -> None:
    page = open_page("/?lang=en&digit=5&left=ae_2d&right=vae_2d")
    page.wait_for_function("() => window.vaeDemo?.drawing !== null")
    for side in ("left", "right"):
        page.get_by_test_id(f"bars-{side}").get_by_role("slider").nth(1).wait_for()
        assert page.get_by_test_id(f"bars-{side}").get_by_role("slider").count() == 2
    page.get_by_test_id("model-left").first.select_option("pca")
    page.get_by_test_id("bars-left").get_by_role("slider").nth(15).wait_for()
    assert page.locator("[data-number='left.kl_nats']").inner_text() == "–"
    assert float(page.locator("[data-number='right.kl_nats']").inner_text()) > 0


# Addresses and room -------------------------------------------------------------------------------


def test_an_address_holds_the_whole_state(open_page: Open) -> None:
    page = open_page()
    start_clear(page)
    draw(page, 4)
    strokes_are(page, 2)
    page.keyboard.press("]")
    page.get_by_text("Size", exact=True).click()
    bar = page.get_by_test_id("bars-right").get_by_role("slider").first
    bar.focus()
    for _ in range(8):
        page.keyboard.press("ArrowUp")
    page.get_by_test_id("look-posterior").click()
    page.get_by_test_id("roll").click()
    page.get_by_text("6 draws").wait_for()
    page.wait_for_timeout(600)
    names = (*PICTURES, "draw-canvas", "posterior-right", "posterior-left")
    before = {name: wait_for_calm(page, name) for name in names}
    again = open_page(page.url.removeprefix(page.url.split("/?")[0]))
    again.get_by_text("6 draws").wait_for()
    assert {name: wait_for_calm(again, name) for name in names} == before
    keys = ("strokes", "off", "brush", "moved", "roll", "look")
    assert all(f"{key}=" in again.url for key in keys)


@pytest.mark.parametrize(
    "junk", ["strokes=%00", "digit=99999", "point={", "moved=l99_1*r0_x", "off=x"]
)
def test_an_address_may_hold_anything(open_page: Open, junk: str) -> None:
    page = open_page(f"/?lang=en&{junk}")
    page.wait_for_function("() => window.vaeDemo?.drawing !== null")  # an example draws itself
    assert page.locator(".draw .complaint").is_hidden()


@pytest.mark.parametrize("language", ["en", "ko"])
def test_all_that_matters_is_seen_at_first_glance(open_page: Open, language: str) -> None:
    page = open_page(f"/?lang={language}")
    page.wait_for_function("() => window.vaeDemo?.drawing !== null")
    for test_id in ("draw-canvas", "seen", "example-9", "rule-polarity", "surprise", "draw-save"):
        box = page.get_by_test_id(test_id).bounding_box()
        assert box["y"] + box["height"] <= 768, test_id
    for side in ("left", "right"):
        for name in ("rebuilt", "residual", "spark", "meter", "bars"):
            box = page.get_by_test_id(f"{name}-{side}").bounding_box()
            assert box["y"] + box["height"] <= 768, name
            assert box["x"] + box["width"] <= 1024, name


def test_a_phone_shows_slate_and_both_answers_at_once(open_page: Open) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    page = open_page(**phone)
    page.wait_for_function("() => window.vaeDemo?.drawing !== null")
    for test_id in ("draw-canvas", "seen", "undo", "meter-left", "meter-right"):
        box = page.get_by_test_id(test_id).bounding_box()
        assert box["y"] + box["height"] <= 844, test_id
