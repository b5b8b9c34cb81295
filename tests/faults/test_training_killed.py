"""kill -9 of a training at random moments: at most one checkpoint interval is lost, and the end is the same."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from emma.adamix import history
from emma.episodes.dataset import DatasetWriter
from emma.policy.bundle import load_bundle
from emma.robot import load_robot
from emma.sim.demonstrations import demonstrations

pytestmark = pytest.mark.slow

STEPS, EVERY = 60, 7
SETTINGS = [
    *("--steps", str(STEPS), "--batch-size", "4", "--checkpoint-every", str(EVERY), "--log-every", "1"),
    *("--sampler", "adamix", "--adamix", "warm_up=5", "--adamix", "period=10", "--adamix", "frames=3"),
    *("--augment", "randconv", "--set", "conv_channels=[8,8,8]", "--set", "hidden_dim=32", "--set", "num_blocks=1"),
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("killed") / "dataset"
    with DatasetWriter(root, load_robot("desk_arm"), cameras=("top",), depth=False) as writer:
        for episode in demonstrations(3, seed=0, cameras=("top",), depth=False):
            writer.add_episode(zip(episode.observations, episode.action, strict=True), episode.instruction)
    return root


def start(dataset, out, *more):
    command = [sys.executable, "-m", "emma.cli", "train", "--data", str(dataset), "--out", str(out), *SETTINGS, *more]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def logged(out):
    file = out / "training/log.jsonl"
    return len(file.read_text().splitlines()) if file.is_file() else 0


def saved(out):
    return max((int(p.name) for p in (out / "training/checkpoints").glob("[0-9]*")), default=0)


def test_killed_again_and_again_it_ends_at_the_same_weights(dataset, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert start(dataset, whole).wait(timeout=600) == 0
    rng = random.Random(0)
    for kills, at in enumerate((3, 20, 33, 48)):
        training = start(dataset, parts, *(["--resume"] if kills else []))
        deadline = time.monotonic() + 300
        while logged(parts) < at and training.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        done = logged(parts)
        os.killpg(training.pid, signal.SIGKILL)
        assert training.wait() == -signal.SIGKILL
        # The kill may fall between a step's checkpoint and our reading, never further back than an interval.
        assert saved(parts) >= (done // EVERY) * EVERY - EVERY
        assert done - saved(parts) <= EVERY
    assert start(dataset, parts, "--resume").wait(timeout=600) == 0
    one, two = (load_file(out / "model.safetensors") for out in (whole, parts))
    assert all(torch.equal(one[key], two[key]) for key in one)
    rows = [json.loads(line)["step"] for line in (parts / "training/log.jsonl").read_text().splitlines()]
    assert rows == list(range(1, STEPS + 1))
    assert history.read(parts / "training/adamix") == history.read(whole / "training/adamix")
    assert not list((parts / "training/checkpoints").glob(".*"))
    assert load_bundle(parts).info.training["steps"] == STEPS
