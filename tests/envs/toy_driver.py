"""A driver of a robot with two joints that go where they are told, run by the tests' own interpreter."""

import os
from typing import Any

import numpy as np


class Driver:
    def __init__(self, rate_hz: float, sizes: dict[str, list[int]]) -> None:
        self._sizes, self._joints, self._seen = sizes, np.zeros(2), {}

    def info(self) -> dict[str, Any]:
        return {"joints": ["lift", "turn"], "cameras": {"top": 90.0}, "model": "", "mujoco": ""}

    def reset(self, seed: int) -> dict[str, Any]:
        self._joints = np.zeros(2)
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
        return np.tile([[0.6, -0.2]], (10, 1))

    def tools(self, joints: np.ndarray) -> dict[str, np.ndarray]:
        return {"hand": np.tile(np.eye(4), (len(joints), 1, 1))}

    def close(self) -> None:
        pass
