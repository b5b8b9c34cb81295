"""What the policy node says on /diagnostics."""

from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus

from emma.nodes.control import ControlStatus
from emma.nodes.messages import status
from emma.robot import RobotSpec

# A larger share of missed ticks than this is reported.
MISSED_WARN = 0.01


def report(spec: RobotSpec, now: ControlStatus, timings: dict[str, float]) -> list[DiagnosticStatus]:
    """Three lines: the control loop with its timings, the streams with their ages, the inference."""
    streams: dict[str, Any] = {f"{stream} age": f"{age:.3f} s" for stream, age in now.ages_s.items()}
    streams["skew"] = f"{now.skew_s:.3f} s"
    missed, ticks = timings.get("missed_ticks", 0), timings.get("ticks", 0)
    skewed = [f"cameras {now.skew_s:.3f} s apart"] if now.skew_s > spec.max_skew_s else []
    return [
        status(
            "policy: control",
            spec.name,
            {"mode": now.mode, "clipped": ", ".join(now.clipped), **timings},
            warn=f"{missed:.0f} of {ticks:.0f} ticks missed" if missed > MISSED_WARN * ticks else "",
            error=now.reason if now.mode == "holding" else "",
        ),
        status("policy: streams", spec.name, streams, warn="; ".join([*now.warnings, *skewed]), error=now.problem),
        status("policy: inference", spec.name, {"instruction": now.instruction}, error=now.inference_error),
    ]
