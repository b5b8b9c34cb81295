"""What is declared is what is used: dependencies, pins, versions, executables, the plugin that LeRobot looks for."""

import ast
import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from importlib.metadata import entry_points, packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import emma

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = ROOT / "src" / "lerobot_policy_spatial_flow"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
REQUIREMENTS = [
    Requirement(line) for line in [*PROJECT["dependencies"], *(r for rows in EXTRAS.values() for r in rows)]
]
OURS = frozenset({"emma", "lerobot_policy_spatial_flow"})
# The extra `tensorrt` brings it to machines with a GPU alone, from elsewhere; its users say so when it is missing.
NOT_ON_THE_INDEX = frozenset({"tensorrt"})
# Of the extra `view`, which is not installed by default.
OF_VIEW = {"foxglove": "foxglove-sdk", "rerun": "rerun-sdk"}
# These run in an interpreter of their own, with the packages that `emma envs install` gives it.
ELSEWHERE = ROOT / "src" / "emma" / "envs" / "drivers"


def pins() -> dict[str, Version]:
    """constraints.txt as {canonical name: version}."""
    lines = (line.partition(";")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines())
    rows = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in rows}


def third_party(folder: Path) -> dict[str, set[str]]:
    """Packages that the source imports, each with the files that do, without Python's own and ours."""
    users: dict[str, set[str]] = {}
    for path in folder.rglob("*.py"):
        if ELSEWHERE in path.parents:
            continue
        for node in ast.walk(ast.parse(path.read_text(), str(path))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for name in {name.partition(".")[0] for name in names} - OURS - NOT_ON_THE_INDEX - sys.stdlib_module_names:
                users.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    return users


def test_every_import_is_declared() -> None:
    declared = {canonicalize_name(requirement.name) for requirement in REQUIREMENTS}
    providers = packages_distributions()
    for name, users in sorted(third_party(ROOT / "src" / "emma").items()):
        distributions = {canonicalize_name(d) for d in providers.get(name, [OF_VIEW.get(name, name)])}
        assert distributions & declared, (
            f"{sorted(users)[0]} imports {name} ({distributions}); add it to pyproject.toml"
        )


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda r: r.name)
def test_every_dependency_is_pinned_within_its_range(requirement: Requirement) -> None:
    pinned = pins().get(canonicalize_name(requirement.name))
    assert pinned is not None, f"{requirement.name} is missing in constraints.txt"
    assert requirement.specifier.contains(pinned, prereleases=True)


@pytest.mark.parametrize("folder", [ROOT, PLUGIN], ids=lambda p: p.name)
def test_colcon_can_read_the_project_file(folder: Path) -> None:
    """colcon cannot parse requires-python: the build then fails with an unrelated message."""
    assert "requires-python" not in tomllib.loads((folder / "pyproject.toml").read_text())["project"]


def test_one_version() -> None:
    assert ET.parse(ROOT / "package.xml").getroot().findtext("version") == emma.__version__
    assert f"## {emma.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_maintainer_address_is_one_that_ros_accepts() -> None:
    """ROS drops a package silently to plain Python, without its environment, if this does not look like an address."""
    maintainer = ET.parse(ROOT / "package.xml").getroot().find("maintainer")
    assert maintainer is not None
    assert re.fullmatch(r"[-\w.+]+@[-\w]+(\.[-\w]+)*\.[a-zA-Z]{2,}", maintainer.attrib["email"])


def test_plugin_is_its_own_distribution() -> None:
    """LeRobot looks for installed distributions whose names begin with lerobot_policy_."""
    assert set(packages_distributions()["lerobot_policy_spatial_flow"]) == {"lerobot_policy_spatial_flow"}
    assert (PLUGIN / "COLCON_IGNORE").is_file()


def test_lerobot_finds_the_plugin() -> None:
    """By its own search, in a fresh interpreter: this folder's name must not shadow the package in it."""
    code = """
from lerobot.configs.policies import PreTrainedConfig
from lerobot.utils.import_utils import register_third_party_plugins
register_third_party_plugins()
print('spatial_flow' in PreTrainedConfig.get_known_choices())
"""
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=80, check=False)
    assert done.stdout.strip() == "True", done.stderr


def test_command_is_installed() -> None:
    (command,) = entry_points(group="console_scripts", name="emma")
    assert command.value == PROJECT["scripts"]["emma"]


def test_nothing_built_is_tracked() -> None:
    listing = (ROOT / ".git").exists() and _tracked()
    if not listing:
        pytest.skip("not a git checkout")
    assert not [name for name in listing if re.search(r"(\.pyc$|__pycache__|\.egg-info|^build/|ros2_ws/install)", name)]


def _tracked() -> list[str]:
    done = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.splitlines()
