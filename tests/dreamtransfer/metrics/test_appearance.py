"""Colours by name, objects by colour, and the depth that colours suggest."""

import math

import cv2
import numpy as np
import pytest

from emma.dreamtransfer.metrics.colour import name_of_surface, pattern_names, surface_colours
from emma.dreamtransfer.metrics.depth_error import align, simulator_depth_error, squared_relative
from emma.dreamtransfer.metrics.mask import object_iou
from emma.dreamtransfer.metrics.palette import Palette

TABLE, BLOCK = 2, 5
NAMES = {"red": (0.8, 0.1, 0.1), "blue": (0.1, 0.3, 0.8), "yellow": (0.95, 0.8, 0.2), "grey": (0.5, 0.5, 0.5)}


@pytest.fixture(scope="module")
def lit():
    """A picture and its cards under a warm, dim, uneven light with a shiny spot."""
    rng = np.random.default_rng(0)
    light = np.array([0.9, 0.7, 0.5]) * rng.uniform(0.4, 0.8, (2, 40, 40, 1))
    shine = 0.1 * (rng.random((2, 40, 40, 1)) > 0.9)
    ids = np.zeros((2, 40, 40), np.uint8)
    ids[:, 10:30, 10:30] = BLOCK

    def picture(colour):
        return np.rint(255 * (light * np.asarray(colour) + shine)).clip(0, 255).astype(np.uint8)

    return picture, picture((0.0,) * 3), picture((0.5,) * 3), ids


def test_colours_are_named_as_if_the_light_were_white(lit):
    picture, dark, grey, ids = lit
    for name, colour in NAMES.items():
        seen = surface_colours(picture(colour), dark, grey, ids, BLOCK)
        assert name_of_surface(seen, NAMES) == name
        assert np.median(seen, axis=0) == pytest.approx(colour, abs=0.03)
    assert name_of_surface(seen[:5], NAMES) is None


def test_a_pattern_is_named_by_both_its_colours(lit):
    picture, dark, grey, ids = lit
    mix = np.random.default_rng(1).random((2, 40, 40, 1))

    def speckled(a, b, contrast=1.0):
        share = 0.5 + contrast * (mix - 0.5)
        colour = np.asarray(NAMES[a]) * (1 - share) + np.asarray(NAMES[b]) * share
        return surface_colours(picture(colour), dark, grey, ids, BLOCK)

    wanted = (NAMES["blue"], NAMES["yellow"])
    true = speckled("blue", "yellow")
    assert set(pattern_names(true, true, wanted, NAMES)) == {"blue", "yellow"}
    assert set(pattern_names(speckled("red", "grey"), true, wanted, NAMES)) == {"red", "grey"}
    assert set(pattern_names(speckled("red", "yellow"), true, wanted, NAMES)) == {"red", "yellow"}


def without_block(world):
    near = np.ones((3, 3), np.uint8)
    return {
        c: np.stack([
            cv2.inpaint(p, cv2.dilate((s == BLOCK).astype(np.uint8), near), 3, cv2.INPAINT_TELEA)
            for p, s in zip(world.images[c], world.segments[c], strict=True)
        ])
        for c in world.images
    }  # fmt: skip


def test_an_object_in_place_scores_one_and_a_missing_one_zero(striped_world):
    w = striped_world
    gone = without_block(w)
    for camera in w.images:
        picture, segments = w.images[camera], w.segments[camera]
        args = (picture, Palette.learn(picture, segments), segments, BLOCK)
        assert object_iou(picture, *args) == 1.0
        assert object_iou(gone[camera], *args) < 0.1
        moved = np.roll(picture, 6, axis=2)
        assert object_iou(moved, *args) < 0.75
        assert math.isnan(object_iou(picture, *args[:3], 99))


def test_a_palette_knows_the_colours_it_was_shown(plain_world):
    w = plain_world
    palette = Palette.learn(w.images["still"], w.segments["still"])
    looks = palette.ids[palette.distances(w.images["still"]).argmin(-1)]
    assert (looks == w.segments["still"]).mean() > 0.99


def test_squared_relative_error_is_eigens():
    depth = np.array([[[1000, 2000, 0]]], np.uint16)
    assert squared_relative(np.array([[[1.1, 1.8, 9.0]]]), depth) == pytest.approx((0.01 / 1 + 0.04 / 2) / 2)
    assert math.isnan(squared_relative(np.ones((1, 1, 3)), np.zeros((1, 1, 3), np.uint16)))


def test_alignment_undoes_scale_and_shift():
    depth = np.random.default_rng(0).integers(300, 2000, (2, 10, 10)).astype(np.uint16)
    metres = depth / 1000
    assert squared_relative(align(3.0 * metres, depth, inverse=False), depth) == pytest.approx(0.0, abs=1e-9)
    assert squared_relative(align(40.0 / metres + 7.0, depth, inverse=True), depth) == pytest.approx(0.0, abs=1e-9)
    assert squared_relative(align(np.ones_like(metres), depth, inverse=True), depth) > 0.05


def test_a_missing_object_suggests_the_depth_behind_it(plain_world):
    w = plain_world
    palettes = {c: Palette.learn(w.images[c], w.segments[c]) for c in w.images}
    args = (w.images, palettes, w.segments, w.depth)
    assert simulator_depth_error(w.images, *args) == pytest.approx(0.0, abs=1e-9)
    error = simulator_depth_error(without_block(w), *args)
    share = np.mean([(s == BLOCK).mean() for s in w.segments.values()])
    # 4 cm too far at about 0.4 m, on the block's share of the pixels.
    assert error == pytest.approx(share * 0.04**2 / 0.41, rel=0.25)
