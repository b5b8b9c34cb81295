"""`emma train`: LeRobotDatasets to a policy bundle."""

import argparse
import json
from pathlib import Path
from typing import Any

from emma.training.config import AUGMENTATIONS
from emma.training.mixture import SAMPLERS

HELP = """train any LeRobot policy on LeRobotDatasets; writes a bundle that `emma` and `lerobot` load

The run keeps checkpoints, a log and a loss plot in OUT/training. Interrupt it at any time (Ctrl+C saves); --resume goes
on to the same weights as without the interruption.

policies: spatial_flow (the default: small, trains on a CPU in minutes), act, act_small, smolvla_small, or any LeRobot
policy type (pi0, smolvla, diffusion, ...) with --set for its options.

examples:
  emma train --data dataset --out mine
  emma train --data real --data more --policy act_small --steps 5000 --out act
  emma train --data real:bags --data generated:dreams --ratio 0.5 --sampler adamix --adamix lambda=10 --out robust
  emma train --data dataset --out mine --resume
  emma train --data dataset --init models/desk_arm_source --rtc-max-delay 5 --steps 2000 --out continued
"""

DATA_HELP = "a LeRobotDataset; repeatable. KIND is real (the default), generated or human"
SAMPLER_HELP = (
    "which frames are drawn: uniform (every frame alike, the default), fixmix (RATIO of what is not real, uniform "
    "within), adamix (fixmix with hard episodes more often), adamix-loss (fixmix draws, hard episodes weigh more)"
)
INTERVENTIONS_HELP = (
    "frames in which a person had taken over from a policy: all (drawn as others are, the default), weight=K (K times "
    "as often), only (nothing else), none"
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", action="append", required=True, metavar="[KIND:]DIR", help=DATA_HELP)
    parser.add_argument("--out", type=Path, required=True, help="bundle folder to write")
    parser.add_argument("--policy", default="spatial_flow", help="policy type or preset (default spatial_flow)")
    parser.add_argument("--init", type=Path, metavar="BUNDLE", help="start from this bundle's weights and processors")
    parser.add_argument(
        "--rtc-max-delay",
        type=int,
        metavar="N",
        help="train real-time chunking: up to N actions of the chunk in execution are given (spatial_flow)",
    )
    parser.add_argument("--sampler", choices=SAMPLERS, default="uniform", help=SAMPLER_HELP)
    parser.add_argument(
        "--ratio", type=float, metavar="SHARE", help="share of generated and human samples, 0 to 1 (default 0.5)"
    )
    parser.add_argument("--interventions", default="all", metavar="RULE", help=INTERVENTIONS_HELP)
    parser.add_argument(
        "--adamix",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="AdaMix option: lambda, gamma, period, warm_up, cap, ...; may be repeated",
    )
    parser.add_argument(
        "--augment", choices=AUGMENTATIONS, default="none", help="random look of the training images (default none)"
    )
    parser.add_argument("--steps", type=int, default=12_000, help="optimiser steps (default 12000)")
    parser.add_argument("--batch-size", type=int, default=64, help="frames a step (default 64)")
    parser.add_argument("--cameras", nargs="+", metavar="NAME", help="cameras to use (default: all in the dataset)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="policy option, value as JSON; may be repeated"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ema", type=float, default=0.999, help="decay of averaged weights, 0 = off (default 0.999)")
    parser.add_argument(
        "--precision", choices=("fp32", "bf16"), default="fp32", help="autocast precision (default fp32)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default cpu)")
    parser.add_argument("--threads", type=int, default=1, help="torch threads; on a busy machine fewer are faster")
    parser.add_argument("--checkpoint-every", type=int, default=2000, metavar="STEPS")
    parser.add_argument("--log-every", type=int, default=50, metavar="STEPS")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in OUT")


def run(args: argparse.Namespace) -> int:
    from emma.adamix.config import AdaMixConfig
    from emma.policy.bundle import load_bundle
    from emma.training.config import TrainConfig
    from emma.training.loop import LOG, RUN, mean_loss, train

    options = dict(_option("--set", text) for text in args.set)
    if args.rtc_max_delay is not None:
        options["rtc_max_delay"] = args.rtc_max_delay
    config = TrainConfig(
        data=tuple(args.data),
        policy=load_bundle(args.init).info.policy_type if args.init else args.policy,
        steps=args.steps,
        batch_size=args.batch_size,
        seed=args.seed,
        cameras=tuple(args.cameras) if args.cameras else None,
        options=options,
        ema=args.ema,
        precision=args.precision,
        device=args.device,
        threads=args.threads,
        checkpoint_every=args.checkpoint_every,
        log_every=args.log_every,
        init=str(args.init) if args.init else "",
        sampler=args.sampler,
        ratio=args.ratio,
        interventions=args.interventions,
        augment=args.augment,
        adamix=AdaMixConfig.of(dict(_option("--adamix", text) for text in args.adamix)),
    )
    out = train(config, args.out, resume=args.resume)
    info = load_bundle(out).info
    print(f"{out}: {info.policy_type} for {info.robot}, loss {mean_loss(out / RUN / LOG):.4f}")
    print(f"next: emma eval {out}")
    return 0


def _option(flag: str, text: str) -> tuple[str, Any]:
    from emma.errors import EmmaError

    key, separator, value = text.partition("=")
    if not separator:
        raise EmmaError(f"bad {flag} {text}", found=text, expected="KEY=VALUE, the value as JSON or plain text")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value
