"""`emma train`: LeRobotDatasets to a policy bundle."""

import argparse
from pathlib import Path

from emma.options import add_options, chosen, key_values
from emma.training.config import TrainConfig

HELP = """train any LeRobot policy on LeRobotDatasets; writes a bundle that `emma` and `lerobot` load

The run keeps checkpoints, a log and a loss plot in OUT/training. Interrupt it at any time (Ctrl+C saves); --resume goes
on to the same weights as without the interruption.

policies: spatial_flow (the default: small, trains on a CPU in minutes), act, act_small, smolvla_small, or any LeRobot
policy type (pi0, smolvla, diffusion, ...) with --set for its options.

examples:
  emma train --data dataset --out mine
  emma train --data real --data more --policy act_small --steps 5000 --out act
  emma train --data real:bags --data generated:dreams --ratio 0.5 --sampler adamix --adamix lambda=10 --out robust
  emma train --data real:robot --data human:hands --action-space ee --ratio 0.5 --out transfer
  emma train --data dataset --out mine --resume
  emma train --data so101 --robot so101 --units degrees --map top=observation.images.front --out mine
  emma train --data dataset --init models/desk_arm_source --rtc-max-delay 5 --steps 2000 --out continued
"""

DATA_HELP = "a LeRobotDataset; repeatable. KIND is real (the default), generated or human"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", action="append", required=True, metavar="[KIND:]DIR", help=DATA_HELP)
    parser.add_argument("--out", type=Path, required=True, help="bundle folder to write")
    add_options(parser, TrainConfig)
    parser.add_argument(
        "--rtc-max-delay",
        type=int,
        metavar="N",
        help="train real-time chunking: up to N actions of the chunk in execution are given (spatial_flow)",
    )
    parser.add_argument(
        "--adamix",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="AdaMix option: lambda, gamma, period, warm_up, cap, ...; may be repeated",
    )
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in OUT")


def run(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from emma.adamix.config import AdaMixConfig
    from emma.datasets.files import dataset_root
    from emma.policy.bundle import load_bundle
    from emma.robots.spec import list_robots, load_robot
    from emma.training.mixture import parse_data

    for data in args.data:  # a wrong path is answered before the libraries load
        dataset_root(parse_data(data)[1])
    from emma.training.loop import LOG, RUN, mean_loss, train

    config = TrainConfig(data=tuple(args.data), **chosen(TrainConfig, args))
    if config.ratio is not None and config.sampler == "uniform":
        config = replace(config, sampler="fixmix")
    if args.init:
        config = replace(config, policy=load_bundle(args.init).info.policy_type)
    if args.rtc_max_delay is not None:
        config = replace(config, options={**config.options, "rtc_max_delay": args.rtc_max_delay})
    config = replace(config, adamix=AdaMixConfig.of(key_values("--adamix", args.adamix)))
    out = train(config, args.out, resume=args.resume)
    info = load_bundle(out).info
    print(f"{out}: {info.policy_type} for {info.robot}, loss {mean_loss(out / RUN / LOG):.4f}")
    simulated = info.robot in list_robots() and load_robot(info.robot).simulated
    deploy = f"ros2 launch emma deploy.launch.py robot:={info.robot} policy:={out}"
    print(f"next: {f'emma eval {out}' if simulated else deploy}")
    return 0
