"""Batches from memory against LeRobot's own loader."""

import numpy as np
import pytest
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from emma.errors import EmmaError
from emma.training.frames import FrameTable, open_source

CHUNK = 16


# Of 2 * 96 * 96 * 3 bytes a frame.
@pytest.mark.parametrize("memory", [2**30, 0, 55296 * 10], ids=["decoded once", "decoded per batch", "ten decoded"])
def test_a_batch_is_what_lerobots_loader_gives(dataset, memory):
    source = open_source(dataset)
    table = FrameTable([source], ("top", "wrist"), memory_bytes=memory)
    fps = source.meta.fps
    theirs = LeRobotDataset(
        source.meta.repo_id, root=dataset, delta_timestamps={"action": [i / fps for i in range(CHUNK)]}
    )
    assert len(table) == len(theirs)
    indices = np.array([0, 5, len(theirs) // 2 - 1, len(theirs) // 2, len(theirs) - 1, len(theirs) - 4])
    batch = table.batch(indices, range(CHUNK))
    for row, index in enumerate(indices):
        item = theirs[int(index)]
        assert batch["task"][row] == item["task"]
        for key in (
            "action",
            "action_is_pad",
            "observation.state",
            "observation.images.top",
            "observation.images.wrist",
        ):
            torch.testing.assert_close(batch[key][row], item[key], rtol=0, atol=0)


def test_observation_offsets_add_a_time_axis_and_stay_inside_the_episode(dataset):
    table = FrameTable([open_source(dataset)], ("top",))
    batch = table.batch(np.array([0, 10]), range(4), [-1, 0])
    assert batch["observation.images.top"].shape == (2, 2, 3, 96, 96)
    torch.testing.assert_close(batch["observation.state"][0, 0], batch["observation.state"][0, 1])
    torch.testing.assert_close(batch["observation.state"][1, 0], table.states[9])


def test_relative_statistics_are_those_of_the_relative_chunks(dataset):
    table = FrameTable([open_source(dataset)], ())
    joints = np.array([True] * 6 + [False])
    got = table.relative_statistics(range(CHUNK), joints)
    batch = table.batch(np.arange(len(table)), range(CHUNK))
    relative = batch["action"] - batch["observation.state"][:, None] * torch.tensor(joints, dtype=torch.float32)
    values = relative[~batch["action_is_pad"]]
    torch.testing.assert_close(got["mean"], values.mean(0), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(got["std"], values.std(0, correction=0), rtol=1e-3, atol=1e-6)


def test_what_is_not_there_is_named(dataset, tmp_path):
    with pytest.raises(EmmaError, match="is not a LeRobotDataset"):
        open_source(tmp_path)
    with pytest.raises(EmmaError, match="lacks observation") as error:
        FrameTable([open_source(dataset)], ("front",))
    assert "cameras top, wrist" in str(error.value)
