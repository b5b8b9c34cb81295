"""Any LeRobot policy class in eager torch: the reference that every other runtime is held against."""

from typing import Any

import numpy as np

from emma.observation import Observation
from emma.policy.bundle import Bundle
from emma.policy.chunk_blending import Previous
from emma.policy.loading import load_policy
from emma.robots.agreement import feature_key


class TorchRuntime:
    """Any LeRobot policy class, eager, through its own pre- and post-processors.

    threads: torch CPU threads; one is fastest for small policies beside a running control loop.
    seed: every chunk of a flow policy starts from the same seeded noise sequence, so runs can be repeated.
    reason: why this runtime was chosen.
    """

    name, note, isolated = "torch", "", False

    def __init__(
        self, bundle: Bundle, *, device: str = "cpu", threads: int = 1, seed: int = 0, reason: str = ""
    ) -> None:
        import torch

        self.reason = reason
        torch.set_num_threads(threads)
        self._torch = torch
        self._bundle = bundle
        self._device = device
        self._loaded = load_policy(bundle, device=device)
        _, self._policy, self._pre, self._post = self._loaded
        self._generator = torch.Generator(device=device).manual_seed(seed)

    @property
    def past_s(self) -> tuple[float, ...]:
        offsets = self._policy.config.observation_delta_indices or [0]
        return tuple(-offset / self._bundle.info.fps for offset in offsets if offset < 0)

    @property
    def rtc(self) -> str:
        if getattr(self._policy.config, "rtc_max_delay", 0):
            return "trained"
        return "guided" if hasattr(self._policy, "init_rtc_processor") else ""

    def reset(self, seed: int) -> None:
        """Restart the noise sequence, as at the start of an episode."""
        self._generator.manual_seed(seed)
        self._policy.reset()

    def infer(self, observation: Observation, instruction: str, previous: Previous | None = None) -> np.ndarray:
        """As PolicyRuntime says; `previous` goes to the policy's own real-time chunking, if it has any."""
        torch = self._torch
        continuing = self._continuing(previous, observation) if previous is not None and self.rtc else {}
        # LeRobot's guidance asks for gradients, which inference mode would refuse.
        with torch.no_grad() if continuing else torch.inference_mode():
            # Policies draw their noise from the global generator, so it is set for this call alone.
            with torch.random.fork_rng(devices=[] if self._device == "cpu" else None):
                torch.manual_seed(int(torch.randint(0, 2**31, (1,), generator=self._generator)))
                batch = (
                    self._remembered(observation, instruction) if self.past_s else self._batch(observation, instruction)
                )
                actions = self._policy.predict_action_chunk(batch, **continuing)
            chunk = self._post(actions)
        result: np.ndarray = chunk.squeeze(0).float().cpu().numpy()
        return result

    def _batch(self, observation: Observation, instruction: str) -> dict[str, Any]:
        """What LeRobot's policies take, normalised."""
        torch = self._torch
        batch: dict[str, Any] = {
            "task": instruction,
            "observation.state": torch.from_numpy(np.array(observation.state)),
        }
        for name in self._bundle.info.cameras:
            image = torch.from_numpy(np.array(observation.images[name]))
            batch[feature_key(name)] = image.permute(2, 0, 1).float().div_(255.0)
        result: dict[str, Any] = self._pre(batch)
        return result

    def _remembered(self, observation: Observation, instruction: str) -> dict[str, Any]:
        """The same with the policy's queues filled with what was seen before, as its `select_action` fills them."""
        from lerobot.policies.utils import populate_queues

        self._policy.reset()
        for seen in (*observation.past, observation):
            batch = self._batch(seen, instruction)
            # The pre-processor adds an action that is not there.
            batch.pop("action", None)
            if self._policy.config.image_features:
                pictures = [batch[key] for key in self._policy.config.image_features]
                batch["observation.images"] = self._torch.stack(pictures, dim=-4)
            self._policy._queues = populate_queues(self._policy._queues, batch)
        return batch

    def _continuing(self, previous: Previous, observation: Observation) -> dict[str, Any]:
        """What LeRobot's policies take for it: the chunk as they know it, normalised and relative to this state."""
        from emma.policy.end_effector.poses import relative_chunk
        from emma.policy.export.graphs import action_affine, relative_joints, relative_poses

        if self.rtc == "guided" and getattr(self._policy.config, "rtc_config", None) is None:
            from lerobot.configs import RTCAttentionSchedule
            from lerobot.policies.rtc.configuration_rtc import RTCConfig

            self._policy.config.rtc_config = RTCConfig(prefix_attention_schedule=RTCAttentionSchedule.LINEAR)
            self._policy.init_rtc_processor()
        affine = action_affine(self._loaded)
        state = np.asarray(observation.state)
        actions = relative_chunk(state, previous.actions) if relative_poses(self._loaded) else previous.actions
        actions = actions - np.array(relative_joints(self._loaded)) * state
        left = self._torch.from_numpy(((actions - affine.shift) / affine.scale).astype(np.float32))
        return {
            "prev_chunk_left_over": left[None].to(self._device),
            "inference_delay": previous.delay,
            "execution_horizon": previous.horizon,
        }

    def close(self) -> None:
        del self._policy, self._loaded
