"""Training by the public verb's function: each policy class learns, its bundle loads in LeRobot, resuming is exact."""

import json
import os
import signal
import threading

import numpy as np
import pytest
import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from safetensors.torch import load_file

from emma.errors import EmmaError
from emma.policy.bundle import load_bundle
from emma.policy.runtime import TorchRuntime
from emma.robots.spec import load_robot
from emma.sim.arm import DeskArm
from emma.sim.simulator import observation
from emma.training import loop, trainer
from emma.training.config import TrainConfig

SMALL = {"conv_channels": [8, 8, 8], "condition_dim": 32, "hidden_dim": 32, "num_blocks": 1}
SETTINGS = {
    "spatial_flow": {"options": SMALL},
    "act_small": {"options": {"vision_backbone": "resnet18"}},
    "smolvla_small": {"options": {}},
}


def config(dataset, policy="spatial_flow", **changes):
    settings = {"steps": 4, "batch_size": 4, "checkpoint_every": 2, "log_every": 1, **SETTINGS[policy], **changes}
    return TrainConfig(data=(str(dataset),), policy=policy, **settings)


@pytest.mark.parametrize("policy", list(SETTINGS))
def test_trains_saves_and_loads_in_lerobot_and_in_a_runtime(dataset, tmp_path, policy):
    out = loop.train(config(dataset, policy), tmp_path / "bundle")
    bundle = load_bundle(out)
    assert bundle.info.robot == "desk_arm"
    assert bundle.info.cameras == ("top", "wrist")
    assert bundle.info.training["data"][0]["episodes"] == 2
    assert len({file.stat().st_mode for file in out.iterdir() if file.is_file()}) == 1, "as readable as emma.json"

    theirs = PreTrainedConfig.from_pretrained(out)
    policy_class = get_policy_class(theirs.type)
    model = policy_class.from_pretrained(out, config=theirs).eval()
    pre, post = make_pre_post_processors(theirs, str(out))
    with DeskArm(load_robot("desk_arm"), cameras=("top", "wrist")) as sim:
        seen = observation(sim)
    batch = {f"observation.images.{c}": torch.tensor(i).permute(2, 0, 1) / 255 for c, i in seen.images.items()}
    batch |= {"observation.state": torch.tensor(seen.state), "task": "put the cube in the bin"}
    torch.manual_seed(1)
    chunk = post(model.predict_action_chunk(pre(batch)))
    assert chunk.shape == (1, bundle.info.chunk, 7)
    assert torch.isfinite(chunk).all()

    moved = load_bundle(out.rename(tmp_path / "moved"))
    runtime = TorchRuntime(moved)
    runtime.reset(5)
    first = runtime.infer(seen, "put the cube in the bin")
    runtime.reset(5)
    np.testing.assert_array_equal(runtime.infer(seen, "put the cube in the bin"), first)
    assert first.shape == (bundle.info.chunk, 7)


def test_more_steps_fit_better(dataset, tmp_path):
    options = {**SMALL, "optimizer_lr": 3e-3}
    loop.train(config(dataset, steps=150, batch_size=16, log_every=15, options=options), tmp_path / "bundle")
    rows = [json.loads(line) for line in (tmp_path / "bundle/training/log.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] < 0.75 * rows[0]["loss"]
    assert (tmp_path / "bundle/training/loss.png").stat().st_size > 0


def test_interrupted_and_resumed_gives_the_same_weights_to_the_bit(dataset, tmp_path, monkeypatch):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    loop.train(config(dataset), whole)

    step = trainer.Trainer.one_step

    def interrupted(self):
        loss = step(self)
        if self._step == 3:
            os.kill(os.getpid(), signal.SIGINT)
            # The handler runs between bytecodes of the main thread; give it one.
            threading.Event().wait(0.01)
        return loss

    monkeypatch.setattr(trainer.Trainer, "one_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        loop.train(config(dataset), parts)
    monkeypatch.undo()
    with pytest.raises(EmmaError, match="not a policy bundle"):
        load_bundle(parts)
    loop.train(config(dataset), parts, resume=True)

    first, second = load_file(whole / "model.safetensors"), load_file(parts / "model.safetensors")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    logged = [json.loads(line)["loss"] for line in (parts / "training/log.jsonl").read_text().splitlines()]
    assert logged == [json.loads(line)["loss"] for line in (whole / "training/log.jsonl").read_text().splitlines()]


def test_what_cannot_be_trained_is_told(dataset, tmp_path):
    for changes, says in [
        ({"policy": "nothing", "options": {}}, "unknown policy 'nothing'"),
        ({"options": {"no_such_option": 1}}, "bad option"),
        ({"cameras": ("front",)}, "lacks observation.images.front"),
    ]:
        settings = {"policy": "spatial_flow", "steps": 2, "batch_size": 2, **changes}
        with pytest.raises(EmmaError, match=says):
            loop.train(TrainConfig(data=(str(dataset),), **settings), tmp_path / "out")
    with pytest.raises(EmmaError, match="nothing to resume"):
        loop.train(config(dataset), tmp_path / "new", resume=True)
    loop.train(config(dataset), tmp_path / "done")
    with pytest.raises(EmmaError, match="already holds a training run"):
        loop.train(config(dataset), tmp_path / "done")
    with pytest.raises(EmmaError, match="another training run") as error:
        loop.train(config(dataset, seed=9), tmp_path / "done", resume=True)
    assert "seed=0" in str(error.value)


@pytest.mark.parametrize("bad", [{"steps": 0}, {"precision": "fp8"}, {"ema": 1.0}, {"data": ()}])
def test_configuration_is_validated(bad):
    with pytest.raises(EmmaError):
        TrainConfig(**{"data": ("x",), "policy": "act", "steps": 1, **bad})
