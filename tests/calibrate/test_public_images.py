"""Calibration against pictures and values that others published: the left camera of OpenCV's samples.

Debian's package opencv-doc has them; EMMA_OPENCV_DATA names another folder with left*.jpg and left_intrinsics.yml.
"""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from emma.calibrate.detect import Corners
from emma.calibrate.intrinsics import calibrate_camera
from emma.calibrate.saddle import refine

DATA = Path(os.environ.get("EMMA_OPENCV_DATA", "/usr/share/doc/opencv-doc/examples/data"))
COLUMNS, ROWS, SQUARE_M, WINDOW_PX = 9, 6, 0.025, 5


@pytest.mark.skipif(not (DATA / "left01.jpg").is_file(), reason="no pictures: apt-get install opencv-doc")
def test_opencvs_left_camera_has_its_published_values() -> None:
    points = np.zeros((COLUMNS * ROWS, 3))
    points[:, :2] = np.mgrid[:COLUMNS, :ROWS].T.reshape(-1, 2) * SQUARE_M
    views = []
    for file in sorted(DATA.glob("left[01]?.jpg")):
        picture = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        assert picture is not None
        found, corners = cv2.findChessboardCorners(picture, (COLUMNS, ROWS))
        assert found, file
        pixels = refine(picture, corners.reshape(-1, 2), np.full(len(points), WINDOW_PX))
        good = np.isfinite(pixels).all(1)
        views.append(Corners(np.flatnonzero(good), pixels[good].astype(np.float64), points[good]))
    assert len(views) == 13
    published = cv2.FileStorage(str(DATA / "left_intrinsics.yml"), cv2.FILE_STORAGE_READ)
    known = published.getNode("camera_matrix").mat()
    # The pictures cover three sides of tilt; the published calibration has them all the same.
    result = calibrate_camera(views, (640, 480), thin=True)
    ours = result.lens.matrix
    print(f"focal length {ours[0, 0]:.2f} px, published {known[0, 0]:.2f}; error {result.rms_px:.3f} px")
    assert ours[0, 0] == pytest.approx(known[0, 0], rel=0.006)
    assert ours[:2, 2] == pytest.approx(known[:2, 2], abs=2.0)
    assert result.rms_px < published.getNode("avg_reprojection_error").real()
    assert result.held_out_px < 1.1 * result.rms_px
