"""The MuJoCo model of a robot's kinematics, from the URDF or MJCF that `robot.yaml` names."""

import xml.etree.ElementTree as ET
from importlib.util import find_spec
from pathlib import Path

from emma.errors import EmmaError
from emma.gl import mujoco
from emma.robots.spec import RobotSpec

# `package:NAME/path/in/it`: a file of an installed Python package.
PACKAGE = "package:"
# Kinematics need no inertia, yet MuJoCo refuses moving bodies without: the smallest it takes (kg, kg m^2).
_SMALLEST_MASS, _SMALLEST_INERTIA = 1e-6, 1e-9


def model_file(spec: RobotSpec) -> Path:
    """The URDF or MJCF of a robot. Raises EmmaError where `robot.yaml` names none, or one that is not there."""
    robot = spec.folder / "robot.yaml"
    if spec.kinematics is None:
        raise EmmaError(
            f"the kinematics of robot {spec.name} are not known",
            found=f"no key kinematics in {robot}",
            expected="kinematics: {model: arm.urdf, tools: [{name: tool, frame: tool0, joints: [...]}]}",
            fix=f"add it, or run `emma robots new {spec.name} --urdf FILE`",
        )
    name = spec.kinematics.model
    path = _in_package(name, robot) if name.startswith(PACKAGE) else spec.folder / name
    if not path.is_file():
        raise EmmaError(
            f"{robot}: kinematics.model is not there",
            found=str(path),
            expected="a URDF or MJCF file",
            fix="copy it there",
        )
    return path


def load_bare(file: Path) -> "mujoco.MjModel":
    """Bodies, joints and sites of a URDF or MJCF file, without shapes: meshes need not be there.

    Every link keeps its frame, links behind fixed joints too. Raises EmmaError for a file that MuJoCo cannot read.
    """
    try:
        spec = _urdf(file) if _is_urdf(file) else mujoco.MjSpec.from_file(str(file))
        _strip(spec)
        return spec.compile()
    except (ET.ParseError, ValueError) as error:
        raise EmmaError(
            f"{file} is not a robot model that can be read",
            found=str(error).strip().splitlines()[0][:200],
            expected="a URDF with one root and expanded xacro, or an MJCF file",
            fix="expand a xacro with `xacro FILE > arm.urdf`; `check_urdf arm.urdf` lists its links",
        ) from None


def _is_urdf(file: Path) -> bool:
    return ET.parse(file).getroot().tag == "robot"


def _urdf(file: Path) -> "mujoco.MjSpec":
    tree = ET.parse(file).getroot()
    children = {child.get("link") for child in tree.iterfind("joint/child")}
    roots = [link.get("name", "") for link in tree.iterfind("link") if link.get("name") not in children]
    if len(roots) != 1:
        raise ValueError(f"links that are no joint's child: {', '.join(roots) or 'none'}")
    for link in tree.iter("link"):
        for shape in [*link.findall("visual"), *link.findall("collision")]:
            link.remove(shape)
    spec = mujoco.MjSpec.from_string(ET.tostring(tree, encoding="unicode"))
    spec.compiler.fusestatic = False
    return spec


def _strip(spec: "mujoco.MjSpec") -> None:
    spec.compiler.boundmass, spec.compiler.boundinertia = _SMALLEST_MASS, _SMALLEST_INERTIA
    unused = (spec.keys, spec.actuators, spec.sensors, spec.tendons, spec.equalities, spec.pairs, spec.excludes)
    shapes = (spec.geoms, spec.skins, spec.flexes, spec.meshes, spec.hfields, spec.materials, spec.textures)
    for elements in (*unused, *shapes):
        for element in list(elements):
            spec.delete(element)


def _in_package(name: str, robot: Path) -> Path:
    package, _, inside = name.removeprefix(PACKAGE).partition("/")
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise EmmaError(
            f"{robot}: kinematics.model lies in a Python package that is not installed",
            found=package,
            expected="an installed package",
            fix=f"install {package} into this environment",
        )
    return Path(next(iter(found.submodule_search_locations))) / inside
