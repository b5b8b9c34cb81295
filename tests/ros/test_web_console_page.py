"""The whole way in a real browser: two episodes of the embedded arm, a policy watched and stopped, a dataset edited."""

from pathlib import Path
from typing import Any

from chromium import ESCAPE, Page, chromium
from console_browser import free_port

from emma.bags.episode import EpisodeMeta
from emma.console.config import ConsoleConfig
from emma.conversion.config import ConvertConfig
from emma.conversion.convert import convert
from emma.datasets.source import SourceDataset
from emma.resources import data_dir
from emma.robots.spec import RobotSpec
from emma.ros.nodes.web_console import console_over
from emma.sessions.graph import NodeProcess

AHEAD = "return document.querySelector('.plot[data-ahead]')?.dataset.ahead"
WORDS = "put the cube where it belongs"


def record(page: Page, outcome: str) -> str:
    """One episode by clicking, which ends when the recorder has messages of it; its instruction."""
    words = page.fact("Instruction")
    page.click("Start")
    page.until(lambda: page.text("#word") == "recording", "the recording")
    page.click(outcome)
    page.until(lambda: page.fact("Mark") == outcome.lower(), "the mark")
    page.until(lambda: page.fact("Episode").endswith(" s") and float(page.fact("Episode").split()[1]) > 1.5, "1.5 s")
    page.click("Save")
    page.until(lambda: page.text("#word") != "recording", "the end of the recording")
    return words


def keep(page: Page) -> None:
    """The next task leaves the arm to its person, who takes it again where a busy machine lost its state meanwhile."""
    if page.text("#word") != "person drives":
        ask(page, "Take over", "person drives")


def given_back(page: Page) -> bool:
    """Click once it is there; taken again first where a busy machine lost the arm's state meanwhile."""
    if usable := page.usable_button("Give back"):
        usable.click()
        page.until(lambda: page.text("#word") == "ready", "the robot, given back")
        return True
    keep(page)
    return False


def ask(page: Page, button: str, word: str) -> None:
    """Click until it is granted: on a busy machine streams are too old at times, and then the page tells which."""

    def granted() -> bool:
        if page.text("#word") == "ready" and (usable := page.usable_button(button)):
            usable.click()
        return page.text("#word") == word

    page.until(granted, word)


def test_record_supervise_and_edit(running_graph: Any, spec: RobotSpec, tmp_path: Path) -> None:
    bags, datasets = tmp_path / "all" / "bags", tmp_path / "all" / "data"
    nodes = (
        NodeProcess(module="sim"),
        NodeProcess(module="recorder", parameters={"root": str(bags)}),
        NodeProcess(module="teleop"),
        NodeProcess(module="policy", parameters={"policy": str(data_dir("models") / "desk_arm_source")}),
    )
    config = ConsoleConfig(port=free_port(), folders=(tmp_path / "all",))
    (tmp_path / "all").mkdir()
    with (
        running_graph(*nodes, logs=tmp_path / "logs") as (_, client),
        console_over(client, config, "desk_arm"),
        chromium(tmp_path / "profile") as page,
    ):
        page.open(f"http://127.0.0.1:{config.port}")
        page.until(lambda: page.text("#word") == "ready" and page.fact("Leader").startswith("jog"), "the robot", 180.0)
        page.until(lambda: len(page.all('.tile[data-live="yes"]')) == len(spec.cameras), "all cameras")
        page.click("Operate")
        ask(page, "Take over", "person drives")
        page.click("Next task")
        page.until(lambda: page.fact("Instruction"), "the first task")
        keep(page)
        first = record(page, "Success")
        # Saving sets the next task up, which comes with its own instruction.
        page.until(lambda: page.fact("Saved").startswith("1,") and "seed" in page.text("#notice"), "the next task")
        keep(page)
        second = record(page, "Failure")
        page.until(lambda: page.fact("Saved").startswith("2,"), "two episodes")

        page.show("supervise")
        page.until(lambda: page.fact("Policy") == "desk_arm_source" and page.fact("Mode") == "disabled", "the policy")
        page.until(lambda: given_back(page), "the robot, given back")
        ask(page, "Enable", "policy runs")
        page.until(lambda: page.fact("Commands come from") == "policy", "who commands")
        page.until(lambda: page.fact("Ticks, missed"), "ticks")
        page.until(lambda: float(page.run(AHEAD) or 0) > 0, "the chunk ahead of now")
        page.press(ESCAPE)
        page.until(lambda: page.text("#word") == "stopped", "the stop")
        page.click("Release the stop")
        page.until(lambda: page.text("#word") == "ready", "the release")

        folders = sorted(path.parent for path in bags.glob("*/episode.yaml"))
        metas = sorted((EpisodeMeta.load(folder) for folder in folders), key=lambda meta: meta.started)
        assert [(meta.success, meta.instruction) for meta in metas] == [(True, first), (False, second)]
        report = convert(bags, datasets / "real", spec, ConvertConfig(cameras=("wrist",), keep_stale=True))
        assert report.count("converted") == 2, report

        page.show("review")
        choose(page, "real (dataset)")
        page.one('[data-episode="0"]').click()
        page.until(lambda: page.all(".transport"), "the player")
        page.press("]")
        for _ in range(4):
            page.press("\ue014")
        page.run("document.activeElement.blur()")
        page.press("]")
        page.until(lambda: "frames 0 to" in page.text(".transport + .hint"), "the selection")
        page.click("Trim")
        page.until(lambda: "trim" in page.text(".edits"), "the edit in the list")
        field = page.one("#clip-words")
        field.clear()
        field.send_keys(WORDS)
        page.click("Relabel")
        page.until(lambda: WORDS in page.text(".preview"), "the preview")
        page.click("Apply")
        page.until(lambda: "real_edited: 2 episodes" in page.text("#notice"), "the new dataset")
        before, after = SourceDataset.open(datasets / "real"), SourceDataset.open(datasets / "real_edited")
        # What was cut comes after the whole episodes.
        assert [after.instruction(i) for i in range(2)] == [before.instruction(1), WORDS]
        assert min(after.length(i) for i in range(2)) < min(before.length(i) for i in range(2))
        assert [line for line in page.complaints() if "409 (Conflict)" not in line] == []


def choose(page: Page, words: str) -> None:
    from selenium.webdriver.support.select import Select

    page.until(lambda: words in page.text("#source"), words)
    Select(page.one("#source")).select_by_visible_text(words)
    page.until(lambda: "of 2 episodes" in page.text(".card > .hint"), "its episodes")
