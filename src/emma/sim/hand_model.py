"""The desk with a human hand in place of the arm: capsules in skin tones, moved as a whole, gripping by a pinch.

The palm is a free body that a weld draws to a mocap body; thumb and index finger slide as the gripper's fingers do, so
the tasks' plans, the physics of the grip and its judgement are the same for hand and arm. A moving head carries the
camera that the desk calls `front`.
"""

from importlib.resources import files
from typing import Final

import numpy as np

from emma.gl import mujoco
from emma.human.hand_frame import POINTS, THUMB_TIP, hand_frame

SKINS: Final = ((0.92, 0.74, 0.62), (0.80, 0.58, 0.45), (0.62, 0.42, 0.31), (0.42, 0.28, 0.21), (0.30, 0.20, 0.15))
HEAD_CAMERA: Final = "front"
PALM, GOAL, HEAD = "palm", "goal", "head"
# Where thumb and index finger slide from, m along the tool's z: as the arm's fingers.
FINGER_Z: Final = -0.063
# The other fingers are curled towards the palm; m in the tool's frame of a right hand: (x, y, z) of knuckle, joint,
# end, tip. x runs from the little finger to the index finger, y out of the back of the hand, z along the fingers.
_CURLED: Final = {
    "middle": ((-0.008, 0.004, -0.062), (-0.010, 0.0, -0.030), (-0.010, -0.020, -0.022), (-0.010, -0.034, -0.034)),
    "ring": ((-0.026, 0.002, -0.066), (-0.028, -0.002, -0.036), (-0.028, -0.022, -0.028), (-0.028, -0.034, -0.042)),
    "little": ((-0.043, -0.002, -0.072), (-0.045, -0.006, -0.046), (-0.045, -0.022, -0.038), (-0.045, -0.032, -0.050)),
}
_WRIST: Final = (-0.010, 0.0, -0.150)
_INDEX_KNUCKLE: Final = (0.012, 0.006, -0.064)
_THUMB_BASE: Final = (0.020, -0.020, -0.125)


def build_hand(side: str, skin: tuple[float, float, float]) -> "mujoco.MjModel":
    """A model with the joints `cube`, `finger_left`, `finger_right` and the free joint `palm`, actuator `gripper`."""
    spec = mujoco.MjSpec.from_string(files("emma.sim").joinpath("assets/desk_arm.xml").read_text())
    for elements in (spec.actuators, spec.tendons, spec.equalities, spec.excludes):
        for element in list(elements):
            spec.delete(element)
    spec.delete(spec.body("base"))
    camera = spec.camera(HEAD_CAMERA)
    place, turn, fovy = camera.pos.copy(), _facing(camera), camera.fovy
    spec.delete(camera)
    head = spec.worldbody.add_body(name=HEAD, mocap=True, pos=place, quat=turn)
    head.add_camera(name=HEAD_CAMERA, fovy=fovy)
    spec.worldbody.add_body(name=GOAL, mocap=True, pos=[0, 0, 0.3])
    palm = spec.worldbody.add_body(name=PALM, pos=[0, 0, 0.3], gravcomp=1.0)
    palm.add_freejoint(name=PALM)
    rgba = [*skin, 1.0]
    for start, end, radius in _shape(side):
        palm.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            fromto=[*start, *end],
            size=[radius, 0, 0],
            rgba=rgba,
            contype=0,
            conaffinity=0,
            density=600,
        )
    for name, sign in (("finger_left", 1.0), ("finger_right", -1.0)):
        finger = palm.add_body(name=name, pos=[0, 0, FINGER_Z], gravcomp=1.0)
        finger.add_joint(
            name=name,
            type=mujoco.mjtJoint.mjJNT_SLIDE,
            axis=[0, sign, 0],
            range=[0, 0.035],
            limited=True,
            damping=5,
            armature=0.05,
        )
        finger.add_geom(
            name=name,
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            fromto=[0, sign * 0.009, 0.0, 0, sign * 0.009, 0.063],
            size=[0.009, 0, 0],
            rgba=rgba,
            density=600,
            friction=[1.5, 0.05, 0.001],
            condim=4,
            solref=[0.01, 1],
        )
    tendon = spec.add_tendon(name="gripper")
    tendon.wrap_joint("finger_left", 0.5)
    tendon.wrap_joint("finger_right", 0.5)
    gripper = spec.add_actuator(
        name="gripper", target="gripper", trntype=mujoco.mjtTrn.mjTRN_TENDON, ctrlrange=[0, 0.035], forcerange=[-12, 12]
    )
    gripper.ctrllimited = gripper.forcelimited = True
    gripper.set_to_position(kp=400, kv=20)
    pair = spec.add_equality(type=mujoco.mjtEq.mjEQ_JOINT, name1="finger_left", name2="finger_right", solref=[0.01, 1])
    pair.objtype = mujoco.mjtObj.mjOBJ_JOINT
    weld = spec.add_equality(type=mujoco.mjtEq.mjEQ_WELD, name1=GOAL, name2=PALM, solref=[0.008, 1])
    weld.objtype = mujoco.mjtObj.mjOBJ_BODY
    spec.add_exclude(bodyname1="finger_left", bodyname2="finger_right")
    return spec.compile()


def keypoints(opening: float, side: str) -> np.ndarray:
    """(21, 3) m in the tool's frame, in the order of `hand_frame.POINTS`; opening: of each finger, m."""
    points = np.zeros((len(POINTS), 3))
    points[0] = _WRIST
    points[1:THUMB_TIP] = _between(_THUMB_BASE, (0.006, -opening - 0.014, -0.020), 3)
    points[THUMB_TIP] = (0.0, -opening - 0.009, 0.0)
    points[5] = _INDEX_KNUCKLE
    points[6:8] = _between(_INDEX_KNUCKLE, (0.0, opening + 0.009, 0.0), 4)[1:3]
    points[8] = (0.0, opening + 0.009, 0.0)
    for number, place in enumerate(_CURLED.values()):
        points[9 + 4 * number : 13 + 4 * number] = place
    return points * ([-1.0, 1.0, 1.0] if side == "left" else [1.0, 1.0, 1.0])


def tool_from_hand(side: str) -> np.ndarray:
    """(4, 4) the hand frame of these keypoints in the tool's frame: what `--tool-from-hand` of an import takes."""
    return np.asarray(hand_frame(keypoints(0.0, side)[None], side)[0])


def _between(start: tuple[float, ...], end: tuple[float, ...], count: int) -> np.ndarray:
    return np.linspace(start, end, count)


def _shape(side: str) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """(start, end, radius) of the palm's capsules in the tool's frame: forearm, metacarpals, curled fingers."""
    points = keypoints(0.012, side)
    mirror = np.array([-1.0 if side == "left" else 1.0, 1.0, 1.0])
    elbow = np.array([-0.06, 0.03, -0.46]) * mirror
    parts = [(points[0], elbow, 0.030)]
    parts += [(points[0], points[knuckle], 0.014) for knuckle in (5, 9, 13, 17)]
    for first in (9, 13, 17):
        parts += [(points[i], points[i + 1], 0.009) for i in range(first, first + 3)]
    parts += [(points[0], points[1], 0.016), (points[5], points[17], 0.012)]
    parts += [(points[1], points[2], 0.011)]
    return parts


def _facing(camera: "mujoco.MjsCamera") -> np.ndarray:
    """(4,) quaternion of a camera that the file gives by its x and y axes."""
    x, y = (np.asarray(camera.alt.xyaxes[i : i + 3], np.float64) for i in (0, 3))
    x /= np.linalg.norm(x)
    y = y - (x @ y) * x
    y /= np.linalg.norm(y)
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, np.stack([x, y, np.cross(x, y)], axis=1).ravel())
    return quaternion
