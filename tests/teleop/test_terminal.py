"""The terminal reader on a real pseudo-terminal, in this process and in one that ends in every way a process ends."""

import os
import pty
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator

import pytest

from emma.errors import EmmaError
from emma.teleop.terminal import TerminalKeys

PATIENCE_S = 60.0


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The two ends of a pseudo-terminal: the person's and the program's."""
    person, program = pty.openpty()
    yield person, program
    for fd in (person, program):
        os.close(fd)


def settings(fd: int) -> list:
    return termios.tcgetattr(fd)


def test_keys_come_without_enter_and_the_terminal_is_restored(terminal):
    person, program = terminal
    before = settings(program)
    with TerminalKeys(program) as keys:
        assert not settings(program)[3] & (termios.ICANON | termios.ECHO)
        assert keys.read(0.0) == []
        os.write(person, b"s \x1b[A")
        assert keys.read(PATIENCE_S) == ["s", "space", "up"]
    assert settings(program) == before


def test_a_sequence_in_pieces_is_one_key(terminal):
    person, program = terminal
    with TerminalKeys(program) as keys:
        os.write(person, b"\x1b[")
        assert keys.read(PATIENCE_S) == []
        os.write(person, b"C")
        assert keys.read(PATIENCE_S) == ["right"]


def test_an_error_in_the_block_restores_it_too(terminal):
    _, program = terminal
    before = settings(program)
    with pytest.raises(ZeroDivisionError), TerminalKeys(program):
        _ = 1 / 0
    assert settings(program) == before


def test_what_is_no_terminal_is_refused():
    read, write = os.pipe()
    with pytest.raises(EmmaError, match="no keyboard"), TerminalKeys(read):
        pass
    os.close(read)
    os.close(write)


def test_a_closed_terminal_is_the_end_of_the_keys():
    person, program = pty.openpty()
    with TerminalKeys(program) as keys:
        os.close(person)
        with pytest.raises(EOFError):
            keys.read(PATIENCE_S)
    os.close(program)


CHILD = """
import os, signal, sys
# Whoever started the tests may have had Ctrl+C ignored (nohup, a background job), and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
from emma.teleop.terminal import TerminalKeys
with TerminalKeys() as keys:
    print("ready", flush=True)
    while True:
        for key in keys.read(1.0):
            if key == "x": sys.exit(3)
            if key == "e": raise ValueError("broken")
"""


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda person, child: os.write(person, b"x"), 3),
        (lambda person, child: os.write(person, b"e"), 1),
        (lambda person, child: os.write(person, b"\x03"), None),
        (lambda person, child: child.send_signal(signal.SIGTERM), None),
        (lambda person, child: child.send_signal(signal.SIGHUP), None),
    ],
    ids=["exit", "error", "ctrl-c", "sigterm", "sighup"],
)
def test_however_a_program_ends_its_terminal_is_as_before(terminal, end, code):
    person, program = terminal
    before = settings(program)
    child = subprocess.Popen(
        [sys.executable, "-c", "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n" + CHILD],
        stdin=program,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    assert settings(program) != before
    end(person, child)
    assert child.wait(PATIENCE_S) == code if code is not None else child.wait(PATIENCE_S) != 0
    # What was echoed before the switch to single keys must be read, or closing would wait for it.
    while select.select([person], [], [], 0)[0]:
        os.read(person, 1024)
    assert settings(program) == before
    child.stdout.close()
