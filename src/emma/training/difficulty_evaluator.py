"""What AdaMix asks of a policy: its error on every episode, and the motion it predicts, in batches."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from emma.adamix.config import AdaMixConfig
from emma.adamix.difficulty import COMPONENTS, Difficulty, JointScale, chunk_error, chunk_motion, demonstration_motion
from emma.robots.spec import RobotSpec
from emma.training.frames import ACTION, VALUES_PAD, FrameTable

# Frames a forward pass: enough to fill a processor, little against a training's own memory (no gradients are kept).
BATCH = 128


class Judge:
    """Difficulty of a table's frames for a policy. Leaves random numbers, queues and the policy's mode as they were."""

    def __init__(
        self,
        config: AdaMixConfig,
        table: FrameTable,
        preprocessor: Callable[[Any], Any],
        postprocessor: Callable[[Any], Any],
        spec: RobotSpec | None,
        *,
        seed: int,
        batch_size: int = BATCH,
    ) -> None:
        self._config, self._table, self._seed, self._batch = config, table, seed, batch_size
        self._pre, self._post = preprocessor, postprocessor
        self._scale = joint_scale(table, spec)
        self._demonstrated: Mapping[str, np.ndarray] = {}
        if config.judged == "demonstration":
            paths = [table.actions.numpy()]
            if table.states.shape == table.actions.shape:
                paths.append(table.states.numpy())
            self._demonstrated = demonstration_motion(paths, table.starts, self._scale)

    def frames(self, step: int) -> np.ndarray:
        """Frames to look at: `config.frames` of each episode, evenly spaced from a start that changes with `step`."""
        starts, n = self._table.starts, self._config.frames
        shift = np.random.default_rng([self._seed, step]).uniform()
        chosen = []
        for first, end in pairwise(starts):
            count = min(n, end - first) if n else end - first
            chosen.append(first + ((np.arange(count) + shift) * (end - first) / count).astype(np.int64))
        return np.concatenate(chosen)

    def __call__(
        self,
        policy: Any,
        step: int,
        *,
        share: slice = slice(None),
        autocast: Callable[[], AbstractContextManager[Any]] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Frames (F,), and (F, C) components of those in `share` of them, 0 for the others: processes add theirs up."""
        frames = self.frames(step)
        values = np.zeros((len(frames), len(COMPONENTS)))
        mine = np.arange(len(frames))[share]
        training = policy.training
        policy.eval()
        # One random state for all of a GPU's and the processor's draws, put back afterwards.
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(int(np.random.SeedSequence([self._seed, step]).generate_state(1)[0]))
            for at in range(0, len(mine), self._batch):
                rows = mine[at : at + self._batch]
                with autocast() if autocast is not None else nullcontext():
                    values[rows] = self._judge(policy, frames[rows])
        policy.train(training)
        return frames, values

    def _judge(self, policy: Any, frames: np.ndarray) -> np.ndarray:
        offsets = list(policy.config.action_delta_indices)
        batch = self._table.batch(frames, offsets, policy.config.observation_delta_indices)
        now = offsets.index(0)
        padded = batch["action_is_pad"].numpy()[:, now:]
        if VALUES_PAD in batch:
            padded = padded | batch.pop(VALUES_PAD).numpy()[:, now:].any(-1)
        batch = self._pre(batch)
        # Some policies keep queues of past observations, which would become part of the next batch.
        policy.reset()
        predicted = policy.predict_action_chunk(batch).float()
        policy.reset()
        target = batch[ACTION].float().cpu().numpy()[:, now:]
        steps = min(predicted.shape[1], target.shape[1])
        padded = padded[:, :steps]
        error = chunk_error(predicted[:, :steps].cpu().numpy(), target[:, :steps], padded)
        motion: Mapping[str, np.ndarray]
        if self._config.judged == "policy":
            motion = chunk_motion(self._post(predicted).float().cpu().numpy()[:, :steps], padded, self._scale)
        else:
            motion = {name: values[frames] for name, values in self._demonstrated.items()}
        return Difficulty.of(frames, error, motion).table()


def joint_scale(table: FrameTable, spec: RobotSpec | None) -> JointScale:
    """Limits of the robot where actions are its joints, else none; every joint's spread over the data."""
    size = table.actions.shape[1]
    joints = spec.joints if spec is not None and len(spec.joints) == size else ()
    gripper = spec.gripper if spec is not None else ()
    return JointScale(
        fps=float(table.sources[0].meta.fps),
        spread=table.actions.std(0, correction=0).numpy(),
        lower=np.array([joint.lower for joint in joints]) if joints else np.full(size, -np.inf),
        upper=np.array([joint.upper for joint in joints]) if joints else np.full(size, np.inf),
        rough=np.array([joint.name not in gripper for joint in joints]) if joints else np.ones(size, bool),
    )
