"""`emma dream train`: a generator for the user's own robot."""

import argparse
from pathlib import Path

from emma.device import AUTO
from emma.device import HELP as DEVICES
from emma.robots import DEFAULT_ROBOT

HELP = """train a generator: a small one from scratch, or LoRA on Wan2.1-VACE

The small one learns from many short clips with captions and depth in all sorts of looks. Stages resume where they were
stopped. With --lora, a folder of Wan2.1-VACE learns your robot's videos: low resolution first, then full.

examples:
  emma collect --episodes 6000 --out data/clips --domain random --motion wander --jitter 0.03 --cameras top wrist
  emma dream train --data data/clips --views top wrist --out models/mine
  emma dream train --data data/more --views top wrist --init models/mine --steps 4000 --out models/better
  emma dream train --data data/robot --lora --base Wan2.1-VACE-1.3B --out models/lora
  emma dream caption data/robot --model HuggingFaceTB/SmolVLM-Instruct     where sentences are missing
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", action="append", type=Path, required=True, help="a LeRobotDataset; repeatable")
    parser.add_argument("--out", type=Path, required=True, help="generator folder to write; also holds the checkpoints")
    parser.add_argument("--views", nargs="+", metavar="CAMERA", help="cameras in order (default: all of the dataset)")
    parser.add_argument("--robot", default=DEFAULT_ROBOT, help="robot.yaml with its calibration (default %(default)s)")
    parser.add_argument("--prompts", default="desk", help="prompt grammar: a name or a YAML file (default desk)")
    parser.add_argument("--frames", type=int, help="frames of a clip (default 8; with --lora 81)")
    parser.add_argument(
        "--init", type=Path, metavar="DIR", help="a small generator to go on from (default: from scratch)"
    )
    parser.add_argument("--steps", type=int, help="optimiser steps of the transformer's main stage")
    parser.add_argument("--clip-steps", type=int, default=0, help="steps of a last stage on whole clips (default none)")
    parser.add_argument("--threads", type=int, default=2, help="processor cores (default 2)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lora", action="store_true", help="train LoRA weights on a Wan2.1-VACE folder instead")
    parser.add_argument("--base", metavar="DIR", help="with --lora: folder or hub name of Wan2.1-VACE")
    parser.add_argument("--rank", type=int, default=16, help="with --lora: rank of the added weights (default 16)")
    parser.add_argument(
        "--guide", default="depth", metavar="KIND", help="with --lora: control video of depth, edges or both"
    )
    parser.add_argument(
        "--depth-model", metavar="NAME", help="with --lora: model of transformers for depth that is not recorded"
    )
    parser.add_argument("--device", default=AUTO, help=f"where the depth model runs: {DEVICES} (default auto)")


def run(args: argparse.Namespace) -> int:
    from emma.dreamtransfer.dataset import DatasetClips
    from emma.errors import EmmaError
    from emma.progress import progress_bar

    views = tuple(args.views or DatasetClips.open(args.data[0]).views)
    if args.lora and args.init:
        raise EmmaError("--init is for small generators", found="--lora and --init", expected="one of them")
    if args.lora != bool(args.base):
        raise EmmaError("LoRA needs a base", found="--lora alone or --base alone", expected="both, or neither")
    with progress_bar() as bar:
        tasks: dict[str, int] = {}

        def watch(stage: str, done: int, total: int, note: str) -> None:
            if stage not in tasks:
                tasks[stage] = int(bar.add_task(stage, total=total, note=""))
            bar.update(tasks[stage], completed=done, note=note)  # type: ignore[arg-type]

        if args.lora:
            _lora(args, views, watch)
            print(f"{args.out}: LoRA weights; use them with --generator {args.base} --lora {args.out}")
            return 0
        _small(args, views, watch)
    print(f"{args.out}: generator for {', '.join(views)}; try `emma augment DATASET --generator {args.out}`")
    return 0


def _lora(args: argparse.Namespace, views: tuple[str, ...], watch: object) -> None:
    from dataclasses import replace

    from emma.device import choose_device
    from emma.dreamtransfer.depth import EstimatedDepth
    from emma.dreamtransfer.training.lora import LoraConfig, train_lora

    lora = LoraConfig(views=views, rank=args.rank, seed=args.seed, guide=args.guide)
    lora = replace(lora, **{k: v for k, v in (("frames", args.frames), ("steps", args.steps)) if v is not None})
    device = choose_device(args.device)
    print(f"device: {device}", flush=True)
    depth = EstimatedDepth.by_name(args.depth_model, device.name) if args.depth_model else None
    train_lora(args.data, args.base, args.out, lora, watch, depth)  # type: ignore[arg-type]


def _small(args: argparse.Namespace, views: tuple[str, ...], watch: object) -> None:
    from dataclasses import replace

    from emma.dreamtransfer.camera_poses import calibrated_poses
    from emma.dreamtransfer.pipeline import DreamTransfer
    from emma.dreamtransfer.prompts import Grammar
    from emma.dreamtransfer.training.small import ON_CLIPS, SmallConfig, train_small
    from emma.robots.spec import load_robot

    config = SmallConfig(views=views, seed=args.seed, threads=args.threads, frames=args.frames or 8)
    if args.steps is not None:
        config = replace(config, on_frames=replace(config.on_frames, steps=args.steps))
    if args.clip_steps:
        config = replace(config, on_clips=replace(ON_CLIPS, steps=args.clip_steps))
    poses = calibrated_poses(load_robot(args.robot))
    init = DreamTransfer.load(args.init, device="cpu") if args.init else None
    train_small(args.data, args.out, Grammar.load(args.prompts), poses, config, watch, init)  # type: ignore[arg-type]
