import pytest

from emma.teleop.jog import AXES
from emma.teleop.keys import MOVES, Action, HeldKeys, KeyParser, action


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"s d", ["s", "space", "d"]),
        (b"\x1b[A\x1b[B\x1b[C\x1b[D", ["up", "down", "right", "left"]),
        (b"\x1bOA\x1bOD", ["up", "left"]),
        (b"\x1b[5~x\x1b[6~", ["page_up", "x", "page_down"]),
        (b"\x1b[1;5C\x1b[15~q", ["q"]),
        (b"\x1bq\x00\x7f\r", ["q"]),
        ("é".encode(), ["é"]),
        (b"\xff\xfes", ["s"]),
    ],
)
def test_bytes_become_keys(data, keys):
    assert KeyParser().feed(data) == keys


def test_a_sequence_may_come_in_pieces_and_a_lone_escape_is_forgotten():
    parser = KeyParser()
    assert parser.feed(b"\x1b") == []
    assert parser.feed(b"[") == []
    assert parser.feed(b"A") == ["up"]
    assert parser.feed(b"\x1b") == []
    parser.flush()
    assert parser.feed(b"[A") == ["[", "A"]


def test_every_axis_has_a_key_for_either_way():
    assert {(axis, way) for axis, way in MOVES.values()} == {(i, s) for i in range(len(AXES)) for s in (1.0, -1.0)}


def test_a_key_counts_for_a_moment_and_turns_at_once():
    held = HeldKeys(hold_s=0.15)
    held.speed = 1.0
    assert held.press("up", 0.0)
    assert held.press("c", 0.1)
    assert held.axes(0.12) == [1.0, 0.0, 0.0, 0.0, -1.0]
    assert held.press("down", 0.13)
    assert held.axes(0.14)[0] == -1.0
    assert held.axes(0.3) == [0.0] * 5
    assert not held.press("s", 0.3)


def test_speed_has_a_floor_and_a_ceiling():
    held = HeldKeys()
    for _ in range(30):
        held.press("+", 0.0)
    held.press("up", 0.0)
    assert held.axes(0.0)[0] == 1.0
    for _ in range(30):
        held.press("-", 0.0)
    assert held.axes(0.0)[0] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("key", "state", "wanted"),
    [
        ("space", {}, Action.START),
        ("space", {"recording": True}, Action.SAVE),
        ("s", {"recording": True}, Action.SAVE),
        ("d", {"recording": True}, Action.DISCARD),
        ("r", {}, Action.SUCCESS),
        ("r", {"success": True}, Action.FAILURE),
        ("r", {"success": False}, Action.SUCCESS),
        ("t", {}, Action.TAKE),
        ("t", {"driving": True}, Action.GIVE),
        ("p", {}, Action.ENABLE),
        ("p", {"enabled": True}, Action.DISABLE),
        ("q", {}, Action.QUIT),
        ("x", {}, None),
    ],
)
def test_what_a_key_does_depends_on_what_is_going_on(key, state, wanted):
    assert action(key, **state) is wanted


def test_no_key_has_two_meanings():
    assert not [key for key in MOVES if action(key) is not None]
