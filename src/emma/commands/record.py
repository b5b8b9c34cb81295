"""`emma record`: demonstrations through the ROS graph into bags."""

import argparse
from pathlib import Path

HELP = """record demonstrations on the simulated arm: every topic into one bag per episode

Starts simulated arm, operator and recorder as ROS nodes in a domain of their own. A demonstration that fails is
discarded and another one made. On a real robot: ros2 launch emma record.launch.py.

examples:
  emma record --episodes 20 --out bags
  emma record --episodes 20 --lockstep --out bags    simulated time: repeatable to the bit, as fast as the machine can
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--episodes", type=int, required=True, help="demonstrations to keep")
    parser.add_argument("--operator", choices=("scripted",), default="scripted", help="who moves the arm")
    parser.add_argument("--out", type=Path, required=True, help="folder for the bags; one that has bags gets more")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first episode (default 0)")
    parser.add_argument("--domain", default="source", metavar="NAME", help="visual appearance (default source)")
    parser.add_argument("--noise", type=float, default=0.0, help="disturbance of the commands, rad (default 0)")
    parser.add_argument("--lockstep", action="store_true", help="in simulated time, one tick per command")
    parser.add_argument("--domain-id", type=int, metavar="N", help="ROS domain (default: a free one)")


def run(args: argparse.Namespace) -> int:
    from emma.errors import EmmaError
    from emma.nodes.drive import MAX_FAILED, DriveConfig, drive
    from emma.nodes.session import Trial
    from emma.nodes.summary import draw_sheet, show
    from emma.robot import load_robot
    from emma.sim.demonstrations import target_of
    from emma.sim.domains import load_domain

    if args.episodes < 1:
        raise EmmaError("nothing to record", found=f"--episodes {args.episodes}", expected="1 or more")
    load_domain(args.domain)
    out = args.out.resolve()
    config = DriveConfig(
        out=out / "session",
        bags=out,
        operator=args.operator,
        lockstep=args.lockstep,
        noise=args.noise,
        domain_id=args.domain_id,
    )
    seeds = range(args.seed, args.seed + MAX_FAILED * args.episodes)
    plan = [Trial(seed=seed, target=target_of(seed), domain=args.domain) for seed in seeds]
    result = drive(config, plan, wanted=args.episodes)
    sheet = draw_sheet(result, load_robot(config.robot), config.out / "contact_sheet.png")
    show(result, bags=out, sheet=sheet, logs=config.logs)
    print(f"next          emma episodes convert {args.out} --out dataset")
    return 0
