"""`emma export`: graphs of a bundle, checked against the policy, put in place as a whole or not at all."""

import importlib.util
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np

from emma.errors import EmmaError
from emma.files import atomic_dir
from emma.policy.bundle import POSE_SPACE, Bundle
from emma.policy.end_effector.space import EndEffectorSpace
from emma.policy.export.graphs import IMAGES, PolicyGraphs, action_affine, relative_joints, relative_poses
from emma.policy.export.parity import REFUSED, TOLERANCE, Case, compare, parity, refuse, worst
from emma.policy.export.tokenizer import write_tokenizer
from emma.policy.export.write import OPSET, write_graph
from emma.policy.exported import FOLDER, MANIFEST, ExportInfo, FlowInfo, graph_files, weights_of, write_export
from emma.policy.loading import LoadedPolicy, load_policy
from emma.policy.runtime.probe import write_probe
from emma.robots.spec import load_robot

# Policy type -> module with `graphs(loaded) -> PolicyGraphs`.
SUPPORTED = ("act", "pi0", "pi05", "smolvla", "spatial_flow")
PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime", "lerobot", "transformers")

Progress = Callable[[str], None]


def policy_graphs(loaded: LoadedPolicy) -> PolicyGraphs:
    """The graphs of a policy of any supported class. Raises EmmaError for another one."""
    kind = loaded.config.type
    if kind not in SUPPORTED:
        raise EmmaError(
            f"policies of type '{kind}' cannot be exported",
            found=kind,
            expected=f"one of {', '.join(SUPPORTED)}",
            fix="run the bundle with the torch runtime",
        )
    graphs: PolicyGraphs = importlib.import_module(f"emma.policy.export.{kind}").graphs(loaded)
    return graphs


def export_bundle(
    bundle: Bundle,
    cases: Sequence[Case],
    *,
    reference: str,
    tolerance: float = TOLERANCE,
    progress: Progress = lambda what: None,
) -> ExportInfo:
    """Write `bundle/export`, replacing an earlier one only after the new graphs passed parity on `cases`.

    reference: where the cases come from, for the record. Raises EmmaError for a policy that cannot be exported and
    for graphs that differ from it by more than `tolerance`; the worst input is then saved beside the weights.
    """
    from emma.policy.runtime.onnx_graphs import OnnxGraphs

    if not cases:
        raise ValueError("parity needs at least one observation")
    require_packages()
    cases = _as_the_policy_sees(cases, bundle)
    path = Path(bundle.path)
    target = path / FOLDER
    finished = target.with_name(f"{FOLDER}.new")
    shutil.rmtree(finished, ignore_errors=True)  # left by one that was killed between its two renames
    with atomic_dir(finished) as aside:
        info = _write(bundle, aside, {case.instruction for case in cases}, progress)
        graphs = OnnxGraphs(aside, info)
        progress("parity")
        try:
            differences = compare(bundle, info, graphs, cases, lambda: progress("parity"), folder=aside)
        finally:
            graphs.close()
        result = parity(differences, reference, tolerance)
        if not result.passed:
            raise refuse(bundle, differences, result)
        info = replace(info, parity=result)
        hardest = worst(differences)
        seed = next(i for i, difference in enumerate(differences) if difference is hardest)
        write_probe(aside, *hardest.case, seed, hardest.expected)
        write_export(aside, info)
    _replace(target, finished)
    (path / REFUSED).unlink(missing_ok=True)
    return info


def _as_the_policy_sees(cases: Sequence[Case], bundle: Bundle) -> Sequence[Case]:
    """Cases with joints as the state, for a policy that takes tool poses."""
    if bundle.info.action_space != POSE_SPACE:
        return cases
    space = EndEffectorSpace(load_robot(bundle.info.robot))
    if any(len(case.observation.state) != len(space.spec.joints) for case in cases):
        raise ValueError("observations of robots hold joints")
    states = space.encode(np.stack([case.observation.state for case in cases])).astype(np.float32)
    return [Case(replace(case.observation, state=states[i]), case.instruction) for i, case in enumerate(cases)]


def require_packages() -> None:
    """Raise EmmaError if what writes and runs the graphs is not installed."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(name) is None:
            raise EmmaError(
                "exporting needs packages that are not installed",
                found=f"no {name}",
                expected="onnx, onnxscript and onnxruntime",
                fix="pip install 'emma-robot[export]'",
            )


def _write(bundle: Bundle, folder: Path, instructions: Iterable[str], progress: Progress) -> ExportInfo:
    progress("load")
    weights = weights_of(Path(bundle.path))
    loaded = load_policy(bundle)
    made = policy_graphs(loaded)
    with made.patches():
        for name, graph in made.graphs.items():
            progress(name)
            write_graph(name, graph, folder)
    packages = {"opset": str(OPSET), **{name: metadata.version(name) for name in PACKAGES}}
    files = {name: graph_files(folder, name) for name in made.graphs}
    words = write_tokenizer(loaded, folder, made.tokens, instructions) if made.tokens else None
    return replace(describe(loaded, made), weights=weights, graphs=files, versions=packages, tokenizer=words)


def describe(loaded: LoadedPolicy, made: PolicyGraphs) -> ExportInfo:
    """What a runtime must know to use the graphs, without files and their hashes."""
    action = action_affine(loaded)
    size = int(loaded.config.action_feature.shape[0])
    features = loaded.config.image_features
    return ExportInfo(
        policy_type=loaded.config.type,
        weights={},
        graphs={},
        cameras={k.removeprefix(IMAGES): (f.shape[-2], f.shape[-1]) for k, f in features.items()},
        joints=int(loaded.config.robot_state_feature.shape[0]),
        chunk=made.chunk,
        width=made.width,
        tokens=made.tokens,
        action_shift=_values(action.shift, size),
        action_scale=_values(action.scale, size),
        relative=tuple(relative_joints(loaded)),
        relative_poses=relative_poses(loaded),
        state_in_words=made.state_in_words,
        flow=None if made.flow is None else FlowInfo(**vars(made.flow)),
    )


def _values(array: object, size: int) -> tuple[float, ...]:
    return tuple(float(x) for x in np.broadcast_to(np.asarray(array, np.float32), (size,)))


def _replace(target: Path, finished: Path) -> None:
    """Put the finished folder in place of an earlier one. Without its manifest a folder is no export."""
    if target.exists():
        (target / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(target)
    finished.rename(target)
