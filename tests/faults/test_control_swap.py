"""A policy changes, is stopped, or dies in the middle of a motion; every tick still has its command."""

import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from emma.control.chunk_executor import ExecutorConfig
from emma.control.controller import Mode
from emma.control.inference import ThreadedInference
from emma.control.policy_loop import LoopPolicy
from emma.control.policy_state import SwapPhase
from emma.errors import EmmaError
from emma.observation import Aligner
from emma.robots.spec import load_robot
from emma.ros.nodes import policy_swap
from emma.ros.nodes.policy_swap import PolicySwap

SPEC = load_robot("desk_arm")


class Backwards:
    """The other policy: moves every joint back."""

    name, reason, rtc, past_s, note, isolated = "backwards", "a test", "", (), "", False

    def __init__(self):
        self.calls = 0
        self.closed = False

    def reset(self, seed):
        pass

    def infer(self, observation, instruction, previous=None):
        self.calls += 1
        back = np.arange(16)[:, None] * np.where(np.arange(7) < 6, -0.02, 0.0)
        return (observation.state[None] + back).astype(np.float32)

    def close(self):
        self.closed = True


def swap(rig, cameras=("top", "wrist"), fps=10):
    other = Backwards()
    take(rig, other, cameras, fps)
    return other


def take(rig, runtime, cameras=("top", "wrist"), fps=10):
    aligner = Aligner(SPEC, cameras=cameras)
    inference = ThreadedInference(runtime)
    policy = LoopPolicy(source=aligner, inference=inference, executor=ExecutorConfig(fps=fps))
    try:
        rig.driver.swap(policy, aligner)
    except EmmaError:
        inference.close()
        raise


def retire(rig):
    retired = rig.loop.retired()
    for policy in retired:
        policy.close()
    return retired


def test_another_policy_takes_over_without_a_tick_left_out_or_a_jump(rig):
    """The fixture checks that no step is beyond the limits; here: one command a tick, and a change of direction."""
    rig.started()
    count, asked = len(rig.sent), rig.runtime.calls
    other = swap(rig)
    # Nothing changes before the next chunk is due, 0.4 s after the last.
    status = rig.turn(60)
    assert len(rig.sent) == count + 60
    assert status.mode == Mode.RUNNING
    assert other.calls > 0
    assert rig.runtime.calls <= asked + 1
    assert (rig.sent[-1] < rig.sent[-10])[:6].all()
    (old,) = retire(rig)
    assert old.inference.runtime is rig.runtime
    assert not rig.loop.swapping
    assert rig.loop.timings.summary()["swaps"] == 1


def test_and_back_again(rig):
    rig.started()
    other = swap(rig)
    rig.turn(60)
    retire(rig)
    take(rig, rig.runtime)
    calls = rig.runtime.calls
    assert rig.turn(60).mode == Mode.RUNNING
    assert rig.runtime.calls > calls
    retire(rig)
    assert other.closed


def test_the_old_one_goes_on_until_every_stream_of_the_new_one_is_there(rig):
    rig.started()
    other = swap(rig, cameras=("top", "wrist", "front"))
    assert rig.moving()
    assert rig.loop.swapping
    assert other.calls == 0
    for _ in range(30):
        rig.driver.push(SPEC.camera("front").image_topic, rig.image(rig.clock.wall(), rig.tick))
        rig.turn()
    assert other.calls > 0
    assert not rig.loop.swapping


def test_a_stream_that_never_comes_is_not_waited_for_forever(rig):
    rig.started()
    other = swap(rig, cameras=("top", "wrist", "front"))
    rig.turn(10)
    assert rig.loop.give_up_swap() == ("images.front",)
    retire(rig)
    assert other.closed
    assert rig.loop.give_up_swap() == ()
    assert rig.moving()


class Node:
    """What a swap needs of the policy node."""

    def __init__(self):
        self.told = []

    def executor_config_for(self, loaded):
        return ExecutorConfig(fps=10)

    def subscribe(self, loaded):
        self.told.append("subscribe")

    def on_swapped(self, loaded):
        self.told.append("on_swapped")


def test_the_node_gives_it_15_seconds_and_names_the_stream(rig, monkeypatch):
    monkeypatch.setattr(policy_swap, "time", rig.clock)
    rig.started()
    other, node = Backwards(), Node()
    loaded = SimpleNamespace(runtime=other, aligner=lambda: Aligner(SPEC, cameras=("top", "wrist", "front")))
    swapping = PolicySwap(lambda path: loaded)
    swapping.ask(Path("late"))
    with pytest.raises(EmmaError, match="another policy is on its way"):
        swapping.ask(Path("another"))
    while swapping.state.phase == SwapPhase.LOADING:
        threading.Event().wait(0.001)
    for _ in range(15):
        swapping.poll(rig.driver, node)
        assert swapping.state.phase == SwapPhase.WAITING
        rig.turn(50)
    rig.turn(1)
    swapping.poll(rig.driver, node)
    assert (swapping.state.phase, swapping.state.why) == (SwapPhase.REFUSED, "waits for images.front")
    assert node.told == ["subscribe"]
    assert rig.moving()
    assert other.calls == 0
    for _ in range(5000):
        if other.closed:
            break
        threading.Event().wait(0.001)
    assert other.closed


def test_a_hanging_policy_can_be_replaced(rig):
    rig.started()
    rig.wait_for_policy = False
    rig.runtime.gate.clear()
    rig.turn(30)
    other = swap(rig)
    rig.turn(30)
    assert other.calls > 0
    rig.runtime.gate.set()
    rig.wait_for_policy = True
    # Its late answer is of no use to anybody.
    status = rig.turn(30)
    assert status.mode == Mode.RUNNING
    assert (rig.sent[-1] < rig.sent[-10])[:6].all()


def test_while_disabled_it_changes_at_once(rig):
    rig.turn(4)
    other = swap(rig)
    rig.turn(1)
    assert not rig.loop.swapping
    rig.turn(4)
    rig.loop.enable()
    rig.turn(40)
    assert other.calls > 0
    assert rig.runtime.calls == 0


def test_a_second_swap_replaces_one_that_waits(rig):
    rig.started()
    first, second = swap(rig, cameras=("top", "wrist", "front")), swap(rig)
    rig.turn(40)
    retire(rig)
    assert first.closed
    assert first.calls == 0
    assert second.calls > 0


def test_another_rate_of_actions_is_refused(rig):
    rig.started()
    with pytest.raises(EmmaError, match="another rate"):
        swap(rig, fps=20)
    assert rig.moving()


def test_stopping_holds_at_once_and_needs_enabling_again(rig):
    rig.started()
    last, count = rig.sent[-1], len(rig.sent)
    rig.loop.halt()
    # Said once more, in the same tick; then nothing, whatever the policy answers.
    assert len(rig.sent) == count + 1
    np.testing.assert_array_equal(rig.sent[-1], last)
    status = rig.turn(50)
    assert status.mode == Mode.DISABLED
    assert len(rig.sent) == count + 1
    assert not rig.loop.commanding
    rig.loop.enable()
    rig.turn(30)
    assert rig.moving()


def test_stopping_before_it_began_commands_nothing(rig):
    rig.turn(4)
    rig.loop.enable()
    rig.loop.halt()
    rig.turn(20)
    assert rig.sent == []
    assert not rig.loop.commanding
