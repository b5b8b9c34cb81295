"""Participant numbers: given out in turn, never one that is in use or was a moment ago."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from emma.ros import participant
from emma.ros.participant import FIRST_PORT, FIRST_UNICAST, PARTICIPANTS, PORTS_PER_DOMAIN, next_participant

# Nothing else on this machine is in it: the last one below the ephemeral ports.
DOMAIN = 101


def test_numbers_come_in_turn_and_begin_again(tmp_path: Path) -> None:
    given = [next_participant(DOMAIN, tmp_path) for _ in range(PARTICIPANTS + 2)]
    assert given == [*range(PARTICIPANTS), 0, 1]


def test_the_turn_is_one_for_all_processes(tmp_path: Path) -> None:
    assert next_participant(DOMAIN, tmp_path) == 0
    program = "import sys; from pathlib import Path; from emma.ros.participant import next_participant;"
    program += f"print(next_participant({DOMAIN}, Path(sys.argv[1])))"
    said = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True).stdout
    assert int(said) == 1


def test_one_that_is_in_use_is_passed_over(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", FIRST_PORT + PORTS_PER_DOMAIN * DOMAIN + FIRST_UNICAST + 1))
        assert next_participant(DOMAIN, tmp_path) == 1


def test_none_where_all_are_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(participant, "participant_is_free", lambda domain, number: False)
    assert next_participant(DOMAIN, tmp_path) is None


def test_what_stands_in_the_memory_does_not_matter(tmp_path: Path) -> None:
    next_participant(DOMAIN, tmp_path)
    (memory,) = tmp_path.iterdir()
    memory.write_text("7 and a half")
    assert next_participant(DOMAIN, tmp_path) == 0


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    assert next_participant(DOMAIN, tmp_path / "nowhere") in range(PARTICIPANTS)
