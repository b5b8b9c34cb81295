"""What a newcomer waits for: a fresh clone, `make setup`, and how much disk it takes."""

import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from emma.errors import EmmaError

HELP = "a fresh clone: seconds of `make setup`, size on disk; without --quick also seconds of `make test`"
OUTPUT_TAIL = 2000


def run(quick: bool, seed: int) -> dict[str, Any]:
    """Clone this checkout's HEAD into a temporary folder and set it up there. `seed` has no effect."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        raise EmmaError(
            "the set-up bench clones the checkout", found=f"{root} is no git checkout", expected="a checkout"
        )
    with tempfile.TemporaryDirectory(prefix="emma-bench-") as scratch:
        clone = Path(scratch) / "emma"
        _run(["git", "clone", "--quiet", str(root), str(clone)], root)
        figures: dict[str, Any] = {"setup_s": _run(["make", "setup"], clone), "venv_gib": _gib(clone / ".venv")}
        figures["checkout_mib"] = round((_gib(clone) - figures["venv_gib"]) * 1024, 1)
        if not quick:
            figures["test_s"] = _run(["make", "test"], clone)
    return figures


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
