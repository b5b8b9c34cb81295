"""Writes a visual domain into a MuJoCo model at run time: material colours, lights and the table's texture."""

from functools import lru_cache

import numpy as np

from emma.gl import mujoco
from emma.sim.domains.domain import Domain

# Edge of a checker field and of a speckle, in texels (the texture spans the 0.8 m x 0.9 m table).
_CHECKER_TEXELS = 32
_SPECKLE_TEXELS = 8
_STRIPE_TEXELS = 24
_PAINTED = ("arm", "cube", "bin", "plate", "floor")


class Appearance:
    """Applies domains to one model. Every property is set from the model's first values, so a return is exact."""

    def __init__(self, model: "mujoco.MjModel") -> None:
        self._model = model
        self._light_diffuse = model.light_diffuse.copy()
        self._light_pos = model.light_pos.copy()
        self._light_dir = model.light_dir.copy()
        self._head_diffuse = model.vis.headlight.diffuse.copy()
        self._head_ambient = model.vis.headlight.ambient.copy()
        self._key = model.light("key").id
        self.texture = model.texture("table").id

    def apply(self, domain: Domain) -> None:
        """Set the model to `domain`. Renderers must upload `texture` afterwards."""
        model = self._model
        for part in _PAINTED:
            model.mat_rgba[model.material(part).id, :3] = getattr(domain, part)
        light = domain.level * np.asarray(domain.tone)
        model.light_diffuse[:] = self._light_diffuse * light
        model.vis.headlight.diffuse[:] = self._head_diffuse * light
        model.vis.headlight.ambient[:] = self._head_ambient * light
        model.light_pos[:] = self._light_pos
        model.light_dir[:] = self._light_dir
        model.light_pos[self._key, :2] += domain.light_from
        # The lamp keeps its height and keeps facing the same spot.
        height = self._light_pos[self._key, 2]
        model.light_dir[self._key, :2] -= np.asarray(domain.light_from) / height
        model.light_dir[self._key] /= np.linalg.norm(model.light_dir[self._key])
        start = model.tex_adr[self.texture]
        sizes = (model.tex_height[self.texture], model.tex_width[self.texture], model.tex_nchannel[self.texture])
        shape = (int(sizes[0]), int(sizes[1]), int(sizes[2]))
        model.tex_data[start : start + np.prod(shape)] = table_texture(domain, shape).ravel()


# Films of one motion in many looks change between them at every frame; a texture is 0.8 MB and 10 ms of work.
@lru_cache(maxsize=32)
def table_texture(domain: Domain, shape: tuple[int, int, int]) -> np.ndarray:
    """(H, W, C) uint8 image of the table top, read-only; a fourth channel is opaque."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    if domain.pattern == "checker":
        mix = ((rows // _CHECKER_TEXELS + columns // _CHECKER_TEXELS) % 2).astype(np.float64)
    elif domain.pattern == "stripes":
        mix = (rows // _STRIPE_TEXELS % 2).astype(np.float64)
    elif domain.pattern == "speckled":
        rng = np.random.default_rng(domain.texture_seed)
        grains = rng.random((shape[0] // _SPECKLE_TEXELS, shape[1] // _SPECKLE_TEXELS))
        mix = np.kron(grains, np.ones((_SPECKLE_TEXELS, _SPECKLE_TEXELS)))
    else:
        mix = np.zeros(shape[:2])
    image = np.full(shape, 255, dtype=np.uint8)
    blend = np.asarray(domain.table) * (1.0 - mix[..., None]) + np.asarray(domain.accent) * mix[..., None]
    image[..., :3] = np.rint(255.0 * blend)
    image.flags.writeable = False
    return image
