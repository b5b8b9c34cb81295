"""`emma export`: a bundle's ONNX graphs, refused unless they give the policy's actions."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HELP = """write a policy's ONNX graphs into its bundle, checked against the policy itself

The graphs are compared with LeRobot's unpatched policy on observations: from a dataset with --data, else from the
simulator if the bundle is for its arm. If any action differs by more than the tolerance nothing is exported and the
worst input is saved.

examples:
  emma export models/desk_arm_source
  emma export models/mine --data dataset --observations 64
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="policy bundle: a folder that `emma train` wrote")
    parser.add_argument("--robot", metavar="NAME", help="robot of a LeRobot checkpoint, which does not name one")
    parser.add_argument("--data", type=Path, help="LeRobotDataset to take the observations from")
    parser.add_argument("--observations", type=int, default=16, help="how many to compare on (default 16)")
    parser.add_argument("--seed", type=int, default=0, help="which observations (default 0)")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest absolute error (default 1e-4)")


def run(args: argparse.Namespace) -> int:
    from emma.policy.bundle import load_bundle
    from emma.progress import progress_bar
    from emma.robots.spec import load_robot

    bundle = load_bundle(args.bundle, load_robot(args.robot) if args.robot else None)
    for line in bundle.assumed:
        print(f"assumed: {line}")
    cases = observations(args, bundle)
    from emma.policy.export.bundle_export import export_bundle

    with progress_bar() as bar:
        # Loading, two graphs at most, then one step a case.
        task = bar.add_task("export", total=4 + len(cases), note="")
        info = export_bundle(
            bundle,
            cases,
            reference=str(args.data.name) if args.data else "simulator",
            tolerance=args.tolerance,
            progress=lambda what: bar.update(task, advance=1, note=what),
        )
        bar.update(task, completed=4 + len(cases), note="done")
    assert info.parity is not None
    print(f"wrote {args.bundle / 'export'}: {', '.join(info.graphs)}")
    print(f"max abs error {info.parity.max_abs_error:.1e} against the policy on {len(cases)} observations")
    return 0


def observations(args: argparse.Namespace, bundle: Any) -> list[Any]:
    """What to compare on, as `--data`, `--observations` and `--seed` say."""
    from emma.errors import EmmaError

    if args.observations < 1:
        raise EmmaError("nothing to compare on", found=f"--observations {args.observations}", expected="1 or more")
    return list((_recorded if args.data else _simulated)(args, bundle))


def _recorded(args: argparse.Namespace, bundle: Any) -> Iterator[Any]:
    """Frames spread over a dataset, each with its own instruction."""
    import numpy as np

    from emma.observation import Observation
    from emma.policy.export.parity import Case
    from emma.robots.spec import list_robots, load_robot
    from emma.training.frames import IMAGES, STATE, FrameTable
    from emma.training.sources import fitted, only, open_source

    known = bundle.info.robot in list_robots()
    source = only(open_source(args.data), bundle.info.cameras, {})
    sources = fitted([source], load_robot(bundle.info.robot) if known else None)
    table = FrameTable(sources, bundle.info.cameras, threads=1, memory_bytes=0)
    chosen = np.random.default_rng(args.seed).choice(len(table), min(args.observations, len(table)), replace=False)
    for index in sorted(chosen):
        batch = table.batch(np.array([index]), [0])
        images = {c: _pixels(batch[IMAGES + c][0]) for c in bundle.info.cameras}
        state = batch[STATE][0].numpy()
        yield Case(Observation(stamp_ns=0, state=state, images=images), batch["task"][0])


def _pixels(image: Any) -> Any:
    import numpy as np

    return np.ascontiguousarray((image.permute(1, 2, 0) * 255.0).round().byte().numpy())


def _simulated(args: argparse.Namespace, bundle: Any) -> Iterator[Any]:
    """The expert's episodes, seen at moments spread over each."""
    from emma.envs.maker import EMBEDDED
    from emma.errors import EmmaError
    from emma.policy.export.parity import Case
    from emma.robots.spec import load_robot
    from emma.sim.demonstrations import demonstrations

    if bundle.info.robot != EMBEDDED:
        raise EmmaError(
            "the simulator has no such robot",
            found=bundle.info.robot,
            expected=EMBEDDED,
            fix="give recorded observations with --data DATASET",
        )
    each = 8
    left = args.observations
    episodes = demonstrations(
        -(-left // each), seed=args.seed, cameras=bundle.info.cameras, depth=False, spec=load_robot(bundle.info.robot)
    )
    for episode in episodes:
        count = min(each, left)
        step = len(episode.observations) / count
        for i in range(count):
            yield Case(episode.observations[int(i * step)], episode.instruction)
        left -= count
