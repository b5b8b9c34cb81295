"""Correspondence, views, flicker and seams on a painted world whose geometry is exact."""

import math

import numpy as np
import pytest

from emma.dreamtransfer.metrics.correspondence import correspond, near_edges
from emma.dreamtransfer.metrics.flicker import flicker_error, follow_flow, follow_static, step_sums
from emma.dreamtransfer.metrics.multiview import ViewPairs, matched_points, multiview_error
from emma.dreamtransfer.metrics.psnr import psnr_db
from emma.dreamtransfer.metrics.seams import seam_ratio

BLOCK = 5


def followed(world):
    return {c: follow_static(world.depth[c], world.cameras[c]) for c in world.images}


def test_psnr_pools_all_views():
    black = {"a": np.zeros((2, 4, 4, 3), np.uint8), "b": np.zeros((2, 4, 4, 3), np.uint8)}
    other = {"a": black["a"], "b": black["b"] + np.uint8(10)}
    assert psnr_db(black, black) == math.inf
    assert psnr_db(other, black) == pytest.approx(10 * math.log10(255**2 / 50))


def test_a_pixel_is_found_where_the_other_camera_sees_its_point(striped_world):
    w = striped_world
    found = correspond(w.depth["still"], w.cameras["still"], w.depth["moving"], w.cameras["moving"])
    assert found.seen.mean() > 0.3
    difference = np.abs(found.sample(w.images["moving"]).astype(int) - w.images["still"])[found.seen]
    assert difference.mean() < 2.0
    assert (found.x[~found.seen] == -1).all()


def test_what_the_block_hides_is_not_compared(plain_world):
    w = plain_world
    found = correspond(w.depth["still"], w.cameras["still"], w.depth["moving"], w.cameras["moving"])
    red = found.sample(w.images["moving"])[..., 1] < 100
    assert not (red & found.seen & (w.segments["still"] != BLOCK)).any()
    assert not (found.seen & near_edges(w.depth["still"], 1)).any()


def test_one_world_is_consistent_and_two_are_not(striped_world, make_world):
    w = striped_world
    pairs = ViewPairs.find(w.depth, w.cameras)
    one = multiview_error(w.images, pairs)
    other = make_world(lambda where: 255 - w.paint(where))
    two = multiview_error({"still": w.images["still"], "moving": other.images["moving"]}, pairs)
    assert one.points == two.points > 1000
    assert one.error < 2.0
    assert one.relative < 0.1
    assert two.error > 30.0
    assert two.relative > 0.6


def test_views_without_geometry_have_no_multiview_error(striped_world):
    found = multiview_error(striped_world.images, ViewPairs.find(striped_world.depth, {}))
    assert found.points == 0
    assert math.isnan(found.error)


def test_the_matcher_finds_the_same_points_in_both_views(make_world):
    rng = np.random.default_rng(0)
    grains = rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)

    def mosaic(where):
        cell = np.clip((where[..., :2] / 0.012 + 100).astype(int), 0, 199)
        return grains[cell[..., 0], cell[..., 1]]

    w = make_world(mosaic, moments=2)
    right = matched_points(w.images, w.depth, w.cameras, every=1)
    mirrored = {"still": w.images["still"], "moving": w.images["moving"][:, ::-1, ::-1].copy()}
    assert right > 10
    assert matched_points(mirrored, w.depth, w.cameras, every=1) < 0.2 * right
    assert math.isnan(matched_points({"still": w.images["still"]}, w.depth, w.cameras))


def test_still_paint_does_not_flicker_though_the_camera_moves(striped_world):
    w = striped_world
    assert flicker_error(w.images, followed(w)) < 1.0
    rng = np.random.default_rng(0)
    noisy = {c: (v + rng.normal(0, 12, v.shape)).clip(0, 255).astype(np.uint8) for c, v in w.images.items()}
    # Two independent errors of 12 differ by 12 sqrt(2) sqrt(2 / pi) on average; interpolation smooths one of them.
    assert flicker_error(noisy, followed(w)) == pytest.approx(13.5, abs=2.5)


def test_what_moves_is_left_out(make_world):
    w = make_world(moments=2)
    moved = make_world(block=(0.0, 0.1, -0.05, 0.05), moments=2)
    both = {c: np.stack([w.images[c][0], moved.images[c][1]]) for c in w.images}
    depth = {c: np.stack([w.depth[c][0], moved.depth[c][1]]) for c in w.depth}
    following = {c: follow_static(depth[c], w.cameras[c]) for c in both}
    assert flicker_error(both, following) < 1.0
    blocks = {c: np.stack([w.segments[c][0], moved.segments[c][1]]) == BLOCK for c in both}
    known = {c: follow_static(depth[c], w.cameras[c], blocks[c]) for c in both}
    assert not (known["still"].seen & blocks["still"][:1]).any()


def test_flow_follows_without_depth(make_world):
    rng = np.random.default_rng(1)
    coarse = rng.uniform(40, 215, (60, 60, 3))

    def clouds(where):
        cell = np.clip(where[..., :2] / 0.012 + 30, 0, 58.9)
        low, part = cell.astype(int), (cell % 1)[..., None]
        a, b = low[..., 0], low[..., 1]
        rows = coarse[a, b] * (1 - part[..., 0, :]) + coarse[a + 1, b] * part[..., 0, :]
        more = coarse[a, b + 1] * (1 - part[..., 0, :]) + coarse[a + 1, b + 1] * part[..., 0, :]
        return np.rint(rows * (1 - part[..., 1, :]) + more * part[..., 1, :]).astype(np.uint8)

    w = make_world(clouds, block=(1, 2, 1, 2))
    flow = {"moving": follow_flow(w.images["moving"])}
    assert flow["moving"].seen.mean() > 0.7
    unmoved = np.abs(np.diff(w.images["moving"].astype(int), axis=0)).mean()
    assert flicker_error(w.images, flow) < 0.5 * unmoved


def test_a_seam_is_a_step_at_joins_only(striped_world):
    w = striped_world
    images = {c: v.copy() for c, v in w.images.items()}
    sums, _, counts = step_sums(images, followed(w))
    assert seam_ratio(sums / counts, [3]) == pytest.approx(1.0, abs=0.3)
    for pictures in images.values():
        pictures[3:] = (pictures[3:] * 0.9).astype(np.uint8)
    sums, _, counts = step_sums(images, followed(w))
    assert seam_ratio(sums / counts, [3]) > 4.0
    assert math.isnan(seam_ratio(sums / counts, []))
