"""Training on tool poses: joints through forward kinematics, hands beside them, and the bundle on the robot."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from human_recordings import motion, write_aria, write_egodex

from emma.errors import EmmaError
from emma.human.importing import ImportConfig, import_recordings
from emma.observation import Observation
from emma.policy.bundle import Bundle, load_bundle
from emma.policy.end_effector.poses import relative_chunk
from emma.policy.end_effector.space import EndEffectorSpace
from emma.policy.runtime import TorchRuntime, open_runtime
from emma.policy.runtime.cartesian import CartesianRuntime
from emma.robots.spec import load_robot
from emma.training.config import TrainConfig
from emma.training.frames import ACTION, STATE, VALUES_PAD, FrameTable, open_source
from emma.training.loop import train
from emma.training.masks import action_mask
from emma.training.pose_statistics import pose_statistics

SMALL = {"conv_channels": [8, 8, 8], "condition_dim": 32, "hidden_dim": 32, "num_blocks": 1}
OFFSETS = range(16)


@pytest.fixture(scope="session")
def hands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of a right hand, the second with a long dropout, seen by a camera of the robot's name and size."""
    root = tmp_path_factory.mktemp("hands")
    write_egodex(root / "in" / "0.hdf5", motion())
    write_aria(root / "in" / "1", motion(), missing=tuple(range(20, 32)))
    import_recordings(root / "in", root / "out", ImportConfig(size=(96, 96), camera="top"))
    return root / "out"


@pytest.fixture(scope="session")
def space() -> EndEffectorSpace:
    return EndEffectorSpace(load_robot("desk_arm"))


@pytest.fixture(scope="session")
def mixed(dataset: Path, hands: Path, space: EndEffectorSpace) -> FrameTable:
    return FrameTable([open_source(dataset), open_source(f"human:{hands}")], ("top", "wrist"), space=space)


def config(*data: str, **changes) -> TrainConfig:
    settings = {"policy": "spatial_flow", "steps": 2, "batch_size": 4, "log_every": 1, "ema": 0.0, "options": SMALL}
    return TrainConfig(data=data, action_space="ee", **{**settings, **changes})


@pytest.fixture(scope="session")
def trained(dataset: Path, hands: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Robot and hands, half of the samples each, hands by statistics of their own."""
    made = config(str(dataset), f"human:{hands}", sampler="fixmix", ratio=0.5, normalisation="embodiment")
    return load_bundle(train(made, tmp_path_factory.mktemp("trained") / "bundle"))


def test_joints_are_read_through_forward_kinematics(dataset: Path, mixed: FrameTable, space: EndEffectorSpace) -> None:
    joints = FrameTable([open_source(dataset)], ())
    mine = np.arange(len(joints))
    np.testing.assert_allclose(mixed.states[mine].numpy(), space.encode(joints.states.numpy()), atol=1e-6)
    np.testing.assert_allclose(mixed.actions[mine].numpy(), space.encode(joints.actions.numpy()), atol=1e-6)


def test_hands_keep_their_relative_motion_and_are_placed_by_the_camera(hands: Path, mixed: FrameTable) -> None:
    alone = FrameTable([open_source(f"human:{hands}")], (), space=mixed.space)
    first = int(mixed.starts[2])
    ours, theirs = mixed.numbers(np.array([first + 3]), OFFSETS), alone.numbers(np.array([3]), OFFSETS)
    moved = [relative_chunk(batch[STATE].numpy(), batch[ACTION].numpy()) for batch in (ours, theirs)]
    np.testing.assert_allclose(*moved, atol=1e-5)
    # The hand lies where the robot's camera would see it as the person's camera does.
    recording = motion()
    hand = recording.points["right"][6][[0, 5, 17]].mean(0)
    camera = recording.camera[6]
    seen = np.linalg.inv(camera) @ np.append(hand, 1.0)
    top = np.array([[0, -1, 0, 0.27], [-1, 0, 0, 0], [0, 0, -1, 0.85], [0, 0, 0, 1.0]])
    np.testing.assert_allclose(ours[STATE][0, :3].numpy(), (top @ seen)[:3], atol=1e-3)


def test_what_was_not_seen_is_marked_and_absent_cameras_are_black(mixed: FrameTable) -> None:
    batch = mixed.batch(np.arange(len(mixed)), OFFSETS)
    human = mixed.source_of_frame == 1
    assert not batch[VALUES_PAD][~human].any()
    assert 0 < int((~mixed.valid[human]).any(1).sum()) < int(human.sum())
    assert (batch["observation.images.wrist"][human] == 0).all()
    assert (batch["observation.images.wrist"][~human] > 0).any()


def test_marked_numbers_change_no_loss(mixed: FrameTable, trained: Bundle) -> None:
    policy = TorchRuntime(trained)._loaded.policy
    policy.train()
    policy.config.state_noise, policy.config.shift_px = 0.0, 0
    losses = []
    for change in (0.0, 100.0):
        batch = mixed.batch(np.array([0, len(mixed) - 15]), OFFSETS)
        assert batch[VALUES_PAD].any()
        batch[ACTION] = batch[ACTION] + change * batch[VALUES_PAD]
        batch |= {"observation.language.tokens": torch.ones(2, 24, dtype=torch.long)}
        batch |= {"observation.language.attention_mask": torch.ones(2, 24, dtype=torch.bool)}
        for reduction in ("mean", "none"):
            torch.manual_seed(0)
            losses.append(policy(batch, reduction=reduction)[0])
    torch.testing.assert_close(losses[0], losses[2])
    torch.testing.assert_close(losses[1], losses[3])


class _Policy:
    """A policy class of LeRobot as far as masks ask."""

    def __init__(self, name: str, **options: bool) -> None:
        self.name, self.config = name, type("Config", (), options)()


def test_other_policies_mask_whole_actions_or_say_why_not(mixed: FrameTable) -> None:
    batch = mixed.numbers(np.array([0, len(mixed) - 15]), OFFSETS)
    values = batch[VALUES_PAD].any(-1)
    action_mask(_Policy("act"), mixed)(batch)
    assert VALUES_PAD not in batch
    assert (batch["action_is_pad"] >= values).all()
    with pytest.raises(EmmaError, match="pi0 cannot leave out"):
        action_mask(_Policy("pi0"), mixed)
    with pytest.raises(EmmaError, match="do_mask_loss_for_padding=true"):
        action_mask(_Policy("diffusion", do_mask_loss_for_padding=False), mixed)
    action_mask(_Policy("diffusion", do_mask_loss_for_padding=True), mixed)


def test_statistics_leave_out_what_does_not_count(mixed: FrameTable) -> None:
    stats = pose_statistics(mixed, ["real", "human"], OFFSETS, relative=True)
    batch = mixed.numbers(np.arange(len(mixed)), OFFSETS)
    relative = relative_chunk(batch[STATE].numpy(), batch[ACTION].numpy())
    counted = ~(batch[VALUES_PAD] | batch["action_is_pad"][..., None]).numpy()
    np.testing.assert_allclose(stats[ACTION]["mean"][2], relative[..., 2][counted[..., 2]].mean(), atol=1e-5)
    np.testing.assert_allclose(stats[STATE]["std"], batch[STATE].numpy().std(0), atol=1e-4)


def test_a_bundle_takes_and_gives_joints(trained: Bundle, space: EndEffectorSpace) -> None:
    assert trained.info.action_space == "ee"
    assert trained.info.groups == ("tool",)
    assert trained.info.action_names == space.spec.joint_names
    runtime = open_runtime(trained, kind="torch")
    assert isinstance(runtime, CartesianRuntime)
    images = {name: np.zeros((96, 96, 3), np.uint8) for name in trained.info.cameras}
    seen = Observation(stamp_ns=0, state=np.array(space.spec.home, np.float32), images=images)
    chunk = runtime.infer(seen, "put the cube in the bin")
    assert chunk.shape == (16, 7)
    inner = TorchRuntime(trained)
    wanted = inner.infer(
        replace(seen, state=space.encode(seen.state[None])[0].astype(np.float32)), "put the cube in the bin"
    )
    reached = runtime.reach.held == 0
    assert not reached or np.abs(space.encode(chunk)[-1, :3] - wanted[-1, :3]).max() < 0.05
    described = json.loads((trained.path / "emma.json").read_text())["training"]
    assert described["action_space"] == "ee"


def test_what_does_not_fit_is_refused(dataset: Path, hands: Path, trained: Bundle, tmp_path: Path) -> None:
    with pytest.raises(EmmaError, match="has no joint actions"):
        train(replace(config(str(dataset), f"human:{hands}"), action_space="joint"), tmp_path / "a")
    with pytest.raises(EmmaError, match="no robot to learn for"):
        train(config(f"human:{hands}"), tmp_path / "b")
    joint = replace(config(str(dataset), init=str(trained.path)), action_space="joint", options={})
    with pytest.raises(EmmaError, match="has other actions"):
        train(joint, tmp_path / "c")
    with pytest.raises(EmmaError, match="one normalisation"):
        replace(config(str(dataset)), action_space="joint", normalisation="embodiment")
