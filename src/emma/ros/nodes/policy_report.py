"""What the policy node says on /diagnostics."""

from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus

from emma.control.controller import Mode
from emma.control.policy_state import PolicyState
from emma.robots.spec import RobotSpec
from emma.ros.messages import status

# A larger share of missed ticks than this is reported.
MISSED_WARN = 0.01


def complain(logger: Any, now: PolicyState) -> None:
    """To the log, at most every two seconds: why it holds or stopped, else what is late, and why chunks are refused."""
    if now.reason and now.mode is Mode.HOLDING:
        logger.warning(f"holding: {now.reason}", throttle_duration_sec=2.0)
    elif now.warnings:
        logger.warning("; ".join(now.warnings), throttle_duration_sec=2.0)
    if now.inference_error:
        logger.error(f"policy: {now.inference_error}", throttle_duration_sec=2.0)


def report(spec: RobotSpec, now: PolicyState) -> list[DiagnosticStatus]:
    """Three lines: the control loop with its timings, the streams with their ages, the inference and what runs it."""
    streams: dict[str, Any] = {f"{stream} age": f"{age:.3f} s" for stream, age in now.ages_s.items()}
    streams["skew"] = f"{now.skew_s:.3f} s"
    missed, ticks = now.timings.get("missed_ticks", 0), now.timings.get("ticks", 0)
    skewed = [f"cameras {now.skew_s:.3f} s apart"] if now.skew_s > spec.max_skew_s else []
    stopped = "the emergency stop is pressed" if now.e_stop else ""
    about = {"policy": now.policy, "runtime": now.runtime, "runtime_reason": now.runtime_reason}
    return [
        status(
            "policy: control",
            spec.name,
            {"mode": now.mode, "clipped": ", ".join(now.clipped), **now.timings},
            warn=f"{missed:.0f} of {ticks:.0f} ticks missed" if missed > MISSED_WARN * ticks else "",
            error=stopped or (now.reason if now.mode in (Mode.HOLDING, Mode.STOPPED) else ""),
        ),
        status("policy: streams", spec.name, streams, warn="; ".join([*now.warnings, *skewed]), error=now.problem),
        status("policy: inference", spec.name, {"instruction": now.instruction, **about}, error=now.inference_error),
    ]
