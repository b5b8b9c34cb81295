"""Work spread over processes, with its results in the order of the jobs."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import cv2

from emma.errors import EmmaError
from emma.interrupts import end_with_parent

# Jobs in flight a worker: enough to keep it busy while a result is put in its place, and a bound on memory.
AHEAD = 2


def start_worker() -> None:
    """Set up a process of a pool."""
    end_with_parent()
    # One process a core is the parallelism; threads of its own would only get in the way.
    cv2.setNumThreads(1)


def in_order[Job, Done](
    work: Callable[[Job], Done], jobs: Iterable[Job], workers: int, *, ahead: int = AHEAD
) -> Generator[Done, None, None]:
    """`work(job)` of each job; at most `ahead` x workers are in flight, so `jobs` may have no end.

    Closing the iterator cancels what has not begun. Raises EmmaError if a process dies.
    """
    # Spawned: a forked child of a process with threads may hang on a lock that no thread of its own holds.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=start_worker)
    waiting: deque[Future[Done]] = deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(work, job))
            if len(waiting) >= workers * ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise EmmaError(
            "a worker process died",
            found="no result",
            expected=f"{workers} processes with about 0.5 GB each",
            fix="run it again, with fewer --workers if memory is short: what is finished stays",
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)
