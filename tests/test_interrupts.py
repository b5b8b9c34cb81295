"""Signals at any moment: during an import, in work, in code that never comes back to Python's main loop."""

import os
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from emma import interrupts

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
# Ends a test that would never end; nothing depends on how fast the machine is.
PATIENCE_S = 60.0


@contextmanager
def program(text: str, *, stdin: int = subprocess.DEVNULL, **environ: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that runs `text` and has printed its first line, "ready"."""
    code = "import os, signal, sys, threading, time\nfrom emma import interrupts\n" + textwrap.dedent(text)
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environ},
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n", child.communicate()
        yield child
    finally:
        child.kill()
        child.communicate()


def end(child: "subprocess.Popen[str]", number: int) -> tuple[int, str]:
    """Exit code and standard error after a signal."""
    child.send_signal(number)
    _, said = child.communicate(timeout=PATIENCE_S)
    return child.returncode, said


@BOTH
def test_ends_at_once_while_nothing_is_begun(number: int) -> None:
    with program('interrupts.begin("sim"); print("ready", flush=True); time.sleep(1000)') as child:
        assert end(child, number) == (128 + number, f"sim: ended by {signal.Signals(number).name}\n")


def test_a_signal_that_was_nobody_at_the_start_counts() -> None:
    """As in `emma train &` of a script."""
    text = """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupts.begin("x")
    print("ready", flush=True)
    time.sleep(1000)
    """
    with program(text) as child:
        assert end(child, signal.SIGINT)[0] == 130


@BOTH
def test_raises_in_work_and_tidies_up(number: int) -> None:
    text = """
    interrupts.begin("emma train")
    try:
        with interrupts.raising():
            print("ready", flush=True)
            time.sleep(1000)
    except KeyboardInterrupt as error:
        print(interrupts.last_line(number := error.number), end="", file=sys.stderr)
        sys.exit(interrupts.exit_code(error))
    """
    with program(text) as child:
        assert end(child, number) == (128 + number, f"emma train: ended by {signal.Signals(number).name}\n")


def test_work_that_does_not_come_back_is_ended_with_what_it_keeps() -> None:
    """In a native call the main thread runs no handler until it is over; this one waits for itself."""
    text = """
    interrupts.begin("emma export")
    import ctypes
    library, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
    with interrupts.raising(), interrupts.keeping(lambda: "step 7 is kept"):
        while True:
            try:
                print("ready", flush=True)
                library.pthread_mutex_lock(mutex)
                library.pthread_mutex_lock(mutex)
            except KeyboardInterrupt:
                pass  # it came before the call, which is made all the same
    """
    with program(text) as child:
        code, said = end(child, signal.SIGTERM)
    assert (code, said) == (143, "emma export: ended by SIGTERM; step 7 is kept\n")


def test_an_interrupt_that_is_swallowed_does_not_go_on() -> None:
    text = """
    interrupts.begin("emma eval")
    with interrupts.raising():
        while True:
            try:
                print("ready", flush=True)
                time.sleep(1000)
            except KeyboardInterrupt:
                print("swallowed", file=sys.stderr)
    """
    with program(text) as child:
        code, said = end(child, signal.SIGINT)
    # It is not even heard on a machine so busy that the main thread gets no turn.
    assert (code, said.removeprefix("swallowed\n")) == (130, "emma eval: ended by SIGINT\n")


def test_an_orderly_end_may_take_its_time_where_it_asks_for_it() -> None:
    text = """
    interrupts.begin("emma record")
    with interrupts.raising(), interrupts.patience(60.0):
        try:
            print("ready", flush=True)
            time.sleep(1000)
        except KeyboardInterrupt:
            time.sleep(interrupts.GRACE_S + 0.5)
            print("tidy", file=sys.stderr)
            os._exit(5)
    """
    with program(text) as child:
        assert end(child, signal.SIGINT) == (5, "tidy\n")


def test_the_terminal_is_restored_when_it_is_cut_short() -> None:
    text = """
    interrupts.begin("keys")
    with interrupts.answering(lambda number: None), interrupts.restored_by(lambda: print("restored", file=sys.stderr)):
        print("ready", flush=True)
        while True:
            time.sleep(1000)
    """
    with program(text) as child:
        code, said = end(child, signal.SIGTERM)
    assert (code, said) == (143, "restored\nkeys: ended by SIGTERM\n")


def test_the_death_of_the_parent_counts_as_a_signal() -> None:
    text = 'interrupts.begin("sim"); print("ready", flush=True); time.sleep(1000)'
    with program(text, stdin=subprocess.PIPE, EMMA_STOP_WITH_PARENT="1") as child:
        assert child.stdin is not None
        child.stdin.close()
        child.stdin = None
        _, said = child.communicate(timeout=PATIENCE_S)
    assert (child.returncode, said) == (143, "sim: ended by SIGTERM\n")


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """Of a process pool, while they work."""
    script = tmp_path / "pool.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, sys, time
            from concurrent.futures import ProcessPoolExecutor
            from multiprocessing import get_context
            from emma.interrupts import end_with_parent

            def work(fd):
                os.write(1, f"{os.getpid()}\\n".encode())
                time.sleep(1000)

            if __name__ == "__main__":
                with ProcessPoolExecutor(2, get_context("spawn"), end_with_parent) as pool:
                    list(pool.map(work, range(2)))
            """
        )
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        workers = [os.pidfd_open(int(parent.stdout.readline())) for _ in range(2)]
        parent.kill()
        for worker in workers:
            assert select.select([worker], [], [], PATIENCE_S)[0], "a worker outlives its parent"
            os.close(worker)


def test_a_tied_child_ends_with_a_parent_that_is_killed() -> None:
    inner = 'from emma import interrupts; import os, time; interrupts.begin("x"); print(os.getpid(), flush=True)'
    text = f"""
    import subprocess
    print("ready", flush=True)
    subprocess.run([sys.executable, "-c", {inner + "; time.sleep(1000)"!r}], env=interrupts.tied(os.environ))
    """
    with program(text) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
        assert select.select([child], [], [], PATIENCE_S)[0], "a child outlives its parent"
        os.close(child)


def test_without_a_guard_handlers_come_back() -> None:
    """As in a test, or for somebody who uses a verb as a function."""
    before = signal.getsignal(signal.SIGTERM)

    def work() -> None:
        with interrupts.raising():
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(interrupts.Interrupted) as told:
        work()
    assert interrupts.exit_code(told.value) == 143
    assert signal.getsignal(signal.SIGTERM) is before
