"""Reads a URDF: joints with limits, mimics and the tree of links; and writes the copy that the kinematics use.

Format: https://wiki.ros.org/urdf/XML. What cannot be right is refused: a tree with two roots, joints without limits,
xacro that was not expanded, meshes that are not there.
"""

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

from emma.errors import EmmaError
from emma.robots.description import DescribedJoint, Description, MimicOf

UNIT_OF = {"revolute": "rad", "continuous": "rad", "prismatic": "m"}
# Joints of a floating or planar base are no targets of a joint controller.
OTHER = ("fixed", "floating", "planar")
# What a text that xacro has not expanded holds: its elements, ${expressions} and $(substitutions).
_XACRO = re.compile(r"</?xacro:\w+|\$\{[^}]*\}|\$\([^)]*\)")


def read_urdf(text: str, where: str) -> Description:
    """The robot that the URDF `text` describes. `where` names it in errors. Raises EmmaError."""
    robot = _parse(text, where)
    links = [_name(link, "link", where) for link in robot.findall("link")]
    _unique(links, "link", where)
    parents: dict[str, str] = {}
    joints: dict[str, DescribedJoint | None] = {}
    notes: list[str] = []
    for element in robot.findall("joint"):
        name = _name(element, "joint", where)
        parent, child = (_link(element, end, name, links, where) for end in ("parent", "child"))
        if name in joints:
            raise EmmaError(f"{where}: two joints have one name", found=name, expected="names that differ")
        if child in parents:
            raise EmmaError(
                f"{where}: link {child} hangs on two links", found=f"{parents[child]} and {parent}", expected="a tree"
            )
        parents[child] = parent
        kind = element.get("type", "")
        if kind in UNIT_OF:
            joints[name] = _joint(element, name, kind, parent, child, where)
        elif kind in OTHER:
            joints[name] = None
            if kind != "fixed":
                notes.append(f"joint {name} is {kind}: a base that drives or floats is left out")
        else:
            raise EmmaError(
                f"{where}: joint {name} has an unknown type", found=repr(kind), expected=", ".join((*UNIT_OF, *OTHER))
            )
    root = _root(links, parents, where)
    movable = _by_depth([joint for joint in joints.values() if joint is not None], parents, root)
    if not movable:
        raise EmmaError(f"{where} has no joint that moves", found=f"{len(links)} links", expected="an arm")
    _check_limits(movable, where)
    _check_mimics(movable, where)
    return Description(
        kind="URDF",
        name=robot.get("name", ""),
        root=root,
        joints=tuple(movable),
        parents=parents,
        frames={},
        notes=tuple(notes),
    )


def meshes(text: str) -> tuple[str, ...]:
    """The file names of all meshes of the URDF `text`, each once, in order."""
    return tuple(dict.fromkeys(mesh.get("filename", "") for mesh in ET.fromstring(text).iter("mesh")))


def for_kinematics(text: str, files: Mapping[str, str]) -> str:
    """The URDF `text` for MuJoCo: no pictures, collision meshes by the names in `files`, others left out.

    files: a mesh's `filename` -> the name of its copy in the folder `meshes` beside the URDF.
    """
    robot = ET.fromstring(text)
    for link in robot.iter("link"):
        for part in [*link.findall("visual"), *link.findall("collision")]:
            mesh = part.find("geometry/mesh")
            if part.tag == "visual" or (mesh is not None and mesh.get("filename") not in files):
                link.remove(part)
            elif mesh is not None:
                mesh.set("filename", files[mesh.get("filename", "")])
    for tag in ("mujoco", "transmission", "gazebo", "ros2_control"):
        for element in robot.findall(tag):
            robot.remove(element)
    # Fixed links stay frames of their own, and links without inertia are given a little: kinematics needs none.
    compiler = {"fusestatic": "false", "balanceinertia": "true", "boundmass": "1e-6", "boundinertia": "1e-9"}
    extension = ET.Element("mujoco")
    ET.SubElement(extension, "compiler", {**compiler, "meshdir": "meshes", "strippath": "true"})
    robot.insert(0, extension)
    ET.indent(robot)
    return '<?xml version="1.0"?>\n' + ET.tostring(robot, encoding="unicode") + "\n"


def find_mesh(filename: str, folder: Path | None, shares: tuple[Path, ...]) -> Path | None:
    """The file of a mesh: `package://name/path` below the packages' share folders, else a path from `folder`."""
    text = filename.removeprefix("file://")
    candidates: list[Path] = []
    if text.startswith("package://") or text.startswith("model://"):
        package, _, rest = text.partition("://")[2].partition("/")
        candidates += [share / package / rest for share in shares]
        for above in (folder, *folder.parents) if folder else ():
            # A checkout: the description's package is a folder above the URDF.
            candidates += [above / rest] if above.name == package else [above / package / rest]
    elif Path(text).is_absolute():
        candidates.append(Path(text))
    elif folder is not None:
        candidates.append(folder / text)
    return next((path for path in candidates if path.is_file()), None)


def _parse(text: str, where: str) -> ET.Element:
    if found := _XACRO.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise EmmaError(
            f"{where} is a xacro file that was not expanded",
            found=f"{found.group()[:60]} in line {line}",
            expected="a plain URDF",
            fix="expand it: ros2 run xacro xacro FILE.urdf.xacro > robot.urdf, with the arguments of your robot",
        )
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise EmmaError(f"{where} defines entities", found="<!DOCTYPE or <!ENTITY", expected="a plain URDF")
    try:
        robot = ET.fromstring(text)
    except ET.ParseError as error:
        raise EmmaError(
            f"{where} is not valid XML", found=str(error), expected="a URDF", fix="write the file out again"
        ) from None
    if robot.tag != "robot":
        raise EmmaError(
            f"{where} is no URDF",
            found=f"<{robot.tag}>",
            expected="<robot name=...>",
            fix="give an MJCF file with --mjcf" if robot.tag == "mujoco" else "give the robot's URDF",
        )
    return robot


def _name(element: ET.Element, what: str, where: str) -> str:
    name = element.get("name", "")
    if not name or name != name.strip():
        raise EmmaError(f"{where}: a {what} has no name", found=repr(name), expected=f'<{what} name="...">')
    return name


def _unique(names: list[str], what: str, where: str) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise EmmaError(f"{where}: two {what}s have one name", found=", ".join(twice), expected="names that differ")


def _link(element: ET.Element, end: str, joint: str, links: list[str], where: str) -> str:
    found = element.find(end)
    name = "" if found is None else found.get("link", "")
    if name not in links:
        raise EmmaError(
            f"{where}: joint {joint} names a {end} that is not there",
            found=name or f"no <{end}>",
            expected="a link of the file",
        )
    return name


def _root(links: list[str], parents: Mapping[str, str], where: str) -> str:
    roots = [link for link in links if link not in parents]
    if len(roots) != 1:
        raise EmmaError(
            f"{where} is not one tree of links",
            found=f"{len(roots)} roots: {', '.join(roots)}" if roots else "a ring without a root",
            expected="one link that hangs on no other",
            fix="join the parts with fixed joints (two arms: one world link), or give one robot's file",
        )
    for link in links:
        seen = set()
        while link in parents:
            if link in seen:
                raise EmmaError(f"{where}: links hang on each other in a ring", found=link, expected="a tree")
            seen.add(link)
            link = parents[link]
    return roots[0]


def _number(element: ET.Element | None, key: str, joint: str, where: str) -> float | None:
    text = None if element is None else element.get(key)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise EmmaError(f"{where}: joint {joint} has a bad {key}", found=repr(text), expected="a number")
    return value


def _joint(element: ET.Element, name: str, kind: str, parent: str, child: str, where: str) -> DescribedJoint:
    limit, soft = element.find("limit"), element.find("safety_controller")
    lower, upper = (None if kind == "continuous" else _number(limit, key, name, where) for key in ("lower", "upper"))
    if limit is not None and kind != "continuous":
        # The format's defaults for a <limit> that gives only the other one.
        lower, upper = (lower or 0.0, upper or 0.0) if (lower, upper) != (None, None) else (None, None)
    soft_lower, soft_upper = (_number(soft, f"soft_{key}_limit", name, where) for key in ("lower", "upper"))
    if lower is not None and upper is not None and soft_lower is not None and soft_upper is not None:
        lower, upper = max(lower, soft_lower), min(upper, soft_upper)
    velocity = _number(limit, "velocity", name, where)
    mimic = element.find("mimic")
    return DescribedJoint(
        name=name,
        unit=UNIT_OF[kind],
        parent=parent,
        child=child,
        lower=lower,
        upper=upper,
        velocity=velocity if velocity else None,
        continuous=kind == "continuous",
        mimic=None if mimic is None else _mimic(mimic, name, where),
    )


def _mimic(element: ET.Element, name: str, where: str) -> MimicOf:
    multiplier = _number(element, "multiplier", name, where)
    offset = _number(element, "offset", name, where)
    return MimicOf(
        joint=element.get("joint", ""), multiplier=1.0 if multiplier is None else multiplier, offset=offset or 0
    )


def _check_limits(joints: list[DescribedJoint], where: str) -> None:
    driven = [joint for joint in joints if joint.mimic is None and not joint.continuous]
    if without := [joint.name for joint in driven if joint.lower is None or joint.upper is None]:
        raise EmmaError(
            f"{where}: joints without limits: {', '.join(without)}",
            found="no <limit> with lower and upper",
            expected="limits of every revolute and prismatic joint, in rad and m",
            fix='add <limit lower="..." upper="..." velocity="..." effort="..."/> from the data sheet, '
            "or make a joint that turns without end continuous",
        )
    for joint in driven:
        if joint.lower is not None and joint.upper is not None and not joint.lower < joint.upper:
            raise EmmaError(
                f"{where}: joint {joint.name} has limits that leave no room",
                found=f"lower {joint.lower:g}, upper {joint.upper:g} {joint.unit}",
                expected="lower below upper",
                fix="correct <limit>, or make the joint fixed",
            )


def _check_mimics(joints: list[DescribedJoint], where: str) -> None:
    by_name = {joint.name: joint for joint in joints}
    for joint in joints:
        if joint.mimic is None:
            continue
        source = by_name.get(joint.mimic.joint)
        if source is None or source.mimic is not None:
            raise EmmaError(
                f"{where}: joint {joint.name} mimics a joint that cannot lead it",
                found=joint.mimic.joint or "no joint",
                expected="a movable joint that mimics none",
            )


def _by_depth(joints: list[DescribedJoint], parents: Mapping[str, str], root: str) -> list[DescribedJoint]:
    """The joints chain by chain from the base outwards, as the file lists the chains' ends."""
    of_link = {joint.child: joint for joint in joints}
    carriers = set(parents.values())
    ordered: dict[str, DescribedJoint] = {}
    for leaf in (link for link in parents if link not in carriers):
        chain, link = [], leaf
        while link != root:
            if link in of_link:
                chain.append(of_link[link])
            link = parents[link]
        for joint in reversed(chain):
            ordered.setdefault(joint.name, joint)
    return list(ordered.values())
