"""Bundles of SmolVLA, pi0 and pi0.5 with random weights, at their real size or a smaller one: nothing is downloaded.

LeRobot builds pi0 and pi0.5 in two fixed sizes and names a tokenizer that has to be fetched; both are set aside while a
bundle is built or loaded (`sizes`). What is built is LeRobot's own code.
"""

import importlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from emma.errors import EmmaError
from emma.observation import Observation
from emma.policy.bundle import Bundle, BundleInfo, load_bundle, write_manifest
from emma.policy.export.parity import Case
from emma.policy.export.smolvla_patches import swapped
from emma.policy.loading import BACKBONE
from emma.robots import DEFAULT_ROBOT
from emma.training.small_smolvla import BackboneSize, write_backbone, write_tokenizer

KINDS = ("smolvla", "pi0", "pi05")
CAMERAS = ("top", "wrist", "front")
JOINTS = ("j1", "j2", "j3", "j4", "j5", "j6", "gripper")
INSTRUCTION = "put the cube in the bin"


class Gemma(NamedTuple):
    """LeRobot's names for the sizes of a Gemma."""

    width: int
    depth: int
    mlp_dim: int
    num_heads: int
    num_kv_heads: int
    head_dim: int


@dataclass(frozen=True, kw_only=True)
class Size:
    """smolvlm: SmolVLA's backbone; backbone, expert: pi's Gemmas; vision: pi's SigLIP as (width, layers, heads, mlp).

    image: edge in pixels; camera: (height, width) of the pictures where SmolVLA itself shrinks them to `image`; tokens:
    of language, padded to; chunk: actions; width: state and actions are padded to it; steps: of the flow.
    """

    image: int
    tokens: int
    chunk: int = 50
    width: int = 32
    steps: int = 10
    smolvlm: BackboneSize | None = None
    backbone: Gemma | None = None
    expert: Gemma | None = None
    vision: tuple[int, int, int, int] | None = None
    camera: tuple[int, int] | None = None


# SmolVLM2-500M with the 16 of its 32 layers that SmolVLA keeps; PaliGemma 2B and the 300M expert.
FULL_SMOLVLM = BackboneSize(
    image=512,
    hidden=960,
    intermediate=2560,
    layers=16,
    heads=15,
    groups=5,
    head_dim=64,
    vision_hidden=768,
    vision_intermediate=3072,
    vision_layers=12,
    vision_heads=12,
    scale=4,
    vocabulary=49280,
)
GEMMA_2B, GEMMA_300M = Gemma(2048, 18, 16384, 8, 1, 256), Gemma(1024, 18, 4096, 8, 1, 256)
SIGLIP = (1152, 27, 16, 4304)
# As the preset `smolvla_small` of `emma train` for the desk arm's pictures.
SMALL_SMOLVLA = Size(image=96, tokens=32, chunk=16, width=16, smolvlm=BackboneSize(image=96))
FULL = {
    "smolvla": Size(image=512, tokens=48, smolvlm=FULL_SMOLVLM),
    "pi0": Size(image=224, tokens=48, backbone=GEMMA_2B, expert=GEMMA_300M, vision=SIGLIP),
    "pi05": Size(image=224, tokens=200, backbone=GEMMA_2B, expert=GEMMA_300M, vision=SIGLIP),
}


def reduced(size: Size, layers: int) -> Size:
    """The same widths with `layers` layers in every part."""
    if size.smolvlm is not None:
        return replace(size, smolvlm=replace(size.smolvlm, layers=layers, vision_layers=layers))
    assert size.backbone is not None
    assert size.expert is not None
    assert size.vision is not None
    width, _, heads, mlp = size.vision
    return replace(
        size,
        backbone=size.backbone._replace(depth=layers),
        expert=size.expert._replace(depth=layers),
        vision=(width, layers, heads, mlp),
    )


@contextmanager
def sizes(kind: str, size: Size, tokenizer: Path) -> Iterator[None]:
    """While it holds, LeRobot builds pi0 and pi0.5 in this size, with the tokenizer in a folder."""
    if kind == "smolvla":
        yield
        return
    modeling = importlib.import_module(f"lerobot.policies.{kind}.modeling_{kind}")
    processing = importlib.import_module(f"lerobot.policies.{kind}.processor_{kind}")
    whole, plain = modeling.PaliGemmaForConditionalGenerationWithPiGemma, processing.TokenizerProcessorStep

    def gemma(variant: str) -> Any:
        chosen = size.backbone if variant == "gemma_2b" else size.expert
        assert chosen is not None
        return modeling.GemmaConfig(**chosen._asdict())

    def paligemma(config: Any) -> Any:
        assert size.vision is not None
        assert size.backbone is not None
        vision = config.vision_config
        vision.hidden_size, vision.num_hidden_layers, vision.num_attention_heads, vision.intermediate_size = size.vision
        vision.projection_dim = size.backbone.width
        return whole(config=config)

    def tokenizing(**options: Any) -> Any:
        return plain(**{**options, "tokenizer_name": str(tokenizer)})

    with ExitStack() as stack:
        stack.enter_context(swapped(modeling, "get_gemma_config", gemma))
        stack.enter_context(swapped(modeling, "PaliGemmaForConditionalGenerationWithPiGemma", partial(paligemma)))
        stack.enter_context(swapped(processing, "TokenizerProcessorStep", tokenizing))
        yield


def configuration(kind: str, size: Size, folder: Path, cameras: int, dtype: str = "float32") -> Any:
    """The LeRobot configuration of a policy in this size. folder: its bundle, whose tokenizer is written."""
    from lerobot.configs import FeatureType, NormalizationMode, PolicyFeature
    from lerobot.policies.factory import make_policy_config

    if kind not in KINDS:
        raise EmmaError(f"unknown policy '{kind}'", found=kind, expected=f"one of {', '.join(KINDS)}")
    edge = (3, *(size.camera or (size.image, size.image)))
    images = {f"observation.images.{c}": PolicyFeature(FeatureType.VISUAL, edge) for c in CAMERAS[:cameras]}
    joints = (len(JOINTS),)
    common: dict[str, Any] = {
        "input_features": {**images, "observation.state": PolicyFeature(FeatureType.STATE, joints)},
        "output_features": {"action": PolicyFeature(FeatureType.ACTION, joints)},
        "normalization_mapping": dict.fromkeys(("VISUAL", "STATE", "ACTION"), NormalizationMode.IDENTITY),
        "device": "cpu",
        "push_to_hub": False,
        "chunk_size": size.chunk,
        "n_action_steps": size.chunk,
        "tokenizer_max_length": size.tokens,
        "max_state_dim": size.width,
        "max_action_dim": size.width,
    }
    if size.smolvlm is not None:
        write_backbone(folder / BACKBONE, [INSTRUCTION], size.smolvlm)
        return make_policy_config(
            kind,
            **common,
            vlm_model_name=str(folder / BACKBONE),
            load_vlm_weights=False,
            resize_imgs_with_padding=(size.image, size.image),
            num_vlm_layers=size.smolvlm.layers,
            num_steps=size.steps,
            pad_language_to="max_length",
        )
    write_tokenizer(folder / BACKBONE, [INSTRUCTION])
    return make_policy_config(
        kind, **common, image_resolution=(size.image, size.image), num_inference_steps=size.steps, dtype=dtype
    )


def write_random(kind: str, size: Size, folder: Path, *, cameras: int, seed: int = 0) -> Bundle:
    """A bundle with random weights. Hold `sizes` around this and around everything that loads it."""
    import torch
    from lerobot.policies.factory import get_policy_class, make_pre_post_processors

    folder.mkdir(parents=True, exist_ok=True)
    config = configuration(kind, size, folder, cameras)
    torch.manual_seed(seed)
    policy = get_policy_class(kind)(config)
    policy.save_pretrained(folder)
    del policy
    for pipeline in make_pre_post_processors(config):
        pipeline.save_pretrained(folder)
    info = BundleInfo(
        robot=DEFAULT_ROBOT,
        policy_type=kind,
        cameras=CAMERAS[:cameras],
        fps=10,
        chunk=size.chunk,
        action_names=JOINTS,
        training={"weights": "random", "seed": seed},
    )
    write_manifest(folder, info)
    return load_bundle(folder)


def random_cases(size: Size, cameras: int, count: int, seed: int = 0) -> list[Case]:
    """Noise for pictures, joints within [-1, 1]."""
    rng = np.random.default_rng(seed)
    edge = (*(size.camera or (size.image, size.image)), 3)
    return [
        Case(
            Observation(
                stamp_ns=i,
                state=rng.uniform(-1, 1, len(JOINTS)).astype(np.float32),
                images={camera: rng.integers(0, 256, edge, dtype=np.uint8) for camera in CAMERAS[:cameras]},
            ),
            INSTRUCTION,
        )
        for i in range(count)
    ]
