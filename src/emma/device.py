"""Where models run: the one place that chooses between a GPU and the processor, for nodes and verbs alike."""

import ctypes
from dataclasses import dataclass

from emma.errors import EmmaError

AUTO, CPU, CUDA = "auto", "cpu", "cuda"
DRIVER_LIBRARY = "libcuda.so.1"
HELP = "auto (a GPU if there is one), cpu, cuda, cuda:1, ..."


@dataclass(frozen=True)
class Device:
    """name: as torch writes it. reason: why this one, for people."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


def choose_device(wanted: str = AUTO) -> Device:
    """The device for `wanted`: auto, cpu, cuda or cuda:N. Raises EmmaError for another name and for a GPU that is not
    there; auto raises nothing."""
    if wanted == CPU:
        return Device(CPU, "asked for")
    if wanted == AUTO:
        return _best()
    kind, _, number = wanted.partition(":")
    if kind != CUDA or (number and not number.isdecimal()) or wanted.endswith(":"):
        raise EmmaError(f"unknown device '{wanted}'", found=wanted, expected="auto, cpu, cuda or cuda:N")
    names, missing = _gpus()
    if missing or int(number or 0) >= len(names):
        raise EmmaError(
            f"device '{wanted}' is not here",
            found=missing or f"{len(names)} CUDA device{'s' if len(names) > 1 else ''}",
            expected="an NVIDIA GPU that torch can use",
            fix="see `emma doctor`, or use auto or cpu",
        )
    return Device(wanted, f"asked for: {names[int(number or 0)]}")


def _best() -> Device:
    names, missing = _gpus()
    return Device(CPU, f"auto: {missing}") if missing else Device(CUDA, f"auto: {names[0]}")


def _gpus() -> tuple[list[str], str]:
    """Names of the GPUs that torch can use, or why there are none."""
    if not driver_loads():
        return [], "no NVIDIA driver"
    import torch

    if not torch.cuda.is_available():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        return [], f"the NVIDIA driver is there, but torch {torch.__version__}, {built}, sees no GPU"
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())], ""


def driver_loads() -> bool:
    """Whether the driver's library is on this machine, found without importing torch."""
    try:
        ctypes.CDLL(DRIVER_LIBRARY)
    except OSError:
        return False
    return True
