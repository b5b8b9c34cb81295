"""The first calls of a runtime are several times slower than the rest: they happen before a robot waits for them."""

from collections.abc import Iterable

import numpy as np

from emma.errors import EmmaError
from emma.observation import Observation
from emma.policy.bundle import Bundle
from emma.policy.runtime import PolicyRuntime
from emma.robots.spec import RobotSpec

CALLS = 3


def warm_up(runtime: PolicyRuntime, bundle: Bundle, spec: RobotSpec, cameras: Iterable[str] | None = None) -> None:
    """Run the policy on black pictures. Raises EmmaError for chunks of another shape than the bundle says.

    cameras: the robot's, where they are called otherwise than in the bundle.
    """
    names = bundle.info.cameras if cameras is None else tuple(cameras)
    sizes = {name: (spec.camera(name).height, spec.camera(name).width) for name in names}
    observation = Observation(
        stamp_ns=0,
        state=np.asarray(spec.home or [0.0] * len(spec.joints), dtype=np.float32),
        images={name: np.zeros((*size, 3), np.uint8) for name, size in sizes.items()},
        depth={name: np.zeros(size, np.uint16) for name, size in sizes.items()} if bundle.info.depth else {},
    )
    expected = (bundle.info.chunk, len(spec.joints))
    for _ in range(CALLS):
        chunk = runtime.infer(observation, "warm up")
        if chunk.shape != expected:
            raise EmmaError(f"policy {bundle.path.name} gives other chunks", found=chunk.shape, expected=expected)
