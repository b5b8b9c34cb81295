"""What the shell says to ROS, checked before the middleware reads it: its own errors name no variable to change."""

import os
from collections.abc import Mapping
from pathlib import Path

from emma.errors import EmmaError

MIDDLEWARE = "rmw_fastrtps_cpp"
LAST_DOMAIN = 232
# Above this, DDS ports meet the range from which Linux gives ports to outgoing connections.
LAST_SAFE_DOMAIN = 101


def require_sound(environ: Mapping[str, str] = os.environ) -> None:
    """Raise EmmaError for a variable with which no node can start."""
    require_domain(environ)
    require_middleware(environ)
    require_log_folder(environ)


def require_domain(environ: Mapping[str, str] = os.environ) -> int:
    """The number in ROS_DOMAIN_ID, 0 without one."""
    text = environ.get("ROS_DOMAIN_ID", "")
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal()) or int(text) > LAST_DOMAIN:
        raise EmmaError(
            "no such ROS domain",
            found=f"ROS_DOMAIN_ID={text}",
            expected=f"a number from 0 to {LAST_SAFE_DOMAIN}",
            fix="export ROS_DOMAIN_ID=0, or the number of the robot's other programs",
        )
    return int(text)


def require_middleware(environ: Mapping[str, str] = os.environ) -> None:
    """Raises EmmaError where RMW_IMPLEMENTATION names a middleware that is not installed here."""
    chosen = environ.get("RMW_IMPLEMENTATION", "")
    if chosen not in ("", MIDDLEWARE):
        raise EmmaError(
            "this middleware is not in emma's environment",
            found=f"RMW_IMPLEMENTATION={chosen}",
            expected=MIDDLEWARE,
            fix=f"unset RMW_IMPLEMENTATION; drivers should use {MIDDLEWARE} too",
        )


def require_log_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where ROS writes its logs: ROS_LOG_DIR, ROS_HOME/log or HOME/.ros/log. Raises EmmaError if it cannot."""
    home = environ.get("ROS_HOME") or (f"{environ['HOME']}/.ros" if environ.get("HOME") else "")
    chosen = environ.get("ROS_LOG_DIR") or (f"{home}/log" if home else "")
    if not chosen:
        raise EmmaError(
            "ROS has no folder for its logs",
            found="neither HOME nor ROS_LOG_DIR is set",
            expected="one of them",
            fix="export HOME=<your home folder>, or ROS_LOG_DIR=/tmp/ros",
        )
    folder = Path(chosen)
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        name = next((n for n in ("ROS_LOG_DIR", "ROS_HOME", "HOME") if environ.get(n)), "HOME")
        raise EmmaError(
            "ROS cannot write its logs",
            found=f"{there} is not a folder that you can write to ({name}={environ.get(name)})",
            expected="a folder of your own",
            fix="export ROS_LOG_DIR=/tmp/ros, or another folder of yours",
        )
    return folder
