"""Checks of the GPU: driver, torch's CUDA, ONNX Runtime's providers and TensorRT, each by computing two layers."""

import ctypes
import importlib.metadata
import importlib.util
import re
from pathlib import Path

from emma.device import DRIVER_LIBRARY
from emma.doctor.check import Check, Probe, ProbeError, fail, ok, warn

DRIVER = Path("/proc/driver/nvidia/version")
PCI = Path("/sys/bus/pci/devices")
NVIDIA, DISPLAY = "0x10de", "0x03"
# CUDA 13 needs it: https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/, table of minimum driver versions.
DRIVER_FOR = {12: "525", 13: "580"}
# Of two layers whose values are of the order of 1: products on a GPU may run in TF32, with 10 bits of mantissa.
TOLERANCE = 2e-2
CPU_PROVIDER = "CPUExecutionProvider"
INSTALL = "GPU=1 make setup"


def start_torch() -> Probe:
    return Probe("-m", "emma.doctor.two_layers", "torch")


def start_onnxruntime() -> Probe | None:
    """None where it is not installed."""
    return _start("onnxruntime")


def start_tensorrt() -> Probe | None:
    """None where it is not installed."""
    return _start("tensorrt")


def _start(name: str) -> Probe | None:
    return Probe("-m", "emma.doctor.two_layers", name) if importlib.util.find_spec(name) else None


def driver(file: Path = DRIVER, library: str = DRIVER_LIBRARY, pci: Path = PCI, built_for: str | None = None) -> Check:
    """The NVIDIA driver, and whether it is new enough for the CUDA that torch was built for."""
    name = "NVIDIA driver"
    supports = _supported_cuda(library)
    version = re.search(r"Kernel Module\s.*?(\d+\.[\d.]+)", file.read_text()) if file.is_file() else None
    if supports is None:
        if version:
            return warn(
                name,
                f"{version[1]} is loaded, but {library} is not here",
                "in a container: docker run --gpus all; else install the driver's user libraries (libcuda1)",
            )
        if _has_card(pci):
            return warn(
                name,
                "a card of NVIDIA is here, its driver is not",
                "install it (Debian: nvidia-driver from non-free, Ubuntu: ubuntu-drivers install), restart, make setup",
            )
        return ok(name, "none, and no card that needs it")
    found = f"{version[1] if version else 'a version that the kernel does not tell'}, for CUDA up to {supports:.1f}"
    needed = int((built_for or "0").partition(".")[0])
    if int(supports) < needed:
        newest = DRIVER_FOR.get(needed, "a newer one")
        return warn(name, f"{found}; torch is built for CUDA {built_for}", f"update the driver to {newest} or newer")
    return ok(name, found)


def _supported_cuda(library: str) -> float | None:
    """The newest CUDA that the driver runs, or None without its library."""
    version = ctypes.c_int()
    try:
        if ctypes.CDLL(library).cuDriverGetVersion(ctypes.byref(version)) != 0:
            return None
    except (OSError, AttributeError):
        return None
    # 13020 is 13.2.
    return version.value // 1000 + version.value % 1000 // 10 / 10


def _has_card(pci: Path) -> bool:
    def read(file: Path) -> str:
        return file.read_text().strip() if file.is_file() else ""

    return any(read(card / "vendor") == NVIDIA and read(card / "class").startswith(DISPLAY) for card in pci.glob("*"))


def examine(torch_probe: Probe, onnx_probe: Probe | None, tensorrt_probe: Probe | None) -> list[Check]:
    """All checks of the GPU, from answers of `two_layers`."""
    try:
        torch = torch_probe.answer()
    except ProbeError as error:
        first = fail("torch", f"torch cannot be imported: {error}", "run 'make setup'")
        return [driver(), first, onnxruntime(onnx_probe, gpu=False), tensorrt(tensorrt_probe, gpu=False)]
    gpu = bool(torch["cuda"])
    return [
        driver(built_for=torch["built_for"]),
        torch_check(torch),
        onnxruntime(onnx_probe, gpu=gpu),
        tensorrt(tensorrt_probe, gpu=gpu),
    ]


def torch_check(answer: dict[str, object], file: Path = DRIVER) -> Check:
    """The device that training and inference use. answer: of `two_layers torch`."""
    version, built_for = answer["version"], answer["built_for"]
    if answer["cuda"]:
        found = f"{version} on {answer['device']}, CUDA {built_for}"
        return _compared("torch", found, answer["error"])
    if file.exists():
        return warn(
            "torch",
            f"{version} does not see the NVIDIA GPU (built for CUDA {built_for})",
            "nvidia-smi shows the driver's CUDA version: update the driver, or install a torch built for it",
        )
    return ok("torch", f"{version} on the CPU, {answer['threads']} threads; no GPU here")


def onnxruntime(probe: Probe | None, *, gpu: bool, installed: tuple[str, ...] | None = None) -> Check:
    """What runs exported policies. installed: the distributions that are here, looked up by default."""
    name = "onnxruntime"
    if probe is None:
        return warn(name, "not installed: policies run in torch, slower", "run 'make setup'")
    installed = _installed() if installed is None else installed
    if len(installed) > 1:
        return warn(name, f"{' and '.join(installed)} write the same files", f"{INSTALL}, or GPU=0 make setup")
    try:
        answer = probe.answer()
    except ProbeError as error:
        return fail(name, f"cannot be imported: {error}", "run 'make setup'")
    rows = answer["providers"]
    found = f"{answer['version']}; " + ", ".join(
        f"{_short(provider)} {row if isinstance(row, str) else f'error {row:.0e}'}" for provider, row in rows.items()
    )
    works = {provider for provider, row in rows.items() if not isinstance(row, str) and row <= TOLERANCE}
    if CPU_PROVIDER not in works:
        return fail(name, found, "run 'make setup' again: rm .venv/.emma-setup && make setup")
    if gpu and "CUDAExecutionProvider" not in works:
        return warn(name, f"{found}: exported policies do not use the GPU", INSTALL)
    return ok(name, found)


def _installed() -> tuple[str, ...]:
    names = []
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            names.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return tuple(names)


def _short(provider: str) -> str:
    return provider.removesuffix("ExecutionProvider")


def tensorrt(probe: Probe | None, *, gpu: bool) -> Check:
    """Whether an engine can be built here and computes what NumPy computes."""
    name = "TensorRT"
    if probe is None:
        if not gpu:
            return ok(name, "not installed, and not used without a GPU")
        return warn(name, "not installed: policies run in ONNX Runtime or torch, slower", INSTALL)
    try:
        answer = probe.answer()
    except ProbeError as error:
        return warn(name, f"cannot be used: {error}", f"{INSTALL}; the other runtimes work without it")
    if "problem" in answer:
        return warn(name, f"{answer['problem']}: {answer['found']}", answer["fix"])
    return _compared(name, f"{answer['version']} builds and runs an engine", answer["error"])


def _compared(name: str, found: str, error: object) -> Check:
    # A comparison with NaN is false.
    if isinstance(error, float) and error <= TOLERANCE:
        return ok(name, f"{found}; two layers with error {error:.0e}")
    return fail(
        name,
        f"{found}; two layers with error {error}, more than {TOLERANCE}",
        "update the driver; if nvidia-smi shows ECC errors the card is faulty",
    )
