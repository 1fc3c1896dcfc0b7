"""Layers of the map: what lies under and over its dots."""

from typing import Any

from tests.browser.conftest import Open
from tests.browser.test_map import open_map

PLANES = "/?tab=map&lang=en&left=ae_2d&right=vae_2d"


def layer(page: Any, side: str, name: str) -> dict[int, int]:
    """How many pixels of a layer, "under" or "over" the dots, are painted in which colour."""
    colours: dict[str, int] = page.get_by_test_id(f"map-{side}").evaluate(
        """(ground, name) => {
          const c = ground.querySelector('canvas.' + name), found = {};
          const data = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
          for (const it of new Uint32Array(data.buffer)) if (it) found[it] = (found[it] ?? 0) + 1;
          return found;
        }""",
        name,
    )
    return {int(colour): count for colour, count in colours.items()}


def wait_for_layer(page: Any, side: str, name: str, least: int) -> dict[int, int]:
    """A layer once as many pixels are painted."""
    for _ in range(200):
        if sum((found := layer(page, side, name)).values()) >= least:
            return found
        page.wait_for_timeout(50)
    raise AssertionError(f"{side}: {name} stays empty")


def switch(page: Any, name: str) -> None:
    page.get_by_test_id("layers").click()
    page.get_by_test_id(f"layer-{name}").click()
    page.get_by_test_id("layers").click()
    wait_for_frame(page)


def wait_for_frame(page: Any) -> None:
    """Until what was asked for is drawn."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_lines_of_density_follow_the_classes_and_can_be_switched_off(open_page: Open) -> None:
    page = open_map(open_page)
    everyone = wait_for_layer(page, "left", "over", 500)
    page.get_by_test_id("class-4").click()
    wait_for_frame(page)
    fours = wait_for_layer(page, "left", "over", 100)
    assert fours.keys() != everyone.keys()
    switch(page, "contours")
    assert layer(page, "left", "over") == layer(page, "right", "over") == {}
    assert "layers=contours" in page.url


def test_dots_become_pictures_for_those_who_come_near(open_page: Open) -> None:
    page = open_map(open_page, "/?tab=map&lang=en&layers=contours")
    assert layer(page, "left", "over") == {}
    page.get_by_test_id("another").click()
    page.get_by_test_id("map-left").focus()
    for _ in range(24):  # as near as one gets
        page.keyboard.press("+")
    near = wait_for_layer(page, "left", "over", 28 * 28)
    assert max(near, key=lambda colour: near[colour]) & 0xFFFFFF == 0x1C1612  # the ground of digits
    assert layer(page, "right", "over") == {}
    switch(page, "pictures")
    assert layer(page, "left", "over") == {}


def test_a_plane_is_decoded_and_judged(open_page: Open) -> None:
    page = open_map(open_page, f"{PLANES}&layers=sheet")
    assert page.get_by_test_id("layer-sheet").is_checked()
    box = page.get_by_test_id("map-left").bounding_box()
    area = int(0.98 * box["width"] * box["height"])
    sheets = [wait_for_layer(page, side, "under", area) for side in ("left", "right")]
    switch(page, "sheet")
    assert layer(page, "left", "under") == {}
    assert page.get_by_test_id("holes-legend-left").is_hidden()
    switch(page, "holes")
    assert page.get_by_test_id("holes-legend-left").is_visible()
    holes = [wait_for_layer(page, side, "under", area) for side in ("left", "right")]
    for left, right in (sheets, holes):
        assert len(left) > 50
        assert left != right


def test_the_posterior_of_a_drawing_is_enlarged(open_page: Open) -> None:
    page = open_map(open_page, f"{PLANES}&layers=contours")
    assert page.get_by_test_id("spread-right").is_hidden()
    box = page.get_by_test_id("map-slate").bounding_box()
    x, y, side = box["x"], box["y"], box["width"]
    page.mouse.move(x + 0.5 * side, y + 0.2 * side)
    page.mouse.down()
    page.mouse.move(x + 0.5 * side, y + 0.8 * side, steps=4)
    page.mouse.up()
    right, left = (page.get_by_test_id(f"spread-{side}") for side in ("right", "left"))
    right.wait_for()
    assert "×" in right.inner_text()
    assert left.inner_text() == "a point, without spread"
    assert right.locator("canvas").is_visible()
    assert left.locator("canvas").is_hidden()
    assert (
        sum(layer(page, "right", "over").values()) > 0 == sum(layer(page, "left", "over").values())
    )


def test_the_training_digits_join_the_map_where_they_have_a_place(open_page: Open) -> None:
    page = open_map(open_page)
    kind = page.get_by_test_id("map-kind-left")
    assert "60,000" not in kind.inner_text()
    switch(page, "everything")
    page.wait_for_function(
        "document.querySelector('[data-testid=map-kind-left]').innerText.includes('60,000')"
    )
    assert page.get_by_test_id("layer-sheet").is_disabled()
    page.get_by_test_id("lens-pca").click()
    page.wait_for_function(
        "document.querySelector('[data-testid=map-kind-left]').innerText.includes('PCA')"
    )
    assert page.get_by_test_id("layer-everything").is_disabled()
    assert page.get_by_test_id("layer-sheet").is_enabled()
