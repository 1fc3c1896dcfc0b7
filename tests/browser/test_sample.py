"""Sample: one noise through both decoders."""

from typing import Any

from tests.browser.conftest import Open

# One canvas a side, a button over each tile, one pixel between them.
TILES = """side => {
  const count = document.querySelectorAll(`[data-testid=samples-${side}] button`).length;
  const context = document.querySelector(`[data-testid=samples-${side}] canvas`).getContext('2d');
  const columns = Math.ceil(Math.sqrt(count));
  return Array.from({ length: count }, (_, i) =>
    context.getImageData(29 * (i % columns), 29 * Math.floor(i / columns), 28, 28).data.join());
}"""


def tiles(page: Any, side: str) -> list[str]:
    """The pictures of one side, each as text, once they are painted."""
    page.wait_for_function(
        """() => {
          const c = document.querySelector('[data-testid=samples-right] canvas');
          return c && new Set(c.getContext('2d').getImageData(0, 0, 28, 28).data).size > 9;
        }"""
    )
    return page.evaluate(TILES, side)


def wait_until_other(page: Any, before: list[str]) -> list[str]:
    for _ in range(200):
        if (now := tiles(page, "right")) != before:
            return now
        page.wait_for_timeout(25)
    raise AssertionError("the samples did not change")


def test_a_seed_is_a_picture_and_its_address_brings_it_back(open_page: Open) -> None:
    page = open_page("/?tab=sample&lang=en")
    first = {side: tiles(page, side) for side in ("left", "right")}
    assert len(first["left"]) == len(first["right"]) == 25
    assert first["left"] != first["right"]
    page.get_by_test_id("seed").fill("77")
    page.get_by_test_id("seed").press("Tab")
    other = wait_until_other(page, first["right"])
    again = open_page(page.url.replace(page.url.split("/?")[0], ""))
    assert tiles(again, "right") == other
    assert tiles(again, "left") == tiles(page, "left")


def test_without_temperature_all_tiles_are_the_origin(open_page: Open) -> None:
    page = open_page("/?tab=sample&lang=en")
    warm = tiles(page, "right")
    assert len(set(warm)) == 25
    page.get_by_test_id("temperature").focus()
    page.keyboard.press("Home")
    cold = wait_until_other(page, warm)
    page.wait_for_function(f"() => new Set(({TILES})('right')).size === 1")
    assert len(cold) == 25


def test_fewer_tiles_are_the_first_of_more(open_page: Open) -> None:
    page = open_page("/?tab=sample&lang=en")
    many = tiles(page, "right")
    page.get_by_test_id("count").select_option("9")
    page.wait_for_function(f"() => ({TILES})('right').length === 9")
    assert tiles(page, "right") == many[:9]


def test_a_sample_becomes_an_end_of_the_way(open_page: Open) -> None:
    page = open_page("/?tab=sample&lang=en")
    wanted = tiles(page, "right")[3]
    page.locator("[data-testid=samples-right] button").nth(3).click()
    page.get_by_test_id("to-start").click()
    page.wait_for_function("() => window.vaeDemo.tab === 'interpolate'")
    page.wait_for_function(
        """wanted => { const c = document.querySelector('[data-testid=start-picture]');
          return c.getContext('2d').getImageData(0, 0, 28, 28).data.join() === wanted }""",
        arg=wanted,
    )
