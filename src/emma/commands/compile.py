"""`emma compile`: a bundle's graphs to TensorRT engines for the GPU of this machine."""

import argparse
from pathlib import Path

HELP = """build TensorRT engines from a bundle's exported graphs, for this machine's GPU

Needs TensorRT and an NVIDIA GPU. Engines are kept in the bundle and rebuilt when the graph, the weights, TensorRT, the
GPU, its driver or the precision changes. They are used only if every flow step agrees with the float32 graph.

examples:
  emma compile models/desk_arm_source
  emma compile models/mine --precision fp32 --data dataset
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="policy bundle with graphs from `emma export`")
    parser.add_argument(
        "--precision", choices=("bf16", "fp32"), default="bf16", help="of products; all else is fp32 (default bf16)"
    )
    parser.add_argument("--robot", metavar="NAME", help="robot of a LeRobot checkpoint, which does not name one")
    parser.add_argument("--data", type=Path, help="LeRobotDataset to take the observations of the check from")
    parser.add_argument("--observations", type=int, default=16, help="how many to compare on (default 16)")
    parser.add_argument("--seed", type=int, default=0, help="which observations (default 0)")


def run(args: argparse.Namespace) -> int:
    from emma.commands.export import observations
    from emma.policy.bundle import load_bundle
    from emma.policy.export.parity import Case
    from emma.policy.exported import FOLDER, usable_export
    from emma.policy.runtime.probe import read_probe
    from emma.policy.runtime.tensorrt import compile_bundle, require_tensorrt
    from emma.progress import progress_bar
    from emma.robots.spec import known_robot, load_robot

    bundle = load_bundle(args.bundle, load_robot(args.robot) if args.robot else None)
    for line in bundle.assumed:
        print(f"assumed: {line}")
    info = usable_export(args.bundle)
    platform = require_tensorrt()
    spec = known_robot(bundle.info.robot)
    # Of a robot without a simulator, the hardest input of the export is at hand.
    probe = None if args.data or (spec and spec.simulator) else read_probe(args.bundle / FOLDER)
    cases = [Case(probe.observation, probe.instruction)] if probe else observations(args, bundle)
    with progress_bar() as bar:
        task = bar.add_task(f"compile for {platform.gpu}", total=len(info.graphs) + 1, note="")
        engines = compile_bundle(bundle, args.precision, cases, lambda what: bar.update(task, advance=1, note=what))
    for name, path in engines.items():
        print(f"{name}: {path}")
    return 0
