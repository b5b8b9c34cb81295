"""A small bundle of every exportable policy class, with random weights, in seconds and without a download."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from emma.bench.random_vla import CAMERAS, JOINTS, Gemma, Size, random_cases, sizes, write_random
from emma.policy.bundle import Bundle, BundleInfo, load_bundle, write_manifest
from emma.policy.export.parity import Case
from emma.policy.loading import BACKBONE, register_plugins
from emma.robots import DEFAULT_ROBOT
from emma.training.small_smolvla import BackboneSize

POLICIES = ("spatial_flow", "act", "smolvla", "pi0", "pi05")
FEW, IMAGE = 2, 64
NOISE = 0.02
TINY_GEMMA = Gemma(32, FEW, 64, 2, 1, 16)
TINY_PI = Size(image=56, tokens=16, chunk=4, steps=2, backbone=TINY_GEMMA, expert=TINY_GEMMA, vision=(32, FEW, 2, 64))
TINY_SMOLVLA = Size(
    image=IMAGE,
    tokens=16,
    chunk=8,
    width=16,
    steps=2,
    smolvlm=BackboneSize(image=IMAGE, layers=FEW, vision_layers=FEW),
)
SIZES = {"smolvla": TINY_SMOLVLA, "pi0": TINY_PI, "pi05": TINY_PI}
OPTIONS: dict[str, dict[str, Any]] = {
    "spatial_flow": {"conv_channels": [8, 8, 8], "condition_dim": 32, "hidden_dim": 32, "num_blocks": FEW},
    "act": {
        "dim_model": 32,
        "n_heads": 2,
        "dim_feedforward": 64,
        "n_encoder_layers": 1,
        "pretrained_backbone_weights": None,
    },
}


def write_small(kind: str, folder: Path, stack: ExitStack, seed: int = 0) -> tuple[Bundle, list[Case]]:
    """A bundle of two cameras in `folder`, and noise to compare on. stack: holds what must hold while it is used."""
    if kind in SIZES:
        size = SIZES[kind]
        stack.enter_context(sizes(kind, size, folder / BACKBONE))
        return write_random(kind, size, folder, cameras=2, seed=seed), random_cases(size, 2, 2, seed)
    return _plain(kind, folder, seed), random_cases(Size(image=IMAGE, tokens=0), 2, 2, seed)


def _plain(kind: str, folder: Path, seed: int) -> Bundle:
    import torch
    from lerobot.configs import FeatureType, NormalizationMode, PolicyFeature
    from lerobot.policies.factory import get_policy_class, make_policy_config, make_pre_post_processors

    register_plugins()
    joints = (len(JOINTS),)
    images = {f"observation.images.{c}": PolicyFeature(FeatureType.VISUAL, (3, IMAGE, IMAGE)) for c in CAMERAS[:2]}
    config = make_policy_config(
        kind,
        input_features={**images, "observation.state": PolicyFeature(FeatureType.STATE, joints)},
        output_features={"action": PolicyFeature(FeatureType.ACTION, joints)},
        normalization_mapping=dict.fromkeys(("VISUAL", "STATE", "ACTION"), NormalizationMode.IDENTITY),
        device="cpu",
        push_to_hub=False,
        chunk_size=8,
        n_action_steps=8,
        **OPTIONS[kind],
    )
    torch.manual_seed(seed)
    policy = get_policy_class(kind)(config)
    with torch.no_grad():
        for parameter in policy.parameters():
            # Layers that begin at zero would make every answer the same.
            parameter += NOISE * torch.randn_like(parameter)
    folder.mkdir(parents=True, exist_ok=True)
    policy.save_pretrained(folder)
    for pipeline in make_pre_post_processors(config):
        pipeline.save_pretrained(folder)
    info = BundleInfo(
        robot=DEFAULT_ROBOT,
        policy_type=kind,
        cameras=CAMERAS[:2],
        fps=10,
        chunk=8,
        action_names=JOINTS,
        training={"weights": "random", "seed": seed},
    )
    write_manifest(folder, info)
    return load_bundle(folder)
