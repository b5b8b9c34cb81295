"""Checks of the machine: rendering, disk, shared memory, clock."""

import ctypes
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from emma.doctor.check import Check, Probe, ProbeError, fail, ok, warn

GIB = 1024**3
# A minute of three 640 x 480 RGB-D cameras at 30 Hz is 8 GB; below this an episode may not fit.
DISK_LOW = 10 * GIB
DISK_OUT = 1 * GIB
# Fast DDS hands camera images over through shared memory; containers get 64 MiB unless asked.
SHARED_MEMORY_LOW = 256 * 1024**2
# What one participant takes.
SHARED_MEMORY_FULL = 16 * 1024**2
# Of participants that were killed; the next ones remove some of them.
LEFT_BEHIND = ("fastrtps_*", "sem.fastrtps_*")
DAY_S = 86_400.0
TIME_ERROR = 5
RENDER = """
import json, os
from emma.errors import EmmaError
try:
    from emma.gl import mujoco
    scene = '<mujoco><worldbody><light pos="0 0 2"/><geom type="sphere" size="1"/></worldbody></mujoco>'
    model = mujoco.MjModel.from_xml_string(scene)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    with mujoco.Renderer(model, 32, 32) as renderer:
        renderer.update_scene(data)
        drawn = int(renderer.render().max())
    print(json.dumps({"backend": os.environ.get("MUJOCO_GL", "default"), "drawn": drawn}))
except EmmaError as error:
    print(json.dumps({"problem": error.problem, "found": str(error.found), "fix": error.fix}))
"""


def start_render() -> Probe:
    return Probe("-c", RENDER)


def rendering(probe: Probe) -> Check:
    """Whether a picture can be drawn without a screen."""
    try:
        answer = probe.answer()
    except ProbeError as error:
        return fail("rendering", f"OpenGL fails: {error.cause}", "try MUJOCO_GL=osmesa emma doctor, then MUJOCO_GL=egl")
    if "problem" in answer:
        return fail("rendering", f"{answer['problem']}: {answer['found']}", answer["fix"] or "")
    if not answer["drawn"]:
        return fail(
            "rendering", f"{answer['backend']} draws black pictures", "try another backend: MUJOCO_GL=osmesa or egl"
        )
    return ok("rendering", f"{answer['backend']} draws without a screen")


def disk(folder: Path | None = None) -> Check:
    folder = Path.cwd() if folder is None else folder
    free = shutil.disk_usage(folder).free
    found = f"{free / GIB:.0f} GiB free at {folder}"
    if free < DISK_OUT:
        return fail("disk", found, "free some space: the recorder stops before the disk is full")
    if free < DISK_LOW:
        return warn("disk", found, "record to a larger disk (--out), or remove old bags")
    return ok("disk", found)


def shared_memory(folder: Path = Path("/dev/shm")) -> Check:
    """What Fast DDS hands images over in: there, large enough, not full, and open to this user."""
    name = "shared memory"
    if not folder.is_dir():
        return warn(name, f"no {folder}", "images go through the network stack: slower, nothing else")
    if not os.access(folder, os.W_OK | os.X_OK):
        return warn(name, f"you cannot write to {folder}", f"chmod 1777 {folder} as root; until then images are slower")
    usage = shutil.disk_usage(folder)
    found = f"{usage.total / 1024**2:.0f} MiB"
    if usage.total < SHARED_MEMORY_LOW:
        return warn(name, found, "in a container: docker run --shm-size=1g, or --ipc=host")
    left = [file for pattern in LEFT_BEHIND for file in folder.glob(pattern)]
    if usage.free < SHARED_MEMORY_FULL:
        return warn(
            name,
            f"{found}, {usage.free / 1024**2:.0f} free; {len(left)} files of Fast DDS",
            f"end all ROS programs, then rm {folder}/{LEFT_BEHIND[0]} {folder}/{LEFT_BEHIND[1]}",
        )
    return ok(name, found)


def clock(
    now_s: float | None = None, synchronised: bool | None = None, environ: Mapping[str, str] = os.environ
) -> Check:
    """Header stamps are compared between machines, and files by their times."""
    now_s = time.time() if now_s is None else now_s
    synchronised = is_synchronised() if synchronised is None else synchronised
    found = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now_s))
    if now_s < Path(__file__).stat().st_mtime - DAY_S:
        return fail("clock", f"{found} is before this software was installed", "set the clock: sudo chronyc makestep")
    if synchronised:
        return ok("clock", f"{found}, synchronised")
    if environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE") in ("LOCALHOST", "OFF"):
        return ok("clock", f"{found}, not synchronised, which this machine alone does not need")
    return warn(
        "clock",
        f"{found}, not synchronised with other machines",
        "run chrony or systemd-timesyncd here and on every machine with drivers",
    )


def is_synchronised() -> bool:
    """Whether the kernel's clock follows another one (adjtimex(2) returns TIME_ERROR where it does not)."""
    # struct timex begins with `modes`, 0 to read only, and is 208 bytes on 64-bit Linux.
    state = ctypes.create_string_buffer(256)
    return 0 <= ctypes.CDLL(None).adjtimex(state) < TIME_ERROR
