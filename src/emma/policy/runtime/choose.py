"""Which runtime a bundle gets on this machine."""

from emma.errors import EmmaError
from emma.policy.bundle import Bundle
from emma.policy.runtime.protocol import PolicyRuntime
from emma.policy.runtime.torch_runtime import TorchRuntime

KINDS = ("auto", "torch")


def open_runtime(bundle: Bundle, *, kind: str = "auto", device: str = "cpu", threads: int = 1) -> PolicyRuntime:
    """The runtime called `kind` for this bundle. Raises EmmaError for an unknown kind."""
    if kind in ("auto", "torch"):
        return TorchRuntime(bundle, device=device, threads=threads)
    raise EmmaError(f"unknown runtime '{kind}'", found=kind, expected=f"one of {', '.join(KINDS)}")
