"""`emma demo`: the main job on a simulated robot, recorded and summed up."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from emma.robots import DEFAULT_ROBOT

if TYPE_CHECKING:
    from emma.sessions.before_after import BeforeAfter
    from emma.sessions.session import SessionResult

HELP = """watch it work: a policy drives the simulated arm through the ROS graph, every run is recorded

Starts the simulated arm, the policy and the recorder as ROS nodes in a domain of their own, gives one instruction after
another, and ends with a summary. Ctrl+C ends it in order.

Then before and after: in a look that no demonstration showed, the same starts with that policy and, changed over while
everything runs, with the one that learned from re-imagined episodes, where that one ships.

examples:
  emma demo
  emma demo --console                 and watch, stop and review it in a browser
  emma demo --after mine --unlike large
  emma demo --robot so101 --policy mine       an SO-101 in a simulator of others (first: emma envs install so101)
  emma demo --episodes 20 --domain medium --policy mine
"""
EPISODES, SEED = 6, 10_000
DEFAULT_POLICY = "desk_arm_source"
# By robot; the default one's is compared with a policy that learned from re-imagined episodes.
POLICIES = {DEFAULT_ROBOT: DEFAULT_POLICY, "so101": "so101_pick_place", "aloha": "aloha_transfer_cube"}
# The policy of the full recipe; a graded shift, because the unseen appearances are kept for the final comparison.
AFTER_POLICY, UNLIKE, COMPARED = "desk_arm_adamix", "medium", 3


def configure(parser: argparse.ArgumentParser) -> None:
    from emma.console.config import PORT

    parser.add_argument("--episodes", type=int, default=EPISODES, help=f"episodes to run (default {EPISODES})")
    parser.add_argument("--robot", help=f"a simulated robot (default {DEFAULT_ROBOT}, or that of --policy)")
    parser.add_argument("--python", default="", metavar="PATH", help="so101, aloha: a Python that has the package")
    parser.add_argument("--policy", type=Path, help=f"policy bundle (default models/{DEFAULT_POLICY}, or the robot's)")
    parser.add_argument("--runtime", default="auto", help="what runs the policy (default auto)")
    parser.add_argument("--domain", default="source", metavar="NAME", help="visual appearance (default source)")
    parser.add_argument("--seed", type=int, default=SEED, help=f"seed of the first episode (default {SEED})")
    parser.add_argument("--out", type=Path, help="folder for bags, logs and pictures (default runs/demo-<time>)")
    parser.add_argument(
        "--after", type=Path, metavar="BUNDLE", help=f"policy to compare with (default models/{AFTER_POLICY}, if there)"
    )
    parser.add_argument("--unlike", default=UNLIKE, metavar="NAME", help=f"appearance for it (default {UNLIKE})")
    parser.add_argument(
        "--compared", type=int, default=COMPARED, metavar="N", help=f"starts for it, 0 for none (default {COMPARED})"
    )
    parser.add_argument(
        "--console", type=int, nargs="?", const=PORT, metavar="PORT", help=f"serve the web page beside it (port {PORT})"
    )
    parser.add_argument("--domain-id", type=int, metavar="N", help="ROS domain (default: a free one)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures, episodes, commit, machine and seed")


def run(args: argparse.Namespace) -> int:
    from emma.envs.maker import maker_of
    from emma.errors import EmmaError
    from emma.policy.bundle import load_bundle
    from emma.resources import data_dir
    from emma.robots.spec import load_robot
    from emma.sessions.before_after import BeforeAfter
    from emma.sessions.drive import DriveConfig, Part, drive_parts, run_folder
    from emma.sessions.session import trials
    from emma.sessions.summary import draw_sheet, show
    from emma.sim.maker import require_known

    if args.episodes < 1 or args.compared < 0:
        found = f"--episodes {args.episodes}, --compared {args.compared}"
        raise EmmaError("nothing to show", found=found, expected="1 or more episodes, 0 or more to compare")
    models = data_dir("models")
    asked = load_robot(args.robot) if args.robot else None
    ships = models / POLICIES.get(asked.name if asked else DEFAULT_ROBOT, "")
    policy = (args.policy or ships).resolve()
    if args.policy is None and not (policy / "emma.json").is_file():
        raise EmmaError(
            f"no policy for {args.robot or DEFAULT_ROBOT} is here",
            found=f"no policy in {policy}",
            expected="a policy bundle",
            fix="make one as docs/tutorials/robots-of-others.md shows, then name it with --policy",
        )
    bundle = load_bundle(policy)
    spec = asked or load_robot(bundle.info.robot)
    bundle.check(spec)
    maker = maker_of(spec, args.python)
    after = after_policy(args, policy, models)
    require_known(maker, maker.tasks[0], [args.domain, *([args.unlike] if after else [])])
    maker.require_here()
    config = DriveConfig(
        out=(args.out or run_folder("demo")).resolve(),
        robot=args.robot or spec.name,
        policy=policy,
        runtime=args.runtime,
        python=args.python,
        timeout_s=maker.timeout_s,
        domain_id=args.domain_id,
        console=args.console,
    )
    if args.console is not None:
        _announce(args.console)
    shown = trials(args.episodes, args.seed, args.domain, task=maker.tasks[0], targets=maker.targets)
    parts = [Part(trials=shown)]
    if after is not None:
        same = trials(args.compared, args.seed, args.unlike, task=maker.tasks[0], targets=maker.targets)
        parts += [Part(trials=same), Part(trials=same, policy=after)]
    result, *rest = drive_parts(config, parts)
    sheet = draw_sheet(result, spec, config.out / "contact_sheet.png")
    show(result, bags=config.bag_folder, sheet=sheet, logs=config.logs)
    both = None
    if after is not None and len(rest) == 2:
        both = BeforeAfter(names=(policy.name, after.name), domain=args.unlike, before=rest[0], after=rest[1])
        both.show(both.draw(spec, config.out / "before_after.png"))
    if args.json:
        _write(args, result, both, str(policy))
    return 0


def _announce(port: int) -> None:
    """Where the page will be. Raises EmmaError before anything starts if the port is taken."""
    from emma.console.config import ConsoleConfig
    from emma.console.server import listening_socket

    config = ConsoleConfig(port=port)
    listening_socket(config).close()
    print(f"open {config.url} in a few seconds", flush=True)


def after_policy(args: argparse.Namespace, policy: Path, models: Path) -> Path | None:
    """The policy to compare with: the one named, else the shipped one beside the default; None for none."""
    if args.compared == 0:
        return None
    if args.after is not None:
        named: Path = args.after.resolve()
        return named
    ships = models / AFTER_POLICY
    default = args.policy is None and policy == (models / DEFAULT_POLICY).resolve()
    return ships.resolve() if default and (ships / "emma.json").is_file() else None


def _write(args: argparse.Namespace, result: "SessionResult", both: "BeforeAfter | None", bundle: str) -> None:
    from emma.provenance import write_figures

    figures = {"episodes": len(result.rows), **result.timings}
    for name in ("success", "instruction_following"):
        rate = getattr(result, name)
        figures |= {name: rate.value, f"{name}_interval": rate.interval}
    more = {}
    if both is not None:
        figures |= {"before": both.before.success.value, "after": both.after.success.value}
        more = {"unlike": both.domain, "before": both.before.to_json(), "after": both.after.to_json()}
    write_figures(args.json, figures, seed=args.seed, bundle=bundle, results=result.to_json(), **more)
