"""AdaMix in real trainings: every policy class, exact resumption, uniform at lambda 1, recovery."""

import json
import os
import signal
import threading

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from emma.adamix import history
from emma.adamix.config import AdaMixConfig
from emma.adamix.difficulty import COMPONENTS, METRICS
from emma.errors import EmmaError
from emma.policy.bundle import load_bundle
from emma.policy.loading import load_policy
from emma.robots.spec import load_robot
from emma.training import loop, trainer
from emma.training.config import TrainConfig
from emma.training.difficulty_evaluator import Judge
from emma.training.frames import FrameTable, open_source

SMALL = {"conv_channels": [8, 8, 8], "condition_dim": 32, "hidden_dim": 32, "num_blocks": 1}
OPTIONS = {"spatial_flow": SMALL, "act_small": {"vision_backbone": "resnet18"}, "smolvla_small": {}}
OFTEN = AdaMixConfig(warm_up=2, period=2, frames=3)


def config(dataset, generated, policy="spatial_flow", **changes):
    settings = {"steps": 5, "batch_size": 4, "checkpoint_every": 4, "log_every": 1, "sampler": "adamix", **changes}
    data = (str(dataset), f"generated:{generated}")
    return TrainConfig(data=data, policy=policy, options=OPTIONS[policy], **{"adamix": OFTEN, **settings})


def same_weights(first, second):
    a, b = (load_file(folder / "model.safetensors") for folder in (first, second))
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("policy", list(OPTIONS))
def test_every_policy_trains_on_a_mixture_and_is_judged(dataset, generated, tmp_path, policy):
    out = loop.train(config(dataset, generated, policy, ratio=0.75, augment="randconv"), tmp_path / "bundle")
    training = load_bundle(out).info.training
    assert [(data["kind"], data["episodes"]) for data in training["data"]] == [("real", 2), ("generated", 4)]
    assert training["shares"] == {"real": 0.25, "generated": 0.75}
    assert (training["sampler"], training["augment"]) == ("adamix", "randconv")
    assert training["adamix"]["lam"] == 10
    folder = out / loop.RUN / history.FOLDER
    rows = history.read(folder)
    assert [row["step"] for row in rows] == [2, 4]
    for row in rows:
        assert row["reset"] is None
        assert all(len(row[metric]) == 6 for metric in METRICS)
        assert all(value is not None and value >= 0 for name in COMPONENTS for value in row[f"raw_{name}"])
        assert max(row["raw_error"]) > 0.01
        assert 0 <= min(row["performance"]) < max(row["performance"]) <= 1
    names = json.loads((folder / history.EPISODES).read_text())
    assert names == ["real:dataset#0", "real:dataset#1", *(f"generated:generated#{i}" for i in range(4))]
    for name in ("adamix.png", "hardest-00000002.png", "hardest-00000004.png"):
        assert (folder / name).stat().st_size > 1000


@pytest.mark.parametrize("sampler", ["adamix", pytest.param("adamix-loss", marks=pytest.mark.slow)])
def test_interrupted_and_resumed_gives_the_same_weights_to_the_bit(dataset, generated, tmp_path, monkeypatch, sampler):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    wanted = config(dataset, generated, steps=6, sampler=sampler, augment="jitter")
    loop.train(wanted, whole)
    step = trainer.Trainer.one_step

    def interrupted(self):
        loss = step(self)
        if self._step == 5:
            os.kill(os.getpid(), signal.SIGINT)
            # The handler runs between bytecodes of the main thread; give it one.
            threading.Event().wait(0.01)
        return loss

    monkeypatch.setattr(trainer.Trainer, "one_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        loop.train(wanted, parts)
    monkeypatch.undo()
    loop.train(wanted, parts, resume=True)
    assert same_weights(whole, parts)
    assert history.read(whole / "training/adamix") == history.read(parts / "training/adamix")
    logs = [[json.loads(line)["loss"] for line in (out / "training/log.jsonl").open()] for out in (whole, parts)]
    assert logs[0] == logs[1]
    assert len(logs[0]) == 6


def test_lambda_1_is_fixmix_to_the_bit(dataset, generated, tmp_path):
    outs = {}
    for name, changes in {
        "fixmix": {"sampler": "fixmix", "steps": 4},
        "one": {"adamix": AdaMixConfig(lam=1, warm_up=1, period=2, frames=3), "steps": 4},
    }.items():
        outs[name] = loop.train(config(dataset, generated, **changes), tmp_path / name)
    assert same_weights(outs["fixmix"], outs["one"])
    assert len(history.read(outs["one"] / "training/adamix")) == 2


def test_act_cannot_weigh_its_loss_and_is_told(dataset, generated, tmp_path):
    with pytest.raises(EmmaError, match="act cannot weigh its samples") as error:
        loop.train(config(dataset, generated, "act_small", sampler="adamix-loss"), tmp_path / "out")
    assert "--sampler adamix" in str(error.value)


def test_a_loss_that_is_no_number_costs_the_weights_not_the_training(dataset, generated, tmp_path, monkeypatch, capsys):
    loss, seen = trainer.Trainer._loss, []

    def poisoned(self, step):
        seen.append(step)
        good = loss(self, step)
        return good * float("nan") if step == 3 and seen.count(3) == 1 else good

    monkeypatch.setattr(trainer.Trainer, "_loss", poisoned)
    out = loop.train(config(dataset, generated), tmp_path / "out")
    assert seen == [0, 1, 2, 3, 3, 4]
    rows = history.read(out / "training/adamix")
    assert [(row["step"], row["reset"]) for row in rows] == [(2, None), (3, "the loss is nan")]
    assert load_bundle(out).info.training["adamix_resets"] == 1
    assert "AdaMix collapsed at step 3: the loss is nan. Uniform draws until step 5." in capsys.readouterr().err
    # Without weights there is nothing to blame but the training itself.
    seen.clear()
    with pytest.raises(EmmaError, match="the loss is nan at step 3"):
        loop.train(config(dataset, generated, sampler="fixmix"), tmp_path / "uniform")


def test_a_run_from_before_these_options_can_be_resumed(dataset, tmp_path):
    plain = TrainConfig(data=(str(dataset),), policy="spatial_flow", steps=2, batch_size=2, options=SMALL)
    loop.train(plain, tmp_path)
    file = tmp_path / "training/train.json"
    old = json.loads(file.read_text())
    for key in ("sampler", "ratio", "augment", "adamix", "init"):
        del old[key]
    file.write_text(json.dumps(old))
    plain.require_same(file)
    old["adamix"] = {"lam": 10.0}
    file.write_text(json.dumps(old))
    plain.require_same(file)
    old["adamix"] = {"lam": 3.0}
    file.write_text(json.dumps(old))
    with pytest.raises(EmmaError, match="another training run"):
        plain.require_same(file)
    del old["adamix"]
    file.write_text(json.dumps(old))
    other = TrainConfig(
        data=(str(dataset),), policy="spatial_flow", steps=2, batch_size=2, options=SMALL, augment="jitter"
    )
    with pytest.raises(EmmaError, match="another training run"):
        other.require_same(file)


@pytest.fixture(scope="module")
def judged(dataset, generated, tmp_path_factory):
    out = loop.train(config(dataset, generated, sampler="fixmix"), tmp_path_factory.mktemp("judged") / "bundle")
    loaded = load_policy(load_bundle(out))
    table = FrameTable([open_source(dataset), open_source(f"generated:{generated}")], ("top", "wrist"))

    def judge(batch_size=128, seed=0, **changes):
        options = AdaMixConfig(**{"frames": 5, **changes})
        return Judge(options, table, loaded.pre, loaded.post, load_robot("desk_arm"), seed=seed, batch_size=batch_size)

    return loaded.policy, table, judge


@pytest.mark.parametrize("kind", ["policy", "demonstration"])
def test_judging_in_batches_or_in_parts_is_the_same(judged, kind):
    policy, _, judge = judged
    before = torch.get_rng_state()
    policy.train()
    frames, values = judge(judged=kind)(policy, 1000)
    assert policy.training
    assert torch.equal(torch.get_rng_state(), before)
    _, single = judge(batch_size=7, judged=kind)(policy, 1000)
    np.testing.assert_allclose(single, values, rtol=1e-4, atol=1e-6)
    parts = [judge(judged=kind)(policy, 1000, share=slice(rank, None, 3))[1] for rank in range(3)]
    np.testing.assert_allclose(sum(parts), values, rtol=1e-4, atol=1e-6)
    assert len(frames) == 6 * 5
    assert (values[:, 0] > 0).all()


def test_frames_of_every_episode_are_spread_and_change_with_the_step(judged):
    _, table, judge = judged
    for count in (5, 0, 10_000):
        frames = judge(frames=count).frames(1000)
        assert len(np.unique(frames)) == len(frames)
        per_episode = np.bincount(np.searchsorted(table.starts, frames, side="right") - 1, minlength=6)
        np.testing.assert_array_equal(per_episode, np.minimum(count or 10_000, np.diff(table.starts)))
    assert not np.array_equal(judge().frames(1000), judge().frames(2000))
    np.testing.assert_array_equal(judge().frames(1000), judge().frames(1000))


def test_the_error_is_that_of_the_policys_own_chunks(judged):
    policy, table, judge = judged
    loaded_judge = judge(frames=2)
    frames, values = loaded_judge(policy, 0)
    batch = loaded_judge._pre(table.batch(frames, range(16)))
    padded = table.batch(frames, range(16))["action_is_pad"]
    squares = (policy.predict_action_chunk(batch) - batch["action"]).square().mean(-1)
    want = (squares * ~padded).sum(1) / (~padded).sum(1)
    np.testing.assert_allclose(values[:, 0], want.numpy(), rtol=1e-4)
