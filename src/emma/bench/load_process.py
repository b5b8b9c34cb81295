"""The load's nodes in a process of their own (benches import no ROS), and the room their bags need."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from emma.bench.load import Load
from emma.environment import cleaned
from emma.errors import EmmaError
from emma.interrupts import tied

# GB beside the bag of the steady load: ceilings, kept bags and their datasets, and a disk that does not run full.
ROOM_GB = 2.5


def run_load(folder: Path, *options: Any) -> dict[str, Any]:
    """What `python -m emma.ros.load` with `options` found; its bags and logs go below `folder`."""
    file = folder / "load.json"
    command = [
        sys.executable,
        "-m",
        "emma.environment",
        "emma.ros.load",
        "--out",
        str(folder),
        "--json",
        str(file),
        *map(str, options),
    ]
    done = subprocess.run(command, check=False, env=tied(cleaned(os.environ)))
    if done.returncode != 0:
        raise EmmaError(
            "the recorder could not be measured",
            found=f"exit code {done.returncode}",
            expected="a ROS graph on this machine",
            fix="see above, then `emma doctor`",
        )
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def check_room(folder: Path, factor: float, seconds: float) -> None:
    """Raise EmmaError if the bag of `seconds` of `factor` times the load does not fit on the disk of `folder`."""
    status = os.statvfs(folder)
    free, need = status.f_bavail * status.f_frsize / 1e9, ROOM_GB + Load().scaled(factor).mb_per_s * seconds / 1e3
    if free < need:
        raise EmmaError(
            f"not enough room in {folder.parent}",
            found=f"{free:.1f} GB free",
            expected=f"{need:.1f} GB",
            fix="make room, set TMPDIR to another disk, or use --quick",
        )
