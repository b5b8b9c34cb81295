"""Runtimes: an observation and an instruction in, an action chunk out."""

import importlib
import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from emma.errors import EmmaError
from emma.observation import Observation
from emma.policy.bundle import Bundle

# Nothing here may reach for a hub: a bundle holds all that it needs.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
PLUGINS = ("lerobot_policy_spatial_flow",)


class PolicyRuntime(Protocol):
    """Computes action chunks. One thread at a time."""

    name: str

    def infer(self, observation: Observation, instruction: str) -> np.ndarray:
        """(chunk, J) float32 absolute joint targets; action k stands for `observation.stamp_ns` + k / fps."""
        ...

    def close(self) -> None:
        """Free what the runtime holds."""
        ...


def register_plugins() -> None:
    """Make this project's policy classes known to LeRobot."""
    for name in PLUGINS:
        importlib.import_module(name)


class TorchRuntime:
    """Any LeRobot policy class, eager, through its own pre- and post-processors.

    threads: torch CPU threads; one is fastest for small policies beside a running control loop.
    seed: every chunk of a flow policy starts from the same seeded noise sequence, so runs can be repeated.
    """

    name = "torch"

    def __init__(self, bundle: Bundle, *, device: str = "cpu", threads: int = 1, seed: int = 0) -> None:
        import torch
        from lerobot.configs.policies import PreTrainedConfig
        from lerobot.policies.factory import get_policy_class, make_pre_post_processors

        register_plugins()
        torch.set_num_threads(threads)
        self._torch = torch
        self._bundle = bundle
        self._device = device
        path = Path(bundle.path).resolve()
        try:
            config = PreTrainedConfig.from_pretrained(path)
            config.device = device
            policy = get_policy_class(config.type).from_pretrained(path, config=config)
            self._policy = policy.to(device).eval()
            self._pre, self._post = make_pre_post_processors(
                config, str(path), preprocessor_overrides={"device_processor": {"device": device}}
            )
        except EmmaError:
            raise
        except Exception as error:  # LeRobot raises many kinds for a broken folder
            raise EmmaError(
                f"cannot load policy bundle {bundle.path}",
                found=f"{type(error).__name__}: {error}",
                expected=f"a LeRobot '{bundle.info.policy_type}' policy with its processors",
            ) from error
        self._generator = torch.Generator(device=device).manual_seed(seed)

    def reset(self, seed: int) -> None:
        """Restart the noise sequence, as at the start of an episode."""
        self._generator.manual_seed(seed)
        self._policy.reset()

    def infer(self, observation: Observation, instruction: str) -> np.ndarray:
        torch = self._torch
        batch: dict[str, Any] = {
            "task": instruction,
            "observation.state": torch.from_numpy(np.array(observation.state)),
        }
        for name in self._bundle.info.cameras:
            image = torch.from_numpy(np.array(observation.images[name]))
            batch[f"observation.images.{name}"] = image.permute(2, 0, 1).float().div_(255.0)
        with torch.inference_mode():
            # Policies draw their noise from the global generator, so it is set for this call alone.
            with torch.random.fork_rng(devices=[] if self._device == "cpu" else None):
                torch.manual_seed(int(torch.randint(0, 2**31, (1,), generator=self._generator)))
                actions = self._policy.predict_action_chunk(self._pre(batch))
            chunk = self._post(actions)
        result: np.ndarray = chunk.squeeze(0).float().cpu().numpy()
        return result

    def close(self) -> None:
        del self._policy


def open_runtime(bundle: Bundle, *, kind: str = "auto", device: str = "cpu", threads: int = 1) -> PolicyRuntime:
    """The runtime called `kind` for this bundle. Raises EmmaError for an unknown kind."""
    if kind in ("auto", "torch"):
        return TorchRuntime(bundle, device=device, threads=threads)
    raise EmmaError(f"unknown runtime '{kind}'", found=kind, expected="auto or torch")
