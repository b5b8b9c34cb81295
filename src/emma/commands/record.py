"""`emma record`: demonstrations through the ROS graph into bags."""

import argparse
from pathlib import Path

from emma.robots import DEFAULT_ROBOT

HELP = """record demonstrations on the simulated arm: every topic into one bag per episode

Starts simulated arm, operator and recorder as ROS nodes in a domain of their own. A scripted demonstration that fails
is discarded and another one made; a person decides by key (space starts and stops, s saves, d discards, h: all keys).
With --policy a policy moves the arm until the person takes it over (t) and gives it back. On a real robot:
ros2 launch emma record.launch.py, and `emma node keys` in a terminal beside it.

examples:
  emma record --episodes 20 --out bags
  emma record --robot so101 --episodes 20 --cameras top wrist --out bags
  emma record --operator keyboard --out bags         jog the arm with the keys
  emma record --operator keyboard --policy models/desk_arm_source --out bags    watch a policy, correct it
  emma record --episodes 20 --lockstep --out bags    simulated time: repeatable to the bit, as fast as the machine can
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--episodes", type=int, help="demonstrations to keep; a person may go on without end")
    parser.add_argument(
        "--operator",
        choices=("scripted", "keyboard", "gamepad", "leader"),
        default="scripted",
        help="who moves the arm (default scripted)",
    )
    parser.add_argument("--policy", type=Path, help="bundle that moves the arm until the person takes over")
    parser.add_argument(
        "--leader-topic", default="/leader/joint_states", metavar="TOPIC", help="leader: its joint states"
    )
    parser.add_argument("--leader-map", type=Path, metavar="YAML", help="leader: joints, scales and offsets")
    parser.add_argument("--out", type=Path, required=True, help="folder for the bags; one that has bags gets more")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first episode (default 0)")
    parser.add_argument("--domain", default="source", metavar="NAME", help="visual appearance (default source)")
    parser.add_argument("--robot", default=DEFAULT_ROBOT, help="a simulated robot (default %(default)s)")
    parser.add_argument("--python", default="", metavar="PATH", help="so101, aloha: a Python that has the package")
    parser.add_argument("--task", help="what is asked for; desk_arm: place or push (default: the robot's first)")
    parser.add_argument("--cameras", nargs="+", metavar="NAME", help="cameras to draw and record (default all)")
    parser.add_argument("--noise", type=float, default=0.0, help="disturbance of the commands, rad (default 0)")
    parser.add_argument("--lockstep", action="store_true", help="in simulated time, one tick per command")
    parser.add_argument("--domain-id", type=int, metavar="N", help="ROS domain (default: a free one)")


def run(args: argparse.Namespace) -> int:
    return _scripted(args) if args.operator == "scripted" else _person(args)


def _person(args: argparse.Namespace) -> int:
    from emma.envs.maker import maker_of
    from emma.errors import EmmaError
    from emma.robots.spec import load_robot
    from emma.sessions.interactive import InteractiveConfig, work
    from emma.sessions.session import Trial
    from emma.sim.demonstrations import target_of
    from emma.sim.maker import require_known
    from emma.teleop.gamepad import Gamepad
    from emma.teleop.sources import Keyboard

    if args.lockstep or args.noise:
        raise EmmaError("a person works in real time and makes noise enough", fix="leave out --lockstep and --noise")
    if args.cameras:
        raise EmmaError("a person sees all cameras", found=f"--cameras {' '.join(args.cameras)}", fix="leave it out")
    maker = maker_of(load_robot(args.robot), args.python)
    task = args.task or maker.tasks[0]
    require_known(maker, task, [args.domain])
    maker.require_here()
    out, targets = args.out.resolve(), maker.targets
    config = InteractiveConfig(
        bags=out,
        logs=out / "session" / "logs",
        operator=args.operator,
        trials=tuple(
            Trial(seed=s, target=target_of(s, targets), domain=args.domain, task=task)
            for s in range(args.seed, args.seed + 999)
        ),
        robot=args.robot,
        python=args.python,
        policy=args.policy.resolve() if args.policy else None,
        leader_topic=args.leader_topic,
        leader_map=args.leader_map.resolve() if args.leader_map else None,
        episodes=args.episodes,
        domain_id=args.domain_id,
    )
    saved = work(config, Gamepad if args.operator == "gamepad" else Keyboard)
    for folder in saved:
        print(folder)
    print(f"{len(saved)} episodes saved; next: emma episodes convert {args.out} --out dataset")
    return 0


def _scripted(args: argparse.Namespace) -> int:
    from emma.envs.maker import maker_of
    from emma.errors import EmmaError
    from emma.robots.spec import load_robot
    from emma.sessions.drive import MAX_FAILED, DriveConfig, drive
    from emma.sessions.session import Trial
    from emma.sessions.summary import draw_sheet, show
    from emma.sim.demonstrations import target_of
    from emma.sim.maker import require_known

    if args.policy is not None:
        raise EmmaError("a scripted operator takes nothing over", found="--policy", fix="choose --operator keyboard")
    if args.episodes is None or args.episodes < 1:
        raise EmmaError("nothing to record", found=f"--episodes {args.episodes}", expected="--episodes 1 or more")
    spec = load_robot(args.robot)
    maker = maker_of(spec, args.python)
    task = args.task or maker.tasks[0]
    require_known(maker, task, [args.domain])
    maker.require_here()
    out = args.out.resolve()
    config = DriveConfig(
        out=out / "session",
        bags=out,
        robot=args.robot,
        cameras=tuple(args.cameras or ()),
        python=args.python,
        operator=args.operator,
        lockstep=args.lockstep,
        noise=args.noise,
        domain_id=args.domain_id,
    )
    seeds = range(args.seed, args.seed + MAX_FAILED * args.episodes)
    targets = maker.targets
    plan = [Trial(seed=s, target=target_of(s, targets), domain=args.domain, task=task) for s in seeds]
    result = drive(config, plan, wanted=args.episodes)
    sheet = draw_sheet(result, spec, config.out / "contact_sheet.png")
    show(result, bags=out, sheet=sheet, logs=config.logs)
    more = f" --cameras {' '.join(args.cameras)}" if args.cameras else ""
    print(f"next          emma episodes convert {args.out}{more} --out dataset")
    return 0
