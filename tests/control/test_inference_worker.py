"""Inference in its own thread: latest wins, errors come back, a hang is visible and does not block."""

import threading

import numpy as np

from emma.control.inference_worker import InferenceWorker
from emma.observation import Observation


def observation(stamp: int) -> Observation:
    return Observation(stamp_ns=stamp, state=np.zeros(7, np.float32), images={})


class Gate:
    """A runtime that works when let."""

    name = "gate"

    def __init__(self):
        self.go = threading.Event()
        self.entered = threading.Semaphore(0)

    def infer(self, observation, instruction):
        self.entered.release()
        self.go.wait(20)
        if instruction == "fail":
            raise RuntimeError("out of memory")
        return np.full((2, 7), observation.stamp_ns, np.float32)

    def close(self):
        self.go.set()


class Inbox:
    def __init__(self):
        self.results = []
        self.arrived = threading.Semaphore(0)

    def __call__(self, result):
        self.results.append(result)
        self.arrived.release()


def test_the_latest_observation_wins():
    runtime, inbox = Gate(), Inbox()
    worker = InferenceWorker(runtime, inbox)
    worker.submit(observation(1), "go")
    assert runtime.entered.acquire(timeout=20)
    worker.submit(observation(2), "go")
    worker.submit(observation(3), "go")
    assert worker.busy_s > 0
    runtime.go.set()
    for _ in range(2):
        assert inbox.arrived.acquire(timeout=20)
    assert [r.t_obs_ns for r in inbox.results] == [1, 3]
    assert worker.close()


def test_an_error_comes_back_and_the_thread_lives_on():
    runtime, inbox = Gate(), Inbox()
    runtime.go.set()
    worker = InferenceWorker(runtime, inbox)
    worker.submit(observation(1), "fail")
    assert inbox.arrived.acquire(timeout=20)
    assert inbox.results[0].actions is None
    assert "out of memory" in inbox.results[0].error
    worker.submit(observation(2), "go")
    assert inbox.arrived.acquire(timeout=20)
    assert inbox.results[1].actions is not None
    assert worker.close()


def test_closing_gives_up_on_a_hang():
    runtime, inbox = Gate(), Inbox()
    worker = InferenceWorker(runtime, inbox)
    worker.submit(observation(1), "go")
    assert runtime.entered.acquire(timeout=20)
    assert not worker.close(timeout_s=0.1)
    runtime.go.set()
