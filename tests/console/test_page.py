"""The page in a real browser over a robot in memory: what is clicked and pressed arrives, and all of it can be read."""

from collections.abc import Iterator

import pytest
from chromium import ENTER, ESCAPE, TAB, Page, chromium
from console_browser import MemoryRobot

PAGES = ("record", "supervise", "review")
WIDE, NARROW = 1280, 400
AHEAD = "return document.querySelector('.plot[data-ahead]')?.dataset.ahead"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("chromium") / "profile") as opened:
        yield opened


@pytest.fixture
def page(browser: Page, url: str) -> Page:
    browser.resize(WIDE, 1000)
    browser.open(url)
    browser.until(lambda: browser.text("#word"), "the state")
    return browser


def tab_to(page: Page, words: str) -> None:
    """Move the focus by Tab to the element whose text begins with `words`."""
    for _ in range(40):
        page.press(TAB)
        if str(page.run("return document.activeElement.textContent")).startswith(words):
            return
    raise AssertionError(f"Tab does not reach {words}")


def test_an_operator_records_stops_and_can_read_it_all(page: Page, robot: MemoryRobot) -> None:
    page.until(lambda: page.all('.tile[data-live="yes"]'), "a picture")
    page.click("Operate")
    page.until(lambda: page.text(".lease-text") == "You operate", "the lease")
    page.click("Start")
    page.until(lambda: page.text("#word") == "recording", "the recording")
    page.click("Success")
    page.click("Save")
    page.until(lambda: page.text("#word") == "ready", "the end of the recording")
    assert robot.asked == [("start", ""), ("success", ""), ("save", "")]
    for name in PAGES:
        page.show(name)
        for width in (WIDE, NARROW):
            page.resize(width, 1000)
            assert page.overflow() <= 0, f"{name} at {width} pixels"
            assert page.serious() == [], f"{name} at {width} pixels"
    page.click("Stop")
    page.until(lambda: page.text("#word") == "stopped", "the stop on the page")
    assert robot.stops == 1
    assert page.serious() == []
    assert page.complaints() == []


def test_the_keyboard_alone_is_enough(page: Page, robot: MemoryRobot) -> None:
    tab_to(page, "Operate")
    page.press(ENTER)
    page.until(lambda: page.text(".lease-text") == "You operate", "the lease")
    # A button takes this key itself, so no episode begins.
    page.press(" ")
    page.until(lambda: page.text(".lease-text") != "You operate", "the lease given back")
    page.press(ENTER)
    page.until(lambda: page.text(".lease-text") == "You operate", "the lease")
    tab_to(page, "Start")
    page.press(ENTER)
    page.until(lambda: page.text("#word") == "recording", "the recording")
    for key, word in (("s", "ready"), (" ", "recording"), ("r", "recording"), ("d", "ready")):
        page.press(key)
        page.until(lambda word=word: page.text("#word") == word, f"{word} after {key}")
    page.until(lambda: ("discard", "") in robot.asked, "the discard")
    assert [action for action, _ in robot.asked] == ["start", "save", "start", "success", "discard"]
    page.show("supervise")
    page.press("p")
    page.until(lambda: robot.asked[-1] == ("enable", ""), "the policy")
    page.press("h")
    page.until(lambda: page.all("dialog[open]"), "the help")
    page.press(ESCAPE)
    page.until(lambda: robot.stops == 1, "the stop, though a dialog is open")


def test_what_is_about_to_happen_is_shown(page: Page, robot: MemoryRobot) -> None:
    page.show("supervise")
    # The chunk of the robot in memory begins now and lasts a second.
    page.until(lambda: 0.5 < float(page.run(AHEAD) or 0) < 1.5, "the chunk ahead of now")
    assert page.fact("Stage") == "train, 2 of 2"
    assert page.fact("Progress").startswith("3 of 10")
    page.click("Operate")
    page.until(lambda: page.text(".lease-text") == "You operate", "the lease")
    for words in ("Pause", "Roll back"):
        page.click(words)
    page.until(lambda: robot.asked == [("cycle_pause", ""), ("roll_back", "")], "what the learner is asked for")
    assert page.complaints() == []


def test_hostile_words_stay_words(page: Page, robot: MemoryRobot) -> None:
    hostile = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
    robot.instruction = hostile
    for name in ("record", "supervise"):
        page.show(name)
        page.until(lambda: page.fact("Instruction") == hostile, "the words")
    assert page.all("#page img[src='x'], #page script") == []
    assert page.run("return document.title").startswith("supervise ")


def test_a_fault_of_access_would_be_found(page: Page) -> None:
    page.run("document.querySelector('#page').append(document.createElement('button'))")
    assert "button-name" in " ".join(page.serious())
