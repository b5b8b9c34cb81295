"""`emma demo`: the main job on the embedded arm, recorded and summed up."""

import argparse
from pathlib import Path

HELP = """watch it work: a policy drives the simulated arm through the ROS graph, every run is recorded

Starts the simulated arm, the policy and the recorder as ROS nodes in a domain of their own, gives one instruction after
another, and ends with a summary. Ctrl+C ends it in order.

examples:
  emma demo
  emma demo --episodes 20 --domain medium --policy mine
"""
EPISODES, SEED = 6, 10_000
DEFAULT_POLICY = "desk_arm_source"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--episodes", type=int, default=EPISODES, help=f"episodes to run (default {EPISODES})")
    parser.add_argument("--policy", type=Path, help=f"policy bundle (default models/{DEFAULT_POLICY})")
    parser.add_argument("--runtime", default="auto", help="what runs the policy (default auto)")
    parser.add_argument("--domain", default="source", metavar="NAME", help="visual appearance (default source)")
    parser.add_argument("--seed", type=int, default=SEED, help=f"seed of the first episode (default {SEED})")
    parser.add_argument("--out", type=Path, help="folder for bags, logs and pictures (default runs/demo-<time>)")
    parser.add_argument("--domain-id", type=int, metavar="N", help="ROS domain (default: a free one)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures, episodes, commit, machine and seed")


def run(args: argparse.Namespace) -> int:
    from emma.errors import EmmaError
    from emma.nodes.drive import DriveConfig, drive, run_folder
    from emma.nodes.session import trials
    from emma.nodes.summary import draw_sheet, show
    from emma.policy.bundle import load_bundle
    from emma.provenance import write_figures
    from emma.resources import data_dir
    from emma.robot import load_robot
    from emma.sim.domains import load_domain

    if args.episodes < 1:
        raise EmmaError("nothing to show", found=f"--episodes {args.episodes}", expected="1 or more")
    policy = (args.policy or data_dir("models") / DEFAULT_POLICY).resolve()
    load_domain(args.domain)
    spec = load_robot(load_bundle(policy).info.robot)
    config = DriveConfig(
        out=(args.out or run_folder("demo")).resolve(),
        robot=spec.name,
        policy=policy,
        runtime=args.runtime,
        domain_id=args.domain_id,
    )
    result = drive(config, trials(args.episodes, args.seed, args.domain))
    sheet = draw_sheet(result, spec, config.out / "contact_sheet.png")
    show(result, bags=config.bag_folder, sheet=sheet, logs=config.logs)
    if args.json:
        figures = {"episodes": len(result.rows), **result.timings}
        for name in ("success", "instruction_following"):
            rate = getattr(result, name)
            figures |= {name: rate.value, f"{name}_interval": rate.interval}
        write_figures(args.json, figures, seed=args.seed, bundle=str(policy), results=result.to_json())
    return 0
