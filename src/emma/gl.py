"""MuJoCo with an OpenGL that works. MuJoCo reads MUJOCO_GL when it is imported: import it from here, nowhere else."""

import ctypes
import os
import sys

from emma.errors import EmmaError

APT = "sudo apt-get install -y libosmesa6 libegl1 libgl1-mesa-dri libgles2 libopengl0 libglx-mesa0 libegl-mesa0"
BACKENDS = ("egl", "osmesa", "glfw", "glx", "cgl", "wgl")
OSMESA_LIBRARIES = ("libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so")

_EGL_PLATFORM_DEVICE = 0x313F
_MAX_DEVICES = 16


def choose_gl() -> str:
    """Set MUJOCO_GL to the first backend that works and return it: what the user set, then EGL, then OSMesa.

    Raises EmmaError, with the packages to install, where neither is there. macOS and Windows keep MuJoCo's default.
    """
    chosen = os.environ.get("MUJOCO_GL", "").lower()
    if chosen:
        if chosen not in BACKENDS:
            raise EmmaError(
                "unknown MUJOCO_GL", found=chosen, expected=f"one of {', '.join(BACKENDS)}", fix="unset MUJOCO_GL"
            )
        return chosen
    if not sys.platform.startswith("linux"):
        return "default"
    for name, works in (("egl", egl_works), ("osmesa", osmesa_works)):
        if works():
            os.environ["MUJOCO_GL"] = name
            return name
    raise EmmaError("no OpenGL to render with", found="neither EGL nor OSMesa", expected="one of them", fix=APT)


def egl_works() -> bool:
    """Whether some EGL device opens without a screen, asked the way MuJoCo asks."""
    try:
        # PyOpenGL, which MuJoCo's EGL goes through, needs a desktop OpenGL library beside EGL.
        ctypes.CDLL("libOpenGL.so.0")
        egl = ctypes.CDLL("libEGL.so.1")
    except OSError:
        return False
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    egl.eglGetProcAddress.argtypes = [ctypes.c_char_p]
    egl.eglInitialize.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    query = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    display_of = egl.eglGetProcAddress(b"eglGetPlatformDisplayEXT")
    if not query or not display_of:
        return False
    devices = (ctypes.c_void_p * _MAX_DEVICES)()
    count = ctypes.c_int()
    query_devices = ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(query)
    if not query_devices(_MAX_DEVICES, devices, ctypes.byref(count)):
        return False
    get_display = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p)(display_of)
    for device in devices[: count.value]:
        display = get_display(_EGL_PLATFORM_DEVICE, device, None)
        if display and egl.eglInitialize(display, None, None):
            return True
    return False


def osmesa_works() -> bool:
    """Whether Mesa's off-screen software renderer is installed."""
    for library in OSMESA_LIBRARIES:
        try:
            ctypes.CDLL(library)
        except OSError:
            continue
        return True
    return False


choose_gl()
# Without a GPU, Mesa's llvmpipe draws small images faster on the calling thread than with a hand-over to its own.
os.environ.setdefault("LP_NUM_THREADS", "0")
import mujoco  # noqa: E402  (after the choice above)

__all__ = ["APT", "choose_gl", "egl_works", "mujoco", "osmesa_works"]
