"""What made a result: commit, machine, versions. Every JSON of figures carries it."""

import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from emma.files import atomic_write_text

# Behind a commit whose tree had uncommitted changes.
CHANGED = "+changes"
PACKAGES = ("emma-robot", "torch", "lerobot", "mujoco", "ros-rclpy", "numpy")


def commit() -> str:
    """The checkout's commit, with `+changes` when tracked files differ; `unknown` outside a checkout."""
    root = Path(__file__).resolve().parents[2]

    def git(*args: str) -> str | None:
        try:
            done = subprocess.run(
                ("git", "-C", str(root), *args), capture_output=True, text=True, timeout=10, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    if git("rev-parse", "--show-toplevel") != str(root):
        return "unknown"
    changed = git("status", "--porcelain", "--untracked-files=no")
    return f"{git('rev-parse', '--short=12', 'HEAD') or 'unknown'}{CHANGED if changed else ''}"


def machine() -> dict[str, Any]:
    """Processor, cores this process may use, memory in GiB, GPU name or None, Python."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(pages * size / 2**30, 1),
        "gpu": _gpu(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def _gpu() -> str | None:
    try:
        import torch
    except ImportError:
        return None
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def versions() -> dict[str, str]:
    """Installed versions of the packages that decide a result."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_figures(path: str | Path, figures: Mapping[str, Any], *, seed: int, **more: Any) -> None:
    """Write `{"figures", "commit", "machine", "seed", ...}` as JSON; a figure that is not a number becomes null."""
    document = {
        "figures": dict(figures),
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
        "seed": seed,
    }
    atomic_write_text(path, json.dumps(_plain({**document, **more}), indent=2, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    """`value` as JSON has it: tuples as lists, NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
