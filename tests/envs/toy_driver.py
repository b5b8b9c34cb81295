"""A driver of a robot whose joints go where they are told, run by the tests' own interpreter.

$TOY_JOINTS names them; the task is to bring the first one above 0.5.
"""

import os
from typing import Any

import numpy as np

JOINTS = os.environ.get("TOY_JOINTS", "lift turn").split()


class Driver:
    def __init__(self, rate_hz: float, sizes: dict[str, list[int]]) -> None:
        self._sizes, self._joints, self._seen = sizes, np.zeros(len(JOINTS)), {}

    def info(self) -> dict[str, Any]:
        return {"joints": JOINTS, "cameras": dict.fromkeys(self._sizes, 90.0), "model": "", "mujoco": ""}

    def reset(self, seed: int) -> dict[str, Any]:
        self._joints = np.zeros(len(JOINTS))
        return self._say(seed)

    def step(self, targets: np.ndarray) -> dict[str, Any]:
        if targets[0] == 99.0:
            os._exit(3)
        if targets[0] == 98.0:
            raise ValueError("a wall")
        self._joints = targets
        return self._say(0)

    def _say(self, seed: int) -> dict[str, Any]:
        reached = bool(self._joints[0] > 0.5)
        return {"instruction": "lift", "success": reached, "object": [float(seed), 0.0, self._joints[0]]}

    def state(self) -> np.ndarray:
        return self._joints

    def look(self, camera: str) -> None:
        self._seen[camera] = round(100 * self._joints[0])

    def draw(self, camera: str) -> np.ndarray:
        width, height = self._sizes[camera]
        return np.full((height, width, 3), self._seen[camera], np.uint8)

    def script(self, seed: int) -> np.ndarray:
        return np.tile([0.6, -0.2] + [0.1] * (len(JOINTS) - 2), (10, 1))

    def tools(self, joints: np.ndarray) -> dict[str, np.ndarray]:
        return {"hand": np.tile(np.eye(4), (len(joints), 1, 1))}

    def close(self) -> None:
        pass
