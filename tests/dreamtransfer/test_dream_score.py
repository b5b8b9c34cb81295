"""`emma dream score` on a small dataset with one episode that is plainly worse than the others."""

import json

import cv2
import numpy as np
import pytest

from emma.cli import main
from emma.datasets.writer import DatasetWriter
from emma.dreamtransfer.score_sheets import row
from emma.observation import Observation
from emma.robots.spec import load_robot
from emma.sim.arm import DeskArm
from emma.sim.simulator import observation

FRAMES, EPISODES, BAD = 4, 6, 3


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    spec = load_robot("desk_arm")
    root = tmp_path_factory.mktemp("data") / "generated"
    rng = np.random.default_rng(0)
    with DeskArm(spec, cameras=("top", "wrist")) as sim, DatasetWriter(root, spec, cameras=sim.cameras) as writer:
        for episode in range(EPISODES):
            sim.reset(episode)
            frames = []
            for _ in range(FRAMES):
                seen = observation(sim)
                if episode == BAD:
                    noise = {c: rng.integers(0, 256, v.shape, dtype=np.uint8) for c, v in seen.images.items()}
                    seen = Observation(
                        stamp_ns=seen.stamp_ns, state=seen.state, images=noise, depth=seen.depth, ages_s=seen.ages_s
                    )
                frames.append((seen, sim.home.astype(np.float32)))
                for _ in range(5):
                    sim.step(sim.home)
            writer.add_episode(frames, "put it there", {"source": "generated", "prompt": "a desk"})
    return root


def test_the_worst_episode_is_named_and_shown(dataset, tmp_path, capsys):
    out = tmp_path / "scores"
    assert main(["dream", "score", str(dataset), "--reject", "0.2", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "multiview_error" in said
    assert f"episode {BAD}: " in said
    found = json.loads((out / "scores.json").read_text())
    assert found["figures"]["episodes"] == EPISODES
    assert found["figures"]["accepted"] == EPISODES - 1
    assert [e["episode"] for e in found["episodes"] if not e["accepted"]] == [BAD]
    assert found["episodes"][0]["scores"]["depth_sq_rel"] is None
    assert found["episodes"][BAD]["scores"]["multiview_error"] > 0.7
    assert found["episodes"][0]["scores"]["multiview_error"] < 0.5
    for name in ("scores.png", "worst.png"):
        assert cv2.imread(str(out / name)).size > 0


def test_the_first_few_can_be_scored_beside_the_dataset(dataset):
    assert main(["dream", "score", str(dataset), "--episodes", "2", "--cameras", "top"]) == 0
    found = json.loads((dataset.parent / "generated-scores" / "scores.json").read_text())
    assert len(found["episodes"]) == 2
    assert found["episodes"][0]["scores"]["multiview_error"] is None


def test_what_is_no_dataset_is_refused(tmp_path, capsys):
    assert main(["dream", "score", str(tmp_path)]) == 2
    assert "is not a LeRobotDataset" in capsys.readouterr().err


def test_a_row_shows_all_views_at_every_moment():
    images = {c: np.full((5, 48, 48, 3), v, np.uint8) for c, v in (("a", 10), ("b", 200))}
    strip = row(images, "naïve", 3)
    assert strip.shape == (18 + 96, 3 * (2 * 96 + 3), 3)
    assert {10, 200} <= set(np.unique(strip[40]))
