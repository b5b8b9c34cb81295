"""The next pose for a hand-eye calibration: the board stays in view, and the hand turns another way."""

import numpy as np
import pytest

from emma.bench.calibrate_rig import SimArm, make_rig, waypoints
from emma.calibrate.hand_eye import Mount
from emma.calibrate.motion import hand_poses
from emma.calibrate.propose import ENOUGH_TO_PROPOSE, in_words, next_pose


@pytest.mark.parametrize("mount", ["hand", "base"])
def test_a_proposal_shows_the_board_and_turns_the_hand(arm: SimArm, reach: np.ndarray, mount: Mount) -> None:
    rng = np.random.default_rng(5)
    rig = make_rig(arm, mount, rng)
    views = rig.record(waypoints(rig, 6, rng, reach), rng, draw=False)
    assert next_pose(arm, views[: ENOUGH_TO_PROPOSE - 1], rig.lens, mount, rig.board) is None
    wanted = next_pose(arm, views, rig.lens, mount, rig.board)
    assert wanted is not None
    assert (wanted == np.clip(wanted, arm.limits[:, 0], arm.limits[:, 1])).all()
    pose = rig.boards(wanted[None])[0]
    pixels, _, _ = rig.lens.project(rig.board.points @ pose[:3, :3].T + pose[:3, 3])
    assert (pixels == np.clip(pixels, 0, [rig.lens.width, rig.lens.height])).all()
    hand = arm.poses(wanted[None])[0, :3, :3]
    cosines = [(np.trace(hand.T @ other) - 1) / 2 for other in hand_poses(arm, views)[:, :3, :3]]
    assert np.degrees(np.arccos(np.clip(cosines, -1, 1))).min() > 12


def test_a_way_in_words() -> None:
    assert (
        in_words(("a", "b", "c"), np.zeros(3), np.radians([10.0, -25.0, 1.0])) == "try b -25, a +10 degrees from here"
    )
    assert in_words(("a",), np.zeros(1), np.zeros(1)) == ""
