"""Lines now and then, from whatever is at work, and none where something else was printed."""

import sys
import threading
from contextlib import redirect_stderr

import pytest

from emma import signs
from emma.progress import progress_bar

OFTEN = {"first_s": 0.0, "every_s": 0.0}


class Ear:
    """A stream that counts lines; `wait` waits for one with a text."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""
        self._more = threading.Condition()

    def write(self, text: str) -> int:
        with self._more:
            self.text += text
            self._more.notify_all()
        return len(text)

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return False

    def wait(self, part: str) -> None:
        with self._more:
            assert self._more.wait_for(lambda: part in self.text, 60.0), f"never: {part}, only {self.text}"


@pytest.fixture
def ear(monkeypatch: pytest.MonkeyPatch) -> Ear:
    monkeypatch.setattr(signs, "LOOK_S", 0.01)
    return Ear()


def test_says_what_is_at_work(ear: Ear) -> None:
    with redirect_stderr(ear), signs.of_life("emma train", **OFTEN):
        ear.wait("emma train: starting (")
        with signs.doing("reading the datasets"), signs.doing(lambda: "reading more"):
            ear.wait("emma train: reading more (")


def test_a_bar_without_a_terminal_is_described(ear: Ear) -> None:
    with redirect_stderr(ear), signs.of_life("emma eval", **OFTEN), progress_bar() as bar:
        task = bar.add_task("episodes", total=10, note="half a success")
        bar.update(task, completed=5)
        ear.wait("emma eval: episodes, 5/10, half a success (")
        bar.update(task, completed=10)
        ear.wait("emma eval: finishing (")


def test_what_is_printed_counts_as_a_sign(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    with redirect_stderr(ear), signs.of_life("emma", first_s=1000.0, every_s=0.0):
        print("something", file=sys.stderr)
        ear.wait("emma: starting")
    assert ear.text.startswith("something\n")


def test_of_blocks_in_blocks_the_innermost_speaks(ear: Ear) -> None:
    with redirect_stderr(ear), signs.of_life("outer", **OFTEN), signs.of_life("inner", **OFTEN):
        ear.wait("inner: ")
        with signs.quiet():
            print("quiet", file=sys.stderr)
        ear.wait("quiet")
    assert "outer" not in ear.text
    assert not isinstance(sys.stderr, signs._Noticed)


@pytest.mark.parametrize(("seconds", "text"), [(4.4, "4 s"), (125, "2:05 min"), (3725, "1:02:05 h")])
def test_clock(seconds: float, text: str) -> None:
    assert signs.clock(seconds) == text
