"""Tiny generators with random weights, of both kinds, and videos of a robot."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanVACEPipeline,
    WanVACETransformer3DModel,
)

from emma.datasets.writer import DatasetWriter
from emma.dreamtransfer.pipeline import DreamTransfer
from emma.dreamtransfer.prompts import Grammar
from emma.dreamtransfer.training.autoencoder import LATENTS, new_autoencoder
from emma.dreamtransfer.training.text import new_text_encoder, new_tokenizer, vocabulary
from emma.dreamtransfer.training.transformer import new_transformer
from emma.observation import Observation
from emma.robots.spec import Camera, Command, Joint, RobotSpec

VIEWS = ("top", "wrist")


@pytest.fixture(scope="session")
def small_generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("generators") / "small"
    tokenizer = new_tokenizer(vocabulary(Grammar.load("desk"), 50))
    transformer = new_transformer(layers=2, heads=2, head_width=16, hidden=32, every=1)
    # Zero outputs would hide what goes in.
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    DreamTransfer(
        tokenizer=tokenizer,
        text_encoder=new_text_encoder(tokenizer),
        vae=new_autoencoder(),
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        views=VIEWS,
        latents_mean=[0.0] * LATENTS,
        latents_std=[1.0] * LATENTS,
        settings={"steps": 2, "window": 4, "overlap": 1},
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def large_generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wan2.1-VACE's classes in its own folder layout, tiny, with random weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("generators") / "wan"
    tokenizer = new_tokenizer(vocabulary(Grammar.load("desk"), 50))
    tokenizer.model_max_length = 512
    WanVACEPipeline(
        tokenizer=tokenizer,
        text_encoder=new_text_encoder(tokenizer),
        vae=AutoencoderKLWan(base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1),
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=3.0
        ),
        transformer=WanVACETransformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=2,
            attention_head_dim=12,
            text_dim=128,
            freq_dim=32,
            ffn_dim=32,
            num_layers=2,
            rope_max_seq_len=64,
            vace_layers=[0, 1],
            vace_in_channels=96,
        ),
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """videos(depth=True): a dataset of one captioned episode, seven frames of two views of 64 x 64."""
    made: dict[bool, Path] = {}

    def make(depth: bool = True) -> Path:
        if depth not in made:
            made[depth] = tmp_path_factory.mktemp("videos") / "robot"
            write_videos(made[depth], depth)
        return made[depth]

    return make


def write_videos(root: Path, depth: bool) -> None:
    cameras = tuple(
        Camera(
            name=view,
            image_topic=f"/{view}/image",
            depth_topic=f"/{view}/depth" if depth else None,
            width=64,
            height=64,
            rate_hz=30,
        )
        for view in VIEWS
    )
    joints = tuple(Joint(name=n, unit="rad", lower=-1.0, upper=1.0, velocity=1.0, acceleration=1.0) for n in "ab")
    spec = RobotSpec(
        name="no_arm",
        joints=joints,
        cameras=cameras,
        state_topic="/joint_states",
        command=Command(topic="/command", kind="joint_trajectory"),
        control_rate_hz=50,
        fps=10,
    )
    rng = np.random.default_rng(0)

    def frames() -> Iterator[tuple[Observation, np.ndarray]]:
        for i in range(7):
            image = np.full((64, 64, 3), 90, np.uint8)
            far = np.full((64, 64), 900, np.uint16)
            image[20:40, 4 * i : 4 * i + 20] = (200, 30, 30)
            far[20:40, 4 * i : 4 * i + 20] = 700
            state = rng.normal(size=2).astype(np.float32)
            maps = dict.fromkeys(VIEWS, far) if depth else {}
            yield Observation(stamp_ns=i * 10**8, state=state, images=dict.fromkeys(VIEWS, image), depth=maps), state

    with DatasetWriter(root, spec, depth=depth) as writer:
        writer.add_episode(frames(), "push", {"source": "bag", "caption": "a red cube on a grey table"})
