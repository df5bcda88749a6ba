"""The page of a study as participants use it, in a browser."""

import json
import socket
import threading

import pytest
from browsing import DESKTOP, PHONE, all_of, needs_chromium, one_of, resize
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from kcolor.study.answers import Answers, read
from kcolor.study.server import IN_MEMORY, application, listen

pytestmark = needs_chromium
PATIENCE = 20  # seconds


class Page:
    """The page in a browser, and the server behind it."""

    def __init__(self, browser, study, game=False):
        self.browser, self.study = browser, study
        self.told = []
        self.answers = Answers(study, IN_MEMORY if game else None)
        self.app = application(study, self.answers, game, say=self.told.append)
        self.start(port=0)

    def start(self, port):
        self.server = listen(self.app, "127.0.0.1", port)
        self.port = self.server.bind_addr[1]
        threading.Thread(target=self.server.serve, daemon=True).start()

    def open(self):
        self.browser.get(f"http://127.0.0.1:{self.port}/")

    def until(self, condition):
        return WebDriverWait(self.browser, PATIENCE, 0.02).until(
            lambda _: condition()
        )

    def step(self, name):
        """Waits until a step is to be seen, and returns it."""
        step = one_of(self.browser, f"#{name}")
        self.until(step.is_displayed)
        return step

    def go(self, name):
        button = self.step(name).find_element(By.CSS_SELECTOR, ".go")
        self.until(button.is_enabled)
        button.click()

    def side(self, name):
        """Waits until there is something to choose, and returns a side."""
        button = one_of(self.browser, f"#{name}")
        self.until(button.is_enabled)
        return button

    def join(self):
        self.step("welcome")
        one_of(self.browser, "input[value=normal]").click()
        one_of(self.browser, "input[name=consent]").click()
        one_of(self.browser, "#welcome form button").click()

    def press(self, *keys):
        webdriver.ActionChains(self.browser).send_keys(*keys).perform()


@pytest.fixture
def opened_page(browser, build):
    """Opens the page of a study: `opened_page(**options of Page)`."""
    pages = []

    def open_page(game=False, size=DESKTOP, **design):
        given = {"practice": 1, "trials": 3, "vigilance": 0.0}
        study = build(photos=4, size=16, **given | design)
        page = Page(browser, study, game)
        pages.append(page)
        resize(browser, size)
        browser.get_log("browser")
        browser.get_log("performance")
        page.open()
        return page

    yield open_page
    for page in pages:
        page.server.stop()
        page.answers.close()


def read_participants(page) -> list:
    return read(page.study)[0]["number"].tolist()


def seen(page) -> bool:
    return bool(all_of(page.browser, ".side.seen"))


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_a_whole_session_is_kept_and_shows_pairs_for_their_time(
    opened_page, size
):
    page = opened_page(size=size)
    page.join()
    page.go("instructions")
    for number in range(1, 5):
        if number == 2:
            page.go("between")
        page.until(lambda: seen(page))
        page.side("left" if number % 2 else "right").click()
        if number == 1:
            assert page.step("next").is_displayed()
            truths = [t.text for t in all_of(page.browser, ".truth")]
            assert sorted(truths) == ["recoloured", "true"]
            one_of(page.browser, "#next").click()
    page.step("end")
    assert "recoloured photos" in one_of(page.browser, "#score").text
    participants, trials = read(page.study)
    assert participants["vision"].tolist() == ["normal"]
    assert trials["chosen"].tolist() == ["left", "right", "left", "right"]
    off = (trials["shown_ms"] - 1000).abs()
    assert (off <= trials["frame_ms"] + 0.2).all()
    assert trials["frame_ms"].between(4, 100).all()
    assert (trials["reaction_ms"] >= 0).all()
    assert page.told == []
    assert page.browser.get_log("browser") == []


def test_feedback_is_true(opened_page):
    page = opened_page(practice=3, trials=1)
    page.join()
    page.go("instructions")
    for _ in range(3):
        page.side("left").click()
        page.step("next")
        question = one_of(page.browser, "#question").text
        outline = one_of(page.browser, ".side.fake").get_attribute("id")
        _, trials = read(page.study)
        fake = trials["fake"].iloc[-1]
        assert outline == fake
        assert question.startswith("Right" if fake == "left" else "No")
        assert f"the {fake} one" in question
        one_of(page.browser, "#next").click()


def test_the_keyboard_is_enough_and_focus_is_seen(opened_page):
    page = opened_page()
    page.step("welcome")
    page.press(Keys.TAB, Keys.SPACE)  # the colour vision
    page.press(Keys.TAB, Keys.SPACE)  # the consent
    page.press(Keys.TAB)
    focused = page.browser.switch_to.active_element
    width = "return getComputedStyle(arguments[0]).outlineWidth"
    assert page.browser.execute_script(width, focused) == "3px"
    page.press(Keys.ENTER)
    begin = one_of(page.browser, "#instructions .go")
    page.until(lambda: begin.is_displayed() and begin.is_enabled())
    page.press(Keys.TAB, Keys.ENTER)
    page.side("left")
    page.press("j")
    page.step("next")
    page.press(Keys.ENTER)
    page.step("between")
    page.press(Keys.TAB, Keys.ENTER)
    for key in (Keys.ARROW_LEFT, Keys.ARROW_RIGHT):
        page.side("left")
        page.press(key)
    page.side("left")
    # The sides are buttons, too: after Pause, the left one.
    page.press(Keys.TAB, Keys.TAB, Keys.SPACE)
    page.step("end")
    _, trials = read(page.study)
    assert trials["chosen"].tolist() == ["right", "left", "right", "left"]


def test_keys_while_photos_are_seen_choose_nothing(opened_page):
    page = opened_page()
    page.join()
    page.go("instructions")
    page.until(lambda: seen(page))
    page.press("f")
    page.side("right").click()
    page.step("next")
    _, trials = read(page.study)
    assert trials["chosen"].tolist() == ["right"]


def test_who_comes_back_sees_no_pair_twice(opened_page):
    page = opened_page(practice=0)
    page.join()
    page.go("instructions")
    page.side("left").click()
    page.until(lambda: seen(page))  # the second pair
    page.open()
    page.go("instructions")
    page.side("left").click()
    page.step("end")
    participants, trials = read(page.study)
    assert len(participants) == 1
    assert trials["number"].tolist() == [1, 2, 3]
    assert trials["answered"].notna().tolist() == [True, False, True]
    # And after the end it is the end.
    page.open()
    page.step("end")
    assert "of 2 recoloured" in one_of(page.browser, "#score").text


def test_a_pair_that_another_window_hid_does_not_count(opened_page):
    page = opened_page(practice=0)
    page.join()
    page.go("instructions")
    page.until(lambda: seen(page))
    # As when the page is hidden and comes back within the second.
    page.browser.execute_script(
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.go("lost")
    page.side("left").click()
    page.side("left").click()
    page.step("end")
    _, trials = read(page.study)
    assert trials["answered"].notna().tolist() == [False, True, True]


def test_times_that_the_server_does_not_believe_do_not_count(opened_page):
    page = opened_page(practice=0)
    page.join()
    page.go("instructions")
    page.browser.execute_script("facts.seconds = 0.2")  # not the study's
    page.side("left").click()
    page.step("lost")
    assert "instead of 1000" in page.told[0]


def test_a_pause_comes_after_the_pair_and_goes_on(opened_page):
    page = opened_page(practice=0)
    page.join()
    page.go("instructions")
    page.side("left")
    one_of(page.browser, "#stop").click()
    page.side("left").click()
    page.go("pause")
    page.side("left").click()
    page.side("left").click()
    page.step("end")
    _, trials = read(page.study)
    assert trials["answered"].notna().all()


def test_two_windows_show_no_pair_twice(opened_page):
    page = opened_page(practice=0)
    page.join()
    page.step("instructions")
    first = page.browser.current_window_handle
    page.browser.switch_to.new_window("window")
    page.open()
    page.go("instructions")
    page.side("left").click()
    page.side("left")
    page.browser.close()
    page.browser.switch_to.window(first)
    page.go("instructions")  # its first pair was shown there
    page.go("instructions")
    page.side("left").click()
    page.step("end")
    _, trials = read(page.study)
    assert trials["number"].tolist() == [1, 2, 3]
    assert trials["answered"].notna().tolist() == [True, False, True]


def test_answers_wait_for_a_server_that_is_gone(opened_page, started):
    page = opened_page(practice=0, trials=2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = started(page.study, port)
    page.browser.get(f"http://127.0.0.1:{server.port}/")
    page.join()
    page.go("instructions")
    page.side("left")
    server.process.kill()
    server.process.wait()
    one_of(page.browser, "#left").click()
    page.until(one_of(page.browser, "#trouble").is_displayed)
    started(page.study, server.port)
    page.side("right").click()
    page.step("end")
    assert not one_of(page.browser, "#trouble").is_displayed()
    _, trials = read(page.study)
    assert trials["chosen"].tolist() == ["left", "right"]


def test_a_game_tells_each_time_and_can_be_played_again(opened_page):
    page = opened_page(game=True, practice=0)
    page.go("welcome")
    for _ in range(2):
        page.go("instructions")
        for _ in range(3):
            assert len(all_of(page.browser, ".side.seen")) == 2 or page.until(
                lambda: seen(page)
            )
            page.side("left").click()
            page.step("next")
            one_of(page.browser, "#next").click()
        page.step("end")
        assert "of 3 recoloured" in one_of(page.browser, "#score").text
        one_of(page.browser, "#end .go").click()
    assert not page.study.answers.exists()
    stored = page.browser.execute_script(
        "localStorage.setItem(KEY, 'theirs'); keep('mine');"
        "return localStorage.getItem(KEY)"
    )
    assert stored == "theirs"


def boxes(page, *names) -> list[dict]:
    return [one_of(page.browser, f"#{name}").rect for name in names]


@pytest.mark.parametrize(
    "size", [DESKTOP, PHONE, (844, 390), (667, 375), (1280, 600)]
)
def test_photos_stay_where_they_are_and_nothing_lies_on_them(opened_page, size):
    page = opened_page(size=size)
    page.join()
    page.go("instructions")
    page.until(lambda: seen(page))
    places = [boxes(page, "left", "right")]
    page.side("left").click()
    page.step("next")
    places.append(boxes(page, "left", "right"))
    assert places[0] == places[1]
    lowest = max(box["y"] + box["height"] for box in places[0])
    for words in boxes(page, "question", "next"):
        assert words["y"] >= lowest


def test_a_study_that_was_replaced_begins_anew(opened_page):
    page = opened_page()
    page.step("welcome")
    page.browser.execute_script(
        "facts.study = 'another'"
    )  # as a page that was opened before
    page.join()
    page.until(
        lambda: (
            page.browser.execute_script("return facts.study") == page.study.id
        )
    )
    page.join()
    page.step("instructions")
    assert len(read_participants(page)) == 1


@pytest.mark.parametrize("size", [DESKTOP, PHONE, (844, 390), (320, 480)])
def test_no_step_scrolls_sideways_and_pairs_fit_the_window(opened_page, size):
    page = opened_page(size=size)
    width = "return document.documentElement.scrollWidth"
    page.step("welcome")
    assert page.browser.execute_script(width) <= size[0]
    page.join()
    page.step("instructions")
    assert page.browser.execute_script(width) <= size[0]
    page.go("instructions")
    boxes = [page.side(name).rect for name in ("left", "right")]
    for box in boxes:
        assert box["x"] >= 0
        assert box["y"] >= 0
        assert box["x"] + box["width"] <= size[0]
        assert box["y"] + box["height"] <= size[1]
        assert box["width"] == pytest.approx(box["height"], abs=1)
        assert box["width"] >= 100
    assert boxes[0]["width"] == boxes[1]["width"]
    one_of(page.browser, "#left").click()
    bottom = page.step("next").rect
    assert bottom["y"] + bottom["height"] <= size[1]


def test_it_asks_no_other_server(opened_page):
    page = opened_page()
    page.join()
    page.go("instructions")
    page.side("left")
    messages = [
        json.loads(entry["message"])["message"]
        for entry in page.browser.get_log("performance")
    ]
    asked = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert len(asked) > 5
    for url in asked:
        assert url.startswith((f"http://127.0.0.1:{page.port}/", "data:")), url
