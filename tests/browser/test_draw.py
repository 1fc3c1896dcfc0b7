"""Draw: the live canvas under mouse, finger and keyboard."""

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import Open, is_blank, pixels, wait_for_calm, wait_for_change
from vae_demo.ui.draw import EXAMPLES

PICTURES = ("seen", "rebuilt-left", "rebuilt-right")
DIGITS = json.loads(EXAMPLES.read_text())  # pen strokes of ten digits, in shares of the canvas


def start_clear(page: Any) -> Any:
    """Stop the example that draws itself, and wait for the blank canvas."""
    page.wait_for_function("() => window.vaeDemo.drawing !== null")
    page.get_by_test_id("clear").click()
    page.wait_for_function("() => window.vaeDemo.drawing === null")
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
    page.wait_for_function("() => window.vaeDemo.drawing !== null")
    assert not any(is_blank(pixels(page, name)) for name in PICTURES)


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
    page.wait_for_function("() => window.vaeDemo.drawing?.strokes?.length === 2")
    shown = page.eval_on_selector_all(
        "[data-number]", "cells => cells.map(c => [c.dataset.number, parseFloat(c.textContent)])"
    )
    numbers = dict(shown)
    assert numbers.keys() == {
        f"{side}.{name}" for side in ("left", "right") for name in ("squared_error",)
    } | {"left.reconstruction_nats", "right.reconstruction_nats", "right.kl_nats"}
    assert all(value > 0 for value in numbers.values())


def test_undo_takes_back_one_stroke_and_clear_all(open_page: Open) -> None:
    page = open_page()
    start_clear(page)
    blank = pixels(page, "seen")
    draw(page, 4)
    page.wait_for_function("() => window.vaeDemo.drawing?.strokes?.length === 2")
    page.keyboard.press("Control+z")
    page.wait_for_function("() => window.vaeDemo.drawing?.strokes?.length === 1")
    page.get_by_test_id("clear").click()
    page.wait_for_function("() => window.vaeDemo.drawing === null")
    assert pixels(page, "seen") == blank
    page.get_by_test_id("undo").click()
    page.wait_for_function("() => window.vaeDemo.drawing?.strokes?.length === 1")


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
    page.wait_for_function("() => window.vaeDemo.drawing?.strokes?.[0]?.length > 10")
    send("touchEnd", [])
    assert page.evaluate("scrollY") == 0
    assert not is_blank(pixels(page, "rebuilt-right"))


def test_a_picture_is_read_and_a_wrong_file_keeps_the_drawing(open_page: Open) -> None:
    page = open_page()
    start_clear(page)
    draw(page, 3)
    page.wait_for_function("() => window.vaeDemo.drawing?.strokes?.length === 1")
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
    page.route("**/component_server", lambda route: route.fulfill(json={"error": "error.server"}))
    draw(page, 8)
    page.get_by_text("The server stumbled").wait_for()
    assert not is_blank(pixels(page, "draw-canvas"))
    page.unroute_all()
    page.get_by_test_id("clear").click()
    page.get_by_test_id("undo").click()
    page.wait_for_function("() => window.vaeDemo.drawing?.strokes?.length === 1")
    assert page.locator(".draw .complaint").is_hidden()
