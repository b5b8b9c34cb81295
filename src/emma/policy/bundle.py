"""A policy bundle: a LeRobot pretrained folder plus `emma.json`, which says what robot and data it is for."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from emma.errors import EmmaError
from emma.files import atomic_write_text
from emma.policy.end_effector.poses import GROUP
from emma.robots.spec import RobotSpec

MANIFEST = "emma.json"
FORMAT = 1
JOINT_SPACE, POSE_SPACE = "joint", "ee"


@dataclass(frozen=True, kw_only=True)
class BundleInfo:
    """The content of `emma.json`.

    action_names: the robot's joints in the order of the action that a runtime gives; chunk: actions per inference;
    action_space: joint, or ee for a policy inside that speaks of tool poses, 10 numbers for each of `groups`.
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
    training: Mapping[str, Any] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.fps <= 0 or self.chunk <= 0:
            raise ValueError(f"fps and chunk must be above 0, not {self.fps} and {self.chunk}")
        if self.action_space not in (JOINT_SPACE, POSE_SPACE) or (self.action_space == POSE_SPACE) != bool(self.groups):
            raise ValueError(f"action_space joint without groups or ee with groups, not {self.action_space}")

    @property
    def state_size(self) -> int:
        """Numbers of the state that the policy inside takes."""
        return GROUP * len(self.groups) if self.action_space == POSE_SPACE else len(self.action_names)


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle on disk whose manifest was read; the weights are loaded by a runtime."""

    path: Path
    info: BundleInfo

    def check(self, spec: RobotSpec) -> None:
        """Raise EmmaError if this policy cannot drive `spec`: another robot, other joints, a camera missing."""
        for what, mine, robots in (
            ("robot", self.info.robot, spec.name),
            ("joints", list(self.info.action_names), list(spec.joint_names)),
        ):
            if mine != robots:
                raise EmmaError(
                    f"policy {self.path.name} does not fit robot {spec.name}",
                    found=f"trained for {what} {mine}",
                    expected=f"{what} {robots}",
                    fix=f"choose a bundle for {spec.name}, or train one from its episodes with `emma train`",
                )
        absent = [name for name in self.info.cameras if name not in spec.camera_names]
        if absent:
            raise EmmaError(
                f"policy {self.path.name} needs a camera that robot {spec.name} does not have",
                found=f"cameras {', '.join(spec.camera_names) or 'none'}",
                expected=f"{', '.join(self.info.cameras)} (missing: {', '.join(absent)})",
                fix=f"add the camera to {spec.folder / 'robot.yaml'} or choose another bundle",
            )


def load_bundle(path: str | Path) -> Bundle:
    """Read `path/emma.json`. Raises EmmaError if `path` is not a bundle."""
    folder = Path(path)
    file = folder / MANIFEST
    if not folder.is_dir() or not file.is_file():
        raise EmmaError(
            f"{path} is not a policy bundle",
            found="no such folder" if not folder.exists() else f"no {MANIFEST} in it",
            expected=f"a folder with config.json, model.safetensors and {MANIFEST}",
            fix="give the --out folder of `emma train`, or one of models/",
        )
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise EmmaError(
                f"policy bundle {path} is not whole", found=f"{name} is missing", expected="a LeRobot policy folder"
            )
    try:
        raw = json.loads(file.read_text())
        if raw.get("format") != FORMAT:
            raise EmmaError(f"{file} has another format", found=raw.get("format"), expected=FORMAT)
        for key in ("cameras", "action_names", "groups"):
            raw[key] = tuple(raw.get(key, ()) if key == "groups" else raw[key])
        info = BundleInfo(**raw)
    except (json.JSONDecodeError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise EmmaError(
            f"{file} cannot be read", found=f"{type(error).__name__}: {error}", expected="what `emma train` writes"
        ) from None
    return Bundle(path=folder, info=info)


def write_manifest(folder: str | Path, info: BundleInfo) -> None:
    """Write `emma.json` into a LeRobot policy folder."""
    atomic_write_text(Path(folder) / MANIFEST, json.dumps(asdict(info), indent=2) + "\n")
