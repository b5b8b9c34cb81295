"""A policy bundle: a LeRobot pretrained folder plus `emma.json`, which says what robot and data it is for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from emma.errors import EmmaError
from emma.files import atomic_write_text
from emma.policy.end_effector.poses import GROUP
from emma.policy.lerobot_folder import lerobot_manifest, picture_sizes, read_config
from emma.records import decode, encode
from emma.robots.agreement import Agreement, Description, compare, of_robot
from emma.robots.spec import RobotSpec

MANIFEST = "emma.json"
JOINT_SPACE, POSE_SPACE = "joint", "ee"


@dataclass(frozen=True, kw_only=True)
class BundleInfo:
    """The content of `emma.json`.

    action_names: the robot's joints in the order of the action that a runtime gives; chunk: actions per inference;
    action_space: joint, or ee for a policy inside that speaks of tool poses, 10 numbers for each of `groups`.
    replan_s: age of a chunk at which the next is asked for: short for a policy that reacts, long for one whose chunks
    disagree about when to move.
    """

    robot: str
    policy_type: str
    cameras: tuple[str, ...]
    fps: int
    chunk: int
    action_names: tuple[str, ...]
    depth: bool = False
    action_space: str = JOINT_SPACE
    groups: tuple[str, ...] = ()
    replan_s: float = 0.4
    training: Mapping[str, Any] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)
    VERSION: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.fps <= 0 or self.chunk <= 0:
            raise ValueError(f"fps and chunk must be above 0, not {self.fps} and {self.chunk}")
        if not self.replan_s > 0:
            raise ValueError(f"replan_s must be above 0 s, not {self.replan_s}")
        if self.action_space not in (JOINT_SPACE, POSE_SPACE) or (self.action_space == POSE_SPACE) != bool(self.groups):
            raise ValueError(f"action_space joint without groups or ee with groups, not {self.action_space}")

    @property
    def state_size(self) -> int:
        """Numbers of the state that the policy inside takes."""
        return GROUP * len(self.groups) if self.action_space == POSE_SPACE else len(self.action_names)


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle on disk whose manifest was read; the weights are loaded by a runtime.

    assumed: what the folder does not state, for LeRobot's own checkpoints.
    """

    path: Path
    info: BundleInfo
    assumed: tuple[str, ...] = ()

    def check(self, spec: RobotSpec, *, renamed: Mapping[str, str] | None = None, units: str = "declared") -> Agreement:
        """How this policy drives `spec`: joints that are named are put in order, cameras renamed as `renamed` wants it.

        renamed: the robot's name -> the policy's; units: what the policy's numbers are, as
        `emma.robots.agreement.UNITS`. Raises EmmaError, with every difference, for another robot, joints, cameras or
        picture sizes.
        """
        sizes = picture_sizes(self.path)
        mine = Description(
            what=f"policy {self.path.name}",
            robot=self.info.robot,
            joints=self.info.action_names,
            size=len(self.info.action_names),
            cameras={camera: sizes.get(camera) for camera in self.info.cameras},
            fps=self.info.fps,
        )
        agreement = compare(of_robot(spec), mine, renamed=renamed, units=units)
        return agreement.require(f"policy {self.path.name} does not fit robot {spec.name}")


def load_bundle(path: str | Path, robot: RobotSpec | None = None) -> Bundle:
    """Read `path/emma.json`; a LeRobot folder without one is taken as a policy for `robot`.

    Raises EmmaError if `path` is neither.
    """
    folder = Path(path)
    file = folder / MANIFEST
    theirs = not file.is_file() and "type" in read_config(folder)
    if not folder.is_dir() or not (file.is_file() or theirs):
        raise EmmaError(
            f"{path} is not a policy bundle",
            found="no such folder" if not folder.exists() else f"no {MANIFEST} in it",
            expected=f"a folder with config.json, model.safetensors and {MANIFEST}",
            fix="give the --out folder of `emma train`, one of models/, or a LeRobot checkpoint",
        )
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise EmmaError(
                f"policy bundle {path} is not whole", found=f"{name} is missing", expected="a LeRobot policy folder"
            )
    if theirs:
        raw, assumed = lerobot_manifest(folder, robot)
        return Bundle(path=folder, info=BundleInfo(**raw), assumed=assumed)
    return Bundle(path=folder, info=decode(BundleInfo, file.read_bytes(), str(file)))


def write_manifest(folder: str | Path, info: BundleInfo) -> None:
    """Write `emma.json` into a LeRobot policy folder."""
    atomic_write_text(Path(folder) / MANIFEST, encode(info, indent=2) + "\n")
