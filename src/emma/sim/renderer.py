"""Colour, depth and segmentation of one camera size, on MuJoCo's low-level rendering calls.

`mujoco.Renderer` hides the context that a texture upload needs, and draws depth and segmentation one by one.
"""

import numpy as np

from emma.errors import EmmaError
from emma.gl import APT, mujoco

_DEPTH_MAX_MM = 65535


class SceneRenderer:
    """An off-screen OpenGL context for images of `width` x `height` pixels. Use it from the thread that made it."""

    def __init__(self, model: "mujoco.MjModel", width: int, height: int) -> None:
        self._model = model
        self._rect = mujoco.MjrRect(0, 0, width, height)
        self._shape = (height, width)
        self._scene = mujoco.MjvScene(model, maxgeom=model.ngeom + 64)
        self._option = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        try:
            self._gl = mujoco.GLContext(width, height)
            self._gl.make_current()
            self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        except Exception as error:  # each backend raises its own kind
            raise EmmaError(
                "cannot open an OpenGL context",
                found=f"{type(error).__name__}: {error}",
                expected="EGL or OSMesa",
                fix=APT,
            ) from None
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR

    def color(self, data: "mujoco.MjData", camera: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB, antialiased."""
        self._draw(data, camera)
        color = np.empty((*self._shape, 3), np.uint8)
        mujoco.mjr_readPixels(color, None, self._rect, self._context)
        return color[::-1].copy()

    def depth_geoms(self, data: "mujoco.MjData", camera: int) -> tuple[np.ndarray, np.ndarray]:
        """(H, W) uint16 distance along the optical axis in mm, and (H, W) int32 geom ids, -1 where there is none.

        Its own pass: antialiased depth would be that of a sample beside the pixel's centre, not of the centre.
        """
        flags = self._scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = 1
        try:
            self._draw(data, camera)
        finally:
            flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = 0
        color = np.empty((*self._shape, 3), np.uint8)
        window = np.empty(self._shape, np.float32)
        mujoco.mjr_readPixels(color, window, self._rect, self._context)
        segment = color[::-1].astype(np.int32) @ np.array([1, 256, 65536], dtype=np.int32)
        geom_of_segment = np.full(self._scene.ngeom + 1, -1, dtype=np.int32)
        for geom in self._scene.geoms[: self._scene.ngeom]:
            if geom.segid >= 0 and geom.objtype == mujoco.mjtObj.mjOBJ_GEOM:
                geom_of_segment[geom.segid + 1] = geom.objid
        return self._millimetres(window[::-1]), geom_of_segment[segment]

    def upload_texture(self, texture: int) -> None:
        """Send a texture changed in the model to the graphics context."""
        self._gl.make_current()
        mujoco.mjr_uploadTexture(self._model, self._context, texture)

    def close(self) -> None:
        """Free the context; harmless twice."""
        if self._gl is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
            self._gl = None

    def _draw(self, data: "mujoco.MjData", camera: int) -> None:
        self._gl.make_current()
        self._camera.fixedcamid = camera
        mujoco.mjv_updateScene(
            self._model, data, self._option, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL, self._scene
        )
        mujoco.mjr_render(self._rect, self._scene, self._context)

    def _millimetres(self, window: np.ndarray) -> np.ndarray:
        """Reversed-Z window depth (1 near, 0 far; perspective) to millimetres."""
        near = self._model.vis.map.znear * self._model.stat.extent
        far = self._model.vis.map.zfar * self._model.stat.extent
        metres = near * far / (near + window.astype(np.float64) * (far - near))
        return np.clip(np.rint(metres * 1000.0), 0, _DEPTH_MAX_MM).astype(np.uint16)
