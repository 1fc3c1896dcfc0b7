"""Map: the lasso, the gallery of what it caught, and the files that leave the page."""

import csv
import io
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.browser.conftest import Open
from tests.browser.test_map import open_map
from vae_demo import latent_map
from vae_demo.exports import read_recipe

SVG = "{http://www.w3.org/2000/svg}"
# Of a ground, from its left upper corner: no symmetry that would hide an axis turned over.
CORNERS = np.array([[0.45, 0.2], [0.95, 0.45], [0.6, 0.9], [0.3, 0.6]])
KEYS = ("ae", "vae")


def outline(page: Any, side: str = "left") -> NDArray[np.float64]:
    """The lasso's corners on the page, in pixels."""
    page.get_by_test_id(f"map-{side}").scroll_into_view_if_needed()
    box = page.get_by_test_id(f"map-{side}").bounding_box()
    return CORNERS * [box["width"], box["height"]] + [box["x"], box["y"]]


def drag(page: Any, corners: NDArray[np.float64], *keys: str) -> None:
    for key in keys:
        page.keyboard.down(key)
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner)
    page.mouse.up()
    for key in keys:
        page.keyboard.up(key)


def wait_for_count(page: Any, count: int | None = None) -> int:
    """What the head of the drawer counts, once it does (or once it is as said)."""
    page.wait_for_function(
        """count => { const head = document.querySelector('[data-testid=drawer-selection]');
          const now = Number((head.dataset.count ?? '').replaceAll(',', ''));
          return count === null ? now > 0 : now === count }""",
        arg=count,
    )
    shown = page.get_by_test_id("drawer-selection").get_attribute("data-count")
    return int((shown or "0").replace(",", ""))


def saved(page: Any, kind: str, folder: Path) -> Path:
    with page.expect_download() as download:
        page.get_by_test_id(f"map-{kind}").click()
    path: Path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def in_pixels(
    points: NDArray[np.float32], circles: list[ElementTree.Element]
) -> NDArray[np.float64]:
    """Where a flat map shows its dots, by the extent of all of them in a drawing: y upwards."""
    drawn = np.array([[float(circle.attrib[key]) for key in ("cx", "cy")] for circle in circles])
    low, high = points.min(0).astype(float), points.max(0).astype(float)
    shares = (points - low) / (high - low)
    shares[:, 1] = 1 - shares[:, 1]
    return drawn.min(0) + shares * np.ptp(drawn, axis=0)


def windings(points: NDArray[np.float64], corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """How often an outline runs around points: the angles under which they see it, summed up."""
    rays = corners - points[:, None]
    angles = np.arctan2(rays[..., 1], rays[..., 0])
    turns = np.diff(angles, append=angles[:, :1])
    return np.abs(((turns + np.pi) % (2 * np.pi) - np.pi).sum(1)) / (2 * np.pi)


def test_a_lasso_takes_what_is_inside_and_its_table_says_where(
    open_page: Open, tmp_path: Path
) -> None:
    page = open_map(open_page)
    drag(page, outline(page), "Shift")
    count = wait_for_count(page)
    assert page.get_by_test_id("select-clear").is_visible()  # the drawer has opened by itself

    drawing = ElementTree.parse(saved(page, "svg", tmp_path)).getroot()
    circles = {}
    for side in ("left", "right"):  # the other map shows the same digits
        groups = drawing.findall(f"{SVG}g[@id='{side}']/{SVG}g")
        circles[side] = [circle for group in groups for circle in group]
        assert len(circles[side]) == 10_000
        assert sum(len(g) for g in groups if float(g.attrib["fill-opacity"]) > 0.2) == count

    digits = latent_map.load()
    points = digits.codes["ae"].points
    dots = in_pixels(points, circles["left"])
    box = page.get_by_test_id("map-left").evaluate("g => [g.clientWidth, g.clientHeight]")
    corners = CORNERS * box
    inside = windings(dots, corners) > 0.5
    edges = np.roll(corners, -1, 0) - corners
    normals = np.stack([-edges[:, 1], edges[:, 0]], 1) / np.linalg.norm(edges, axis=1)[:, None]
    distances = np.abs(((dots[:, None] - corners) * normals).sum(-1)).min(1)
    sure = distances > 2  # pixels: the corners are rounded, and the ground has a border

    path = saved(page, "csv", tmp_path)
    assert path.name == f"map-ae-vae-umap-{count}-selected.csv"
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"), newline="")))
    chosen = np.array([int(row["digit"]) for row in rows])
    assert len(rows) == len(set(chosen)) == count
    caught = np.isin(np.arange(len(points)), chosen)
    np.testing.assert_array_equal(caught[sure], inside[sure])
    assert {row["set"] for row in rows} == {"test"}
    assert [int(row["class"]) for row in rows] == digits.labels[chosen].tolist()
    for side, name in zip(("left", "right"), KEYS, strict=True):
        assert {row[f"{side}_model"] for row in rows} == {name}
        places = [[row[f"{side}_x"], row[f"{side}_y"]] for row in rows]
        found = np.array(places, dtype=np.float32)
        np.testing.assert_array_equal(found, digits.codes[name].points[chosen])


def test_the_gallery_shows_what_was_caught_until_it_is_let_go(open_page: Open) -> None:
    page = open_map(open_page)
    drag(page, outline(page), "Shift")
    count = wait_for_count(page)
    tiles = page.locator(".map .tiles button")
    assert tiles.count() == 60
    page.wait_for_function(
        """() => [...document.querySelectorAll('.map .tiles canvas')].every((c) =>
          new Set(c.getContext('2d').getImageData(0, 0, 28, 28).data).size > 9)"""
    )
    page.get_by_test_id("gallery-more").click()
    assert tiles.count() == 120
    tiles.nth(3).click()
    label = tiles.nth(3).locator("i").text_content()
    page.wait_for_function(
        "label => document.querySelector('[data-testid=map-class]').textContent === label",
        arg=label,
    )
    for side in ("left", "right"):
        assert page.get_by_test_id(f"map-pin-{side}").is_visible()

    part = page.locator(f"[data-testid=tally] [data-label='{label}']")
    of_class = int((part.locator("span").text_content() or "").replace(",", ""))
    part.click()  # classes narrow the selection down
    assert wait_for_count(page, of_class) < count
    page.get_by_test_id(f"class-{label}").click()
    wait_for_count(page, count)
    drag(page, outline(page), "Shift", "Alt")  # takes the same away again
    wait_for_count(page, 0)

    page.get_by_test_id("select-view").click()  # without a pointer
    wait_for_count(page, 10_000)
    page.get_by_test_id("lens-pca").click()
    page.wait_for_function("document.querySelector('.map .kind').innerText.startsWith('PCA')")
    assert wait_for_count(page, 10_000)
    page.keyboard.press("Escape")
    wait_for_count(page, 0)
    assert tiles.count() == 0


def test_a_picture_of_both_maps_holds_its_recipe(open_page: Open, tmp_path: Path) -> None:
    page = open_map(open_page, "/?tab=map&lang=en&classes=47")
    path = saved_from_drawer(page, "png", tmp_path)
    assert path.name == "map-ae-vae-umap-class-4-7.png"
    recipe = read_recipe(path.read_bytes())
    assert recipe["tab"] == "map"
    assert recipe["request"]["classes"] == [4, 7]
    assert "classes=47" in recipe["address"]
    assert all(len(recipe["weights"][name]) == 64 for name in KEYS)
    width, height = page.get_by_test_id("map-left").evaluate("g => [g.clientWidth, g.clientHeight]")
    with Image.open(path) as picture:
        assert picture.width > 4 * width
        assert picture.height > 2 * height
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 24) or []}
    tones = page.evaluate(
        """() => [4, 7].map((label) => getComputedStyle(document.body)
          .getPropertyValue('--class-' + label).trim())"""
    )
    for tone in tones:  # dots are not quite opaque: overlaid, they come near their colour
        near = np.array([int(tone[i : i + 2], 16) for i in (1, 3, 5)])
        assert np.abs(np.array(sorted(colours)) - near).max(1).min() <= 8


def saved_from_drawer(page: Any, kind: str, folder: Path) -> Path:
    page.get_by_test_id("drawer-selection").click()
    return saved(page, kind, folder)


@pytest.mark.parametrize("pause_ms", [0, 20])  # a quick stroke is a fling to the browser
def test_a_finger_draws_a_lasso_too(open_page: Open, pause_ms: int) -> None:
    page = open_map(open_page, has_touch=True, viewport={"width": 390, "height": 844})
    page.get_by_test_id("lasso").tap()
    assert page.get_by_test_id("lasso").get_attribute("aria-pressed") == "true"
    corners = outline(page, "right")
    scrolled = page.evaluate("scrollY")
    session = page.context.new_cdp_session(page)
    for i, (x, y) in enumerate(corners):
        session.send(
            "Input.dispatchTouchEvent",
            {"type": "touchMove" if i else "touchStart", "touchPoints": [{"x": x, "y": y}]},
        )
        page.wait_for_timeout(pause_ms)
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert 0 < wait_for_count(page) < 10_000
    assert page.evaluate("scrollY") == scrolled
    page.get_by_test_id("select-clear").tap()
    wait_for_count(page, 0)
