"""`emma episodes`: look at recorded episodes, repair them, turn them into datasets, and check datasets."""

import argparse
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from emma.commands import dataset_validate
from emma.commands.subverbs import subverbs
from emma.conversion.config import ConvertConfig
from emma.options import add_options, chosen, help_of
from emma.robots import DEFAULT_ROBOT

if TYPE_CHECKING:
    from emma.conversion.convert import EpisodeResult
    from emma.robots.spec import RobotSpec

HELP = """look at recorded episodes, repair them, turn them into a dataset

An episode is a rosbag2 folder with an episode.yaml. Bags that someone else recorded (MCAP or sqlite3, with or without
metadata.yaml) work too, except that their words must be given to `convert`.

examples:
  emma episodes list bags                              what is there: state, success, length, size, losses
  emma episodes info bags/20260101_120000_ab12         per topic: rate, gaps, delay, size; skew between cameras
  emma episodes plot bags/20260101_120000_ab12         joints and commands, and a contact sheet, as PNG
  emma episodes replay bags/20260101_120000_ab12       publish it again, with the original timing
  emma episodes repair bags                            finish what a crash left behind
  emma episodes edit bags/20260101_120000_ab12 --failure --notes "slipped"    what is said of it
  emma episodes convert bags --out data/real           bags -> LeRobotDataset v3; again: adds only the new ones
  emma episodes validate data/real                     what would break in any LeRobotDataset
"""

CONVERT = """bags -> LeRobotDataset v3

Frames lie exactly 1/fps apart, from the first moment at which every topic of the robot has a message. Each stream gives
its latest message that is not newer (by header stamp), as on the robot. An episode in which a stream is older than
max_age_s or the cameras further apart than max_skew_s (robot.yaml) is refused, with numbers. Images and depth are
stored lossless (--video: colour as video, depth still lossless). meta/provenance.jsonl says where each episode is from.

Interrupted or run again, it adds the episodes that are not in the dataset yet. Exit code 1: a bag was refused.
"""

EDIT = """mark, relabel or discard one episode, in its episode.yaml

The messages of a bag are never touched. Frames are trimmed, split and merged in datasets: emma dataset edit.
"""

REPAIR = """finish unfinished bags: all whole messages, index, metadata.yaml, episode.yaml

The work is done on a copy. It takes the file's name when it holds every message that could be read, and the file itself
stays beside it as <name>.original until --discard-originals. A bag that a process writes, or that changed within the
last seconds and still grows, is left alone. Exit code 1: a bag was left unfinished.
"""


REPLAY = """publish a bag on its topics again, with the original timing

Same bytes, same order, at the times at which they were received; header stamps stay as recorded. In a ROS domain of its
own and on this machine only, so that recorded commands move no robot by accident: the domain's number is printed, and
--domain-id chooses one. Topics whose message package is not installed are left out and named.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add = subverbs(parser)

    root = add("list", "the episodes below a folder: state, success, length, size, losses")
    root.add_argument("bags", type=Path, help="folder of episodes")
    info = add("info", "one bag in numbers: per topic rate, gaps, delay, size; skew between cameras")
    info.add_argument("bag", type=Path, help="rosbag2 folder, .mcap or .db3 file, of any recorder")
    info.add_argument("--robot", help="compare with the rates of this robot.yaml (default: episode.yaml's robot)")
    plot = add("plot", "joints and commands over time, and a contact sheet of the cameras, as PNG")
    plot.add_argument("bag", type=Path, help="rosbag2 folder, .mcap or .db3 file")
    plot.add_argument("--out", type=Path, default=Path(), help="folder for the pictures (default: here)")
    plot.add_argument("--robot", help="whose commands they are, for topics of bare numbers (default: episode.yaml's)")
    plot.add_argument("--columns", type=int, default=8, help="moments on the contact sheet (default 8)")
    replay = add("replay", REPLAY)
    replay.add_argument("bag", type=Path, help="rosbag2 folder, .mcap or .db3 file")
    replay.add_argument("--rate", type=float, default=1.0, help="times as fast as it was recorded (default 1)")
    replay.add_argument("--topics", nargs="+", metavar="TOPIC", help="topics to publish (default all)")
    replay.add_argument("--loop", action="store_true", help="again and again, until Ctrl+C")
    replay.add_argument("--wait", action="store_true", help="begin when every topic has a subscriber")
    replay.add_argument("--domain-id", type=int, metavar="N", help="ROS domain (default: a free one)")
    repair = add("repair", REPAIR)
    repair.add_argument("bags", type=Path, help="folder of episodes, or one of them")
    repair.add_argument(
        "--discard-originals", action="store_true", help="delete the originals of bags that are whole now"
    )
    edit = add("edit", EDIT)
    edit.add_argument("bag", type=Path, help="folder of one episode")
    mark = edit.add_mutually_exclusive_group()
    mark.add_argument("--success", action="store_true", help="mark as a success")
    mark.add_argument("--failure", action="store_true", help="mark as a failure")
    edit.add_argument("--instruction", metavar="WORDS", help="another instruction")
    edit.add_argument("--notes", metavar="TEXT", help="free text")
    keep = edit.add_mutually_exclusive_group()
    keep.add_argument("--discard", action="store_true", help="leave it out of datasets; the bag stays")
    keep.add_argument("--restore", action="store_true", help="take it back")
    convert = add("convert", CONVERT)
    convert.add_argument("bags", type=Path, help="folder of episodes, or one of them")
    convert.add_argument("--out", type=Path, required=True, help="dataset folder, made or continued")
    convert.add_argument(
        "--robot", help=f"robot whose topics the bags hold (default: episode.yaml's, else {DEFAULT_ROBOT})"
    )
    add_options(convert, ConvertConfig, skip=("workers",))
    convert.add_argument(
        "--workers", type=int, metavar="N", help=f"{help_of(ConvertConfig, 'workers')} (default: one a core)"
    )
    dataset_validate.configure(add("validate", dataset_validate.HELP))


def run(args: argparse.Namespace) -> int:
    return {
        "list": _list,
        "info": _info,
        "plot": _plot,
        "replay": _replay,
        "repair": _repair,
        "edit": _edit,
        "convert": _convert,
        "validate": dataset_validate.run,
    }[args.what](args)


def _list(args: argparse.Namespace) -> int:
    from emma.bags.info import list_episodes
    from emma.commands.episodes_text import entry_row, size, table

    entries = list_episodes(args.bags)
    table(
        ("episode", "state", "kind", "success", "s", "MB", "lost", "instruction"),
        [entry_row(entry, args.bags) for entry in entries],
    )
    for entry in entries:
        for problem in (entry.problem, *(entry.meta.problems if entry.meta else ())):
            if problem:
                print(f"{entry.path.name}: {problem}")
    saved = sum(entry.meta is not None and entry.meta.state == "saved" for entry in entries)
    print(f"{len(entries)} bags, {saved} saved, {size(sum(e.bytes for e in entries))}")
    return 0


def _info(args: argparse.Namespace) -> int:
    from emma.bags.info import bag_info, topic_rates
    from emma.commands.episodes_text import print_info, table

    info = bag_info(args.bag)
    robot = _robot_of(args.bag, args.robot)
    expected = topic_rates(robot) if robot else {}
    print_info(info)
    rows = []
    for topic in info.topics:
        wanted = expected.get(topic.name)
        rows.append(
            (
                topic.name,
                topic.type,
                str(topic.count),
                f"{topic.rate_hz:.1f}" + (f" (robot.yaml: {wanted:g})" if wanted else ""),
                str(topic.gaps or ""),
                f"{topic.longest_s:.3f}",
                f"{topic.delay_s * 1e3:.1f}",
                str(topic.backwards or ""),
                f"{topic.bytes / 1e6:.1f}",
                str(topic.dropped or ""),
            )
        )
    table(("topic", "type", "messages", "Hz", "gaps", "longest s", "delay ms", "back", "MB", "lost"), rows)
    missing = [topic for topic in expected if topic not in {t.name for t in info.topics if t.count}]
    if missing:
        print(f"not in the bag: {', '.join(missing)}")
    return 0


def _plot(args: argparse.Namespace) -> int:
    from emma.bags.plots import contact_sheet, plot_joints
    from emma.bags.reader import Bag
    from emma.errors import EmmaError

    args.out.mkdir(parents=True, exist_ok=True)
    drawn, refused = [], []
    with Bag(args.bag) as bag:
        name = args.bag.resolve().stem if args.bag.is_file() else args.bag.resolve().name
        joints, sheet = args.out / f"{name}_joints.png", args.out / f"{name}_cameras.png"
        robot = _robot_of(bag.path, args.robot)
        for picture, draw in (
            (joints, lambda: plot_joints(bag, joints, robot)),
            (sheet, lambda: contact_sheet(bag, sheet, args.columns)),
        ):
            try:
                draw()
                drawn.append(picture)
            except EmmaError as error:
                refused.append(error)
    for picture in drawn:
        print(picture)
    if not drawn:
        raise refused[0]
    for reason in refused:
        print(reason)
    return 0


def _robot_of(bag: Path, name: str | None) -> "RobotSpec | None":
    """The robot called `name`, else the one of the bag's episode.yaml if it is known here."""
    from emma.bags.episode import EpisodeMeta, is_episode
    from emma.errors import EmmaError
    from emma.robots.spec import load_robot

    if name is not None:
        return load_robot(name)
    try:
        return load_robot(EpisodeMeta.load(bag).robot) if is_episode(bag) else None
    except EmmaError:
        return None


def _robot_of_all(folder: Path) -> str:
    """The robot of all episodes in `folder`, the default one if none names one. EmmaError if they are of several."""
    from emma.bags.episode import EpisodeMeta, is_episode
    from emma.bags.files import find_bags
    from emma.errors import EmmaError

    robots = set()
    for bag in find_bags(folder):
        with suppress(EmmaError):  # the conversion refuses this one with the reason
            robots |= {EpisodeMeta.load(bag).robot} if is_episode(bag) else set()
    if len(robots) > 1:
        raise EmmaError(
            f"{folder} has episodes of several robots",
            found=", ".join(sorted(robots)),
            expected="one robot a dataset",
            fix="name one with --robot; the episodes of others are refused then",
        )
    return robots.pop() if robots else DEFAULT_ROBOT


def _replay(args: argparse.Namespace) -> int:
    import time
    from functools import partial

    from emma.bags.reader import Bag
    from emma.progress import progress_bar
    from emma.ros.client import RosClient
    from emma.ros.domain import own_domain
    from emma.ros.replay import Replayer

    with Bag(args.bag) as bag, own_domain(args.domain_id) as domain, RosClient("replay") as client:
        replayer = Replayer(client.node, bag, args.topics)
        for topic in replayer.skipped:
            print(f"left out {topic}: no package for {bag.topics[topic].type} is installed")
        print(f"ROS_DOMAIN_ID={domain} ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST: {len(replayer)} messages")
        try:
            while args.wait and not replayer.heard():
                time.sleep(0.05)
            while True:
                with progress_bar() as bar:
                    task = bar.add_task("replay", total=len(replayer), note=f"{replayer.duration_s / args.rate:.1f} s")
                    report = replayer.play(args.rate, progress=partial(bar.advance, task))
                print(
                    f"{report.messages} messages in {report.seconds:.1f} s, at most {report.late_s * 1e3:.1f} ms late"
                )
                if report.unacknowledged:
                    print(f"not everyone has confirmed all messages of {', '.join(report.unacknowledged)}")
                if not args.loop:
                    break
        except KeyboardInterrupt:
            print("stopped")
    return 0


def _repair(args: argparse.Namespace) -> int:
    from emma.bags.repair import discard_originals, repair_all

    reports = repair_all(args.bags, on_copy=print)
    for report in reports:
        if report.action != "untouched":
            print(report)
    whole = sum(report.action == "untouched" for report in reports)
    print(f"{len(reports)} bags, {whole} whole")
    if args.discard_originals:
        discarded = discard_originals(args.bags)
        print(f"{len(discarded)} originals deleted")
    elif kept := [path for report in reports for path in report.originals]:
        print(f"{len(kept)} originals kept: `emma episodes repair {args.bags} --discard-originals` deletes them")
    return 0 if all(report.action in ("untouched", "recovered") for report in reports) else 1


def _edit(args: argparse.Namespace) -> int:
    from emma.bags.episode import EpisodeMeta
    from emma.errors import EmmaError

    meta = EpisodeMeta.load(args.bag)
    if meta.state == "recording":
        raise EmmaError(f"{meta.id} is being recorded, or was cut short", fix="save it, or run emma episodes repair")
    changes: dict[str, object] = {}
    if args.success or args.failure:
        changes["success"] = args.success
    if args.discard or args.restore:
        changes["state"] = "discarded" if args.discard else "saved"
    changes |= {key: value for key in ("instruction", "notes") if (value := vars(args)[key]) is not None}
    if not changes:
        raise EmmaError("nothing to change", found="no option", expected="--success, --failure, --instruction, ...")
    meta.with_(**changes).save(args.bag)
    print(f"{meta.id}: " + ", ".join(f"{key} {value}" for key, value in changes.items()))
    return 0


def _convert(args: argparse.Namespace) -> int:
    from emma.robots.spec import load_robot

    # A wrong path or robot is answered before the libraries load.
    spec = load_robot(args.robot or _robot_of_all(args.bags))
    from emma.commands.episodes_text import print_report
    from emma.conversion.convert import convert
    from emma.progress import progress_bar

    workers = args.workers if args.workers is not None else len(os.sched_getaffinity(0))
    config = ConvertConfig(**chosen(ConvertConfig, args, skip=("workers",)), workers=workers)
    with progress_bar() as bar:
        task = bar.add_task("convert", total=None, note="")

        def advance(result: "EpisodeResult", total: int) -> None:
            bar.update(task, total=total, advance=1, note=result.episode)

        report = convert(args.bags, args.out, spec, config, progress=advance)
    print_report(report, args.out)
    return 1 if report.count("refused") else 0
