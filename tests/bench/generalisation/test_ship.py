"""What ships of a row: half the size, and nearly the same actions."""

import json
import shutil

import numpy as np
import torch

from emma.bench.generalisation.data import Data
from emma.bench.generalisation.plan import ROWS, Budget
from emma.bench.generalisation.ship import ship
from emma.bench.generalisation.shipped import bundles
from emma.bench.generalisation.steps import Steps
from emma.bench.generalisation.training import RUN, Policy
from emma.policy.bundle import load_bundle
from emma.policy.loading import load_policy
from emma.policy.runtime import open_runtime
from emma.resources import data_dir
from emma.robots.spec import load_robot
from emma.sim.arm import DeskArm
from emma.sim.simulator import observation


def test_a_shipped_row_is_small_and_acts_as_the_one_that_was_trained(tmp_path):
    budget = Budget(workspace=str(tmp_path / "work"), init="models/desk_arm_source", steps=10)
    steps = Steps(data=Data(budget=budget), seed=0)
    rows = [row for row in ROWS if row.name in ("fixmix", "upper_bound")]
    policy = Policy(data=steps.data, recipe=rows[0], seed=0)
    shutil.copytree(data_dir("models") / "desk_arm_source", policy.folder)
    (policy.folder / RUN).mkdir()
    (new,) = ship(steps, rows, tmp_path / "models")
    assert new.name == bundles()["fixmix"]
    assert not (new / RUN).exists()
    assert not (new / "export").exists()
    whole, half = ((f / "model.safetensors").stat().st_size for f in (policy.folder, new))
    assert half < 0.51 * whole
    card = (new / "README.md").read_text()
    assert "filtered (FixMix)" in card
    assert "emma bench generalisation --set steps=10 --set init=models/desk_arm_source\n" in card
    assert all(w.dtype == torch.float32 for w in load_policy(load_bundle(new)).policy.parameters())
    spec = load_robot("desk_arm")
    actions = []
    with DeskArm(spec, cameras=("top", "wrist")) as sim:
        task = sim.reset(3, "bin")
        for folder in (policy.folder, new):
            runtime = open_runtime(load_bundle(folder), kind="torch")
            actions.append(runtime.infer(observation(sim, depth=False), task.instruction))
            runtime.close()
    np.testing.assert_allclose(actions[0], actions[1], atol=0.01)
    # What is there stays.
    (new / "emma.json").write_text(json.dumps({}))
    assert ship(steps, rows, tmp_path / "models") == []
