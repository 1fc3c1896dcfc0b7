"""The page around the exhibits: tabs, addresses, languages, light and dark, small screens."""

import re
from typing import Any

import pytest

from tests.browser.conftest import Open

TABS = ("draw", "sample", "interpolate", "map")


def visible_tabs(page: Any) -> list[str]:
    return [tab for tab in TABS if page.locator(f"#{tab}").is_visible()]


@pytest.mark.parametrize("tab", TABS)
def test_each_tab_has_an_address(open_page: Open, tab: str) -> None:
    page = open_page(f"/?tab={tab}&lang=en")
    page.locator(f"#{tab} .exhibit").wait_for()
    assert visible_tabs(page) == [tab]


def test_clicks_and_arrow_keys_switch_tabs(open_page: Open) -> None:
    page = open_page()
    for tab in (*TABS[1:], TABS[0]):
        page.locator(f"#tab-{tab}").click()
        assert visible_tabs(page) == [tab]
        assert f"tab={tab}" in page.url
    page.keyboard.press("ArrowRight")
    assert visible_tabs(page) == ["sample"]


def test_no_korean_page_has_english_left(open_page: Open) -> None:
    """Every word that differs between the tables is gone after the switch, and comes back."""
    page = open_page("/?lang=en", reduced_motion="reduce")  # nothing plays, so words stay
    for tab in TABS:
        page.locator(f"#tab-{tab}").click()
        page.locator(f"#{tab} .exhibit").wait_for()
    english = set(texts_at_rest(page))
    tables = page.evaluate("window.vaeDemoConfig.texts")
    keys = {re.match(r"\w+", key).group() for key in tables["en"] if "." in key}
    raw = rf"({'|'.join(keys)})(\.[\w-]+)+"
    assert not [words for words in english if re.fullmatch(raw, words)]  # a word without a text
    page.get_by_test_id("language").select_option("ko")
    assert page.evaluate("document.documentElement.lang") == "ko"
    assert "lang=ko" in page.url
    same = {v for k, v in tables["en"].items() if tables["ko"][k] == v}
    own = set(tables["en"].values()) - same
    assert not set(all_texts(page)) & own
    page.get_by_test_id("language").select_option("en")
    assert english & own <= set(all_texts(page))


def texts_at_rest(page: Any) -> list[str]:
    """All texts, once they have been the same for half a second."""
    for _ in range(40):
        before = all_texts(page)
        page.wait_for_timeout(500)
        if all_texts(page) == before:
            break
    return before


def all_texts(page: Any) -> list[str]:
    """Every text node, tooltip and accessible name on the page, open or not."""
    return page.evaluate(
        """() => [...document.querySelectorAll('.masthead *, .exhibit *')].flatMap(e =>
             [e.childElementCount ? '' : e.textContent, e.title, e.getAttribute('aria-label')])
             .filter(Boolean)"""
    )


def test_a_korean_address_speaks_korean_at_once(open_page: Open) -> None:
    page = open_page("/?lang=ko")
    assert page.locator("#tab-draw").inner_text() == "그리기"
    assert page.get_by_test_id("language").input_value() == "ko"


def test_a_browser_set_to_korean_is_greeted_in_korean(open_page: Open) -> None:
    page = open_page("/", locale="ko-KR")
    assert page.locator("#tab-map").inner_text() == "지도"


def test_dark_is_a_click_away_and_is_remembered(open_page: Open) -> None:
    page = open_page("/?lang=en")
    assert not page.evaluate("window.vaeDemo.isDark()")
    page.locator("button.theme").click()
    assert page.evaluate("window.vaeDemo.isDark()")
    page.reload()
    page.wait_for_function("() => window.vaeDemo?.isDark()")


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("width", [1440, 1024, 390])
@pytest.mark.parametrize("language", ["en", "ko"])
def test_nothing_is_cut_off_sideways(open_page: Open, tab: str, width: int, language: str) -> None:
    page = open_page(f"/?tab={tab}&lang={language}", viewport={"width": width, "height": 800})
    page.locator(f"#{tab} .exhibit").wait_for()
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("tab", TABS)
def test_a_projector_shows_each_tab_without_scrolling(open_page: Open, tab: str) -> None:
    page = open_page(f"/?tab={tab}&lang=en", viewport={"width": 1024, "height": 768})
    page.locator(f"#{tab} .exhibit").wait_for()
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollHeight") <= 768


def test_the_api_button_lists_the_four_endpoints(browser: Any, address: str) -> None:
    # Not through open_page: Gradio's page on the API asks for its parts that are switched off.
    page = browser.new_page()
    page.goto(f"{address}/?lang=en")
    page.get_by_test_id("api").click()
    page.locator(".api-docs .api-name").first.wait_for()
    names = {name.strip('"') for name in page.locator(".api-docs .api-name").all_inner_texts()}
    assert names == {"/reconstruct", "/sample", "/interpolate", "/locate"}
    page.close()


def test_one_visitor_does_not_see_anothers_drawing(open_page: Open) -> None:
    first, second = open_page(), open_page()
    first.get_by_test_id("example-1").click()
    second.get_by_test_id("example-8").click()
    drawn = "() => window.vaeDemo.drawing?.strokes?.[0]?.length > 50"
    first.wait_for_timeout(1500)
    first.wait_for_function(drawn)
    second.wait_for_function(drawn)
    strokes = [page.evaluate("JSON.stringify(window.vaeDemo.drawing)") for page in (first, second)]
    assert strokes[0] != strokes[1]
