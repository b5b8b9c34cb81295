"""`emma robots`: which robots there are, what each is; a new one from its description; a spec against its drivers."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emma.robots.describe import Source
    from emma.robots.heard import Heard

HELP = """list robots, show one, make one from its URDF or MJCF, check one against its running drivers

examples:
  emma robots                                       all that ship
  emma robots desk_arm                              one of them
  emma robots path/to/robot.yaml                    check a file of your own
  emma robots new my_arm --urdf my_arm.urdf         write calibration/my_arm from a description
  emma robots new my_arm --topic /robot_description --listen 10      and from its running drivers
  emma robots check my_arm                          compare names, rates, sizes, clocks, limits with the drivers

`new` and `check` publish nothing: no robot moves. docs/tutorials/your-own-robot.md is the whole way.
"""

# Long enough for discovery, and for the rate of a slow camera.
CHECK_S = 5.0
# A description is published once and kept: it is waited for as long as drivers take to start.
DESCRIPTION_S = 30.0


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("robot", nargs="?", help="new, check, or the name of a robot or path to a robot.yaml to show")
    parser.add_argument("name", nargs="?", help="new, check: the robot's name (check: or path to its robot.yaml)")
    source = parser.add_argument_group("where a description comes from (new; optional for check)")
    source.add_argument("--urdf", type=Path, metavar="FILE", help="an expanded URDF")
    source.add_argument("--mjcf", type=Path, metavar="FILE", help="an MJCF")
    source.add_argument("--topic", metavar="TOPIC", help="the topic of the URDF, as /robot_description")
    source.add_argument("--no-meshes", action="store_true", help="new: leave the shapes out; kinematics need none")
    heard = parser.add_argument_group("what is heard of running drivers")
    heard.add_argument("--listen", type=float, metavar="S", help=f"seconds to listen (new: off, check: {CHECK_S:g})")
    heard.add_argument("--state-topic", default="", metavar="TOPIC", help="new: the joint states of this robot")
    heard.add_argument("--offline", action="store_true", help="check: the description alone, without drivers")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="new: where the robot's folder goes (calibration)")


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from emma.commands.robots_show import show_list, show_robot
    from emma.errors import EmmaError
    from emma.robots.spec import load_robot

    if args.robot in ("new", "check"):
        if not args.name:
            raise EmmaError(f"emma robots {args.robot} needs a name", expected=f"emma robots {args.robot} NAME ...")
        return _new(args) if args.robot == "new" else _check(args)
    if args.name:
        raise EmmaError("one robot at a time", found=f"{args.robot} {args.name}", expected="new, check, or one name")
    if args.robot:
        show_robot(Console(), load_robot(args.robot))
    else:
        show_list(Console())
    return 0


def _new(args: argparse.Namespace) -> int:
    from emma.commands.robots_show import say_new
    from emma.errors import EmmaError
    from emma.robots.new import new_robot, require_free
    from emma.robots.spec import robots_dir

    given = [each for each in (args.urdf, args.mjcf, args.topic) if each]
    if len(given) != 1:
        raise EmmaError(
            "a new robot comes from one description",
            found=", ".join(str(each) for each in given) or "none",
            expected="--urdf FILE, --mjcf FILE or --topic TOPIC",
        )
    folder = (args.out or robots_dir()) / args.name
    require_free(folder)  # before the wait for topics
    source = _source(args)
    assert source is not None
    heard = _listen(args.listen) if args.listen else None
    made = new_robot(
        args.name, source, folder, heard=heard, state_topic=args.state_topic, with_meshes=not args.no_meshes
    )
    say_new(folder, made)
    return 0


def _check(args: argparse.Namespace) -> int:
    from emma.commands.robots_show import say_report
    from emma.errors import EmmaError
    from emma.robots.check import check_robot
    from emma.robots.describe import Source, describe, description_of
    from emma.robots.spec import load_robot

    spec, source = load_robot(args.name), _source(args)
    heard = None if args.offline else _listen(args.listen or CHECK_S)
    if source is None and heard is not None and heard.description:
        source = Source(where="/robot_description", text=heard.description)
    described = describe(source) if source is not None else description_of(spec)
    if heard is None and described is None:
        raise EmmaError(
            f"nothing to compare {spec.name} with",
            found="--offline, and no kinematics.model in robot.yaml",
            expected="--urdf FILE, --mjcf FILE, or running drivers",
        )
    report = check_robot(spec, heard, described)
    say_report(spec, report)
    return 1 if report.errors else 0


def _source(args: argparse.Namespace) -> "Source | None":
    from emma.errors import EmmaError
    from emma.robots.describe import Source

    if args.topic:
        from emma.ros.listen import robot_description

        print(f"waiting for a URDF on {args.topic} ...", flush=True)
        return Source(where=args.topic, text=robot_description(args.topic, DESCRIPTION_S))
    if args.urdf:
        try:
            return Source(where=str(args.urdf), text=args.urdf.read_text(), path=args.urdf)
        except (OSError, UnicodeDecodeError) as error:
            raise EmmaError(f"cannot read {args.urdf}", found=str(error), expected="a URDF, text in UTF-8") from None
    return Source(where=str(args.mjcf), path=args.mjcf) if args.mjcf else None


def _listen(seconds: float) -> "Heard":
    from emma.ros.listen import listen

    print(f"listening for {seconds:g} s ...", flush=True)
    return listen(seconds, said=lambda line: print(f"  {line}", flush=True))
