"""The page of a report as a reader uses it, in a browser."""

import json

import pytest
from browsing import DESKTOP, PHONE, all_of, needs_chromium, one_of, resize
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

pytestmark = needs_chromium


@pytest.fixture
def page(browser, reported):
    """The page, freshly opened on a desktop."""
    resize(browser, DESKTOP)
    browser.get(reported.page.as_uri())
    return browser


def order(page) -> list[str]:
    return [
        cell.text.split("\n")[0]
        for cell in all_of(page, ".figures tbody th.name")
    ]


def column(page, number: int) -> list[float]:
    cells = all_of(page, f".figures tbody td:nth-child({number + 1})")
    return [float(cell.get_attribute("data-value")) for cell in cells]


@pytest.mark.parametrize("key", [None, Keys.ENTER])
def test_a_heading_sorts_best_first_then_worst_and_nan_last(page, key):
    heads = all_of(page, ".figures thead th")
    (number,) = (n for n, h in enumerate(heads) if h.text.startswith("auc\n"))
    button = heads[number].find_element(By.TAG_NAME, "button")
    before = order(page)
    for way, is_reversed in (("descending", True), ("ascending", False)):
        button.send_keys(key) if key else button.click()
        assert heads[number].get_attribute("aria-sort") == way
        assert len(all_of(page, "[aria-sort]")) == 1
        *values, last = column(page, number)
        assert values == sorted(values, reverse=is_reversed)
        assert last != last  # nan
        assert order(page)[-1] == "broken"
    assert sorted(order(page)) == sorted(before)
    assert order(page) != before


def test_differences_are_shown_where_they_are_asked_for(page):
    cells = all_of(page, ".difference")
    assert not cells[0].is_displayed()
    one_of(page, "#differences").click()
    assert all(cell.is_displayed() for cell in cells)


def test_a_photo_is_shown_large_beside_grey_and_truth_until_escape(page):
    row = one_of(page, ".grid .row")
    photos = row.find_elements(By.CSS_SELECTOR, ".photo")
    sources = [
        photo.find_element(By.TAG_NAME, "img").get_attribute("src")
        for photo in photos
    ]
    zoom = one_of(page, "#zoom")
    assert not zoom.is_displayed()
    photos[1].click()
    assert zoom.is_displayed()
    shown = zoom.find_elements(By.TAG_NAME, "img")
    assert [image.get_attribute("src") for image in shown] == [
        sources[1],
        sources[0],
        sources[-1],
    ]
    assert shown[0].size["width"] > 3 * photos[1].size["width"]
    caption = zoom.find_element(By.TAG_NAME, "figcaption")
    assert caption.text.startswith("one, rmse_ab ")
    name = zoom.find_element(By.TAG_NAME, "p").text

    keys = webdriver.ActionChains(page)
    keys.send_keys(Keys.ARROW_RIGHT).perform()
    assert shown[0].get_attribute("src") == sources[2]
    keys.send_keys(Keys.ARROW_DOWN).perform()
    assert caption.text.startswith("two, rmse_ab ")
    assert zoom.find_element(By.TAG_NAME, "p").text != name
    keys.send_keys(Keys.ESCAPE).perform()
    assert not zoom.is_displayed()


def test_plots_show_what_is_chosen(page):
    visible = "return document.getElementById('plot-curves').data.filter("
    visible += "trace => trace.visible).map(trace => [trace.name, trace.meta])"
    for metric, over in (("rmse_ab", "epoch"), ("auc", "seconds")):
        for name, value in (("metric", metric), ("over", over)):
            select = one_of(page, f"#curves select[name={name}]")
            Select(select).select_by_visible_text(value)
        chosen = {"metric": metric, "over": over}
        assert page.execute_script(visible) == [
            ["one", chosen],
            ["two", chosen],
        ]
    assert len(all_of(page, "#plot-domains .ytick")) == 2
    labels = all_of(page, "#plot-costs .textpoint")
    assert {label.text for label in labels} >= {"one", "two"}


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_the_page_never_scrolls_sideways(page, size):
    resize(page, size)
    page.refresh()
    for details in all_of(page, "details:not([open]) summary"):
        details.click()
    one_of(page, "#differences").click()
    width = "return document.documentElement.scrollWidth"
    assert page.execute_script(width) <= size[0]
    one_of(page, ".photo").click()
    zoom = one_of(page, "#zoom")
    assert zoom.rect["x"] >= 0
    assert zoom.rect["x"] + zoom.rect["width"] <= size[0]


def test_the_page_opens_without_errors_and_asks_nobody(page):
    page.get_log("browser")
    page.get_log("performance")
    page.refresh()
    one_of(page, ".photo").click()
    messages = [
        json.loads(entry["message"])["message"]
        for entry in page.get_log("performance")
    ]
    asked = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert asked
    for url in asked:
        assert url.startswith(("file:", "data:")), url
    assert page.get_log("browser") == []
