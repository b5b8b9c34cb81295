"""Which runtime a bundle gets on this machine, and why."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from emma.device import AUTO, Device, choose_device
from emma.errors import EmmaError
from emma.policy.bundle import POSE_SPACE, Bundle
from emma.policy.exported import FOLDER, usable_export
from emma.policy.runtime.graph_runtime import GraphRuntime
from emma.policy.runtime.probe import check_probe
from emma.policy.runtime.protocol import PolicyRuntime
from emma.policy.runtime.torch_runtime import TorchRuntime
from emma.robots.spec import RobotSpec, load_robot

KINDS = ("auto", "tensorrt", "onnxruntime", "torch", "torch-compile")
log = logging.getLogger(__name__)


def open_runtime(
    bundle: Bundle,
    *,
    kind: str = "auto",
    device: str = "cpu",
    threads: int = 1,
    robot: RobotSpec | None = None,
) -> PolicyRuntime:
    """The runtime called `kind` for this bundle; auto takes the first that is usable of KINDS, torch last.

    device: auto, cpu, cuda, cuda:N, or tensorrt for ONNX Runtime's provider of that name. robot: where a policy with
    end-effector actions runs, None for the robot that the bundle names; such a policy takes and gives joints, too
    (`emma.policy.runtime.cartesian`). Raises EmmaError for an unknown kind or device, and for one that this bundle or
    machine does not have unless it was left to choose. `reason` of the runtime says why it was chosen; it is logged.
    """
    chosen = Device(device, "asked for") if device == "tensorrt" else choose_device(device)
    if kind == "auto":
        runtime = _best(bundle, chosen.name, threads)
    elif kind in OPENERS:
        runtime = OPENERS[kind](bundle, chosen.name, threads, "asked for")
    else:
        raise EmmaError(f"unknown runtime '{kind}'", found=kind, expected=f"one of {', '.join(KINDS)}")
    if device == AUTO:
        runtime.reason += f"; device {chosen}"
    if bundle.info.action_space == POSE_SPACE:
        runtime = _cartesian(runtime, bundle, robot or load_robot(bundle.info.robot))
    log.info("%s runs in %s: %s", Path(bundle.path).name, runtime.name, runtime.reason)
    return runtime


def _cartesian(inner: PolicyRuntime, bundle: Bundle, robot: RobotSpec) -> PolicyRuntime:
    from emma.policy.end_effector.space import EndEffectorSpace
    from emma.policy.runtime.cartesian import CartesianRuntime

    try:
        space = EndEffectorSpace(robot)
        if space.groups != bundle.info.groups:
            raise EmmaError(
                f"policy {Path(bundle.path).name} moves other tools than robot {robot.name} has",
                found=f"tools {', '.join(space.groups)}",
                expected=", ".join(bundle.info.groups),
                fix="name the tools in kinematics.tools of robot.yaml as in the training",
            )
    except EmmaError:
        inner.close()
        raise
    return CartesianRuntime(inner, space, bundle.info.fps)


def _best(bundle: Bundle, device: str, threads: int) -> PolicyRuntime:
    """Engines first if there is a GPU to run them, then graphs, then LeRobot itself."""
    reasons = []
    for kind in ("tensorrt", "onnxruntime") if device != "cpu" else ("onnxruntime",):
        try:
            return OPENERS[kind](bundle, device, threads, "the graphs are of these weights and passed parity")
        except EmmaError as error:
            reasons.append(f"{kind}: {error.problem} ({error.found})")
    return _torch(bundle, device, threads, "; ".join(reasons))


def _torch(bundle: Bundle, device: str, threads: int, reason: str) -> PolicyRuntime:
    return TorchRuntime(bundle, device=device, threads=threads, reason=reason)


def _onnxruntime(bundle: Bundle, device: str, threads: int, reason: str) -> PolicyRuntime:
    try:
        from emma.policy.runtime.onnx_graphs import open_graphs

        info = usable_export(Path(bundle.path))
        graphs = open_graphs(Path(bundle.path), info, device=device, threads=threads)
    except ImportError as error:
        raise EmmaError(
            "onnxruntime is not installed",
            found=str(error),
            expected="onnxruntime",
            fix="pip install 'emma-robot[export]'",
        ) from error
    return _probed(GraphRuntime(bundle, info, graphs, name=f"onnxruntime ({device})", reason=reason), bundle, device)


def _probed(runtime: GraphRuntime, bundle: Bundle, device: str) -> GraphRuntime:
    """The runtime, once it has given the policy's answer here. Raises EmmaError if it does not."""
    try:
        said = check_probe(Path(bundle.path) / FOLDER, runtime.info, runtime, device=device)
    except EmmaError:
        runtime.close()
        raise
    runtime.reason += f"; on this machine {said}" if said else "; not compared on this machine"
    return runtime


def _tensorrt(bundle: Bundle, device: str, threads: int, reason: str) -> PolicyRuntime:
    from emma.policy.runtime.tensorrt import open_engines

    info = usable_export(Path(bundle.path))
    runtime = GraphRuntime(bundle, info, open_engines(Path(bundle.path), info), name="tensorrt", reason=reason)
    return _probed(runtime, bundle, device="cuda")


def _torch_compile(bundle: Bundle, device: str, threads: int, reason: str) -> PolicyRuntime:
    from emma.policy.runtime.torch_graphs import open_torch_graphs

    info, graphs = open_torch_graphs(bundle, device=device, threads=threads)
    return GraphRuntime(bundle, info, graphs, name=f"torch-compile ({device})", reason=reason)


OPENERS: Mapping[str, Callable[[Bundle, str, int, str], PolicyRuntime]] = {
    "tensorrt": _tensorrt,
    "onnxruntime": _onnxruntime,
    "torch": _torch,
    "torch-compile": _torch_compile,
}
