"""Inference in its own thread: latest wins, errors come back, a hang is visible and does not block."""

import threading

import numpy as np

from emma.control.inference import SimulatedInference, ThreadedInference
from emma.observation import Observation


def observation(stamp: int) -> Observation:
    return Observation(stamp_ns=stamp, state=np.zeros(7, np.float32), images={})


class Gate:
    """A runtime that works when let."""

    name, reason, rtc, past_s, note, isolated = "gate", "a test", "", (), "", False

    def __init__(self):
        self.go = threading.Event()
        self.entered = threading.Semaphore(0)

    def reset(self, seed):
        pass

    def infer(self, observation, instruction, previous=None):
        self.entered.release()
        self.go.wait(20)
        if instruction == "fail":
            raise RuntimeError("out of memory")
        return np.full((2, 7), observation.stamp_ns, np.float32)

    def close(self):
        self.go.set()


def test_the_latest_observation_wins():
    runtime = Gate()
    worker = ThreadedInference(runtime)
    worker.submit(observation(1), "go")
    assert runtime.entered.acquire(timeout=20)
    worker.submit(observation(2), "go")
    worker.submit(observation(3), "go")
    assert worker.busy_s > 0
    runtime.go.set()
    assert worker.wait_idle(20)
    assert [r.t_obs_ns for r in worker.results(0)] == [1, 3]
    assert list(worker.results(0)) == []
    assert worker.close()


def test_an_error_comes_back_and_the_thread_lives_on():
    runtime = Gate()
    runtime.go.set()
    worker = ThreadedInference(runtime)
    worker.submit(observation(1), "fail")
    assert worker.wait_idle(20)
    (failed,) = worker.results(0)
    assert failed.actions is None
    assert "out of memory" in failed.error
    worker.submit(observation(2), "go")
    assert worker.wait_idle(20)
    (good,) = worker.results(0)
    assert good.actions is not None
    assert worker.close()


def test_closing_gives_up_on_a_hang():
    runtime = Gate()
    worker = ThreadedInference(runtime)
    worker.submit(observation(1), "go")
    assert runtime.entered.acquire(timeout=20)
    assert not worker.close(timeout_s=0.1)
    runtime.go.set()


def test_a_simulated_chunk_can_be_used_once_its_latency_is_over():
    runtime = Gate()
    runtime.go.set()
    simulated = SimulatedInference(runtime, latency_s=0.06)
    simulated.submit(observation(1_000), "go")
    assert simulated.busy_s > 0
    assert list(simulated.results(60_000_999)) == []
    assert [r.t_obs_ns for r in simulated.results(60_001_000)] == [1_000]
    assert simulated.busy_s == 0
    simulated.submit(observation(2_000), "go")
    simulated.discard()
    assert list(simulated.results(10**12)) == []
