"""Which OpenGL is chosen, and what a user without one is told."""

import pytest

from emma import gl
from emma.errors import EmmaError


def test_one_backend_works_here():
    assert gl.egl_works() or gl.osmesa_works()


@pytest.mark.parametrize(("egl", "osmesa", "chosen"), [(True, True, "egl"), (False, True, "osmesa")])
def test_egl_first_then_osmesa(monkeypatch, egl, osmesa, chosen):
    monkeypatch.setenv("MUJOCO_GL", "")
    monkeypatch.setattr(gl, "egl_works", lambda: egl)
    monkeypatch.setattr(gl, "osmesa_works", lambda: osmesa)
    assert gl.choose_gl() == chosen


def test_without_any_the_packages_are_named(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "")
    monkeypatch.setattr(gl, "egl_works", lambda: False)
    monkeypatch.setattr(gl, "osmesa_works", lambda: False)
    with pytest.raises(EmmaError) as error:
        gl.choose_gl()
    assert "sudo apt-get install -y libosmesa6 libegl1" in str(error.value)


def test_the_user_decides(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "OSMesa")
    assert gl.choose_gl() == "osmesa"
    monkeypatch.setenv("MUJOCO_GL", "vulkan")
    with pytest.raises(EmmaError, match="unknown MUJOCO_GL"):
        gl.choose_gl()
