"""Statistics of end-effector states and chunks as the normaliser sees them: after the frames and the relative step."""

from collections.abc import Sequence

import numpy as np

from emma.policy.end_effector.poses import relative_chunk
from emma.training.frames import ACTION, STATE, VALUES_PAD, FrameTable

# Frames looked at; more change no digit that matters.
FRAMES = 20_000
BLOCK = 2048
QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
# What has no number that counts anywhere: a tool that no dataset moves.
EMPTY = {"mean": 0.0, "std": 1.0, "min": 0.0, "max": 0.0, **dict.fromkeys(QUANTILES, 0.0)}

Statistics = dict[str, dict[str, np.ndarray]]


def pose_statistics(table: FrameTable, kinds: Sequence[str], offsets: Sequence[int], *, relative: bool) -> Statistics:
    """Mean, deviation, extremes and quantiles of `observation.state` and `action` over the frames of these kinds.

    offsets: of the chunk's actions; relative: whether the policy predicts in the tools' frames. Padding and numbers
    that do not count are left out.
    """
    frames = table.drawable(kinds)
    if len(frames) > FRAMES:
        frames = np.sort(np.random.default_rng(0).choice(frames, FRAMES, replace=False))
    states, actions, counted = [], [], []
    for at in range(0, len(frames), BLOCK):
        batch = table.numbers(frames[at : at + BLOCK], offsets)
        state, chunk = batch[STATE].numpy(), batch[ACTION].numpy()
        states.append(state)
        actions.append(relative_chunk(state, chunk) if relative else chunk)
        left_out = np.broadcast_to(batch["action_is_pad"].numpy()[..., None], chunk.shape)
        counted.append(~(left_out | batch[VALUES_PAD].numpy() if VALUES_PAD in batch else left_out))
    state, action, counts = np.concatenate(states), np.concatenate(actions), np.concatenate(counted)
    size = action.shape[-1]
    return {
        STATE: _columns(state, np.ones(state.shape, bool)),
        ACTION: _columns(action.reshape(-1, size), counts.reshape(-1, size)),
    }


def _columns(values: np.ndarray, counted: np.ndarray) -> dict[str, np.ndarray]:
    rows = [_describe(values[counted[:, i], i]) for i in range(values.shape[1])]
    return {name: np.array([row[name] for row in rows], np.float32) for name in EMPTY}


def _describe(values: np.ndarray) -> dict[str, float]:
    if not len(values):
        return EMPTY
    values = values.astype(np.float64)
    quantiles = dict(zip(QUANTILES, np.quantile(values, list(QUANTILES.values())).tolist(), strict=True))
    ends = {"min": float(values.min()), "max": float(values.max())}
    return {"mean": float(values.mean()), "std": float(values.std()), **ends, **quantiles}
