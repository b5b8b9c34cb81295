"""The joystick reader on a pipe that carries what the kernel would say."""

import os
from pathlib import Path

import pytest

from emma.errors import EmmaError
from emma.teleop.gamepad import AXIS, BUTTON, EVENT, INITIAL, Gamepad, find_gamepad


@pytest.fixture
def pipe(tmp_path: Path):
    path = tmp_path / "js0"
    os.mkfifo(path)
    fd = os.open(path, os.O_RDWR)
    yield path, fd
    os.close(fd)


def event(kind: int, number: int, value: int) -> bytes:
    return EVENT.pack(0, value, kind, number)


def test_sticks_and_triggers_move_the_axes(pipe):
    path, fd = pipe
    with Gamepad(path) as pad:
        assert pad.read(0.0) == []
        assert pad.axes() == [0.0] * 5
        resting = [event(AXIS | INITIAL, number, -32767 if number in (2, 5) else 0) for number in range(6)]
        os.write(fd, b"".join(resting) + event(AXIS, 1, -32767) + event(AXIS, 3, 3000) + event(AXIS, 5, 32767))
        assert pad.read(10.0) == []
        # Left stick up is forward; a stick that is hardly touched is in its dead zone; the right trigger opens.
        assert pad.axes() == pytest.approx([1.0, 0.0, 0.0, 0.0, 1.0])
        os.write(fd, event(AXIS, 2, 32767) + event(AXIS, 1, 16384))
        pad.read(10.0)
        assert pad.axes()[4] == 0.0
        assert -0.5 < pad.axes()[0] < -0.4


def test_buttons_are_keys_when_they_go_down_and_not_at_the_start(pipe):
    path, fd = pipe
    with Gamepad(path) as pad:
        os.write(fd, event(BUTTON | INITIAL, 0, 1) + event(BUTTON, 7, 1) + event(BUTTON, 7, 0) + event(BUTTON, 2, 1))
        assert pad.read(10.0) == ["space", "s"]


def test_an_event_may_come_in_two_pieces(pipe):
    path, fd = pipe
    with Gamepad(path) as pad:
        data = event(BUTTON, 1, 1)
        os.write(fd, data[:5])
        assert pad.read(10.0) == []
        os.write(fd, data[5:])
        assert pad.read(10.0) == ["d"]


def test_an_unplugged_gamepad_is_noticed(tmp_path: Path):
    path = tmp_path / "js0"
    path.write_bytes(event(BUTTON, 0, 1))
    with Gamepad(path) as pad:
        assert pad.read(10.0) == ["t"]
        with pytest.raises(EOFError):
            pad.read(10.0)


def test_no_gamepad_is_said_plainly(tmp_path: Path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(EmmaError, match="no gamepad"):
            find_gamepad(folder)
    (tmp_path / "js1").touch()
    (tmp_path / "js0").touch()
    assert find_gamepad(tmp_path).name == "js0"
    with pytest.raises(EmmaError, match="cannot read"):
        Gamepad(tmp_path / "js7")
