"""The robot's outline over pictures: a camera that stayed and one that was moved, in the simulator's own pictures."""

import numpy as np
import pytest

from emma.calibrate.files import load_intrinsics, mount_of
from emma.calibrate.outline import Outline
from emma.calibrate.pinhole import Intrinsics, rigid
from emma.errors import EmmaError
from emma.gl import mujoco
from emma.robots.spec import load_robot
from emma.sim.renderer import SceneRenderer
from emma.sim.scene import ARM_JOINTS, build_model

SIZE = 96
STATES = np.array(
    [
        [0.0, 0.0, 1.9, 0.0, 1.2, 0.0, 0.035],
        [0.9, 0.2, 1.5, 0.0, 1.0, 0.0, 0.035],
        [-0.9, 0.3, 1.2, 0.4, 0.8, 0.0, 0.035],
        [0.5, -0.3, 1.6, 0.0, 1.4, 0.5, 0.035],
        [-0.5, 0.5, 1.0, 0.0, 0.6, 0.0, 0.035],
        [1.4, 0.1, 1.4, -0.4, 1.2, 0.0, 0.035],
        [-1.4, 0.0, 1.7, 0.0, 0.9, 0.0, 0.035],
    ]
)


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """(H, W) grey pictures of the camera `front`, with the arm at STATES."""
    model = build_model()
    data = mujoco.MjData(model)
    renderer = SceneRenderer(model, SIZE, SIZE)
    drawn = []
    for state in STATES:
        for name, value in zip(ARM_JOINTS, state, strict=False):
            data.qpos[model.joint(name).qposadr[0]] = value
        mujoco.mj_forward(model, data)
        drawn.append(np.rint(renderer.color(data, model.camera("front").id).mean(2)).astype(np.uint8))
    renderer.close()
    return drawn


@pytest.fixture(scope="module")
def front() -> tuple[Intrinsics, np.ndarray]:
    spec = load_robot("desk_arm")
    lens, known = load_intrinsics(spec.folder, "front", (SIZE, SIZE)), mount_of(spec.folder, "front")
    assert lens is not None
    assert known is not None
    return lens, known[1]


def test_a_camera_that_stayed_fits(pictures: list[np.ndarray], front: tuple[Intrinsics, np.ndarray]) -> None:
    found = Outline(load_robot("desk_arm")).compare(pictures, STATES, *front)
    assert found.error_px < 1.0
    assert found.overlap[0] > 0.5
    assert found.picture.shape == (SIZE, SIZE, 3)


def test_a_camera_that_was_turned_is_seen(pictures: list[np.ndarray], front: tuple[Intrinsics, np.ndarray]) -> None:
    lens, pose = front
    turned = pose @ rigid(np.radians([0.0, 4.0, 0.0]), np.zeros(3))
    found = Outline(load_robot("desk_arm")).compare(pictures, STATES, lens, turned)
    expected = np.tan(np.radians(4)) * lens.matrix[0, 0]
    assert found.shift_px[0] == pytest.approx(expected, abs=1.5)
    assert abs(found.shift_px[1]) < 1.0
    assert found.error_mm > 5
    assert found.overlap[1] > found.overlap[0]


def test_pictures_without_the_arm_are_refused(pictures: list[np.ndarray], front: tuple[Intrinsics, np.ndarray]) -> None:
    outline = Outline(load_robot("desk_arm"))
    with pytest.raises(EmmaError, match="do not show the robot moving"):
        outline.compare([pictures[0]] * len(STATES), STATES, *front)
    with pytest.raises(EmmaError, match="too few pictures"):
        outline.compare(pictures[:2], STATES[:2], *front)
