"""A trained policy as a bundle: LeRobot's own folder plus `emma.json`, put in place as a whole."""

import os
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from emma.files import sha256_tree
from emma.policy.bundle import JOINT_SPACE, MANIFEST, POSE_SPACE, BundleInfo, write_manifest
from emma.policy.exported import weights_of
from emma.policy.lerobot_folder import ACTS_LESS, chunk_of
from emma.provenance import commit, versions
from emma.robots.spec import RobotSpec
from emma.training.config import TrainConfig
from emma.training.frames import ACTION, FrameTable, Source
from emma.training.policies import Built, _names

# Read at some hundred MB/s.
HASHED_BYTES = 8 * 2**30


def write_bundle(
    out: Path,
    config: TrainConfig,
    built: Built,
    policy: Any,
    table: FrameTable,
    spec: RobotSpec | None,
    summary: dict[str, Any],
) -> None:
    """Write every file aside, then move them into `out`, `emma.json` last: without it a folder is no bundle."""
    sources, space = table.sources, table.space
    feature = sources[0].features[ACTION]
    names = spec.joint_names if spec else tuple(_names(feature, feature["shape"][0]))
    info = BundleInfo(
        robot=spec.name if spec else sources[0].meta.robot_type or "unknown",
        policy_type=policy.config.type,
        cameras=table.cameras,
        fps=sources[0].meta.fps,
        chunk=_chunk(policy.config),
        action_names=tuple(names),
        action_space=JOINT_SPACE if space is None else POSE_SPACE,
        groups=() if space is None else space.groups,
        training={
            "data": [_describe(source) for source in sources],
            **summary,
            "batch_size": config.batch_size,
            "seed": config.seed,
            "precision": config.precision,
            "ema": config.ema,
            "options": dict(config.options),
            "sampler": config.sampler,
            "augment": config.augment,
            **({"action_space": config.action_space, "normalisation": config.normalisation} if space else {}),
            **({"adamix": asdict(config.adamix)} if config.sampler.startswith("adamix") else {}),
            **(
                {"init": {"name": Path(config.init).name, "weights": weights_of(Path(config.init))}}
                if config.init
                else {}
            ),
            "commit": commit(),
            "versions": versions(),
        },
    )
    with TemporaryDirectory(dir=out, prefix=".bundle-") as scratch:
        aside = Path(scratch)
        policy.save_pretrained(aside)
        built.preprocessor.save_pretrained(aside)
        built.postprocessor.save_pretrained(aside)
        write_manifest(aside, info)
        # safetensors writes files that their owner alone can read.
        mode = (aside / MANIFEST).stat().st_mode
        for file in aside.iterdir():
            file.chmod(mode)
        for file in sorted(aside.iterdir(), key=lambda path: path.name == MANIFEST):
            os.replace(file, out / file.name)


def _describe(source: Source) -> dict[str, Any]:
    return {
        "name": source.root.name,
        "kind": source.kind,
        "episodes": source.meta.total_episodes,
        "frames": source.meta.total_frames,
        **_hash(source.root),
    }


def _chunk(config: Any) -> int:
    """How many actions an inference gives; some policies plan further than they act."""
    if config.type in (*ACTS_LESS, "vqbet"):
        return chunk_of({"type": config.type, **vars(config)})
    return len(config.action_delta_indices)


def _hash(root: Path) -> dict[str, str]:
    """Of the whole dataset, or, where that takes too long, of `meta`, which has statistics of every episode."""
    size = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
    return {"sha256": sha256_tree(root)} if size <= HASHED_BYTES else {"sha256_meta": sha256_tree(root / "meta")}
