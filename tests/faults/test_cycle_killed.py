"""kill -9 of a real cycle in every stage: it ends with the same weights, trials and verdict as one left in peace."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from emma.conversion.config import ConvertConfig
from emma.conversion.convert import convert
from emma.cycle.cycle import outcome
from emma.cycle.state import read_state
from emma.cycle.versions import Versions
from emma.policy.exported import weights_of
from emma.robots.spec import load_robot
from emma.training.checkpoints import checkpoint_folders
from emma.training.config import TrainConfig
from emma.training.loop import train

pytestmark = pytest.mark.slow

CAMERAS = ("top", "wrist")
STAGES = ("convert", "train", "export", "parity", "evaluate")
PATIENCE_S = 3600.0


def _helpers() -> ModuleType:
    """What tests/cycle/conftest.py has for making bags."""
    file = Path(__file__).resolve().parents[1] / "cycle" / "conftest.py"
    spec = importlib.util.spec_from_file_location("cycle_helpers", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Thirteen recorded episodes, six of them held out to measure, and a small policy that has learned nothing."""
    _helpers().record_bags(tmp_path / "bags", 13)
    spec = load_robot("desk_arm")
    convert(tmp_path / "bags/episode_0000", tmp_path / "data", spec, ConvertConfig(cameras=CAMERAS, depth=False))
    small = {"conv_channels": [8, 8, 8], "condition_dim": 32, "hidden_dim": 32, "num_blocks": 1}
    first = TrainConfig(data=(str(tmp_path / "data"),), policy="spatial_flow", options=small, steps=1, batch_size=2)
    train(first, tmp_path / "first")
    file = tmp_path / "improve.yaml"
    values = {
        "bags": ["bags"],
        "policy": "first",
        "convert": {"cameras": list(CAMERAS), "depth": False, "held_out": 0.5},
        "train": {"steps": 60, "batch_size": 8, "sampler": "uniform", "ema": 0.0, "checkpoint_every": 10},
        "export": {"observations": 2},
        "evaluate": {"measure": "held-out", "frames": 4},
        "priority": {"nice": 1, "idle_io": False},
        "pause": {"enabled": False},
    }
    file.write_text(yaml.safe_dump(values))
    return file


def start(config: Path, out: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "emma", "improve", "--config", str(config), "--out", str(out)]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL)


def result(out: Path) -> dict:
    """All that must be the same, and none of what may differ: times, attempts, paths."""
    folder = out / "cycles" / "0001"
    ended = outcome(folder)
    assert ended is not None
    return {
        "weights": weights_of(folder / "export" / "bundle"),
        "trials": sorted((folder / "evaluate" / "trials.jsonl").read_text().splitlines()),
        "verdict": json.loads((folder / "evaluate" / "verdict.json").read_text()),
        "promoted": ended.promoted,
        "versions": Versions(out / "versions").numbers(),
    }


def test_killed_in_every_stage_it_ends_at_the_same_result(config: Path, tmp_path: Path) -> None:
    calm, shaken = tmp_path / "calm", tmp_path / "shaken"
    assert start(config, calm).wait(PATIENCE_S) == 0
    for stage in STAGES:
        child = start(config, shaken)
        deadline = time.monotonic() + PATIENCE_S
        # Its process is at work, and so has something to lose.
        while read_state(shaken).stage != stage or not (shaken / "cycles/0001" / stage / "log.txt").is_file():
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        if stage == "train":
            while not checkpoint_folders(shaken / "cycles/0001/train/bundle/training"):
                assert not (shaken / "cycles/0001/train/manifest.json").is_file()
                time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert start(config, shaken).wait(PATIENCE_S) == 0
    assert result(shaken) == result(calm)
    # Another time there is nothing to do, and nothing changes.
    assert start(config, shaken).wait(PATIENCE_S) == 0
    assert result(shaken) == result(calm)
    assert [p.name for p in (shaken / "cycles").iterdir()] == ["0001"]
