"""The measurement of transfer: a hand at the desk through EgoDex files and the import, the plan, and the counting."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from emma.bench import human, tables
from emma.bench.hand_files import EXACT, Tracker, write_egodex
from emma.bench.human_data import LEFT_OUT, _mixed, _without
from emma.bench.human_plan import AXES, CONTROLS, HUMAN, ROBOT, Plan, combinations
from emma.bench.human_quick import kinematics
from emma.datasets.files import vectors
from emma.errors import EmmaError
from emma.human.formats import read_recording
from emma.human.importing import VALID, Episode, ImportConfig, import_recordings
from emma.human.tracks import hand_track
from emma.policy.end_effector.poses import from_vector
from emma.robots.spec import load_robot
from emma.sim.hand import HandEpisode, HandSim
from emma.sim.hand_model import keypoints, tool_from_hand
from emma.sim.tasks.tidy import belongs

CONFIG = ImportConfig(camera="front", size=(32, 32), tool_from_hand=tool_from_hand("right"))


@pytest.fixture(scope="module")
def episode() -> HandEpisode:
    sim = HandSim(size=64)
    try:
        return sim.episode(5, "bin", task="beside")
    finally:
        sim.close()


def test_a_hand_does_what_the_arm_s_plan_asks(episode: HandEpisode) -> None:
    assert episode.success
    assert "bin" in episode.instruction
    # The camera moves, and sees the hand.
    assert np.ptp(episode.camera[:, 0, 3]) > 1e-3
    local = np.einsum("nji,npj->npi", episode.camera[:, :3, :3], episode.points - episode.camera[:, None, :3, 3])
    pixels = local @ episode.intrinsics.T
    pixels = pixels[..., :2] / pixels[..., 2:]
    assert ((pixels > 0) & (pixels < 64)).all(axis=(1, 2)).mean() > 0.9


def test_its_recording_gives_the_tool_s_poses(episode: HandEpisode, tmp_path: Path) -> None:
    errors = []
    for name, tracker in (("exact", EXACT), ("tracked", Tracker(dropout_hz=2.0))):
        recording = read_recording("egodex", write_egodex(tmp_path / f"{name}.hdf5", episode, tracker))
        imported = Episode(recording, CONFIG)
        nearest = np.clip(np.round(imported.times_s * 30).astype(int), 0, len(episode.tool) - 1)
        poses = from_vector(imported.state[:, :9])
        errors.append(np.linalg.norm(poses[:, :3, 3] - episode.tool[nearest][:, :3, 3], axis=1).mean())
    assert errors[0] < 0.004
    assert errors[0] + 0.003 < errors[1] < 0.03
    assert hand_track(recording, "right").lost["confidence"] > 0


def test_left_and_right_hands_are_mirror_images() -> None:
    left, right = (keypoints(0.02, side) for side in ("left", "right"))
    np.testing.assert_array_equal(left, right * [-1, 1, 1])
    np.testing.assert_allclose(tool_from_hand("left")[:3, 3], tool_from_hand("right")[:3, 3] * [-1, 1, 1], atol=1e-12)


def test_variants_leave_out_numbers_or_show_other_hands(episode: HandEpisode, tmp_path: Path) -> None:
    write_egodex(tmp_path / "in" / "0.hdf5", episode, EXACT)
    import_recordings(tmp_path / "in", tmp_path / "human", CONFIG)
    for name, numbers in LEFT_OUT.items():
        [file] = (_without(tmp_path / "human", tmp_path / name, numbers) / "data").rglob("*.parquet")
        valid = vectors(pq.read_table(file)[VALID])
        assert (valid[:, numbers] == 0).all()
        assert (np.delete(valid, np.r_[numbers], axis=1) == 1).all()
    other = replace(episode, points=episode.points[:-5] + 0.1)
    other = replace(other, times_s=episode.times_s[:-5])
    mixed = _mixed(episode, other)
    assert len(mixed.images) == len(mixed.points) == len(episode.points) - 5
    np.testing.assert_array_equal(mixed.points, other.points)


def test_the_plan() -> None:
    looks = [[(look.name, task, target) for look, task, target in combinations(level)] for level in (25, 50, 100)]
    assert [len(every) for every in looks] == [8, 16, 32]
    assert set(looks[0]) < set(looks[1]) < set(looks[2])
    for seed, target in ((0, "bin"), (1, "plate"), (2, "plate")):
        assert belongs(AXES[-1].domain(seed, target)) == target
    assert Plan.of({"levels": [0, 100], "root": "x"}).top == 100
    with pytest.raises(EmmaError, match="no such option"):
        Plan.of({"colour": 1})


def test_counting() -> None:
    plan = Plan(levels=(0, 100), seeds=2, episodes=20)

    def rows(share: float) -> list[dict[str, list[bool]]]:
        return [{axis.name: [i < 20 * share for i in range(20)] for axis in AXES} for _ in range(plan.seeds)]

    source = {"ee": [True] * 19 + [False], "joint": [True] * 20}
    table = {0: {ROBOT.name: rows(0.1), HUMAN.name: rows(0.1)}, 100: {ROBOT.name: rows(0.2), HUMAN.name: rows(0.7)}}
    figures = human.summary(plan, source, table, {c.name: rows(0.2) for c in CONTROLS})
    assert figures["ee_vs_joint"] == pytest.approx(0.95)
    assert figures["rule_human"] == pytest.approx(0.7)
    assert figures["target_robot_only"] == pytest.approx(0.2)
    assert figures["gain_by_level"] == pytest.approx([0.0, 0.5])
    assert figures["gain_slope"] == pytest.approx(0.5)
    assert figures["gain_at_zero"] == figures["shuffled_gain"] == 0.0
    assert any(line.startswith("| 100 % | 20% | 70% | +50 |") for line in tables.human(figures))
    low, high = figures["rule_gain_interval"]
    assert 0.2 < low < 0.5 < high < 0.8


def test_kinematics_are_bounded() -> None:
    figures = kinematics(load_robot("desk_arm"), 5, 0)
    assert figures["ik_worst_error_mm"] < 0.1
