"""What a newcomer waits for: a fresh clone, `make setup`, its size on disk, and whether a fresh system is enough."""

import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from emma.errors import EmmaError

HELP = "a fresh clone: seconds of `make setup`, size on disk; without --quick also seconds of `make test`"
SYSTEMS = ("debian12", "debian13")
NOT_TRIED = "not tried"
OUTPUT_TAIL = 2000


def run(quick: bool, seed: int) -> dict[str, Any]:
    """Clone this checkout's HEAD into a temporary folder and set it up there. `seed` has no effect."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        raise EmmaError(
            "the set-up bench clones the checkout", found=f"{root} is no git checkout", expected="a checkout"
        )
    extra = {**fresh_systems(root / "runs" / "fresh"), "gpu_extra_resolves": gpu_extra_resolves(root)}
    with tempfile.TemporaryDirectory(prefix="emma-bench-") as scratch:
        clone = Path(scratch) / "emma"
        _run(["git", "clone", "--quiet", str(root), str(clone)], root)
        figures: dict[str, Any] = {"setup_s": _run(["make", "setup"], clone), "venv_gib": _gib(clone / ".venv")}
        figures["checkout_mib"] = round((_gib(clone) - figures["venv_gib"]) * 1024, 1)
        if not quick:
            figures["test_s"] = _run(["make", "test"], clone)
    return {**figures, **extra}


def fresh_systems(folder: Path) -> dict[str, Any]:
    """What the last `scripts/fresh.sh` found: 1 where every command passed in a new root file system, and what ran."""
    figures: dict[str, Any] = {}
    for system in SYSTEMS:
        file = folder / f"{system}.json"
        if not file.is_file():
            figures[f"fresh_{system}"] = f"{NOT_TRIED}: sudo scripts/fresh.sh {system}"
            continue
        said = json.loads(file.read_text())
        figures[f"fresh_{system}"] = said["passed"]
        figures[f"fresh_{system}_commands"] = ", ".join(said["commands"])
        figures[f"fresh_{system}_users"] = ", ".join(said["users"])
        figures[f"fresh_{system}_python_lent"] = int(said["python_lent"])
    return figures


def gpu_extra_resolves(root: Path) -> int | str:
    """1 if the extras gpu and tensorrt have one set of versions with everything else, under the pins."""
    uv = next((path for path in (shutil.which("uv"), root / ".uv/bin/uv") if path and Path(path).exists()), None)
    if uv is None:
        return f"{NOT_TRIED}: no uv"
    extras = [f"--extra={name}" for name in ("gpu", "tensorrt", "ros", "colcon", "console", "human", "docs", "dev")]
    command = [str(uv), "pip", "compile", "--quiet", *extras, "--constraint=constraints.txt", "--no-header"]
    done = subprocess.run([*command, "--output-file=-", "pyproject.toml"], cwd=root, capture_output=True, check=False)
    return int(done.returncode == 0)


def _run(command: list[str], folder: Path) -> float:
    start = time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise EmmaError(
            f"`{' '.join(command)}` failed in a fresh clone",
            found=(done.stdout + done.stderr)[-OUTPUT_TAIL:],
            expected="exit code 0",
        )
    return round(time.monotonic() - start, 1)


def _gib(folder: Path) -> float:
    """Disk blocks in use; a file with several names counts once."""
    seen: dict[tuple[int, int], int] = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        seen[(status.st_dev, status.st_ino)] = status.st_blocks * 512
    return round(sum(seen.values()) / 2**30, 2)
