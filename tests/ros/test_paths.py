"""The same episode through the ROS graph into a bag and a dataset, and in process: the same frames, to the bit."""

import json
import shutil

import numpy as np
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from emma.bags.episode import EpisodeMeta
from emma.bags.reader import Bag
from emma.conversion.convert import convert
from emma.conversion.frames import EpisodeFrames
from emma.policy.bundle import load_bundle
from emma.policy.runtime import open_runtime
from emma.sessions.drive import DriveConfig, drive
from emma.sessions.session import Trial
from emma.sim.arm import DeskArm
from emma.sim.demonstrations import demonstrate
from emma.sim.evaluate import EvalConfig, run_episode
from emma.sim.tasks import DEFAULT

# How long an untrained policy may wave about, s of the arm's time.
TIMEOUT_S = 2.0
TRIALS = [Trial(seed=4, target="plate", domain="table_checker"), Trial(seed=5, target="bin", task="push")]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A scripted episode of each task, recorded through sim, teleop and recorder in lockstep."""
    config = DriveConfig(out=tmp_path_factory.mktemp("paths"), operator="scripted", lockstep=True)
    result = drive(config, TRIALS)
    assert [row.success for row in result.rows] == [True] * len(TRIALS)
    assert [row.lost for row in result.rows] == [0] * len(TRIALS)
    return config, result


@pytest.fixture(scope="module")
def in_process(spec):
    with DeskArm(spec) as sim:
        episodes = []
        for trial in TRIALS:
            sim.set_domain(trial.domain)
            sim.set_task(trial.task or DEFAULT)
            episodes.append(demonstrate(sim, trial.seed, trial.target, noise=0.0, fps=spec.fps))
    return episodes


def test_bag_frames_are_those_of_the_simulator(recorded, in_process, spec):
    _, result = recorded
    for row, episode in zip(result.rows, in_process, strict=True):
        with Bag(row.bag) as bag:
            frames = list(EpisodeFrames(bag, spec))
        # The bag may end one frame later: it holds what the last command led to.
        assert 0 <= len(frames) - len(episode.action) <= 1
        for (seen, action), own, target in zip(frames, episode.observations, episode.action, strict=False):
            np.testing.assert_array_equal(action, target)
            np.testing.assert_array_equal(seen.state, own.state)
            for camera in spec.camera_names:
                np.testing.assert_array_equal(seen.images[camera], own.images[camera])
                np.testing.assert_array_equal(seen.depth[camera], own.depth[camera])
            assert seen.ages_s == pytest.approx(own.ages_s)


def test_the_dataset_holds_them_too(recorded, in_process, spec, tmp_path):
    config, _ = recorded
    report = convert(config.bag_folder, tmp_path / "data", spec)
    assert report.count("converted") == len(TRIALS)
    dataset = LeRobotDataset("local/paths", root=tmp_path / "data")
    start = 0
    for number, episode in enumerate(in_process):
        for i in (0, 17, len(episode.action) - 1):
            frame = dataset[start + i]
            np.testing.assert_array_equal(frame["action"].numpy(), episode.action[i])
            np.testing.assert_array_equal(frame["observation.state"].numpy(), episode.observations[i].state)
            assert frame["task"] == episode.instruction
            for camera in spec.camera_names:
                pixels = (frame[f"observation.images.{camera}"].permute(1, 2, 0) * 255).round().to("cpu").numpy()
                np.testing.assert_array_equal(pixels.astype(np.uint8), episode.observations[i].images[camera])
        start += int(dataset.meta.episodes[number]["length"])


def test_the_episodes_say_what_they_are(recorded, in_process):
    _, result = recorded
    for row, episode in zip(result.rows, in_process, strict=True):
        meta = EpisodeMeta.load(row.bag)
        assert (meta.state, meta.success, meta.kind, meta.operator) == ("saved", True, "teleop", "scripted")
        assert meta.instruction == episode.instruction
        assert meta.topics["/instruction"].count == 1
        assert meta.dropped == 0


class LoggedArm(DeskArm):
    """Remembers what it was told."""

    def reset(self, seed, target=None, *, held_out_words=False):
        self.told = []
        return super().reset(seed, target, held_out_words=held_out_words)

    def step(self, command):
        self.told.append(np.array(command))
        super().step(command)


@pytest.mark.parametrize("delay", [0, pytest.param(5, marks=pytest.mark.slow)])
def test_a_policy_commands_the_same_through_the_graph_as_in_process(bundle, spec, tmp_path, delay):
    """delay: with real-time chunking the chunk in execution reaches the policy on both paths."""
    bundle = shutil.copytree(bundle, tmp_path / "bundle")
    options = json.loads((bundle / "config.json").read_text())
    (bundle / "config.json").write_text(json.dumps({**options, "rtc_max_delay": delay}))
    loaded = load_bundle(bundle)
    cameras = loaded.info.cameras
    config = DriveConfig(
        out=tmp_path / "run",
        policy=bundle,
        runtime="torch",
        cameras=cameras,
        depth=False,
        lockstep=True,
        timeout_s=TIMEOUT_S,
    )
    plan = [Trial(seed=10_000 + i, target=target, held_out_words=True) for i, target in enumerate(("bin", "plate"))]
    rows = drive(config, plan).rows
    runtime = open_runtime(loaded, kind="torch")
    assert runtime.rtc == ("trained" if delay else "")
    with LoggedArm(spec, cameras=cameras) as sim:
        for trial, row in zip(plan, rows, strict=True):
            own = run_episode(
                sim, runtime, loaded.info.fps, trial.seed, trial.target, EvalConfig(timeout_s=TIMEOUT_S, latency_s=0.06)
            )
            with Bag(row.bag) as bag:
                topic = spec.command.topic
                sent = np.array([m.message.points[0].positions for m in bag.messages([topic])])
            told = np.array(sim.told)
            assert len(told) == TIMEOUT_S * spec.control_rate_hz
            # The graph runs on for a moment until the policy hears that the time is up.
            np.testing.assert_array_equal(sent[: len(told)], told)
            assert np.ptp(told, axis=0).max() > 0
            assert (row.instruction, row.placed_on, row.success) == (own.instruction, own.placed_on, own.success)
            assert row.seconds == pytest.approx(own.seconds)
