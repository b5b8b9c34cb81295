"""Edges: where depth and segments have them, and whether pictures show them there."""

import math

import numpy as np
import pytest

from emma.dreamtransfer.metrics.boundary import boundary_score, depth_bend, image_edges, segment_edges

TABLE = 2


def shifted(images, pixels):
    return {c: np.roll(v, pixels, 2) for c, v in images.items()}


def test_true_pictures_have_their_edges_in_place(plain_world):
    w = plain_world
    score = boundary_score(w.images, w.depth, w.segments)
    assert score.f > 0.97
    assert boundary_score(w.images, w.depth).f > 0.97
    assert boundary_score(shifted(w.images, 2), w.depth, w.segments).f > 0.9
    assert boundary_score(shifted(w.images, 6), w.depth, w.segments).f < 0.75


def test_an_empty_picture_shows_nothing(plain_world):
    w = plain_world
    grey = {c: np.full_like(v, 120) for c, v in w.images.items()}
    assert boundary_score(grey, w.depth, w.segments).f == 0.0
    flat = {c: np.full_like(v, 500) for c, v in w.depth.items()}
    assert math.isnan(boundary_score(w.images, flat).f)


def test_edges_of_a_pattern_count_only_outside_patterned_segments(make_world):
    def checker(where):
        field = (np.floor(where[..., 0] / 0.03) + np.floor(where[..., 1] / 0.03)) % 2
        return np.where(field[..., None] > 0, np.uint8([30, 60, 200]), np.uint8([230, 230, 90]))

    w = make_world(checker)
    plain = boundary_score(w.images, w.depth, w.segments)
    allowed = boundary_score(w.images, w.depth, w.segments, patterned=[TABLE])
    assert plain.precision < 0.7
    assert allowed.precision > 0.9


def test_dim_pictures_score_like_bright_ones(plain_world):
    w = plain_world
    dim = {c: (v * 0.4).astype(np.uint8) for c, v in w.images.items()}
    assert boundary_score(dim, w.depth, w.segments).f == pytest.approx(
        boundary_score(w.images, w.depth, w.segments).f, abs=0.02
    )


def test_a_slanted_plane_has_no_depth_edge_and_a_crease_has():
    columns = np.arange(60)
    slanted = 1.0 / (0.001 + 0.00004 * columns)
    depth = np.tile(np.rint(slanted), (1, 40, 1)).astype(np.uint16)
    assert (depth_bend(depth) < 1.0).all()
    folded = np.tile(600 - 8 * np.abs(columns - 30), (1, 40, 1)).astype(np.uint16)
    assert (depth_bend(folded)[0, :, 30] > 1.0).all()
    depth[0, 10:20, 10:20] = 0
    assert np.isfinite(depth_bend(depth)).all()


def test_edges_are_one_pixel_wide():
    picture = np.zeros((40, 40, 3), np.uint8)
    picture[:, 20:] = [0, 0, 90]
    assert 38 <= image_edges(picture).sum() <= 44
    assert segment_edges(picture[..., 2]).sum() == 40
