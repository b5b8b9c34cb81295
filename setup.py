"""What pyproject.toml cannot say: the files that make this package a ROS 2 one."""

import os
from pathlib import Path

from setuptools import setup
from setuptools.command.install_scripts import install_scripts

ROOT = Path(__file__).resolve().parent
NODES = ("sim", "policy", "recorder", "scripted_operator", "teleop", "keys", "console", "web_console", "learner")


def files_under(folder: str, pattern: str = "*") -> list[tuple[str, list[str]]]:
    """data_files rows that put every file under `folder` at the same place in share/emma."""
    rows: dict[str, list[str]] = {}
    for path in sorted((ROOT / folder).rglob(pattern)):
        if path.is_file() and "__pycache__" not in path.parts:
            place = path.relative_to(ROOT)
            rows.setdefault(f"share/emma/{place.parent}", []).append(str(place))
    return list(rows.items())


def environment_python() -> str:
    """The interpreter that the launchers record: $EMMA_PYTHON or that of `make setup`, never the one running colcon."""
    return os.environ.get("EMMA_PYTHON") or str(ROOT / ".venv" / "bin" / "python")


def launchers() -> list[str]:
    """One executable per node, from scripts/node.in, for lib/emma where `ros2 run` and `ros2 launch` look."""
    template = (ROOT / "scripts" / "node.in").read_text()
    folder = ROOT / "build" / "launchers"
    folder.mkdir(parents=True, exist_ok=True)
    modules = {"emma": "emma", **{node: f"emma.ros.nodes.{node}" for node in NODES}}
    for name, module in modules.items():
        launcher = folder / name
        launcher.write_text(template.replace("@PYTHON@", environment_python()).replace("@MODULE@", module))
        launcher.chmod(0o755)
    return [str((folder / name).relative_to(ROOT)) for name in modules]


class OwnLaunchers(install_scripts):
    """No console-script wrappers in lib/emma: they would start the interpreter that runs colcon.

    pip does not come this way; it makes `emma` from [project.scripts].
    """

    def initialize_options(self) -> None:
        super().initialize_options()
        self.no_ep = True


setup(
    cmdclass={"install_scripts": OwnLaunchers},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/emma"]),
        ("share/emma", ["package.xml"]),
        ("lib/emma", launchers()),
        *files_under("launch"),
        *files_under("calibration"),
        *files_under("models"),
    ],
)
