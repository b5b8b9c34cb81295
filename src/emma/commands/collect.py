"""`emma collect`: demonstrations of a simulated robot as a dataset, without ROS."""

import argparse
from pathlib import Path

from emma.options import add_options, chosen
from emma.robots import DEFAULT_ROBOT
from emma.sim.options import CollectOptions

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
    parser.add_argument("--robot", default=DEFAULT_ROBOT, help="a simulated robot (default %(default)s)")
    parser.add_argument("--python", default="", metavar="PATH", help="so101, aloha: a Python that has the package")
    parser.add_argument("--task", help="what the expert does; desk_arm: place or push (default: the robot's first)")
    parser.add_argument(
        "--domain", action="append", metavar="NAME", help="look, or random; may be given again: they take turns"
    )
    parser.add_argument("--workers", type=int, help="processes (default: one a core)")
    add_options(parser, CollectOptions)


def run(args: argparse.Namespace) -> int:
    from emma.envs.maker import maker_of
    from emma.progress import progress_bar
    from emma.robots.spec import load_robot
    from emma.sim.collect import CollectConfig, CollectReport, collect

    spec = load_robot(args.robot)
    maker = maker_of(spec, args.python)
    values = chosen(CollectOptions, args)
    config = CollectConfig(
        **{**values, "depth": values["depth"] and maker.depth},
        maker=maker,
        domains=tuple(args.domain or ["source"]),
        task=args.task or maker.tasks[0],
        **({} if args.workers is None else {"workers": args.workers}),
    )
    with progress_bar() as bar:
        task = bar.add_task("collect", total=config.episodes, note="starting processes")

        def advance(report: CollectReport) -> None:
            note = f"{report.failed} failed" if report.failed else ""
            bar.update(task, completed=report.kept + report.episodes, note=note)

        report = collect(args.out, spec, config, advance)
    print(
        f"{args.out}: {report.episodes} episodes, {report.frames} frames in {report.seconds:.0f} s"
        f" ({report.failed} failed and dropped, {report.kept} kept from before)"
    )
    return 0
