"""Units of joint positions: those of RobotSpec (rad, m) and those of messages and datasets, with the way between.

A conversion is a line, position = a x value + b, that two points give: what is published at the joint's two limits.
LeRobot's normalised units are such lines by definition (`MotorNormMode` in lerobot/motors/motors_bus.py).
"""

import math
from dataclasses import dataclass

# Of RobotSpec: limits, states, actions.
UNITS = ("rad", "m")
# Units of one line for any joint: factor to rad or m.
FACTORS = {"rad": {"rad": 1.0, "degrees": math.pi / 180}, "m": {"m": 1.0, "mm": 1e-3}}
# Values at the lower and the upper limit: LeRobot's -100..100 and 0..100.
RANGES = {"range_m100_100": (-100.0, 100.0), "range_0_100": (0.0, 100.0)}
# Any other scale, as the counts of an encoder; it needs `at`.
TICKS = "ticks"
MESSAGE_UNITS = ("rad", "m", "degrees", "mm", *RANGES, TICKS)


@dataclass(frozen=True, kw_only=True)
class MessageForm:
    """How messages tell a joint, where that differs from `robot.yaml`.

    name: "" for the joint's own. unit: "" for the joint's own, else one of MESSAGE_UNITS. at: (2,) the values in
    messages at the joint's lower and upper limit; they also tell an offset and a motor that turns the other way.
    """

    name: str = ""
    unit: str = ""
    at: tuple[float, ...] = ()

    def scale(self, unit: str, lower: float, upper: float) -> tuple[float, float]:
        """(a, b) for a joint in `unit` with these limits: position = a x value + b. Raises ValueError."""
        if self.unit and self.unit not in MESSAGE_UNITS:
            raise ValueError(f"a unit among {', '.join(MESSAGE_UNITS)}")
        if self.at and (len(self.at) != 2 or self.at[0] == self.at[1]):
            raise ValueError("at: two different values, at the lower and at the upper limit")
        if at := self.at or RANGES.get(self.unit):
            a = (upper - lower) / (at[1] - at[0])
            return a, lower - a * at[0]
        if self.unit == TICKS:
            raise ValueError("at: [value at the lower limit, value at the upper limit] for ticks")
        factor = FACTORS[unit].get(self.unit or unit)
        if factor is None:
            raise ValueError(f"a unit for a joint in {unit}: {', '.join((*FACTORS[unit], *RANGES, TICKS))}")
        return factor, 0.0
