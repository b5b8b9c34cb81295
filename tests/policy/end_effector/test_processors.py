from pathlib import Path

import numpy as np
import torch
from lerobot.lerobot_types import TransitionKey
from lerobot.processor import PolicyProcessorPipeline
from scipy.spatial.transform import Rotation

from emma.policy.end_effector.poses import from_vector, to_vector
from emma.policy.end_effector.processors import AbsolutePosesStep, RelativePosesStep


def vectors(count: int) -> torch.Tensor:
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = Rotation.random(count, random_state=np.random.default_rng(0)).as_matrix()
    poses[:, :3, 3] = np.arange(3 * count).reshape(count, 3) / 10
    return torch.from_numpy(np.concatenate([to_vector(poses), np.full((count, 1), 0.04)], axis=1)).float()


def test_steps_undo_each_other() -> None:
    relative = RelativePosesStep()
    absolute = AbsolutePosesStep(relative_step=relative)
    state, action = vectors(3), vectors(12).reshape(3, 4, 10)
    there = relative({TransitionKey.OBSERVATION: {"observation.state": state}, TransitionKey.ACTION: action})
    chunk = there[TransitionKey.ACTION]
    first = np.linalg.inv(from_vector(state[0, :9].double().numpy())) @ from_vector(action[0, 0, :9].double().numpy())
    np.testing.assert_allclose(chunk[0, 0, :9], to_vector(first), atol=1e-5)
    back = absolute({TransitionKey.ACTION: chunk})
    torch.testing.assert_close(back[TransitionKey.ACTION], action, atol=1e-5, rtol=0)


def test_a_saved_pipeline_holds_the_step(tmp_path: Path) -> None:
    PolicyProcessorPipeline(steps=[RelativePosesStep()], name="pre").save_pretrained(tmp_path)
    loaded = PolicyProcessorPipeline.from_pretrained(tmp_path, config_filename="pre.json")
    assert isinstance(loaded.steps[0], RelativePosesStep)
    assert loaded.steps[0].enabled
