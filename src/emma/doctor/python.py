"""Checks of the Python environment: interpreter, packages against their pins, data that ships."""

import importlib.metadata
import platform
import sys
from pathlib import Path

from emma import __version__
from emma.doctor.check import Check, fail, ok, warn
from emma.environment import PYTHON_VERSION
from emma.errors import EmmaError
from emma.resources import data_dir

SHOWN = ("numpy", "torch", "lerobot", "transformers", "mujoco", "rosbags", "mcap")


def python() -> Check:
    found = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] != PYTHON_VERSION:
        return fail("python", found, f"emma needs {'.'.join(map(str, PYTHON_VERSION))}: run 'make setup'")
    if sys.prefix == sys.base_prefix:
        return warn("python", f"{found}, not a virtual environment", "run 'make setup' and use .venv/bin/emma")
    return ok("python", found)


def package() -> Check:
    return ok("emma", f"{__version__} in {Path(__file__).resolve().parents[1]}")


def packages(constraints: Path | None = None) -> Check:
    """Versions of what matters; a warning where the environment is not what constraints.txt pins."""
    try:
        versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in SHOWN)
    except importlib.metadata.PackageNotFoundError as error:
        return fail("packages", f"{error.name} is not installed", "run 'make setup'")
    constraints = Path(__file__).resolve().parents[3] / "constraints.txt" if constraints is None else constraints
    different = _unlike(constraints) if constraints.is_file() else []
    if different:
        more = f" and {len(different) - 3} more" if len(different) > 3 else ""
        return warn("packages", f"{versions}; pinned otherwise: {', '.join(different[:3])}{more}", "run 'make setup'")
    return ok("packages", versions)


def _unlike(constraints: Path) -> list[str]:
    different = []
    for line in constraints.read_text().splitlines():
        name, pinned, version = line.partition(";")[0].strip().partition("==")
        if not pinned or name.startswith("#"):
            continue
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if installed.partition("+")[0] != version:
            different.append(f"{name} {installed} (pinned {version})")
    return different


def data() -> Check:
    """Robots and weights that ship with the source."""
    try:
        robots = sorted(p.parent.name for p in data_dir("calibration").glob("*/robot.yaml"))
        models = sorted(p.parent.name for p in data_dir("models").glob("*/emma.json"))
    except EmmaError as error:
        return fail("data", f"{error.problem}: {error.found}", error.fix or "")
    if not robots or not models:
        missing = "robots" if not robots else "policies"
        return fail("data", f"no {missing} in {data_dir('calibration').parent}", "check out the repository again")
    return ok("data", f"robots: {', '.join(robots)}; policies: {', '.join(models)}")
