"""Map: two linked maps that decode what is pointed at."""

from typing import Any

from tests.browser.conftest import Open, is_blank, pixels, wait_for_change

REBUILT = ("map-rebuilt-left", "map-rebuilt-right")


def open_map(open_page: Open, path: str = "/?tab=map&lang=en") -> Any:
    """The tab with its dots, for a visitor who prefers stillness: it shows no tour."""
    page = open_page(path, reduced_motion="reduce")
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
    return page.locator(".map .number").inner_text()


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
    for step in range(60):  # across the map until a dot is met
        x = box["x"] + box["width"] * (0.2 + 0.01 * step)
        page.mouse.move(x, box["y"] + box["height"] * (0.3 + 0.4 * (step % 5) / 5))
        page.wait_for_timeout(30)
        if pointed_at(page) != name:
            break
    assert pointed_at(page) != name
    for test_id in REBUILT:
        wait_for_change(page, test_id, before[test_id])
    assert all(page.get_by_test_id(f"map-ring-{side}").is_visible() for side in ("left", "right"))


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


def test_other_models_bring_their_maps(open_page: Open) -> None:
    page = open_map(open_page, "/?tab=map&lang=en&left=ae_2d")
    kind = page.locator(".map .kind")
    assert kind.nth(0).inner_text() == "10,000 codes as they are, 2-D"
    before = pixels(page, "map-rebuilt-right")
    page.locator("#map").get_by_test_id("model-right").select_option("vae_beta16")
    page.wait_for_function("document.querySelectorAll('.map .kind')[1].innerText.includes('2,000')")
    wait_for_change(page, "map-rebuilt-right", before)
    assert "right=vae_beta16" in page.url
    page.evaluate("vaeDemo.send('to-map', {codes: [[1, 0], Array(16).fill(0)]})")
    wait_for_star(page, "left", shown=True)
    assert page.locator(".map .star i").first.inner_text() == "sent here"


def test_zoom_moves_the_dots_and_the_button_brings_them_back(open_page: Open) -> None:
    page = open_map(open_page)
    home = place(page, "map-ring-left")
    page.mouse.move(home[0] + 6, home[1] + 3)
    page.mouse.wheel(0, -300)
    page.wait_for_function("() => document.querySelector('.map .ground').matches('.near')")
    page.get_by_test_id("reset-view").click()
    page.wait_for_function("() => !document.querySelector('.map .ground').matches('.near')")


def test_a_class_can_be_singled_out(open_page: Open) -> None:
    page = open_map(open_page)
    for digit in (1, 7):
        keep(page, digit)
        page.get_by_test_id(f"class-{digit}").click()
    assert page.locator(".map .chip[aria-pressed=true]").count() == 0
