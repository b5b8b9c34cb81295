"""A person sets episodes up and judges them, by lines in a terminal."""

import io
import os
from collections.abc import Iterator

import pytest

from emma.errors import EmmaError
from emma.sessions.scene import Asked, PersonScene


class Keyboard:
    """A pipe in place of a terminal."""

    def __init__(self) -> None:
        reading, self._writing = os.pipe()
        self.lines = os.fdopen(reading)
        self.shown = io.StringIO()

    def type(self, text: str) -> None:
        os.write(self._writing, text.encode())

    def hang_up(self) -> None:
        os.close(self._writing)

    def scene(self, *words: str) -> PersonScene:
        return PersonScene(words, keys=self.lines, out=self.shown)


@pytest.fixture
def keyboard() -> Iterator[Keyboard]:
    made = Keyboard()
    yield made
    made.lines.close()


def test_instructions_take_turns_and_enter_begins(keyboard: Keyboard) -> None:
    scene = keyboard.scene("lift the cup", "push the box")
    keyboard.type("\n\n\n")
    assert [scene.reset(None) for _ in range(3)] == [
        Asked(instruction="lift the cup", episode=1),
        Asked(instruction="push the box", episode=2),
        Asked(instruction="lift the cup", episode=3),
    ]
    assert "keep clear" in keyboard.shown.getvalue()


@pytest.mark.parametrize(("typed", "success"), [("s\n", True), ("F\n", False), ("what\nsuccess\n", True)])
def test_the_verdict_ends_an_episode(keyboard: Keyboard, typed: str, success: bool) -> None:
    scene = keyboard.scene("lift the cup")
    keyboard.type("\n" + typed)
    asked = scene.reset(None)
    ending = scene.wait_until_over(asked, 60.0)
    assert ending is not None
    assert ending.success is success
    assert ending.placed_on is None
    assert ("'what' is no answer" in keyboard.shown.getvalue()) is typed.startswith("what")


def test_without_a_verdict_the_time_ends_the_motion_and_the_person_is_asked(keyboard: Keyboard) -> None:
    scene = keyboard.scene("lift the cup")
    keyboard.type("\n")
    asked = scene.reset(None)
    assert scene.wait_until_over(asked, 0.05) is None
    keyboard.type("f\n")
    assert not scene.judge(asked).success


def test_a_terminal_that_goes_away_is_an_error(keyboard: Keyboard) -> None:
    scene = keyboard.scene("lift the cup")
    keyboard.hang_up()
    with pytest.raises(EmmaError, match="no person answers"):
        scene.reset(None)


def test_a_person_needs_words() -> None:
    with pytest.raises(EmmaError, match="nothing to ask for"):
        PersonScene(())
