"""Any LeRobot policy class in eager torch: the reference that every other runtime is held against."""

from typing import Any

import numpy as np

from emma.observation import Observation
from emma.policy.bundle import Bundle
from emma.policy.loading import load_policy


class TorchRuntime:
    """Any LeRobot policy class, eager, through its own pre- and post-processors.

    threads: torch CPU threads; one is fastest for small policies beside a running control loop.
    seed: every chunk of a flow policy starts from the same seeded noise sequence, so runs can be repeated.
    reason: why this runtime was chosen.
    """

    name = "torch"

    def __init__(
        self, bundle: Bundle, *, device: str = "cpu", threads: int = 1, seed: int = 0, reason: str = ""
    ) -> None:
        import torch

        self.reason = reason
        torch.set_num_threads(threads)
        self._torch = torch
        self._bundle = bundle
        self._device = device
        _, self._policy, self._pre, self._post = load_policy(bundle, device=device)
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
