"""Checks of the Python environment: interpreter, packages against their pins, data that ships."""

import importlib.metadata
import platform
import sys
from pathlib import Path

from emma import __version__
from emma.doctor.check import Check, Probe, ProbeError, fail, ok, warn
from emma.environment import PYTHON_VERSION
from emma.errors import EmmaError
from emma.resources import data_dir

SHOWN = ("numpy", "torch", "lerobot", "transformers", "mujoco", "rosbags", "mcap")
TORCH = """
import json, torch
cuda = torch.cuda.is_available()
print(json.dumps({"version": torch.__version__, "built_for": torch.version.cuda, "cuda": cuda,
                  "device": torch.cuda.get_device_name(0) if cuda else None, "threads": torch.get_num_threads()}))
"""


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


def start_torch() -> Probe:
    return Probe("-c", TORCH)


def gpu(probe: Probe, driver: Path = Path("/proc/driver/nvidia/version")) -> Check:
    """The device that training and inference use, and which GPU libraries are there."""
    try:
        torch = probe.answer()
    except ProbeError as error:
        return fail("torch", f"torch cannot be imported: {error.cause}", "run 'make setup'")
    libraries = []
    for name in ("onnxruntime-gpu", "onnxruntime", "tensorrt"):
        try:
            libraries.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    beside = f"; {', '.join(libraries)}" if libraries else ""
    if torch["cuda"]:
        return ok("torch", f"{torch['version']} on {torch['device']}, CUDA {torch['built_for']}{beside}")
    if driver.exists():
        return warn(
            "torch",
            f"{torch['version']} does not see the NVIDIA GPU (built for CUDA {torch['built_for']})",
            "nvidia-smi tells the driver's CUDA version: update the driver, or install a torch built for it",
        )
    return ok("torch", f"{torch['version']} on the CPU, {torch['threads']} threads; no GPU here{beside}")
