"""The policy node's engines: built in the background at the first deployment on a machine, used when they are ready."""

from collections.abc import Callable
from pathlib import Path

from rclpy.impl.rcutils_logger import RcutilsLogger

from emma.errors import EmmaError
from emma.policy.engine_build import EngineBuild, Phase, build_helps
from emma.ros.nodes.policy_parameters import PolicyParameters

REPORT_S = 30.0


class PolicyEngines:
    """`begin` once a policy is in use; `poll`, called often, hands over to `swap` when the engines are there."""

    def __init__(
        self,
        values: PolicyParameters,
        logger: RcutilsLogger,
        swap: Callable[[Path], None],
        build: Callable[[Path], EngineBuild] = EngineBuild,
        helps: Callable[..., bool] = build_helps,
    ) -> None:
        self._values, self._logger, self._swap = values, logger, swap
        self._make, self._helps = build, helps
        self._build: EngineBuild | None = None
        # A build that failed is not tried again before the node starts anew.
        self._tried: set[Path] = set()

    def begin(self, bundle: Path, runtime: str) -> None:
        """Build the engines of a bundle that is in use, if they would be faster than `runtime`."""
        values = self._values
        if self._build is not None or bundle in self._tried or not values.compile or values.lockstep:
            return
        if not self._helps(bundle, runtime, kind=values.runtime, device=values.device):
            return
        self._tried.add(bundle)
        self._build = self._make(bundle)
        self._logger.info(f"building TensorRT engines for {bundle.name} in the background; until then it runs without")

    def poll(self) -> None:
        build = self._build
        if build is None:
            return
        phase = build.poll()
        if phase is Phase.BUILDING:
            self._logger.info(f"engines: {build.last_line() or 'starting'}", throttle_duration_sec=REPORT_S)
            return
        if phase is Phase.FAILED:
            self._logger.warning(f"engines were not built, the policy runs on without: {build.last_line()}")
        else:
            try:
                self._swap(build.bundle)
            except EmmaError:
                # Another policy is on its way; ask again at the next look.
                return
            self._logger.info(f"engines of {build.bundle.name} are ready: changing over")
        self._build = None
        build.close()

    def close(self) -> None:
        if self._build is not None:
            self._build.close()
            self._build = None
