"""Interpolate: from one end to the other through both code spaces."""

from typing import Any

from tests.browser.conftest import Open, pixels, wait_for_calm

ROW = """row => [...document.querySelectorAll(`[data-testid=strip-${row}] canvas`)].map(
    c => c.getContext('2d').getImageData(0, 0, 28, 28).data.join())"""
STILL = "/?tab=interpolate&lang=en"


def open_still(open_page: Open, path: str = STILL) -> Any:
    """The tab for a visitor who prefers stillness: nothing plays by itself."""
    page = open_page(path, reduced_motion="reduce")
    painted(page)
    return page


def painted(page: Any) -> None:
    page.wait_for_function(
        """() => { const c = document.querySelector('[data-testid=strip-right] canvas');
          return c && new Set(c.getContext('2d').getImageData(0, 0, 28, 28).data).size > 9 }"""
    )


def row(page: Any, name: str) -> list[str]:
    return page.evaluate(ROW, name)


def wait_until_other(page: Any, name: str, before: list[str]) -> list[str]:
    for _ in range(200):
        if (now := row(page, name)) != before:
            return now
        page.wait_for_timeout(25)
    raise AssertionError(f"the row {name} did not change")


def test_the_rows_share_their_way_and_differ_in_the_middle(open_page: Open) -> None:
    page = open_still(open_page)
    rows = {name: row(page, name) for name in ("left", "right", "fade")}
    assert {len(pictures) for pictures in rows.values()} == {9}
    assert len({pictures[4] for pictures in rows.values()}) == 3
    assert all(len(set(pictures)) == 9 for pictures in rows.values())


def test_line_and_arc_share_their_ends_only(open_page: Open) -> None:
    page = open_still(open_page)
    line = row(page, "right")
    page.get_by_test_id("slerp").click()
    arc = wait_until_other(page, "right", line)
    assert (arc[0], arc[-1]) == (line[0], line[-1])
    assert arc[4] != line[4]
    assert "path=slerp" in page.url


def test_the_scrubber_shows_what_the_strip_shows(open_page: Open) -> None:
    page = open_still(open_page)
    for key, index in (("Home", 0), ("End", -1)):
        page.get_by_test_id("scrubber").focus()
        page.keyboard.press(key)
        big = page.get_by_test_id("between-left").evaluate(
            "c => c.getContext('2d').getImageData(0, 0, 28, 28).data.join()"
        )
        assert big == row(page, "left")[index]


def test_it_plays_and_stops(open_page: Open) -> None:
    page = open_page(STILL)
    painted(page)
    first = page.get_by_test_id("scrubber").input_value()
    page.wait_for_function(
        "first => document.querySelector('[data-testid=scrubber]').value !== first", arg=first
    )
    page.get_by_test_id("play").click()
    stopped = page.get_by_test_id("scrubber").input_value()
    page.wait_for_timeout(400)
    assert page.get_by_test_id("scrubber").input_value() == stopped


def test_my_drawing_is_an_end(open_page: Open) -> None:
    page = open_page("/?lang=en", reduced_motion="reduce")
    page.get_by_test_id("example-6").click()
    page.wait_for_function("() => window.vaeDemo.drawing?.strokes?.length")
    seen = wait_for_calm(page, "seen")
    page.locator("#tab-interpolate").click()
    painted(page)
    assert page.get_by_test_id("start-kind").input_value() == "drawing"
    assert pixels(page, "start-picture") == seen


def test_a_class_can_be_chosen_and_another_one_asked_for(open_page: Open) -> None:
    page = open_still(open_page)
    before = row(page, "left")
    page.get_by_test_id("end-kind").select_option("5")
    five = wait_until_other(page, "left", before)
    page.get_by_test_id("end-another").click()
    other = wait_until_other(page, "left", five)
    assert other[0] == five[0] == before[0]
    assert page.get_by_test_id("end-kind").input_value() == "5"


def test_the_number_of_pictures_keeps_the_ends(open_page: Open) -> None:
    page = open_still(open_page)
    nine = row(page, "right")
    page.get_by_test_id("steps").focus()
    page.keyboard.press("Home")
    page.wait_for_function(f"() => ({ROW})('right').length === 3")
    page.wait_for_timeout(300)
    three = row(page, "right")
    assert (three[0], three[-1]) == (nine[0], nine[-1])
