"""The life of a node process: start, spin, and an end that is always orderly.

SIGINT, SIGTERM and the death of the process that started it all end a node the same way: `close` runs once, on the
main thread, after the last callback and while the node can still publish; then the process exits with 0.
"""

import gc
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Protocol

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from emma.errors import EmmaError
from emma.ros.middleware import profiles

# Set for a child that holds the read end of a pipe as its standard input: end of file means that the parent is gone.
STOP_WITH_PARENT = "EMMA_STOP_WITH_PARENT"
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

    def request(self, code: int = 0) -> None:
        """Ask the process to end; the highest code counts."""
        self.code = max(self.code, code)
        self._asked.put(None)

    def wait(self) -> None:
        # A wait without end could not be interrupted by a signal handler on every platform.
        while True:
            with suppress(Empty):
                return self._asked.get(timeout=1.0)


class Closable(Protocol):
    """What `run` needs of a node beside being rclpy's Node."""

    def close(self) -> None:
        """Bring everything to a safe end; publishers still work."""
        ...


def run(make: Callable[[Stop], Closable], args: Sequence[str] | None = None) -> int:
    """Make the node, spin it until asked to stop, close it. Returns 0, 1 after a crash, 2 for bad input."""
    stop = Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.request())
    if os.environ.get(STOP_WITH_PARENT):
        threading.Thread(target=_watch_parent, args=(stop,), name="parent", daemon=True).start()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    rclpy.init(args=list(sys.argv if args is None else args), signal_handler_options=SignalHandlerOptions.NO)
    try:
        try:
            # The middleware reads its profiles when the first node is made.
            with profiles():
                node = make(stop)
        except EmmaError as error:
            print(f"emma: {error}", file=sys.stderr)
            return 2
        assert isinstance(node, Node)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        spinner = threading.Thread(target=_spin, args=(executor, node, stop), name="spin", daemon=True)
        spinner.start()
        stop.wait()
        _ignore_signals()
        # No callback may run into what `close` takes away; publishers still work without an executor.
        executor.shutdown(timeout_sec=2.0)
        spinner.join(2.0)
        node.close()
        node.destroy_node()
        return stop.code
    finally:
        rclpy.try_shutdown()
        # The interpreter looks through all objects before it ends. With torch and LeRobot that takes seconds on a busy
        # machine, longer than `ros2 launch` waits before it kills; everything that needs an end has had it.
        gc.freeze()


def _spin(executor: SingleThreadedExecutor, node: Node, stop: Stop) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        stop.request()
    except Exception as error:  # an error in a callback must end the process with a message, not leave it deaf
        node.get_logger().fatal(f"{type(error).__name__}: {error}")
        traceback.print_exc()
        stop.request(1)


def _watch_parent(stop: Stop) -> None:
    poll = select.poll()
    poll.register(sys.stdin.fileno(), select.POLLHUP | select.POLLIN)
    poll.poll()
    stop.request()


def _ignore_signals() -> None:
    """A second Ctrl+C must not cut the closing short; `kill -9` still can."""

    def ignore(_number: int, _frame: FrameType | None) -> None:
        return None

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ignore)
