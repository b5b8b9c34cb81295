"""Checks of ROS 2: which rclpy, which middleware, who hears whom, and what a sourced installation does."""

import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from emma.doctor.check import Check, Probe, ProbeError, fail, ok, warn
from emma.environment import SET_ASIDE, entries

MIDDLEWARE = "rmw_fastrtps_cpp"
RANGES = ("SUBNET", "LOCALHOST", "OFF", "SYSTEM_DEFAULT")
# Their message definitions are those of the wheels, hash by hash. Programs of Jazzy were run beside these nodes; no
# program of Lyrical was.
DISTROS = ("jazzy", "kilted", "lyrical")
LAST_DOMAIN = 232
# Above this, DDS ports meet the range from which Linux gives ports to outgoing connections.
LAST_SAFE_DOMAIN = 101


def start_rclpy() -> Probe:
    return Probe("-m", "emma.environment", "emma.ros.probe")


def rclpy(probe: Probe, prefix: Path | None = None) -> Check:
    """The ROS client library and NumPy that nodes get, tried by starting one."""
    prefix = Path(sys.prefix) if prefix is None else prefix
    if importlib.util.find_spec("rclpy") is None:
        return fail("rclpy", "not installed", "run 'make setup'")
    try:
        answer = probe.answer()
    except ProbeError as error:
        return fail("rclpy", f"a node cannot start: {error}", "see the checks below, then run 'make setup'")
    for name in ("path", "numpy_path"):
        if not Path(answer[name]).is_relative_to(prefix):
            return fail(
                "rclpy",
                f"{answer[name]} is not of this environment ({prefix})",
                "start emma by its own command or launch files, which set a sourced ROS aside",
            )
    return ok("rclpy", f"{answer['rclpy']}, NumPy {answer['numpy']}, {answer['middleware']}; a node starts")


def middleware(environ: Mapping[str, str] = os.environ) -> Check:
    chosen = environ.get("RMW_IMPLEMENTATION", "")
    if chosen in ("", MIDDLEWARE):
        return ok("middleware", chosen or f"{MIDDLEWARE} (default)")
    return fail(
        "middleware",
        f"RMW_IMPLEMENTATION={chosen}, which this environment does not have",
        f"unset RMW_IMPLEMENTATION; drivers should use {MIDDLEWARE} too",
    )


def domain(environ: Mapping[str, str] = os.environ) -> Check:
    text = environ.get("ROS_DOMAIN_ID", "")
    if not text:
        return ok("domain id", "0 (default)")
    if not text.isdecimal() or int(text) > LAST_DOMAIN:
        return fail("domain id", f"ROS_DOMAIN_ID={text}", "export ROS_DOMAIN_ID=<number from 0 to 101>")
    if int(text) > LAST_SAFE_DOMAIN:
        return warn("domain id", f"{text}: its ports may be taken by outgoing connections", "use 0 to 101")
    return ok("domain id", text)


def discovery(environ: Mapping[str, str] = os.environ) -> Check:
    """Who hears this machine's topics, and whose commands an arm here would obey."""
    name = "discovery"
    reach = environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "")
    if environ.get("ROS_LOCALHOST_ONLY", "0") == "1":
        return warn(
            name,
            "ROS_LOCALHOST_ONLY=1, which is deprecated and overrides the discovery range",
            "unset ROS_LOCALHOST_ONLY; export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST",
        )
    if reach and reach not in RANGES:
        return fail(name, f"ROS_AUTOMATIC_DISCOVERY_RANGE={reach}", f"one of {', '.join(RANGES)}")
    if environ.get("ROS_DISCOVERY_SERVER"):
        return ok(name, f"by the discovery server {environ['ROS_DISCOVERY_SERVER']}")
    peers = environ.get("ROS_STATIC_PEERS", "")
    beside = f", static peers {peers}" if peers else ""
    if reach in ("LOCALHOST", "OFF"):
        return ok(name, f"{reach}{beside}")
    return ok(name, f"{reach or 'SUBNET (default)'}: every machine on the network hears and can command{beside}")


def sourced(environ: Mapping[str, str] = os.environ) -> Check:
    """The ROS installation that this shell has sourced, and that its Python packages do not reach us."""
    prefixes = entries(environ, "AMENT_PREFIX_PATH")
    distro = environ.get("ROS_DISTRO", "")
    if not prefixes and not distro:
        return ok("sourced ROS", "none; nodes run from the wheels of this environment")
    aside = len(entries(environ, SET_ASIDE))
    found = f"{distro or 'unknown distribution'}, {len(prefixes)} prefixes"
    found += f"; {aside} of its Python and library folders set aside" if aside else ""
    if distro and distro not in DISTROS:
        return warn("sourced ROS", found, f"use {', '.join(DISTROS)}: message types of others may differ")
    return ok("sourced ROS", found)


def colcon(environ: Mapping[str, str] = os.environ, prefix: Path | None = None) -> Check:
    """Whether the package that `ros2 launch` finds starts this environment."""
    name = "colcon build"
    prefix = Path(sys.prefix) if prefix is None else prefix
    launchers = [Path(entry) / "lib" / "emma" / "sim" for entry in entries(environ, "AMENT_PREFIX_PATH")]
    launcher = next((path for path in launchers if path.is_file()), None)
    if launcher is None:
        return ok(name, "not sourced; 'ros2 launch emma ...' needs it, 'emma demo' does not")
    recorded = environ.get("EMMA_PYTHON") or recorded_python(launcher)
    place = launcher.parents[2]
    if not recorded or not os.access(recorded, os.X_OK):
        return fail(name, f"{place} starts {recorded or 'no Python'}, which is not there", "colcon build again")
    if Path(recorded).parent.parent.resolve() != prefix.resolve():
        return warn(name, f"{place} starts {recorded}, not this environment", "colcon build again, or set EMMA_PYTHON")
    return ok(name, f"{place} starts this environment")


def recorded_python(launcher: Path) -> str:
    """The interpreter that `colcon build` wrote into a launcher; empty if there is none."""
    for line in launcher.read_text().splitlines():
        if line.startswith("recorded="):
            return line.partition("=")[2].strip('"')
    return ""
