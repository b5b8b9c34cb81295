"""Checks of the machine: rendering, disk, shared memory."""

import shutil
from pathlib import Path

from emma.doctor.check import Check, Probe, ProbeError, fail, ok, warn

GIB = 1024**3
# A minute of three 640 x 480 RGB-D cameras at 30 Hz is 8 GB; below this an episode may not fit.
DISK_LOW = 10 * GIB
DISK_OUT = 1 * GIB
# Fast DDS hands camera images over through shared memory; containers get 64 MiB unless asked.
SHARED_MEMORY_LOW = 256 * 1024**2
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
        return fail("rendering", f"OpenGL fails: {error}", "try MUJOCO_GL=osmesa emma doctor, then MUJOCO_GL=egl")
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
    if not folder.is_dir():
        return warn("shared memory", f"no {folder}", "images go through the network stack: slower, nothing else")
    size = shutil.disk_usage(folder).total
    found = f"{size / 1024**2:.0f} MiB"
    if size < SHARED_MEMORY_LOW:
        return warn("shared memory", found, "in a container: docker run --shm-size=1g, or --ipc=host")
    return ok("shared memory", found)
