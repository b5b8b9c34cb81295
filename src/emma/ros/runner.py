"""The life of a node process: start, spin, and an end that is always orderly.

SIGINT, SIGTERM and the death of the process that started it all end a node the same way: `close` runs once, on the
main thread, after the last callback and while the node can still publish; then the process exits with 0. While the node
is still being made there is nothing to close, and the exit code is 128 + the signal's number.
"""

import gc
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Protocol

import rclpy
from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from emma import interrupts, signs
from emma.errors import EmmaError
from emma.ros.middleware import profiles
from emma.ros.settings import require_sound

# How long closing may take: a recorder writes what it still holds. The process is ended then.
CLOSE_S = 10.0
# A running node says how it is as often.
SIGN_S = 25.0
# The interpreter lets another thread in after this long: the default of 5 ms alone would be a quarter of a tick.
SWITCH_INTERVAL_S = 0.0005


class Stop:
    """Asked for by a signal, by the parent's death or by the node itself; waited for by `run`.

    Signals come in pairs: Ctrl+C reaches a whole terminal, and a launcher passes it on. The second may interrupt the
    handling of the first, which must not hold a lock then, as threading.Event does. A SimpleQueue may be put into anew.
    """

    def __init__(self) -> None:
        self._asked: SimpleQueue[None] = SimpleQueue()
        self.code = 0
        # Whether `wait` has returned: the node is being closed.
        self.ending = False

    def request(self, code: int = 0) -> None:
        """Ask the process to end; the highest code counts."""
        self.code = max(self.code, code)
        self._asked.put(None)

    @property
    def asked(self) -> bool:
        """Whether it was requested, and `wait` has not returned yet."""
        return not self._asked.empty()

    def wait(self) -> None:
        # A wait without end could not be interrupted by a signal handler on every platform.
        while True:
            with suppress(Empty):
                self._asked.get(timeout=1.0)
                self.ending = True
                return


class Runnable(Protocol):
    """What `run` needs of a node beside being rclpy's Node."""

    def sign(self) -> str:
        """What it does right now, in a line for people."""
        ...

    def close(self) -> None:
        """Bring everything to a safe end; publishers still work."""
        ...


def run(make: Callable[[Stop], Runnable], args: Sequence[str] | None = None) -> int:
    """Make the node, spin it until asked to stop, close it.

    Returns 0 after an orderly end, 1 after a crash, 2 for bad input, which starting again does not mend, and 128 + n if
    signal n came while the node was being made.
    """
    words = list(sys.argv if args is None else args)
    title = Path(words[0]).stem if words else "node"
    interrupts.begin(title)
    stop = Stop()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        try:
            with interrupts.raising(), signs.of_life(title):
                require_sound()
                rclpy.init(args=words, signal_handler_options=SignalHandlerOptions.NO)
                # The middleware reads its profiles when the first node is made.
                with profiles():
                    node = make(stop)
        except EmmaError as error:
            print(f"emma: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt as error:
            code = interrupts.exit_code(error)
            print(interrupts.last_line(code - 128), end="", file=sys.stderr)
            return code
        return _live(node, stop)
    finally:
        rclpy.try_shutdown()
        # The interpreter looks through all objects before it ends. With torch and LeRobot that takes seconds on a busy
        # machine, longer than `ros2 launch` waits before it kills; everything that needs an end has had it.
        gc.freeze()


def _live(node: Runnable, stop: Stop) -> int:
    """Spin, with a line now and then, until asked to stop; then close."""
    assert isinstance(node, Node)
    # A second Ctrl+C does not cut the closing short; `kill -9` still can.
    with interrupts.answering(lambda _number: stop.request(), CLOSE_S), signs.quiet():
        if not stop.asked:
            _say(node, f"ready: {node.sign()}")
        node.create_timer(SIGN_S, lambda: _say(node, node.sign()))
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        spinner = threading.Thread(target=_spin, args=(executor, node, stop), name="spin", daemon=True)
        spinner.start()
        stop.wait()
        if number := interrupts.came():
            _say(node, f"ending: {interrupts.signal_name(number)}")
        # No callback may run into what `close` takes away; publishers still work without an executor.
        executor.shutdown(timeout_sec=2.0)
        spinner.join(2.0)
        node.close()
        node.destroy_node()
    return stop.code


def _say(node: Node, text: str) -> None:
    node.get_logger().info(text)


def _spin(executor: SingleThreadedExecutor, node: Node, stop: Stop) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        stop.request()
    except InvalidHandle as error:
        # A callback that ends while the executor shuts down finds its guard condition gone.
        if not stop.ending:
            _broken(node, stop, error)
    except Exception as error:  # an error in a callback must end the process with a message, not leave it deaf
        _broken(node, stop, error)


def _broken(node: Node, stop: Stop, error: Exception) -> None:
    node.get_logger().fatal(f"{type(error).__name__}: {error}")
    traceback.print_exc()
    stop.request(1)
