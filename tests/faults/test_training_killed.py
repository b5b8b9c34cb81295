"""kill -9 of a training at random moments, or no room: at most one checkpoint interval is lost, the end is the same."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from emma.adamix import history
from emma.datasets.writer import DatasetWriter
from emma.policy.bundle import load_bundle
from emma.robots.spec import load_robot
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


def test_without_room_it_says_so_and_goes_on_when_there_is_some(dataset, tmp_path):
    def little_room():
        # The largest file allowed: the log fits, a model does not.
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    out = tmp_path / "out"
    command = [sys.executable, "-m", "emma.cli", "train", "--data", str(dataset), "--out", str(out), *SETTINGS]
    full = subprocess.run(command, stderr=subprocess.PIPE, text=True, preexec_fn=little_room, timeout=600)
    assert full.returncode == 2, full.stderr
    assert "no room for the training" in full.stderr
    assert "--resume" in full.stderr
    assert "Traceback" not in full.stderr
    assert not [p for p in out.rglob("*") if p.name.endswith(".part")]
    assert start(dataset, out, "--resume").wait(timeout=600) == 0
    load_bundle(out)
