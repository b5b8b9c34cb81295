"""What is asked of a simulated robot."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Task:
    """One episode's task. kind: one of `emma.sim.tasks.TASKS`, or of an environment of others (`emma.envs`).

    cube_pose: x, y (m) and yaw (rad) of the object at the start.
    """

    seed: int
    target: str
    instruction: str
    cube_pose: tuple[float, float, float]
    kind: str = "place"
