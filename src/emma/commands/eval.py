"""`emma eval`: how good is a policy, in closed loop."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emma.device import AUTO
from emma.device import HELP as DEVICES
from emma.options import add_options, chosen
from emma.sim.options import EvalOptions

HELP = """run a policy in closed loop and count: success and instruction following with 95 % intervals

In the simulator's own time by default: fast, repeatable, no ROS. With --ros the same episodes run through the ROS
graph in real time: camera topics -> policy node -> command topic -> arm.

examples:
  emma eval models/desk_arm_source                            100 episodes in the source appearance
  emma eval models/desk_arm_source --domain graded --domain unseen
  emma eval mine --domain random                              each episode in a look of its own
  emma eval mine --task push                                  another task than to place the cube
  emma eval my_so101 --ros --episodes 50                      a bundle of a robot in a simulator of others
  emma eval models/desk_arm_source --ros --episodes 20 --json result.json
  emma eval mine --judge person --instruction "put the cup on the plate" --episodes 10    after ros2 launch ... deploy
"""

GROUPS = ("graded", "unseen", "all")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="policy bundle: a folder that `emma train` wrote")
    parser.add_argument("--robot", metavar="NAME", help="robot to drive (default: the one the policy was trained on)")
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="ROBOT=POLICY",
        help="the robot's name for a camera or joint of the policy, as top=observation.images.front; repeatable",
    )
    parser.add_argument(
        "--units",
        choices=("declared", "degrees", "percent"),
        default="declared",
        help="what the policy's numbers are: declared (as robot.yaml, the default), degrees, percent (-100..100)",
    )
    add_options(parser, EvalOptions)
    parser.add_argument("--task", help="what is asked for; desk_arm: place or push (default: the robot's first)")
    parser.add_argument("--python", default="", metavar="PATH", help="so101, aloha: a Python that has the package")
    parser.add_argument(
        "--domain",
        action="append",
        metavar="NAME",
        help=f"appearance, random, or a group: {', '.join(GROUPS)}; may be given again (default source)",
    )
    parser.add_argument(
        "--latency-ms", type=float, default=60.0, help="observation to usable chunk, simulated (default 60)"
    )
    parser.add_argument(
        "--replan",
        type=float,
        default=0.0,
        metavar="S",
        help="age of a chunk at which the next is asked for (default: as the bundle says)",
    )
    parser.add_argument("--runtime", default="auto", help="runtime to use (default auto)")
    parser.add_argument("--device", default=AUTO, help=f"where the policy runs: {DEVICES} (default auto)")
    parser.add_argument(
        "--judge",
        choices=("simulator", "person"),
        default="simulator",
        help="person: on the robot that runs now; you set up and judge each episode in this terminal",
    )
    parser.add_argument(
        "--instruction", action="append", default=[], metavar="WORDS", help="what a person asks for; repeatable"
    )
    parser.add_argument("--ros", action="store_true", help="through the ROS graph, in real time")
    parser.add_argument("--out", type=Path, help="with --ros: where the bags go (default runs/eval-<time>)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures, episodes, commit, machine and seed")


def run(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from emma.envs.maker import maker_of
    from emma.policy.bundle import load_bundle
    from emma.provenance import write_figures
    from emma.robots.agreement import parse_map
    from emma.robots.spec import load_robot
    from emma.sim.maker import require_known

    bundle = load_bundle(args.bundle, load_robot(args.robot) if args.robot else None)
    spec = load_robot(args.robot or bundle.info.robot)
    agreement = bundle.check(spec, renamed=parse_map(args.map), units=args.units)
    for line in (*bundle.assumed, *agreement.assumed):
        print(f"assumed: {line}")
    if args.judge == "person":
        rows = _person(args, bundle, spec)
    else:
        maker = maker_of(spec, args.python)
        args.task = args.task or maker.tasks[0]
        domains = expand(args.domain or ["source"], maker.looks)
        require_known(maker, args.task, domains)
        rows = (_ros if args.ros else _in_process)(args, bundle, spec, agreement, domains)

    person = args.judge == "person"
    path = "judged by a person" if person else "through the ROS graph" if args.ros else "in process"
    table = Table(title=f"{args.bundle.name} on {spec.name}, {path}")
    for column in ("appearance", "episodes", "success", "95 % interval", "on the instructed target"):
        table.add_column(column)
    figures: dict[str, Any] = {}
    for domain, result in rows.items():
        low, high = result["success_interval"]
        follow = result["instruction_following"]
        table.add_row(
            domain,
            str(len(result["episodes"])),
            f"{result['success']:.0%}",
            f"{low:.0%} to {high:.0%}",
            "nothing placed" if follow != follow else f"{follow:.0%}",
        )
        prefix = "" if len(rows) == 1 else f"{domain}."
        for key in ("success", "success_interval", "instruction_following", "instruction_following_interval"):
            figures[prefix + key] = result[key]
        figures[prefix + "episodes"] = len(result["episodes"])
        figures.update({prefix + key: value for key, value in result["timings"].items()})
    Console().print(table)
    # What ran the policy decides how fast it was, not what it did; but a surprise there explains a surprise above.
    print(f"runtime {next(iter(rows.values()))['runtime']}")
    if args.json:
        write_figures(args.json, figures, seed=args.seed, bundle=str(args.bundle), through=path, results=rows)
    return 0


def expand(names: list[str], looks: Mapping[str, str]) -> list[str]:
    """Appearances by name, with the groups spelled out: the names of `looks` that have the group's role."""
    groups = {role: [name for name, its in looks.items() if its == role] for role in GROUPS}
    groups["all"] = [name for name, role in looks.items() if role != "drawn"]
    # A group of which there is none stays, to be refused as a look.
    return list(dict.fromkeys(name for asked in names for name in groups.get(asked) or [asked]))


def _in_process(
    args: argparse.Namespace, bundle: Any, spec: Any, agreement: Any, domains: list[str]
) -> dict[str, dict[str, Any]]:
    from emma.envs.maker import maker_of
    from emma.policy.fitted import fitted
    from emma.policy.runtime import open_runtime
    from emma.progress import progress_bar
    from emma.sim.evaluate import EvalConfig, evaluate

    runtime = fitted(open_runtime(bundle, kind=args.runtime, device=args.device), agreement)
    maker = maker_of(spec, args.python)
    sim = maker.make(spec, cameras=tuple(agreement.cameras), task=args.task)
    rows = {}
    try:
        with progress_bar() as bar:
            for domain in domains:
                config = EvalConfig(
                    **chosen(EvalOptions, args),
                    domain=domain,
                    latency_s=args.latency_ms / 1000.0,
                    replan_s=args.replan or bundle.info.replan_s,
                    task=args.task,
                    depth=bundle.info.depth,
                    targets=maker.targets,
                    timeout_s=maker.timeout_s,
                )
                done: list[Any] = []
                task = bar.add_task(domain, total=args.episodes, note="")

                def advance(episode: Any, done: list[Any] = done, task: Any = task) -> None:
                    done.append(episode)
                    bar.update(task, advance=1, note=f"success {sum(e.success for e in done)}/{len(done)}")

                result = evaluate(sim, runtime, bundle.info.fps, config, advance).to_json()
                rows[domain] = {**result, "runtime": f"{runtime.name}: {runtime.reason}"}
    finally:
        sim.close()
        runtime.close()
    return rows


def _ros(
    args: argparse.Namespace, bundle: Any, spec: Any, agreement: Any, domains: list[str]
) -> dict[str, dict[str, Any]]:
    from emma.errors import EmmaError
    from emma.sessions.evaluate import evaluate_ros
    from emma.sim.demonstrations import RANDOM

    if not agreement.identity or bundle.assumed:
        raise EmmaError(
            "this evaluation takes policies as they are",
            found="--ros with --map, --units or a LeRobot checkpoint",
            expected="a bundle that names its robot, joints and cameras",
            fix="leave --ros out, or start the policy node with its parameters robot, map and units",
        )
    if RANDOM in domains:
        raise EmmaError(
            "random looks cannot be shown through the ROS graph",
            found="--ros --domain random",
            expected="an appearance by name: the sim node keeps one for a whole run",
            fix="leave --ros out",
        )
    return {
        domain: evaluate_ros(
            bundle.path,
            robot=args.robot or spec.name,
            episodes=args.episodes,
            seed=args.seed,
            domain=domain,
            out=args.out,
            runtime=args.runtime,
            device=args.device,
            join=args.join,
            replan_s=args.replan,
            task=args.task,
            python=args.python,
        )
        for domain in domains
    }


def _person(args: argparse.Namespace, bundle: Any, spec: Any) -> dict[str, dict[str, Any]]:
    from emma.sessions.evaluate import evaluate_with_person

    found = evaluate_with_person(bundle.path, episodes=args.episodes, seed=args.seed, instructions=args.instruction)
    return {spec.name: found}
