"""Whether anything still writes a file: processes that have it open for writing, and files that change."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

# A writer that opens its file anew for every piece, or that this machine cannot see, shows within this time.
SETTLE_S = 5.0
LOOK_S = 0.1


def writers_of(files: Iterable[Path]) -> list[str]:
    """The processes that have one of `files` open for writing, as `ros2 (process 4711)`.

    Of other users' processes only root learns that, and nothing is known of other machines.
    """
    wanted = {(found.st_dev, found.st_ino) for file in files if (found := _stat(str(file))) is not None}
    writers = []
    for process in os.listdir("/proc"):
        if not process.isdecimal():
            continue
        try:
            opened = os.listdir(f"/proc/{process}/fd")
        except OSError:
            continue
        for descriptor in opened:
            found = _stat(f"/proc/{process}/fd/{descriptor}")
            if found is not None and (found.st_dev, found.st_ino) in wanted and _writes(process, descriptor):
                writers.append(f"{_name(process)} (process {process})")
                break
    return writers


def still(files: Iterable[Path], seconds: float = SETTLE_S) -> bool:
    """Whether none of `files` changes until the youngest change is `seconds` old; waits for that, at most `seconds`."""
    files = list(files)
    before, until = _state(files), time.monotonic() + seconds
    while time.monotonic() < until and any(abs(time.time() - changed) < seconds for changed, _ in before):
        time.sleep(LOOK_S)
        if _state(files) != before:
            return False
    return True


def _state(files: list[Path]) -> list[tuple[float, int]]:
    return [(found.st_mtime, found.st_size) for file in files if (found := _stat(str(file))) is not None]


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _writes(process: str, descriptor: str) -> bool:
    try:
        for line in Path(f"/proc/{process}/fdinfo/{descriptor}").read_text().splitlines():
            if line.startswith("flags:"):
                return bool(int(line.split()[1], 8) & os.O_ACCMODE)
    except (OSError, ValueError, IndexError):
        pass
    return False


def _name(process: str) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return "a process"
