"""Sample: one noise through both decoders."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Open
from vae_demo import exports

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
    page.get_by_test_id("more").click()
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
    page.get_by_test_id("more").click()
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


def labels(page: Any, side: str) -> list[str]:
    """What a screen reader hears of each tile, in the order they stand in."""
    tiles(page, side)
    page.locator(f"[data-testid=samples-{side}] button[aria-label]").first.wait_for(
        state="attached"
    )
    return page.locator(f"[data-testid=samples-{side}] button:visible").evaluate_all(
        "all => all.map(tile => tile.getAttribute('aria-label'))"
    )


def readings(page: Any, side: str) -> list[dict[str, float]]:
    pattern = (
        r"Sample (?P<n>\d+): read as (?P<digit>\d), (?P<sure>\d+) %; nearest code (?P<far>[\d.]+)×"
    )
    found = [re.fullmatch(pattern, label) for label in labels(page, side)]
    assert all(found), labels(page, side)
    return [{key: float(value) for key, value in one.groupdict().items()} for one in found if one]


def wait_for_labels(page: Any, side: str, before: list[str]) -> list[str]:
    for _ in range(200):
        if (now := labels(page, side)) != before:
            return now
        page.wait_for_timeout(25)
    raise AssertionError("the tiles stayed as they were")


def reloaded(page: Any) -> Any:
    """The same address, opened anew."""
    page.reload()
    page.wait_for_selector(".masthead [role=tab][aria-selected=true]")
    return page


def stay(page: Any) -> None:
    """Let no click open another tab; `window.opened` says which it would have been."""
    page.evaluate("() => { window.vaeDemo.open = (tab) => { window.opened = tab; }; }")


def sent(page: Any, event: str) -> None:
    """Keep what a click sends to other tabs in `window.sent`."""
    page.evaluate("event => window.vaeDemo.on(event, (it) => { window.sent = it; })", event)


@pytest.mark.parametrize("sampler", ["gaussian", "mixture"])
def test_a_switch_of_samplers_moves_both_walls_and_says_what_it_shows(
    open_page: Open, sampler: str
) -> None:
    page = open_page("/?tab=sample&lang=en")
    before = {side: tiles(page, side) for side in ("left", "right")}
    sentence = page.get_by_test_id("what").inner_text()
    page.get_by_test_id(f"sampler-{sampler}").click()
    after = wait_until_other(page, before["right"])
    assert tiles(page, "left") != before["left"]
    assert page.get_by_test_id(f"sampler-{sampler}").get_attribute("aria-pressed") == "true"
    assert page.get_by_test_id("what").inner_text() != sentence
    again = reloaded(page)
    assert tiles(again, "right") == after
    page.get_by_test_id("sampler-prior").click()
    assert wait_until_other(page, after) == before["right"]


def test_one_class_can_be_asked_for(open_page: Open) -> None:
    page = open_page("/?tab=sample&lang=en")
    before = labels(page, "left")
    page.get_by_test_id("class").select_option("4")
    wait_for_labels(page, "left", before)
    for side in ("left", "right"):
        digits = [one["digit"] for one in readings(page, side)]
        assert digits.count(4) > len(digits) / 2
    assert "of=4" in page.url and "sampler=classes" in page.url
    assert "4" in page.get_by_test_id("what").inner_text()
    before = labels(page, "left")
    again = reloaded(page)
    assert labels(again, "left") == before
    assert again.get_by_test_id("class").input_value() == "4"


def test_class_means_are_one_click_away(open_page: Open) -> None:
    page = open_page("/?tab=sample&lang=en")
    before = labels(page, "left")
    page.get_by_test_id("wall-means").click()
    now = wait_for_labels(page, "left", before)
    assert [label.split(":")[0] for label in now] == [f"Mean of class {n}" for n in range(10)]
    corner = page.locator("[data-testid=samples-left] button i").all_inner_texts()
    assert corner == [str(n) for n in range(10)]
    right = sum(f"read as {n}," in label for n, label in enumerate(now))
    tally = page.get_by_test_id("tally-left").inner_text()
    assert "Read right" in tally and f"\n{right}\n" in tally
    page.get_by_test_id("wall-random").click()
    page.wait_for_function(f"() => ({TILES})('left').length === 25")
    assert wait_for_labels(page, "left", now) == before


def test_tiles_carry_readings_and_the_tally_counts_them(open_page: Open) -> None:
    page = open_page("/?tab=sample&lang=en&count=36&sampler=mixture")
    for side in ("left", "right"):
        found = readings(page, side)
        assert len(found) == 36
        corner = page.locator(f"[data-testid=samples-{side}] button").evaluate_all(
            "all => all.map(t => getComputedStyle(t, '::after').content)"
        )
        assert corner == [f'"{one["digit"]:.0f}"' for one in found]
        sure = page.locator(f"[data-testid=samples-{side}] button.sure").count()
        assert sum(one["sure"] > 90 for one in found) <= sure <= sum(x["sure"] >= 90 for x in found)
        tally = page.get_by_test_id(f"tally-{side}")
        assert tally.locator(".share").inner_text() == f"{round(100 * sure / 36)} %"
        assert "36" in tally.locator(".of").inner_text()
        counts = [sum(one["digit"] == digit for one in found) for digit in range(10)]
        expected = ", ".join(f"{n} as {digit}" for digit, n in enumerate(counts))
        assert tally.locator(".reads").get_attribute("aria-label") == expected
        bars = tally.locator(".reads i").evaluate_all("all => all.map(i => i.offsetHeight)")
        assert bars.index(max(bars)) == counts.index(max(counts))


def test_readings_can_be_taken_off_the_tiles(open_page: Open) -> None:
    corner = """() => getComputedStyle(
      document.querySelector('[data-testid=samples-left] button'), '::after').content"""
    page = open_page("/?tab=sample&lang=en")
    labels(page, "left")
    assert page.evaluate(corner) != "none"
    page.get_by_test_id("more").click()
    page.get_by_test_id("marks").uncheck()
    assert page.evaluate(corner) == "none"
    again = reloaded(page)
    labels(again, "left")
    assert again.evaluate(corner) == "none"


@pytest.mark.parametrize(
    ("order", "key", "sign"),
    [("confidence", "sure", -1), ("class", "digit", 1), ("distance", "far", 1)],
)
def test_each_side_is_sorted_and_twins_find_each_other(
    open_page: Open, order: str, key: str, sign: int
) -> None:
    page = open_page("/?tab=sample&lang=en")
    before = {side: sorted(labels(page, side)) for side in ("left", "right")}
    drawn = {
        side: dict(zip(labels(page, side), tiles(page, side), strict=True))
        for side in ("left", "right")
    }
    page.get_by_test_id("more").click()
    page.get_by_test_id("order").select_option(order)
    for side in ("left", "right"):
        assert sorted(labels(page, side)) == before[side]
        values = [sign * one[key] for one in readings(page, side)]
        assert values == sorted(values)
        assert [drawn[side][one] for one in labels(page, side)] == tiles(page, side)
    page.locator("[data-testid=samples-left] button").nth(7).hover()
    twins = page.locator(".cells .twin").evaluate_all("all => all.map(t => t.ariaLabel)")
    assert len(twins) == 2
    names = {twin.split(":")[0] for twin in twins}
    assert names == {labels(page, "left")[7].split(":")[0]}
    assert f"order={order}" in page.url


def test_sure_and_unsure_ones_part_the_wall(open_page: Open) -> None:
    page = open_page("/?tab=sample&lang=en")
    everything = {side: set(labels(page, side)) for side in ("left", "right")}
    parts = {}
    page.get_by_test_id("more").click()
    for only in ("sure", "unsure"):
        page.get_by_test_id("only").select_option(only)
        parts[only] = {side: set(labels(page, side)) for side in ("left", "right")}
        share = page.get_by_test_id("tally-right").locator(".share").inner_text()
    for side in ("left", "right"):
        assert parts["sure"][side] | parts["unsure"][side] == everything[side]
        assert not parts["sure"][side] & parts["unsure"][side]
    assert share == f"{round(100 * len(parts['sure']['right']) / 25)} %"


def test_a_dragged_slider_leaves_tiles_in_their_places(open_page: Open) -> None:
    page = open_page("/?tab=sample&lang=en&order=confidence")
    names = [label.split(":")[0] for label in labels(page, "right")]
    before = tiles(page, "right")
    box = page.get_by_test_id("temperature").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2, steps=4)
    wait_until_other(page, before)
    page.wait_for_timeout(300)
    assert [label.split(":")[0] for label in labels(page, "right")] == names
    page.mouse.up()
    page.wait_for_timeout(500)
    sure = [one["sure"] for one in readings(page, "right")]
    assert sure == sorted(sure, reverse=True)
    assert [label.split(":")[0] for label in labels(page, "right")] != names


def test_a_picked_tile_tells_where_it_landed_on_both_sides(open_page: Open) -> None:
    page = open_page("/?tab=sample&lang=en&sampler=mixture&temperature=0.8")
    wanted = {side: tiles(page, side)[11] for side in ("left", "right")}
    found = {side: readings(page, side)[11] for side in ("left", "right")}
    page.locator("[data-testid=samples-left] button").nth(11).click()
    for side in ("left", "right"):
        landed = page.get_by_test_id(f"landed-{side}")
        landed.wait_for()
        text, one = landed.inner_text(), found[side]
        assert f"Read as {one['digit']:.0f}, {one['sure']:.0f} % sure" in text
        assert f"{one['far']:g}" in text and "of 10,000" in text
        picture = "c => c.getContext('2d').getImageData(0, 0, 28, 28).data.join()"
        assert landed.locator(".tile").evaluate(picture) == wanted[side]
        nearest = landed.locator(".nearest").evaluate(picture)
        assert len(set(nearest.split(","))) > 9 and nearest != wanted[side]
    assert page.locator(".cells [aria-pressed=true]").count() == 2
    page.locator("[data-testid=samples-left] button").nth(11).click()
    page.get_by_test_id("tally-left").wait_for()
    assert page.get_by_test_id("landed-left").is_hidden()


def test_a_sample_is_handed_to_the_other_tabs(open_page: Open) -> None:
    page = open_page("/?tab=sample&lang=en&sampler=classes&of=3&temperature=0.5&seed=9")
    labels(page, "right")
    page.locator("[data-testid=samples-right] button").nth(6).click()
    page.get_by_test_id("landed-right").wait_for()
    spec = {"seed": 9, "temperature": 0.5, "sampler": "classes", "class": 3, "index": 6}
    stay(page)
    for event in ("to-map", "to-draw", "to-start", "to-end"):
        sent(page, event)
        page.get_by_test_id(event).click()
        value = page.evaluate("window.sent")
        if event == "to-draw":
            grey = base64.b64decode(value["picture"])
            assert len(grey) == 784 and len(set(grey)) > 9
            value = value["point"]
        assert value == spec, event
        if event == "to-map":
            assert page.evaluate("window.opened") == "map"


def test_a_grid_is_a_grid_of_two_chosen_numbers(open_page: Open) -> None:
    page = open_page("/?tab=sample&lang=en")
    before = tiles(page, "right")
    page.get_by_test_id("wall-grid").click()
    first = wait_until_other(page, before)
    page.get_by_test_id("across").select_option("5")
    second = wait_until_other(page, first)
    assert [second[i] for i in (2, 7, 12, 17, 22)] == [first[i] for i in (2, 7, 12, 17, 22)]
    assert "z₅" in page.get_by_test_id("what").inner_text()
    again = reloaded(page)
    assert tiles(again, "right") == second
    # Its tiles are handed on number by number.
    page.locator("[data-testid=samples-right] button").nth(12).click()
    page.get_by_test_id("landed-right").wait_for()
    stay(page)
    sent(page, "to-map")
    page.get_by_test_id("to-map").click()
    assert page.evaluate("window.sent") == {"codes": [[0] * 16, [0] * 16]}


def test_a_grid_can_turn_around_a_sample(open_page: Open) -> None:
    page = open_page("/?tab=sample&lang=en&count=9")
    before = tiles(page, "right")
    page.locator("[data-testid=samples-right] button").nth(2).click()
    page.get_by_test_id("landed-right").wait_for()
    page.get_by_test_id("grid-around").click()
    around = wait_until_other(page, before)
    assert "around=3" in page.url
    page.get_by_test_id("around").select_option("")
    assert wait_until_other(page, around) != around
    assert "around" not in page.url


def test_a_code_without_such_a_number_is_said_to_lack_it(open_page: Open) -> None:
    page = open_page("/?tab=sample&lang=en&left=ae_2d&wall=grid&across=3&up=2")
    left = tiles(page, "left")
    assert len(set(left[:5])) == 1 and len(set(left[::5])) == 5
    assert "AE, 2-D has no z₃" in page.get_by_test_id("what").inner_text()


def test_a_walk_moves_rests_and_begins_where_the_wall_stands(open_page: Open) -> None:
    page = open_page("/?tab=sample&lang=en&count=9")
    standing = tiles(page, "right")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else 0)
    page.get_by_test_id("wall-walk").click()
    seen = {tuple(tiles(page, "right"))}
    for _ in range(80):
        page.wait_for_timeout(120)
        seen.add(tuple(tiles(page, "right")))
        if len(seen) > 12:
            break
    assert len(seen) > 12
    assert len(asked) < len(seen), "more journeys than pictures"
    page.get_by_test_id("walk-play").click()
    page.wait_for_timeout(600)
    still = tiles(page, "right")
    page.wait_for_timeout(600)
    assert tiles(page, "right") == still != standing
    assert "&walk=" in page.url
    again = reloaded(page)
    assert tiles(again, "right") == still
    assert page.get_by_test_id("walk-play").get_attribute("aria-label") == "Play the walk"


def test_a_second_round_asks_for_nothing(open_page: Open) -> None:
    page = open_page("/?tab=sample&lang=en&count=1&wall=walk")
    tiles(page, "right")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for _ in range(12):  # the first takes 16 seconds, and longer on a busy machine
        before, picture = len(asked), tiles(page, "right")
        page.wait_for_timeout(4_000)
        if len(asked) == before:
            break
    assert len(asked) == before <= 8
    assert tiles(page, "right") != picture


def test_who_wants_no_motion_gets_none_until_asked(open_page: Open) -> None:
    page = open_page("/?tab=sample&lang=en&count=4", reduced_motion="reduce")
    standing = tiles(page, "right")
    page.get_by_test_id("wall-walk").click()
    page.wait_for_timeout(800)
    assert tiles(page, "right") == standing
    page.get_by_test_id("walk-play").click()
    wait_until_other(page, standing)


def test_a_tile_picked_on_the_way_stops_the_walk(open_page: Open) -> None:
    page = open_page("/?tab=sample&lang=en&count=4&wall=walk")
    wait_until_other(page, tiles(page, "right"))
    page.locator("[data-testid=samples-right] button").nth(1).click()
    page.get_by_test_id("landed-right").wait_for()
    picture = (
        page.get_by_test_id("landed-right")
        .locator(".tile")
        .evaluate("c => c.getContext('2d').getImageData(0, 0, 28, 28).data.join()")
    )
    page.wait_for_timeout(400)
    assert tiles(page, "right")[1] == picture
    stay(page)
    sent(page, "to-map")
    page.get_by_test_id("to-map").click()
    assert [len(code) for code in page.evaluate("window.sent")["codes"]] == [16, 16]


def test_a_saved_wall_is_the_one_on_show(open_page: Open, tmp_path: Path) -> None:
    page = open_page("/?tab=sample&lang=en&count=9&sampler=gaussian&order=confidence&only=unsure")
    numbers = {s: [one["n"] - 1 for one in readings(page, s)] for s in ("left", "right")}
    with page.expect_download() as download:
        page.get_by_test_id("sample-save").click()
    download.value.save_as(tmp_path / "wall.png")
    recipe = exports.read_recipe((tmp_path / "wall.png").read_bytes())
    assert recipe["tab"] == "sample"
    assert recipe["request"]["sampler"] == "gaussian"
    assert recipe["request"]["shown"] == [numbers["left"], numbers["right"]]


def test_a_walk_can_be_kept_as_a_film(open_page: Open, tmp_path: Path) -> None:
    page = open_page("/?tab=sample&lang=en&count=1&wall=walk", reduced_motion="reduce")
    tiles(page, "right")
    with page.expect_download() as download:
        page.get_by_test_id("save-film").click()
    download.value.save_as(tmp_path / "walk.gif")
    content = (tmp_path / "walk.gif").read_bytes()
    assert content.startswith(b"GIF89a")
    assert exports.read_recipe(content)["request"]["mode"] == "walk"
    assert page.get_by_test_id("save-film").inner_text() == "Save film"


@pytest.mark.parametrize("language", ["en", "ko"])
def test_no_wall_scrolls_on_a_projector(open_page: Open, language: str) -> None:
    page = open_page(f"/?tab=sample&lang={language}", reduced_motion="reduce")
    size = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    for wall in ("random", "means", "grid", "walk"):
        page.get_by_test_id(f"wall-{wall}").click()
        tiles(page, "right")
        assert page.evaluate(size) == [1024, 768], wall
        page.get_by_test_id("more").click()
        assert page.evaluate(size) == [1024, 768], f"{wall}, more"
        page.locator("[data-testid=samples-right] button").nth(3).click()
        page.get_by_test_id("landed-right").wait_for()
        assert page.evaluate(size) == [1024, 768], f"{wall}, picked"


def test_keys_alone_sort_nothing_and_reach_everything(open_page: Open) -> None:
    page = open_page("/?tab=sample&lang=en&order=confidence")
    names = [label.split(":")[0] for label in labels(page, "left")]
    page.locator("[data-testid=samples-left] button").first.focus()
    for key in ("ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    focused = page.evaluate("document.activeElement.ariaLabel")
    assert focused.split(":")[0] == names[6]
    page.keyboard.press("Enter")
    page.get_by_test_id("landed-left").wait_for()
    assert page.locator(".picked .name").inner_text() == names[6]
    page.keyboard.press("Escape")
    page.get_by_test_id("tally-left").wait_for()


@pytest.mark.parametrize(
    "pair", ["left=ae_1d&right=vae_2d", "left=vae&right=vae", "left=pca&right=vae_beta16"]
)
def test_any_two_models_can_stand_here(open_page: Open, pair: str) -> None:
    page = open_page(f"/?tab=sample&lang=en&sampler=mixture&{pair}", reduced_motion="reduce")
    for wall in ("random", "means", "grid", "walk"):
        page.get_by_test_id(f"wall-{wall}").click()
        tiles(page, "right")
        page.locator("[data-testid=samples-left] button").nth(3).click()
        page.get_by_test_id("landed-left").wait_for()
        left, right = (page.get_by_test_id(f"landed-{s}").inner_text() for s in ("left", "right"))
        assert (left == right) == (pair == "left=vae&right=vae"), wall
        assert "NaN" not in left + right and "undefined" not in left + right
        assert page.locator("#sample .complaint").is_hidden()
