"""Changing the policy of a running policy node from a program: `swap_policy`. The way back is the same call."""

from dataclasses import dataclass
from pathlib import Path

from emma.control.policy_state import PolicyState, SwapPhase, SwapState
from emma.errors import EmmaError
from emma.records import Topic
from emma.ros.client import CALL_S, RosClient

# Loading torch and a policy on a busy machine.
SWAP_S = 240.0


@dataclass(frozen=True, kw_only=True)
class SwapResult:
    """policy, previous: bundles, the one that runs now and the one before; seconds: of loading, while the other ran;
    ticks, missed_ticks: of the control loop meanwhile, as far as it was enabled."""

    policy: Path
    previous: Path
    seconds: float
    ticks: int
    missed_ticks: int


def swap_policy(
    bundle: Path | str, *, node: str = "/policy", client: RosClient | None = None, timeout_s: float = SWAP_S
) -> SwapResult:
    """Let the running policy node load `bundle` and change to it; returns when it runs.

    The arm may be moving: the old policy goes on until the new one is warm. Raises EmmaError where that is refused: a
    bundle for another robot, a broken one, a node that is not active. The old policy then keeps running.
    """
    if client is None:
        with RosClient("swap") as own:
            return swap_policy(bundle, node=node, client=own, timeout_s=timeout_s)
    path, state = Path(bundle).resolve(), Topic(f"{node}/state", PolicyState)
    client.listen(state)
    before = client.wait_for(state, lambda said: True, CALL_S)
    if before is None:
        raise EmmaError(
            f"no policy to swap on {node}",
            found=client.heard(state) or "no policy node",
            expected="an active policy node",
            fix="start it, or see that ROS_DOMAIN_ID is the same on both sides",
        )
    previous = before.policy
    try:
        client.set_parameters(node, {"policy": str(path)})
        client.trigger(f"{node}/swap")
        said = client.wait_for(state, lambda s: _over(s.swap, before.swap.number), timeout_s)
        if said is None or said.swap.phase is SwapPhase.REFUSED:
            raise EmmaError(
                f"{path.name} was not taken; {Path(previous).name} keeps running",
                found=said.swap.why if said else f"no end after {timeout_s:g} s",
                expected="a whole bundle for this robot, and every stream that it sees",
            )
    except EmmaError:
        client.set_parameters(node, {"policy": previous})
        raise
    # The counts are told once a second.
    # A node that is let go meanwhile says no more than that it is inactive.
    after = client.wait_for(state, lambda s: s.stats_seq > said.stats_seq + 1, CALL_S) or said
    ticks, missed = (
        int(after.timings.get(name, 0) - before.timings.get(name, 0)) for name in ("ticks", "missed_ticks")
    )
    return SwapResult(
        policy=path,
        previous=Path(previous),
        seconds=said.swap.seconds,
        ticks=ticks,
        missed_ticks=missed,
    )


def _over(swap: SwapState, number: int) -> bool:
    return swap.number > number and swap.phase in (SwapPhase.DONE, SwapPhase.REFUSED)
