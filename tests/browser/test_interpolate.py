"""Interpolate: from one end to the other through both code spaces."""

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.browser.conftest import Open, is_blank, pixels, wait_for_calm, wait_for_change
from vae_demo import exports

ROW = """row => [...document.querySelectorAll(`[data-testid=strip-${row}] canvas`)].map(
    c => c.getContext('2d').getImageData(0, 0, 28, 28).data.join())"""
STILL = "/?tab=interpolate&lang=en"


def open_still(open_page: Open, path: str = STILL, **options: Any) -> Any:
    """The tab for a visitor who prefers stillness: nothing plays by itself."""
    page = open_page(path, reduced_motion="reduce", **options)
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
    page.wait_for_url("**path=slerp*")


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


# Drawing on the ends ------------------------------------------------------------------------------


def draw(page: Any, end: str, points: list[tuple[float, float]]) -> None:
    """One stroke with the mouse, through shares of the small canvas."""
    box = page.get_by_test_id(f"{end}-ink").bounding_box()
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*at[0])
    page.mouse.down()
    for x, y in at[1:]:
        page.mouse.move(x, y, steps=5)
    page.mouse.up()


ONE = [(0.55, 0.15), (0.5, 0.5), (0.45, 0.85)]
SEVEN = [(0.2, 0.2), (0.8, 0.2), (0.45, 0.85)]


def test_one_draws_start_and_end_right_in_the_tab(open_page: Open) -> None:
    page = open_still(open_page)
    before = {side: row(page, side) for side in ("left", "right", "fade")}
    draw(page, "start", ONE)
    wait_until_other(page, "fade", before["fade"])
    page.wait_for_timeout(1500)  # until the last answer to the pen is on screen
    first = {side: row(page, side) for side in before}
    assert page.get_by_test_id("start-kind").input_value() == "sketch"
    draw(page, "end", SEVEN)
    wait_until_other(page, "fade", first["fade"])
    page.wait_for_timeout(300)
    for side in before:
        now = row(page, side)
        assert now[0] == first[side][0]
        assert now[-1] != first[side][-1]
    assert page.locator("[data-testid=strip-fade] figcaption b").first.inner_text() == "1"
    assert page.locator("[data-testid=strip-fade] figcaption b").last.inner_text() == "7"


def test_ink_answers_while_the_pen_is_down_and_strokes_add_up(open_page: Open) -> None:
    page = open_still(open_page)
    box = page.get_by_test_id("start-ink").bounding_box()
    seen = pixels(page, "start-picture")
    page.mouse.move(box["x"] + 30, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 30, box["y"] + 90, steps=10)
    seen = wait_for_change(page, "start-picture", seen)  # the pen is still down
    page.mouse.up()
    seen = wait_for_calm(page, "start-picture")
    draw(page, "start", [(0.7, 0.2), (0.7, 0.8)])
    both = wait_for_change(page, "start-picture", seen)
    assert sum(both) > sum(seen)
    page.get_by_test_id("start-another").click()  # now clears
    page.wait_for_function("() => document.querySelector('.interpolate').matches('.waiting')")
    assert is_blank(pixels(page, "start-ink"))


def test_a_finger_draws_too(open_page: Open) -> None:
    page = open_still(
        open_page,
        path=STILL,
        viewport={"width": 390, "height": 844},
        has_touch=True,
        is_mobile=True,
    )
    box = page.get_by_test_id("end-ink").bounding_box()
    before = row(page, "left")
    session = page.context.new_cdp_session(page)
    x, y = box["x"] + box["width"] / 2, box["y"] + 15
    touch = [{"x": x, "y": y}]
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": touch})
    for step in range(1, 9):
        touch = [{"x": x, "y": y + 9 * step}]
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": touch})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    after = wait_until_other(page, "left", before)
    assert after[0] == before[0]
    assert after[-1] != before[-1]
    assert page.evaluate("scrollY") == 0
    assert page.get_by_test_id("end-kind").input_value() == "sketch"


# Readings and maps --------------------------------------------------------------------------------


def test_each_picture_has_a_reading_and_each_row_a_summary(open_page: Open) -> None:
    page = open_still(open_page)
    for side in ("left", "right", "fade"):
        words = page.locator(f"[data-testid=strip-{side}] figcaption").all_inner_texts()
        assert len(words) == 9
        read = [(int(digit), int(share.rstrip("%"))) for digit, share in map(str.split, words)]
        assert read[0][0] == 2
        assert read[-1][0] == 7
        says = page.get_by_test_id(f"between-words-{side}").inner_text()
        unsure = page.locator(f"[data-testid=strip-{side}] figcaption.unsure").count()
        assert (f"unsure at {unsure} of 9" if unsure else "sure at all 9") in says
        assert says.startswith("2")
        assert "→ 7" in says


def test_the_big_pictures_are_read_as_they_move(open_page: Open) -> None:
    page = open_still(open_page)
    page.get_by_test_id("scrubber").focus()
    for key, digit in (("Home", "2"), ("End", "7")):
        page.keyboard.press(key)
        assert f"reads as {digit}," in page.get_by_test_id("reading-right").inner_text()


def test_a_dot_moves_along_the_way_on_both_maps(open_page: Open) -> None:
    page = open_still(open_page)
    page.wait_for_function(
        "() => document.querySelector('[data-testid=inset-right] polyline').points.length > 40"
    )
    for side in ("left", "right"):
        inset = page.get_by_test_id(f"inset-{side}")
        dots = inset.locator("canvas").evaluate(
            "c => new Set(new Uint32Array(c.getContext('2d')"
            ".getImageData(0, 0, c.width, c.height).data.buffer)).size"
        )
        assert dots > 10
        ends = inset.locator("polyline").evaluate(
            "line => [line.points[0], line.points[line.points.length - 1]].map(p => [p.x, p.y])"
        )
        page.get_by_test_id("scrubber").focus()
        for key, (x, y) in zip(("Home", "End"), ends, strict=True):
            page.keyboard.press(key)
            dot = inset.locator(".now").evaluate("c => [c.cx, c.cy].map(one => one.baseVal.value)")
            assert dot == pytest.approx([x, y], abs=0.11)


# Sheets -------------------------------------------------------------------------------------------


def open_sheet(open_page: Open, query: str = "") -> Any:
    page = open_page(
        f"/?tab=interpolate&lang=en&mode=sheet&steps=5{query}", reduced_motion="reduce"
    )
    page.wait_for_function(
        "() => document.querySelector('[data-testid=sheet-right]').width === 5 * 29 - 1"
    )
    wait_for_calm(page, "between-right")
    return page


def test_a_sheet_follows_the_pointer(open_page: Open) -> None:
    page = open_sheet(open_page)
    box = page.get_by_test_id("sheet-left").bounding_box()
    cell = box["width"] / 5
    page.mouse.move(box["x"] + 3, box["y"] + 3)
    corner = wait_for_calm(page, "between-left")
    whole = pixels(page, "sheet-left")
    shown = [whole[y * 144 + x] for y in range(28) for x in range(28)]
    assert corner == shown
    page.mouse.move(box["x"] + 4.5 * cell, box["y"] + 2.2 * cell)  # between pictures of the sheet
    between = wait_for_calm(page, "between-left")
    tiles = [
        [whole[(29 * j + y) * 144 + 29 * i + x] for y in range(28) for x in range(28)]
        for j in range(5)
        for i in range(5)
    ]
    assert between not in tiles
    assert wait_for_calm(page, "between-right") != between


def test_arrow_keys_walk_over_a_sheet_and_the_address_tells_where(open_page: Open) -> None:
    page = open_sheet(open_page)
    page.get_by_test_id("sheet-right").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "ArrowUp", "ArrowUp"):
        page.keyboard.press(key)
    assert "reads as 7" in page.get_by_test_id("reading-right").inner_text()  # the second corner
    page.wait_for_url("**at=1-0*")
    seven = pixels(page, "between-right")
    page.reload()
    page.wait_for_function(
        "() => document.querySelector('[data-testid=reading-right]')?.textContent?.includes('7')"
    )
    assert wait_for_calm(page, "between-right") == seven


def test_a_corner_can_be_drawn(open_page: Open) -> None:
    page = open_sheet(open_page)
    left = pixels(page, "sheet-left")
    draw(page, "fourth", ONE)
    wait_for_change(page, "sheet-left", left)
    now = wait_for_calm(page, "sheet-left")
    assert now[: 28 * 144 : 144] == left[: 28 * 144 : 144]  # the first column of the first corner
    assert now != left
    page.wait_for_url("**fourth=sketch-*")


# Arithmetic ---------------------------------------------------------------------------------------


def test_a_difference_of_class_means_is_added_to_a_digit(open_page: Open) -> None:
    page = open_still(open_page)
    two = row(page, "right")[0]
    page.get_by_test_id("mode-arithmetic").click()
    page.wait_for_function(f"() => ({ROW})('right').length === 7")
    assert page.get_by_test_id("position").inner_text() == "s = 0.00"
    strip = row(page, "right")
    assert strip[2] == two  # at strength 0 the digit itself
    page.wait_for_url("**mode=arithmetic*")
    page.get_by_test_id("scrubber").focus()
    page.keyboard.press("End")
    assert page.get_by_test_id("position").inner_text() == "s = 2.00"
    page.get_by_test_id("plus-kind").select_option("mean-2")  # a − a is nothing
    wait_until_other(page, "right", strip)
    assert set(row(page, "right")) == {two}


def test_two_drawn_variants_make_a_direction(open_page: Open) -> None:
    page = open_still(open_page, "/?tab=interpolate&lang=en&mode=arithmetic")
    before = row(page, "left")
    draw(page, "plus", ONE)
    once = wait_until_other(page, "left", before)
    draw(page, "minus", [(0.3, 0.2), (0.7, 0.85)])
    twice = wait_until_other(page, "left", once)
    assert twice[2] == before[2]
    page.wait_for_url("**plus=sketch-*minus=sketch-*")


def test_my_digit_grows_thicker_by_the_difference_of_two_pens(open_page: Open) -> None:
    page = open_still(open_page, "/?tab=interpolate&lang=en&mode=arithmetic")
    before = row(page, "left")
    draw(page, "start", SEVEN)
    wait_until_other(page, "left", before)
    page.wait_for_timeout(500)  # until what was drawn last is answered too
    drawn = row(page, "left")
    page.get_by_test_id("plus-kind").select_option("thick")
    half = wait_until_other(page, "left", drawn)
    page.get_by_test_id("minus-kind").select_option("thin")
    after = wait_until_other(page, "left", half)
    ink = [sum(map(int, picture.split(","))) for picture in after]
    assert after[2] == drawn[2]  # strength 0 is the digit itself
    assert ink[0] < ink[2] < ink[4]  # at −1 thinner, at 1 thicker
    page.wait_for_url("**plus=pen110-*minus=pen36-*")
    page.reload()
    painted(page)
    assert row(page, "left") == after


# Points from elsewhere ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "point",
    [
        "{digit: 5}",
        "{seed: 3, index: 7, temperature: 0.5, sampler: 'mixture'}",
        "{codes: [Array(16).fill(0.5), Array(16).fill(0.25)]}",
    ],
)
def test_points_of_other_tabs_become_ends_and_survive_a_reload(open_page: Open, point: str) -> None:
    page = open_still(open_page)
    before = row(page, "right")
    page.evaluate(f"window.vaeDemo.send('to-end', {point})")
    after = wait_until_other(page, "right", before)
    assert after[0] == before[0]
    assert after[-1] != before[-1]
    page.wait_for_url("**to=*")
    page.reload()
    painted(page)
    assert row(page, "right") == after


def test_codes_do_not_outlive_their_models(open_page: Open) -> None:
    page = open_still(open_page)
    before = row(page, "right")
    page.evaluate("window.vaeDemo.send('to-end', {codes: [Array(16).fill(1), Array(16).fill(1)]})")
    wait_until_other(page, "right", before)
    page.evaluate("window.vaeDemo.compare('left', 'ae_2d')")
    for _ in range(100):
        if row(page, "right") == before:
            break
        page.wait_for_timeout(50)
    assert row(page, "right") == before
    assert page.locator("#interpolate .complaint").is_hidden()


# Addresses ----------------------------------------------------------------------------------------


def test_an_address_brings_back_drawings_path_steps_and_place(open_page: Open) -> None:
    page = open_still(open_page)
    before = row(page, "right")
    draw(page, "start", SEVEN)
    wait_until_other(page, "right", before)
    page.get_by_test_id("slerp").click()
    page.get_by_test_id("steps").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_test_id("scrubber").focus()
    page.keyboard.press("End")
    page.wait_for_url("**at=1*")
    page.wait_for_function(f"() => ({ROW})('right').length === 10")
    page.wait_for_timeout(600)
    rows, url = row(page, "right"), page.url
    other = open_still(open_page, url[url.index("/?") :])
    other.wait_for_timeout(300)
    assert row(other, "right") == rows
    assert pixels(other, "start-ink") == pixels(page, "start-ink")
    assert other.get_by_test_id("slerp").get_attribute("aria-pressed") == "true"
    assert other.get_by_test_id("position").inner_text() == "100%"


def test_nonsense_in_the_address_opens_the_tab_as_usual(open_page: Open) -> None:
    page = open_still(
        open_page,
        "/?tab=interpolate&lang=en&mode=x&from=sketch-~&to={}&plus=mean-12&at=7&steps=1e9&third=null",
    )
    assert len(row(page, "left")) == 9
    assert page.get_by_test_id("start-kind").input_value() == "2"
    assert page.get_by_test_id("end-kind").input_value() == "7"


# Files --------------------------------------------------------------------------------------------


def saved(page: Any, name: str) -> tuple[str, bytes]:
    menu = page.locator("#interpolate .save")
    if menu.get_attribute("open") is None:
        page.get_by_test_id("interpolate-save").click()
    with page.expect_download(timeout=30_000) as download:
        page.get_by_test_id(name).click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def test_strips_film_and_recipe_can_be_kept(open_page: Open) -> None:
    page = open_still(open_page)
    name, content = saved(page, "save-png")
    assert name == "interpolate-way.png"
    assert content.startswith(b"\x89PNG")
    assert exports.read_recipe(content)["request"]["end"] == {"digit": 0}
    name, content = saved(page, "save-gif")
    assert content.startswith(b"GIF89a")
    assert Image.open(io.BytesIO(content)).n_frames == 96
    name, content = saved(page, "save-json")
    assert name == "interpolate-way.json"
    recipe = exports.read_recipe(content)
    assert recipe["request"]["start"] == {"digit": 1}
    assert set(recipe["weights"]) == {"ae", "vae"}
    page.keyboard.press("Escape")
    assert page.locator("#interpolate .save").get_attribute("open") is None


def test_a_sheet_is_kept_as_it_is_seen(open_page: Open) -> None:
    page = open_sheet(open_page)
    _, content = saved(page, "save-png")
    kept = Image.open(io.BytesIO(content)).convert("RGB").resize((144 + 14 + 144, 144), 0)
    red = kept.crop((0, 0, 144, 144)).tobytes()[::3]
    wall = pixels(page, "sheet-left")
    assert max(abs(a - b) for a, b in zip(red, wall, strict=True)) <= 1
    assert page.get_by_test_id("save-gif").is_hidden()


def test_the_browser_films_what_it_plays_and_can_be_stopped(open_page: Open) -> None:
    page = open_still(open_page)
    kept = []
    page.on("download", lambda download: kept.append(download))
    page.get_by_test_id("interpolate-save").click()
    at_cancel = page.evaluate(
        """() => new Promise(done => {
          const part = name => document.querySelector(`[data-testid=${name}]`);
          part('save-video').click();
          const look = () => {
            if (part('recording').value < 0.02) return setTimeout(look, 5);
            done([part('save-video').disabled, part('recording').value]);
            part('cancel').click();
          };
          look();
        })"""
    )
    assert at_cancel[0]
    assert at_cancel[1] < 0.9
    page.wait_for_function("() => !document.querySelector('[data-testid=save-video]').disabled")
    page.wait_for_timeout(300)
    assert kept == []
    assert page.get_by_test_id("recording").evaluate("bar => bar.value") == 0
    name, content = saved(page, "save-video")
    assert name == "interpolate-way.mp4"
    assert content[4:8] == b"ftyp"
    inside = exports.read_recipe(content)
    assert inside["tab"] == "interpolate"
    assert inside["request"]["start"] == {"digit": 1}
    about = page.evaluate(
        """async ([content, type]) => {
          const film = document.createElement('video');
          film.src = `data:${type};base64,${content}`;
          await new Promise((done, failed) => {
            film.onloadeddata = done; film.onerror = failed;
          });
          film.currentTime = 2.3;
          await new Promise(done => { film.onseeked = done; });
          const canvas = Object.assign(document.createElement('canvas'), {width: 704, height: 224});
          const context = canvas.getContext('2d');
          const red = x => context.getImageData(x, 0, 224, 224).data.filter((_, i) => i % 4 === 0);
          const ink = x => red(x).reduce((sum, one) => sum + (one > 128), 0) / 224 ** 2;
          for (let tries = 0; tries < 60 && !ink(0); tries++) {  // a frame may come after the seek
            await new Promise(done => setTimeout(done, 50));
            context.drawImage(film, 0, 0);
          }
          return [film.videoWidth, film.videoHeight, film.duration, ink(0), ink(240), ink(480)];
        }""",
        [base64.b64encode(content).decode(), "video/" + name.rsplit(".")[-1]],
    )
    width, height, seconds, *inks = about
    assert (width, height) == (704, 224)
    assert seconds == pytest.approx(7.8, abs=0.1)
    assert all(0.02 < ink < 0.5 for ink in inks)  # three digits, side by side


# Other models -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["way", "sheet", "arithmetic"])
@pytest.mark.parametrize("pair", ["left=ae_1d&right=vae_beta16", "left=vae&right=vae"])
def test_any_two_models_will_do(open_page: Open, mode: str, pair: str) -> None:
    page = open_page(f"/?tab=interpolate&lang=en&mode={mode}&{pair}", reduced_motion="reduce")
    page.wait_for_function(
        "() => document.querySelector('[data-testid=reading-right]')?.textContent"
    )
    assert page.locator("#interpolate .complaint").is_hidden()
    assert not is_blank(wait_for_calm(page, "between-right"))


@pytest.mark.parametrize("mode", ["way", "sheet", "arithmetic"])
@pytest.mark.parametrize("language", ["en", "ko"])
def test_no_mode_needs_scrolling_on_a_projector(open_page: Open, mode: str, language: str) -> None:
    page = open_page(f"/?tab=interpolate&lang={language}&mode={mode}")
    page.wait_for_function(
        "() => document.querySelector('[data-testid=reading-right]')?.textContent"
    )
    size = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    )
    assert size[0] <= 1024
    assert size[1] <= 768
    for test_id in ("start-kind", "between-left", "inset-right", "interpolate-save"):
        box = page.get_by_test_id(test_id).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 1024
