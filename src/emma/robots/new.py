"""Writes `calibration/NAME/` for a robot from its URDF or MJCF and from what was heard of its drivers."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from emma.errors import EmmaError
from emma.files import atomic_dir
from emma.robots.describe import Source, describe
from emma.robots.description import Description
from emma.robots.draft import Draft, joints_of, questions, render, tools_of
from emma.robots.draft_cameras import DraftCamera, cameras_of
from emma.robots.draft_topics import commands_of, states_of
from emma.robots.heard import Heard, HeardInfo
from emma.robots.kinematics import Kinematics
from emma.robots.spec import RobotSpec, load_robot
from emma.robots.urdf import find_mesh, for_kinematics, meshes

# What MuJoCo reads; other meshes (dae, glb) are left out of the copy, kinematics need none.
MESHES = (".stl", ".obj")


@dataclass(frozen=True, kw_only=True)
class NewRobot:
    """What was written. taken: which value is from where; questions: what is open; notes: what was left out."""

    spec: RobotSpec
    taken: tuple[str, ...]
    questions: tuple[str, ...]
    notes: tuple[str, ...]


def require_free(folder: Path) -> None:
    """Raises EmmaError where the folder of a robot exists."""
    if folder.exists():
        raise EmmaError(
            f"{folder} exists",
            found="a robot of that name",
            expected="a free name",
            fix="choose another name, or move the folder away: what a person answered there is not overwritten",
        )


def new_robot(
    name: str,
    source: Source,
    folder: Path,
    *,
    heard: Heard | None = None,
    state_topic: str = "",
    with_meshes: bool = True,
) -> NewRobot:
    """Write `folder` with robot.yaml, the kinematic model and a file for each calibrated camera, whole or not at all.

    Raises EmmaError for a description that cannot be right, and where `folder` exists.
    """
    if not name.isidentifier():
        raise EmmaError("a robot's name is a word", found=repr(name), expected="letters, digits and _, as in my_arm")
    require_free(folder)
    described = describe(source)
    copies = _meshes(source, described) if source.text and with_meshes else {}
    draft, notes = _draft(name, source, described, heard, state_topic)
    text = render(draft)
    infos = {} if heard is None else {camera.name: heard.infos.get(camera.info_topic) for camera in draft.cameras}
    with atomic_dir(folder) as aside:
        (aside / "robot.yaml").write_text(_head(source) + text)
        _write_model(aside, draft.model, source, copies)
        for camera, info in infos.items():
            if info is not None and info.k and info.k[0] > 0:
                (aside / f"{camera}.yaml").write_text(camera_file(camera, info))
        spec = load_robot(aside)
        if spec.kinematics is not None:
            Kinematics.of(spec)
    return NewRobot(
        spec=load_robot(folder),
        taken=tuple(draft.sources),
        questions=tuple(questions(text)),
        notes=(*described.notes, *notes),
    )


def camera_file(name: str, info: HeardInfo) -> str:
    """A CameraInfo in the format of ROS camera_calibration."""

    def matrix(rows: int, data: tuple[float, ...]) -> dict[str, object]:
        return {"rows": rows, "cols": len(data) // rows, "data": [float(value) for value in data]}

    values = {
        "image_width": info.width,
        "image_height": info.height,
        "camera_name": name,
        "camera_matrix": matrix(3, info.k),
        "distortion_model": info.model,
        "distortion_coefficients": matrix(1, info.d),
        "rectification_matrix": matrix(3, info.r),
        "projection_matrix": matrix(3, info.p),
    }
    text: str = yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=200)
    return f"# From the driver's CameraInfo, as it was heard.\n{text}"


def _draft(
    name: str, source: Source, described: Description, heard: Heard | None, state_topic: str
) -> tuple[Draft, list[str]]:
    joints, gripper, notes = joints_of(described)
    names = [joint.name for joint in joints]
    states, commands = states_of(names, heard, state_topic), commands_of(names, heard)
    cameras, left_out = ([], []) if heard is None else cameras_of(heard)
    draft = Draft(
        name=name,
        description=described.name or name,
        joints=joints,
        gripper=gripper,
        tools=tools_of(described, gripper),
        model="robot.urdf" if source.text else "robot.xml",
        states=states,
        commands=commands,
        cameras=cameras,
    )
    draft.sources = [f"{len(joints)} joints with limits and units: {source.where}"]
    for state in states:
        if state.message_names:
            draft.sources.append(f"names in messages ({', '.join(state.message_names.values())}): {state.topic}")
    told = [*(state.source for state in states), *(command.source for command in commands)]
    draft.sources += [source for source in told if source]
    draft.sources += [_camera_source(camera) for camera in cameras]
    if heard is not None and heard.actions:
        notes.append(f"actions that were heard: {', '.join(f'{a} ({t})' for a, t in sorted(heard.actions.items()))}")
    return draft, [*notes, *left_out]


def _camera_source(camera: DraftCamera) -> str:
    info = f"CameraInfo on {camera.info_topic}" if camera.info_topic else "no CameraInfo"
    size = f"{camera.width} x {camera.height} {camera.encoding}"
    return f"camera {camera.name}: {camera.image_topic}, {size}, {camera.rate_hz:g} Hz, {info}"


def _meshes(source: Source, described: Description) -> Mapping[str, Path]:
    """Mesh name -> file, of those that MuJoCo reads. Raises EmmaError for meshes that are not there."""
    folder = source.path.parent.resolve() if source.path else None
    shares = tuple(Path(each) / "share" for each in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if each)
    found = {name: find_mesh(name, folder, shares) for name in meshes(source.text)}
    if missing := [name for name, path in found.items() if path is None]:
        raise EmmaError(
            f"{source.where}: {len(missing)} of {len(found)} meshes cannot be found",
            found=", ".join(missing[:3]) + (", ..." if len(missing) > 3 else ""),
            expected="files beside the URDF, or in packages of a sourced workspace (AMENT_PREFIX_PATH)",
            fix="source the workspace with the description's package, or leave the shapes out with --no-meshes: "
            "kinematics do not need them",
        )
    return {name: path for name, path in found.items() if path is not None and path.suffix.lower() in MESHES}


def _write_model(aside: Path, model: str, source: Source, copies: Mapping[str, Path]) -> None:
    if not source.text:
        _write_mjcf(aside / model, source)
        return
    names: dict[str, str] = {}
    for name, path in copies.items():
        # Meshes of one name from two folders are two meshes.
        taken = f"{path.stem}{path.suffix.lower()}"
        taken = taken if taken not in names.values() else f"{path.parent.name}_{taken}"
        (aside / "meshes").mkdir(exist_ok=True)
        shutil.copyfile(path, aside / "meshes" / taken)
        names[name] = taken
    (aside / model).write_text(for_kinematics(source.text, names))


def _write_mjcf(target: Path, source: Source) -> None:
    """The MJCF with what it includes in one file, without shapes: those lie where the original has them."""
    import mujoco

    spec = mujoco.MjSpec.from_file(str(source.path))
    for elements in (spec.geoms, spec.skins, spec.meshes, spec.hfields, spec.materials, spec.textures, spec.pairs):
        for element in list(elements):
            spec.delete(element)
    for elements in (spec.keys, spec.sensors, spec.excludes, spec.cameras, spec.lights):
        for element in list(elements):
            spec.delete(element)
    spec.compiler.boundmass, spec.compiler.boundinertia = 1e-6, 1e-9
    spec.compile()
    target.write_text(spec.to_xml())


def _head(source: Source) -> str:
    return (
        f"# Made by `emma robots new` from {source.where}.\n"
        "# Answer every line that begins with QUESTION, then delete the line. `emma robots check` compares the result\n"
        "# with the running drivers.\n"
    )
