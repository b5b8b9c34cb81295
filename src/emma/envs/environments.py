"""The environments of others that emma drives, and where each one's interpreter is."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from emma.errors import EmmaError

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Environment:
    """name: of the environment and its driver's file. package, version: what it runs.

    task: what it asks for. timeout_s: of an episode, in the environment's own time.
    """

    name: str
    package: str
    version: str
    task: str
    timeout_s: float

    @property
    def driver(self) -> Path:
        """The file that the environment's interpreter runs."""
        return HERE / "drivers" / f"{self.name}.py"

    @property
    def requirements(self) -> Path:
        """Exact versions of everything that its interpreter gets."""
        return HERE / "drivers" / f"{self.name}.txt"

    @property
    def folder(self) -> Path:
        """Where `emma envs install` puts its interpreter."""
        return envs_dir() / self.name


ENVIRONMENTS = {
    "so101": Environment(name="so101", package="lerobot-env-so101", version="0.4.0", task="pick_place", timeout_s=15.0),
    "aloha": Environment(name="aloha", package="gym-aloha", version="0.1.5", task="transfer_cube", timeout_s=15.0),
}


def envs_dir() -> Path:
    """The folder of the environments' interpreters: $EMMA_ENVS, or emma/envs among the user's data."""
    if place := os.environ.get("EMMA_ENVS"):
        return Path(place).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "emma" / "envs"


def environment_of(name: str) -> Environment:
    """The environment of this name. Raises EmmaError if there is none."""
    if name not in ENVIRONMENTS:
        raise EmmaError(f"no environment '{name}'", found=name, expected=f"one of {', '.join(ENVIRONMENTS)}")
    return ENVIRONMENTS[name]


def interpreter(environment: Environment, python: str = "") -> Path:
    """The Python that has the environment's package: `python` if given, else the one that `emma envs install` made."""
    chosen = Path(python).expanduser() if python else environment.folder / "bin" / "python"
    if not chosen.is_file():
        raise EmmaError(
            f"{environment.package} is not installed",
            found=f"no {chosen}",
            expected=f"a Python of its own with {environment.package} {environment.version}",
            fix=f"emma envs install {environment.name}",
        )
    return chosen


def install(environment: Environment) -> Path:
    """Make the environment's interpreter anew from its list of exact versions. Returns it.

    Raises EmmaError, and leaves nothing, if a package cannot be had.
    """
    folder = environment.folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    uv = _uv()
    python = folder / "bin" / "python"
    make = [uv, "venv", "--quiet", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
    get = [uv, "pip", "install", "--quiet", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
    for command in ([*make, str(folder)], [*get, "--requirement", str(environment.requirements)]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            raise EmmaError(
                f"{environment.package} cannot be installed",
                found=(done.stderr or done.stdout).strip()[-600:],
                expected=f"the packages of {environment.requirements}",
                fix="check the connection to the package index and run the command again",
            )
    return python


def _uv() -> str:
    beside = Path(__file__).resolve().parents[3] / ".uv" / "bin" / "uv"
    return shutil.which("uv") or (str(beside) if beside.is_file() else "")
