"""Map: two linked maps under several lenses, which decode what is pointed at."""

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.browser.conftest import Open, is_blank, pixels, wait_for_change
from vae_demo.report import read_report

REBUILT = ("map-rebuilt-left", "map-rebuilt-right")


def open_map(open_page: Open, path: str = "/?tab=map&lang=en", **options: Any) -> Any:
    """The tab with its dots, for a visitor who prefers stillness: it shows no tour."""
    page = open_page(path, reduced_motion="reduce", **options)
    wait_for_dots(page)
    return page


def wait_for_dots(page: Any) -> None:
    page.locator(".map.ready").wait_for(timeout=60_000)
    page.wait_for_function(
        """() => { const c = document.querySelector('[data-testid=map-rebuilt-right]');
          return new Set(c.getContext('2d').getImageData(0, 0, 28, 28).data).size > 9 }"""
    )


def keep(page: Any, digit: int) -> None:
    """Keep a digit of a class through the keyboard's way in: the class chip and the button."""
    page.get_by_test_id(f"class-{digit}").click()
    page.get_by_test_id("another").click()
    page.wait_for_function(
        "digit => document.querySelector('[data-testid=map-class]').textContent == digit",
        arg=str(digit),
    )


def pointed_at(page: Any) -> str:
    return page.get_by_test_id("map-number").inner_text()


def kind(page: Any, side: str) -> str:
    """What a map says it is."""
    return page.get_by_test_id(f"map-kind-{side}").inner_text()


def wait_for_kind(page: Any, side: str, words: str) -> None:
    page.wait_for_function(
        "([side, words]) => document.querySelector(`[data-testid=map-kind-${side}]`)"
        ".innerText.includes(words)",
        arg=[side, words],
    )


def colours(page: Any, test_id: str = "map-left") -> int:
    """How many pixels of a map as it looks are neither grey nor nearly so."""
    picture = Image.open(io.BytesIO(page.get_by_test_id(test_id).screenshot())).convert("HSV")
    saturation = np.asarray(picture)[..., 1]
    return int((saturation > 60).sum())


def look(page: Any, test_id: str = "map-left") -> NDArray[np.uint8]:
    """A map as it looks, grey, (H, W)."""
    return np.asarray(
        Image.open(io.BytesIO(page.get_by_test_id(test_id).screenshot())).convert("L")
    )


def place(page: Any, test_id: str) -> tuple[float, float]:
    box = page.get_by_test_id(test_id).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def wait_for_star(page: Any, side: str, *, shown: bool) -> None:
    """The star is a point with a picture around it, so a browser calls its box empty."""
    page.wait_for_function(
        """([side, shown]) =>
          document.querySelector(`[data-testid=map-mine-${side}]`).hidden !== shown""",
        arg=[side, shown],
    )


def test_pointing_at_a_dot_decodes_it_and_marks_it_on_both_maps(open_page: Open) -> None:
    page = open_map(open_page)
    before, name = {test_id: pixels(page, test_id) for test_id in REBUILT}, pointed_at(page)
    box = page.get_by_test_id("map-left").bounding_box()
    for step in range(60):  # across the map until another dot is met
        x = box["x"] + box["width"] * (0.2 + 0.01 * step)
        page.mouse.move(x, box["y"] + box["height"] * (0.3 + 0.4 * (step % 5) / 5))
        page.wait_for_timeout(30)
        if pointed_at(page) != name and "test digit" in pointed_at(page):
            break
    assert pointed_at(page) != name
    for test_id in REBUILT:
        wait_for_change(page, test_id, before[test_id])
    assert all(page.get_by_test_id(f"map-ring-{side}").is_visible() for side in ("left", "right"))
    for side in ("left", "right"):
        assert page.get_by_test_id(f"map-reads-{side}").inner_text().startswith("reads ")


def test_between_dots_a_umap_decodes_about(open_page: Open) -> None:
    """Near a dot, but on none: the neighbours' mean code, said to be approximate."""
    page = open_map(open_page)
    keep(page, 0)
    page.get_by_test_id("class-0").click()
    page.keyboard.press("Tab")
    x, y = place(page, "map-pin-left")
    for step in range(4, 60):  # away from the digit until there is no dot
        page.mouse.move(x - 3 * step, y)
        page.wait_for_timeout(20)
        if pointed_at(page) == "about here":
            break
    assert pointed_at(page) == "about here"
    assert page.locator(".map .card.about").count() == 1
    for side in ("left", "right"):
        page.get_by_test_id(f"map-spot-{side}").wait_for()
        assert not is_blank(pixels(page, f"map-rebuilt-{side}"))


def test_a_click_keeps_a_digit_and_sends_it_to_draw(open_page: Open) -> None:
    page = open_map(open_page)
    assert page.get_by_test_id("map-to-draw").is_disabled()
    x, y = place(page, "map-ring-right")  # the digit shown at first
    page.mouse.click(x, y)
    page.get_by_test_id("map-to-draw").click(timeout=5000)
    page.wait_for_function("() => window.vaeDemo.drawing?.digit !== undefined")
    assert page.evaluate("window.vaeDemo.tab") == "draw"
    assert not any(is_blank(pixels(page, t)) for t in ("seen", "rebuilt-left", "rebuilt-right"))


def test_a_kept_digit_becomes_an_end_of_the_way(open_page: Open) -> None:
    page = open_map(open_page)
    keep(page, 4)
    page.get_by_test_id("map-to-end").click()
    page.wait_for_function("() => document.querySelector('[data-testid=end-kind]')?.value === '4'")
    assert page.evaluate("window.vaeDemo.tab") == "interpolate"
    assert not is_blank(pixels(page, "end-picture"))


def test_my_drawing_is_a_star_among_its_like(open_page: Open) -> None:
    page = open_page("/?lang=en", reduced_motion="reduce")
    page.get_by_test_id("example-0").click()
    page.wait_for_function("() => window.vaeDemo.drawing?.strokes?.length")
    page.wait_for_timeout(300)
    page.locator("#tab-map").click()
    wait_for_dots(page)
    for side in ("left", "right"):
        wait_for_star(page, side, shown=True)
    neighbours = page.locator(".map .found canvas")
    neighbours.first.wait_for()
    assert neighbours.count() == 10
    page.locator("#tab-draw").click()
    page.get_by_test_id("clear").click()
    page.wait_for_function("() => window.vaeDemo.drawing === null")
    page.locator("#tab-map").click()
    wait_for_star(page, "left", shown=False)


STAR_PLACE = "() => document.querySelector('[data-testid=map-mine-left]').style.transform"
STAR = "side => document.querySelector(`[data-testid=map-mine-${side}]`).style.transform"


@pytest.mark.parametrize("lens", ["umap", "umap3", "pca"])
def test_the_star_moves_while_one_draws_on_the_slate(open_page: Open, lens: str) -> None:
    page = open_map(open_page, f"/?tab=map&lang=en&lens={lens}")
    box = page.get_by_test_id("map-slate").bounding_box()
    x, y, side = box["x"], box["y"], box["width"]
    page.mouse.move(x + 0.3 * side, y + 0.2 * side)
    page.mouse.down()
    page.mouse.move(x + 0.7 * side, y + 0.2 * side, steps=6)
    wait_for_star(page, "right", shown=True)
    page.wait_for_timeout(300)
    before = {s: page.evaluate(STAR, s) for s in ("left", "right")}
    page.mouse.move(x + 0.4 * side, y + 0.85 * side, steps=6)  # the pen is still down
    for s, old in before.items():
        page.wait_for_function(f"([side, old]) => ({STAR})(side) !== old", arg=[s, old])
    page.mouse.up()
    page.wait_for_function(  # a seven by now
        "() => [...document.querySelectorAll('.map .row.left i')].some(i => i.textContent === '7')"
    )
    page.get_by_test_id("map-wipe").click()
    wait_for_star(page, "left", shown=False)


def test_other_models_bring_their_maps(open_page: Open) -> None:
    page = open_map(open_page, "/?tab=map&lang=en&left=ae_2d")
    assert kind(page, "left").startswith("10,000 codes as they are, 2-D")
    before = pixels(page, "map-rebuilt-right")
    page.locator("#map").get_by_test_id("model-right").select_option("vae_beta16")
    wait_for_kind(page, "right", "2,000")
    wait_for_change(page, "map-rebuilt-right", before)
    assert "right=vae_beta16" in page.url
    page.evaluate("vaeDemo.send('to-map', {codes: [[1, 0], Array(16).fill(0)]})")
    wait_for_star(page, "left", shown=True)
    assert page.locator(".map .star i").first.inner_text() == "sent here"


def test_each_lens_lays_the_digits_out_anew(open_page: Open) -> None:
    page = open_map(open_page)
    looks, words = [look(page)], [kind(page, "left")]
    for button, kind_words in (("lens-pca", "PCA"), ("lens-solid", "PCA of 10,000 codes, 3-D")):
        page.get_by_test_id(button).click()
        wait_for_kind(page, "left", kind_words)
        page.wait_for_timeout(200)
        looks.append(look(page))
        words.append(kind(page, "left"))
    page.get_by_test_id("lens-umap").click()
    wait_for_kind(page, "left", "UMAP of 10,000 codes, 3-D")
    assert "trust 0.9" in kind(page, "left")
    assert "lens=umap3" in page.url
    page.wait_for_timeout(200)
    looks.append(look(page))
    for i, one in enumerate(looks):
        for another in looks[:i]:
            assert (one != another).mean() > 0.02
    notes = page.get_by_test_id("map-note").inner_text()
    assert "Drag to turn" in notes


def test_the_map_says_how_far_a_new_digit_may_be_off(open_page: Open) -> None:
    page = open_map(open_page)
    for side, name in (("left", "ae"), ("right", "vae")):
        measured = read_report()["map"][name]["placement"]["training"]
        hint = page.get_by_test_id(f"map-kind-{side}").get_attribute("title")
        assert f"by {100 * measured['median']:.1f} % of the map" in hint
        assert f"at most {100 * measured['percentile_95']:.1f} %" in hint


def test_three_dimensions_turn_together_and_answer_the_pointer(open_page: Open) -> None:
    page = open_map(open_page, "/?tab=map&lang=en&lens=umap3")
    before = {side: look(page, f"map-{side}") for side in ("left", "right")}
    x, y = place(page, "map-left")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 90, y + 30, steps=4)
    page.mouse.up()
    page.wait_for_timeout(300)
    for side, old in before.items():
        assert (look(page, f"map-{side}") != old).mean() > 0.02
    x, y = place(page, "map-ring-right")
    page.mouse.click(x, y)
    assert not page.get_by_test_id("map-to-draw").is_disabled()
    assert page.get_by_test_id("map-pin-left").is_visible()


def test_the_plane_decodes_wherever_one_points_by_both_models(open_page: Open) -> None:
    page = open_map(open_page)
    page.get_by_test_id("lens-plane").click()
    wait_for_kind(page, "right", "codes as they are, 2-D")
    assert "left=ae_2d" in page.url and "right=vae_2d" in page.url
    x, y = place(page, "map-right")
    shown = []
    for dx, dy in ((0, 0), (40, 0), (0, 50)):
        before = pixels(page, "map-rebuilt-right")
        page.mouse.move(x + dx, y + dy)
        wait_for_change(page, "map-rebuilt-right", before)
        shown.append((pointed_at(page), pixels(page, "map-rebuilt-left")))
    assert all(words.startswith("code ") for words, _ in shown)
    assert len({words for words, _ in shown}) == 3
    assert len({tuple(grey) for _, grey in shown}) == 3
    # The same code is marked on the other plane, where it lies within.
    page.get_by_test_id("map-spot-right").wait_for()
    page.get_by_test_id("map-spot-left").wait_for()
    page.get_by_test_id("lens-umap").click()
    wait_for_kind(page, "left", "UMAP of 10,000 codes")
    assert "left=" not in page.url


def test_colours_tell_figures_and_say_where_there_are_none(open_page: Open) -> None:
    page = open_map(open_page)
    assert colours(page) > 500
    page.get_by_test_id("map-colour").select_option("kl_nats")
    legend = page.locator(".map .ground > .legend:not([data-testid])")
    legend.nth(1).wait_for()
    assert legend.nth(0).inner_text() == "no such figure for this model"
    assert legend.nth(1).inner_text().startswith("KL, nats")
    assert colours(page, "map-left") < 100  # grey, but for what is written on it
    assert "colour=kl_nats" in page.url


def test_zoom_moves_the_dots_and_the_button_brings_them_back(open_page: Open) -> None:
    page = open_map(open_page)
    x, y = place(page, "map-ring-left")
    before = look(page)
    page.mouse.move(x + 6, y + 3)
    page.mouse.wheel(0, -300)
    page.wait_for_function("() => document.querySelector('.map .ground').matches('.held')")
    page.wait_for_timeout(200)
    assert (look(page) != before).mean() > 0.02
    page.get_by_test_id("reset-view").click()
    page.wait_for_function("() => !document.querySelector('.map .ground').matches('.held')")


def test_a_class_can_be_singled_out(open_page: Open) -> None:
    page = open_map(open_page)
    everything = colours(page)
    for digit in (1, 7):
        keep(page, digit)
        assert colours(page) < everything / 3  # the others have stepped back
        page.get_by_test_id(f"class-{digit}").click()
    assert page.locator(".map .chip[aria-pressed=true]").count() == 0
    page.mouse.move(2, 2)
    assert colours(page) > everything * 0.9


def test_the_address_brings_lens_colour_classes_and_digit_back(open_page: Open) -> None:
    path = "/?tab=map&lang=en&lens=pca&colour=gap&classes=38&digit=5"
    page = open_map(open_page, path)
    wait_for_kind(page, "left", "PCA")
    assert pointed_at(page) == "test digit 5"
    assert (
        page.locator(".map .ground > .legend:not([data-testid]) b")
        .first.inner_text()
        .startswith("distance")
    )
    pressed = page.locator(".map .chip[aria-pressed=true]")
    assert pressed.all_inner_texts() == ["3", "8"]
    for part in ("lens=pca", "colour=gap", "classes=38", "digit=5"):
        assert part in page.url


def test_the_address_brings_the_slate_back(open_page: Open) -> None:
    page = open_map(open_page)
    box = page.get_by_test_id("map-slate").bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 15)
    page.mouse.down()
    page.mouse.move(box["x"] + 52, box["y"] + 80, steps=5)
    page.mouse.up()
    page.wait_for_function("() => location.search.includes('place=sketch-')")
    drawn, star = pixels(page, "map-slate"), page.evaluate(STAR_PLACE)
    page.goto(page.url)
    wait_for_dots(page)
    wait_for_star(page, "left", shown=True)
    assert pixels(page, "map-slate") == drawn
    assert page.evaluate(STAR_PLACE) == star
    page.get_by_test_id("map-wipe").click()
    page.wait_for_function("() => !location.search.includes('place=')")


def test_without_webgl_the_map_is_drawn_all_the_same(open_page: Open) -> None:
    page = open_page("/?lang=en", reduced_motion="reduce")
    page.context.add_init_script(
        """(() => { const get = HTMLCanvasElement.prototype.getContext;
          HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
            return kind === 'webgl2' ? null : get.call(this, kind, ...more) } })()"""
    )
    page.goto(page.url.split("?")[0] + "?tab=map&lang=en")
    wait_for_dots(page)
    assert colours(page) > 500


def test_a_finger_turns_three_dimensions_and_scrolls_no_page(open_page: Open) -> None:
    page = open_map(
        open_page,
        "/?tab=map&lang=en&lens=umap3",
        viewport={"width": 390, "height": 700},
        has_touch=True,
        is_mobile=True,
    )
    before, scrolled = look(page, "map-right"), page.evaluate("scrollY")
    box = page.get_by_test_id("map-left").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + 0.8 * box["height"]
    session = page.context.new_cdp_session(page)
    for i in range(8):
        touch = {"x": x, "y": y - 15 * i}
        session.send(
            "Input.dispatchTouchEvent",
            {"type": "touchMove" if i else "touchStart", "touchPoints": [touch]},
        )
        page.wait_for_timeout(20)
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_timeout(300)
    assert page.evaluate("scrollY") == scrolled
    assert (look(page, "map-right") != before).mean() > 0.02


def test_on_a_phone_a_tap_keeps_a_digit(open_page: Open) -> None:
    page = open_map(
        open_page,
        viewport={"width": 390, "height": 844},
        has_touch=True,
        is_mobile=True,
    )
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width == 390
    grounds = [page.get_by_test_id(f"map-{side}").bounding_box() for side in ("left", "right")]
    assert grounds[0]["y"] == grounds[1]["y"]  # beside each other, and what they show below them
    assert page.get_by_test_id("map-to-draw").bounding_box()["y"] < 844
    page.get_by_test_id("layers").tap()
    menu = page.locator(".map .layers .sheet").bounding_box()
    assert 0 <= menu["x"] < menu["x"] + menu["width"] <= 390
    page.get_by_test_id("layers").tap()
    x, y = place(page, "map-ring-left")
    page.touchscreen.tap(x, y)
    page.wait_for_function("() => !document.querySelector('[data-testid=map-to-draw]').disabled")
    assert page.get_by_test_id("map-pin-left").is_visible()
    page.get_by_test_id("lens-pca").tap()
    wait_for_kind(page, "left", "PCA")
