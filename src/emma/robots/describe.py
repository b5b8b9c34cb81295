"""Reads a robot's description, wherever it comes from."""

from dataclasses import dataclass
from pathlib import Path

from emma.robots.description import Description
from emma.robots.kinematic_model import model_file
from emma.robots.mjcf import read_mjcf
from emma.robots.spec import RobotSpec
from emma.robots.urdf import read_urdf


@dataclass(frozen=True, kw_only=True)
class Source:
    """A robot's description. text: the URDF; "" for an MJCF, which is read from `path`. where: for people."""

    where: str
    text: str = ""
    path: Path | None = None


def describe(source: Source) -> Description:
    """Raises EmmaError for a description that cannot be right."""
    if source.text:
        return read_urdf(source.text, source.where)
    assert source.path is not None
    return read_mjcf(source.path)


def description_of(spec: RobotSpec) -> Description | None:
    """The description that a robot's kinematics use; None for a robot without. Raises EmmaError."""
    if spec.kinematics is None:
        return None
    file = model_file(spec)
    text = file.read_text() if file.suffix == ".urdf" else ""
    return describe(Source(where=str(file), text=text, path=file))
