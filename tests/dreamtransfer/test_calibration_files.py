"""Calibration files: what distorts is used, what cannot be right is refused."""

import shutil

import numpy as np
import pytest
import yaml

from emma.dreamtransfer.geometry import CalibratedPoses, CameraGeometry, points, project
from emma.errors import EmmaError
from emma.robots.lens import Distortion
from emma.robots.spec import load_robot

K = np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]])
LENSES = [
    Distortion("plumb_bob", (-0.2, 0.05, 0.001, -0.002, 0.0)),
    Distortion("rational_polynomial", (0.3, 0.1, 0.0005, 0.001, 0.02, 0.5, 0.1, 0.01)),
    Distortion("equidistant", (0.02, -0.01, 0.003, -0.001)),
]


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: lens.model)
def test_pixels_become_points_and_the_same_pixels_again(lens):
    camera = CameraGeometry(intrinsics=K, base_from_camera=np.eye(4)[None], distortion=lens)
    depth = np.full((1, 480, 640), 500.0)
    pixels, distance = project(points(depth, camera), camera)
    rows, columns = np.mgrid[:480, :640]
    np.testing.assert_allclose(pixels[0], np.stack([columns, rows], -1), atol=2e-3)
    np.testing.assert_allclose(distance, 0.5, atol=1e-6)


def test_an_equidistant_lens_projects_by_the_angle():
    lens = Distortion("equidistant", (0.0, 0.0, 0.0, 0.0))
    camera = CameraGeometry(intrinsics=K, base_from_camera=np.eye(4)[None], distortion=lens)
    pixels, _ = project(np.array([[[0.3, 0.0, 0.5]]]), camera)
    np.testing.assert_allclose(pixels[0, 0], [320 + 600 * np.arctan2(0.3, 0.5), 240], atol=1e-9)


def test_a_polynomial_lens_projects_as_its_formula():
    k1, k2, p1, p2, k3 = LENSES[0].coefficients
    x, y = 0.6, 0.4
    r = x * x + y * y
    radial = 1 + k1 * r + k2 * r**2 + k3 * r**3
    seen = [x * radial + 2 * p1 * x * y + p2 * (r + 2 * x * x), y * radial + p1 * (r + 2 * y * y) + 2 * p2 * x * y]
    found = LENSES[0].pixels(np.array([[0.3, 0.2, 0.5]]), K)
    np.testing.assert_allclose(found[0], [320 + 600 * seen[0], 240 + 600 * seen[1]], atol=1e-9)


def _load(tmp_path, file, change):
    folder = tmp_path / "arm"
    shutil.copytree(load_robot("desk_arm").folder, folder)
    raw = yaml.safe_load((folder / file).read_text())
    change(raw)
    (folder / file).write_text(yaml.safe_dump(raw))
    return CalibratedPoses.load(load_robot(folder))


def test_the_lens_of_the_file_reaches_the_camera(tmp_path):
    data = [0.1, 0.0, 0.0, 0.0, 0.0]
    poses = _load(tmp_path, "top.yaml", lambda r: r["distortion_coefficients"].update(data=data))
    cameras = poses(np.zeros((2, 7)))
    assert cameras["top"].at(slice(0, 1)).distortion == Distortion("plumb_bob", tuple(data))
    assert cameras["front"].distortion is None


def _mirror(raw):
    raw["top"]["transform"][0] = [-v for v in raw["top"]["transform"][0]]


@pytest.mark.parametrize(
    ("file", "change", "problem"),
    [
        ("top.yaml", lambda r: r.update(image_width=640), "do not fit"),
        ("top.yaml", lambda r: r["camera_matrix"]["data"].__setitem__(0, 0.0), "camera_matrix is not valid"),
        ("top.yaml", lambda r: r["camera_matrix"]["data"].__setitem__(2, float("nan")), "camera_matrix is not valid"),
        ("top.yaml", lambda r: r.update(distortion_model="thin_prism", distortion_coefficients={"data": [1]}), "lens"),
        ("top.yaml", lambda r: r["distortion_coefficients"].update(data=[0.1]), "lens distortion"),
        ("top.yaml", lambda r: r["distortion_coefficients"].update(data=[float("nan")] * 5), "lens distortion"),
        ("extrinsics.yaml", _mirror, "not a rigid motion"),
        ("extrinsics.yaml", lambda r: r["top"]["transform"][0].__setitem__(3, float("inf")), "not a rigid motion"),
    ],
)
def test_a_calibration_that_cannot_be_right_is_refused(tmp_path, file, change, problem):
    with pytest.raises(EmmaError, match=problem) as error:
        _load(tmp_path, file, change)
    assert file in error.value.problem
