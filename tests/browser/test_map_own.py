"""Map: what a visitor brings, a projection of one's own and pictures."""

import io
import re
import zipfile
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests.browser.conftest import Open, pixels, wait_for_change
from tests.browser.test_map import open_map, wait_for_star

expect = pytest.importorskip("playwright.sync_api").expect
SIDES = ("left", "right")
SEVEN = [(12, 12), (44, 12), (26, 46)]
ONE = [(28, 8), (28, 48)]


def open_drawer(open_page: Open, name: str, path: str = "/?tab=map&lang=en") -> Any:
    expect.set_options(timeout=15_000)
    page = open_map(open_page, path)
    page.get_by_test_id(f"drawer-{name}").click()
    return page


def kinds_are(page: Any, words: str | re.Pattern[str], timeout: float = 15_000) -> None:
    for side in SIDES:
        expect(page.get_by_test_id(f"map-kind-{side}")).to_have_text(words, timeout=timeout)


def png(points: list[tuple[int, int]]) -> bytes:
    """A white stroke on black, 56 × 56."""
    image = Image.new("L", (56, 56))
    ImageDraw.Draw(image).line(points, fill=255, width=6, joint="curve")
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def bring(page: Any, **files: bytes) -> None:
    """Pictures and others, by the names of files without the dot: seven_png."""
    page.get_by_test_id("pictures-files").set_input_files(
        [
            {"name": name.replace("_", "."), "mimeType": mime(name), "buffer": content}
            for name, content in files.items()
        ]
    )


def mime(name: str) -> str:
    return {"png": "image/png", "zip": "application/zip"}.get(name.split("_")[1], "text/plain")


def lies_on(page: Any, side: str) -> str:
    """What lies above the dots of a map, as it is drawn."""
    canvas = page.locator(f"[data-testid=map-{side}] canvas.over")
    return str(canvas.evaluate("canvas => canvas.toDataURL()"))


def wait_until_other(page: Any, side: str, before: str) -> None:
    page.wait_for_function(
        """([side, before]) => document.querySelector(
          `[data-testid=map-${side}] canvas.over`).toDataURL() !== before""",
        arg=[side, before],
    )


def test_settings_of_the_grid_answer_at_once(open_page: Open) -> None:
    page = open_drawer(open_page, "own")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.post_data or ""))
    expect(page.get_by_test_id("own-status")).to_contain_text("At once")
    page.get_by_test_id("own-n_neighbors-50").click()
    kinds_are(page, "UMAP of 2,000 codes · n_neighbors 50 · min_dist 0.1")
    page.get_by_test_id("own-min_dist").press("Home")
    kinds_are(page, "UMAP of 2,000 codes · n_neighbors 50 · min_dist 0")
    assert not any('"project"' in body for body in asked)
    page.get_by_test_id("lens-umap").click()
    kinds_are(page, re.compile("^UMAP of 10,000 codes"))
    page.get_by_test_id("lens-own").click()
    page.get_by_test_id("language").select_option("ko")
    kinds_are(page, "코드 2,000개의 UMAP · n_neighbors 50 · min_dist 0")


def test_my_digit_lies_on_a_projection_too(open_page: Open) -> None:
    page = open_drawer(open_page, "own")
    page.evaluate("vaeDemo.send('to-map', {codes: [Array(16).fill(0), Array(16).fill(0)]})")
    wait_for_star(page, "left", shown=True)
    before = page.get_by_test_id("map-mine-left").get_attribute("style")
    page.get_by_test_id("own-n_neighbors-5").dispatch_event("click")
    kinds_are(page, "UMAP of 2,000 codes · n_neighbors 5 · min_dist 0.1")
    page.wait_for_function(
        """before => { const star = document.querySelector('[data-testid=map-mine-left]');
          return !star.hidden && star.getAttribute('style') !== before }""",
        arg=before,
    )


def test_umap_lays_out_what_a_visitor_asks_for(open_page: Open) -> None:
    page = open_drawer(open_page, "own")
    page.get_by_test_id("own-n_neighbors-5").click()
    page.get_by_test_id("own-metric").select_option("cosine")
    expect(page.get_by_test_id("own-status")).not_to_contain_text("At once")
    page.get_by_test_id("own-run").click()
    page.locator("#tab-draw").click()  # it goes on meanwhile
    page.wait_for_timeout(1000)
    page.locator("#tab-map").click()
    expect(page.get_by_test_id("own-status")).to_contain_text("epoch", timeout=120_000)
    assert page.get_by_test_id("own-progress").is_visible()
    words = "UMAP of 2,000 codes · n_neighbors 5 · min_dist 0.1 · cosine"
    kinds_are(page, words, timeout=120_000)
    expect(page.get_by_test_id("own-run")).to_be_enabled()
    stranger = open_drawer(open_page, "own")
    expect(stranger.get_by_test_id("lens-own")).to_be_hidden()


def test_a_run_can_be_cancelled_and_ends_with_its_models(open_page: Open) -> None:
    page = open_drawer(open_page, "own")
    page.get_by_test_id("own-seed").fill("2")
    run, status = page.get_by_test_id("own-run"), page.get_by_test_id("own-status")
    run.click()
    page.get_by_test_id("own-cancel").click()
    expect(status).to_have_text("Cancelled. Your settings are kept.")
    kinds_are(page, re.compile("^UMAP of 10,000 codes"))
    assert page.get_by_test_id("own-seed").input_value() == "2"
    run.click()
    expect(page.get_by_test_id("own-cancel")).to_be_visible()
    page.locator("#map").get_by_test_id("model-right").select_option("vae_beta16")
    expect(status).to_contain_text("you chose other models")
    page.locator("#map").get_by_test_id("model-right").select_option("vae")
    page.get_by_test_id("own-seed").fill("1")
    kinds_are(page, "UMAP of 2,000 codes · n_neighbors 15 · min_dist 0.1")


def test_pictures_lie_on_both_maps_and_follow_the_models(open_page: Open) -> None:
    page = open_drawer(open_page, "pictures")
    before = {side: lies_on(page, side) for side in SIDES}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("folder/one.png", png(ONE))
    bring(page, seven_png=png(SEVEN), pack_zip=archive.getvalue(), notes_txt=b"seven")
    tiles = page.get_by_test_id("own-picture")
    expect(tiles).to_have_count(2)
    assert sorted(tile.split("\n")[0] for tile in tiles.all_inner_texts()) == ["1", "7"]
    expect(page.get_by_test_id("pictures-refused")).to_have_text("notes.txt Not a picture.")
    for side in SIDES:
        wait_until_other(page, side, before[side])

    pictures = {side: pixels(page, f"map-rebuilt-{side}") for side in SIDES}
    tiles.filter(has_text="seven").hover()
    expect(page.get_by_test_id("map-number")).to_have_text("seven")
    for side in SIDES:
        wait_for_change(page, f"map-rebuilt-{side}", pictures[side])
    page.mouse.move(1, 1)

    encoded = lies_on(page, "right")
    page.locator("#map").get_by_test_id("model-right").select_option("vae_beta4")
    wait_until_other(page, "right", encoded)
    stranger = open_drawer(open_page, "pictures")
    expect(stranger.get_by_test_id("own-picture")).to_have_count(0)

    page.get_by_test_id("remove-picture").first.dispatch_event("click")
    expect(tiles).to_have_count(1)
    page.get_by_test_id("remove-all").click()
    expect(tiles).to_have_count(0)
    page.wait_for_function(
        """before => document.querySelector(
          '[data-testid=map-left] canvas.over').toDataURL() === before""",
        arg=before["left"],
    )
