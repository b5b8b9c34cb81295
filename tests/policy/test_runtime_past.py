"""A policy that looks back: what it saw before reaches it, in this process, in its own, and in an evaluation."""

from dataclasses import replace

import numpy as np
import pytest

from emma.errors import EmmaError
from emma.policy.bundle import load_bundle
from emma.policy.export.bundle_export import export_bundle
from emma.policy.isolated import IsolatedRuntime
from emma.policy.runtime import open_runtime
from emma.policy.warm_up import warm_up
from emma.robots.spec import load_robot
from emma.sim.arm import DeskArm
from emma.sim.evaluate import EvalConfig, evaluate


@pytest.fixture(scope="module")
def bundle(trained):
    return load_bundle(trained("diffusion"))


@pytest.fixture(scope="module")
def runtime(bundle):
    opened = open_runtime(bundle)
    yield opened
    opened.close()


def chunk(runtime, observation):
    runtime.reset(0)
    return runtime.infer(observation, "put the cube on the plate")


def test_what_was_before_decides_and_the_present_stands_for_it_where_nothing_was(bundle, runtime, cases):
    assert bundle.info.chunk == 6
    assert runtime.past_s == (1 / bundle.info.fps,)
    before, now = cases[0].observation, cases[1].observation
    alone = chunk(runtime, now)
    assert alone.shape == (6, 7)
    np.testing.assert_array_equal(chunk(runtime, replace(now, past=(now,))), alone)
    assert np.abs(chunk(runtime, replace(now, past=(before,))) - alone).max() > 0
    warm_up(runtime, bundle, load_robot("desk_arm"))


def test_a_process_of_its_own_gives_the_same(bundle, runtime, cases):
    observation = replace(cases[1].observation, past=(cases[0].observation,))
    isolated = IsolatedRuntime(bundle)
    try:
        assert isolated.past_s == runtime.past_s
        np.testing.assert_array_equal(chunk(isolated, observation), chunk(runtime, observation))
    finally:
        isolated.close()


def test_it_is_evaluated_in_the_simulator(bundle, runtime):
    sim = DeskArm(load_robot("desk_arm"), cameras=bundle.info.cameras)
    try:
        result = evaluate(sim, runtime, bundle.info.fps, EvalConfig(episodes=1, timeout_s=0.8, replan_s=0.2))
    finally:
        sim.close()
    assert result.episodes[0].seconds == pytest.approx(0.8, abs=0.1)


def test_it_is_not_exported_and_that_is_told(bundle, cases):
    with pytest.raises(EmmaError, match="policies of type 'diffusion' cannot be exported"):
        export_bundle(bundle, cases, reference="simulator")
