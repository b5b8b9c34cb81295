"""LeRobot processor steps: action chunks relative to the tool frame of the observation, and back.

They extend LeRobot's own relative steps, so LeRobot pairs them by itself when it loads a saved policy.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lerobot.lerobot_types import EnvTransition, TransitionKey
from lerobot.processor import (
    AbsoluteActionsProcessorStep,
    NormalizerProcessorStep,
    ProcessorStepRegistry,
    RelativeActionsProcessorStep,
    UnnormalizerProcessorStep,
)
from lerobot.utils.constants import OBS_STATE

from emma.policy.end_effector.poses import absolute_chunk, relative_chunk


@ProcessorStepRegistry.register("emma_relative_poses")
@dataclass
class RelativePosesStep(RelativeActionsProcessorStep):
    """Absolute end-effector actions (B, K, 10 G) to T_t^-1 T_{t+k}, for each group; openings stay absolute."""

    enabled: bool = True

    def __call__(self, transition: EnvTransition) -> EnvTransition:
        """Keep the state for the way back, and convert the action where there is one."""
        observation = transition.get(TransitionKey.OBSERVATION) or {}
        state, action = observation.get(OBS_STATE), transition.get(TransitionKey.ACTION)
        if state is not None:
            self._last_state = state
        if not self.enabled or action is None or state is None:
            return transition
        changed = transition.copy()
        changed[TransitionKey.ACTION] = _like(action, relative_chunk(_array(state), _array(action)))
        return changed


@ProcessorStepRegistry.register("emma_absolute_poses")
@dataclass
class AbsolutePosesStep(AbsoluteActionsProcessorStep):
    """The inverse of its `relative_step`: T_t applied to every pose of the chunk."""

    enabled: bool = True

    def __call__(self, transition: EnvTransition) -> EnvTransition:
        """Raises RuntimeError where no observation went through the pre-processor before."""
        action = transition.get(TransitionKey.ACTION)
        if not self.enabled or action is None:
            return transition
        state = self.relative_step.get_cached_state() if self.relative_step else None
        if state is None:
            raise RuntimeError("relative poses need the state of an observation: run the pre-processor first")
        changed = transition.copy()
        changed[TransitionKey.ACTION] = _like(action, absolute_chunk(_array(state), _array(action)))
        return changed


def use_relative_poses(preprocessor: Any, postprocessor: Any) -> None:
    """Put the steps before the normaliser and after its inverse, in place of LeRobot's subtraction where it is."""
    relative = RelativePosesStep()
    before = [s for s in preprocessor.steps if not isinstance(s, RelativeActionsProcessorStep)]
    at = next(i for i, step in enumerate(before) if isinstance(step, NormalizerProcessorStep))
    preprocessor.steps = [*before[:at], relative, *before[at:]]
    after = [s for s in postprocessor.steps if not isinstance(s, AbsoluteActionsProcessorStep)]
    at = next(i for i, step in enumerate(after) if isinstance(step, UnnormalizerProcessorStep)) + 1
    postprocessor.steps = [*after[:at], AbsolutePosesStep(relative_step=relative), *after[at:]]


def _array(values: torch.Tensor) -> np.ndarray:
    array: np.ndarray = values.detach().cpu().numpy()
    return array


def _like(before: torch.Tensor, values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values).to(device=before.device, dtype=before.dtype)
