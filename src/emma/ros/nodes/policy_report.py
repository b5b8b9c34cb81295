"""What the policy node says on /diagnostics."""

from collections.abc import Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus

from emma.control.status import ControlStatus
from emma.robots.spec import RobotSpec
from emma.ros.messages import status

# A larger share of missed ticks than this is reported.
MISSED_WARN = 0.01


def complain(logger: Any, now: ControlStatus) -> None:
    """To the log, at most every two seconds: why it holds, else what is late, and what the policy says."""
    if now.reason and now.mode == "holding":
        logger.warning(f"holding: {now.reason}", throttle_duration_sec=2.0)
    elif now.warnings:
        logger.warning("; ".join(now.warnings), throttle_duration_sec=2.0)
    if now.inference_error:
        logger.error(f"policy: {now.inference_error}", throttle_duration_sec=2.0)


def report(
    spec: RobotSpec, now: ControlStatus, timings: Mapping[str, float], *, about: Mapping[str, str], stopped: str = ""
) -> list[DiagnosticStatus]:
    """Three lines: the control loop with its timings, the streams with their ages, the inference and what runs it.

    about: the policy and its runtime; stopped: why nothing may move, "" if it may.
    """
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
            error=stopped or (now.reason if now.mode == "holding" else ""),
        ),
        status("policy: streams", spec.name, streams, warn="; ".join([*now.warnings, *skewed]), error=now.problem),
        status("policy: inference", spec.name, {"instruction": now.instruction, **about}, error=now.inference_error),
    ]
