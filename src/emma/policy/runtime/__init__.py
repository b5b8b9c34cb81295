"""Runtimes: an observation and an instruction in, an action chunk out."""

from emma.policy.loading import register_plugins
from emma.policy.runtime.choose import KINDS, open_runtime
from emma.policy.runtime.protocol import PolicyRuntime
from emma.policy.runtime.torch_runtime import TorchRuntime

__all__ = ["KINDS", "PolicyRuntime", "TorchRuntime", "open_runtime", "register_plugins"]
