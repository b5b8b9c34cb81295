"""`emma collect`: demonstrations of a simulated robot as a dataset, without ROS."""

import argparse
from pathlib import Path

from emma.robots import DEFAULT_ROBOT

HELP = """scripted demonstrations in the simulator, straight into a LeRobotDataset

The fast way to much data: no ROS and no bags, all cores. `emma record --operator scripted` makes the same episodes
through the ROS graph. Interrupted, it goes on where it stopped. Looks kept for evaluation (unseen_*) are refused.

examples:
  emma collect --episodes 200 --out data/source
  emma collect --episodes 400 --out data/random --domain random --seed 1000
  emma collect --episodes 200 --out data/push --task push
  emma collect --episodes 100 --out data/mixed --domain source --domain small --cameras top wrist --no-depth
  emma collect --robot so101 --episodes 200 --cameras top wrist --out data/so101
  emma collect --episodes 6000 --out data/clips --domain random --motion wander --cameras top wrist
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="dataset folder, made or continued")
    parser.add_argument("--episodes", type=int, default=100, help="episodes the dataset shall hold (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first episode (default 0)")
    parser.add_argument("--robot", default=DEFAULT_ROBOT, help="a simulated robot (default %(default)s)")
    parser.add_argument("--python", default="", metavar="PATH", help="so101, aloha: a Python that has the package")
    parser.add_argument("--task", help="what the expert does; desk_arm: place or push (default: the robot's first)")
    parser.add_argument(
        "--domain", action="append", metavar="NAME", help="look, or random; may be given again: they take turns"
    )
    parser.add_argument(
        "--noise", type=float, default=0.02, help="disturbance of executed commands, rad (default 0.02)"
    )
    parser.add_argument(
        "--motion",
        default="task",
        choices=("task", "wander"),
        help="task: the expert at work; wander: short clips of aimless motion among varied objects, for a generator",
    )
    parser.add_argument("--frames", type=int, default=8, help="frames of a wandering clip (default 8)")
    parser.add_argument("--jitter", type=float, default=0.0, help="random: change of each colour channel (default 0)")
    parser.add_argument("--cameras", nargs="+", metavar="NAME", help="cameras to store (default all)")
    parser.add_argument("--no-depth", action="store_true", help="store colour only")
    parser.add_argument("--workers", type=int, help="processes (default: one a core)")
    parser.add_argument(
        "--evaluation-domains", action="store_true", help="allow looks kept for evaluation: for an upper bound only"
    )


def run(args: argparse.Namespace) -> int:
    from emma.envs.maker import maker_of
    from emma.progress import progress_bar
    from emma.robots.spec import load_robot
    from emma.sim.collect import CollectConfig, CollectReport, collect

    spec = load_robot(args.robot)
    maker = maker_of(spec, args.python)
    config = CollectConfig(
        maker=maker,
        episodes=args.episodes,
        seed=args.seed,
        domains=tuple(args.domain or ["source"]),
        noise=args.noise,
        jitter=args.jitter,
        cameras=tuple(args.cameras) if args.cameras else None,
        depth=maker.depth and not args.no_depth,
        evaluation_domains=args.evaluation_domains,
        motion=args.motion,
        frames=args.frames,
        task=args.task or maker.tasks[0],
        **({} if args.workers is None else {"workers": args.workers}),
    )
    with progress_bar() as bar:
        task = bar.add_task("collect", total=args.episodes, note="starting processes")

        def advance(report: CollectReport) -> None:
            note = f"{report.failed} failed" if report.failed else ""
            bar.update(task, completed=report.kept + report.episodes, note=note)

        report = collect(args.out, spec, config, advance)
    print(
        f"{args.out}: {report.episodes} episodes, {report.frames} frames in {report.seconds:.0f} s"
        f" ({report.failed} failed and dropped, {report.kept} kept from before)"
    )
    return 0
