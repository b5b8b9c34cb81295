"""The generator's bench: one motion in several looks, and what is measured of good and of bad clips."""

from itertools import product

import cv2
import numpy as np
import pytest

from emma.bench import dream, load_bench, tables
from emma.bench.dream_measure import Judge, figures
from emma.bench.dream_methods import hue_shift, joins
from emma.bench.dream_scene import domain_of, film, part
from emma.dreamtransfer.prompts import Grammar
from emma.dreamtransfer.settings import Settings
from emma.robots.spec import load_robot
from emma.sim.arm import DeskArm
from emma.sim.scene import CLASSES

CUBE = CLASSES.index("cube")
HEADLINES = (
    "colour_accuracy",
    "boundary_f",
    "psnr_db",
    "multiview_ratio",
    "flicker_ratio",
    "cube_iou_wrist",
    "cube_iou_top",
    "seconds_per_episode",
)


@pytest.fixture(scope="module")
def take():
    grammar = Grammar.load("desk")
    fixed = ({"pattern": "plain", "table": "brown", "arm": "white"}, {"pattern": "speckled", "level": "dim"})
    prompts = [grammar.sample(1, 5, fixed=words)[0] for words in fixed]
    with DeskArm(load_robot("desk_arm"), cameras=("top", "wrist")) as sim:
        filmed = film(sim, 800_000, [domain_of(prompt.words, 3) for prompt in prompts])
    for look, prompt in zip(filmed.looks, prompts, strict=True):
        assert look.domain.caption == prompt.text
    # The approach, the grasp and some of the way: the cube seen from far and near.
    return part(filmed, 44)


@pytest.fixture(scope="module")
def judges(take):
    return [Judge(take, look) for look in take.looks]


@pytest.fixture(scope="module")
def true(take, judges):
    return [judge(look.images) for judge, look in zip(judges, take.looks, strict=True)]


def changed(take, change):
    return [
        {camera: change(images, take.classes[camera], camera) for camera, images in look.images.items()}
        for look in take.looks
    ]


def figures_of(judges, clips, true):
    return figures([judge(clip) for judge, clip in zip(judges, clips, strict=True)], true)


def test_another_look_is_the_same_motion(take):
    look = take.looks[0]
    assert look.images["top"].shape == take.clip.images["top"].shape == (44, 96, 96, 3)
    assert look.dark["top"].shape == look.grey["top"].shape == (11, 96, 96, 3)
    with DeskArm(load_robot("desk_arm"), cameras=("top", "wrist")) as sim:
        again = part(film(sim, take.seed, [], source="source"), 44)
        for camera in ("top", "wrist"):
            np.testing.assert_array_equal(again.clip.images[camera], take.clip.images[camera])
            np.testing.assert_array_equal(again.clip.depth[camera], take.clip.depth[camera])
            np.testing.assert_array_equal(again.classes[camera], take.classes[camera])


def test_recorded_poses_are_the_exact_ones_but_for_the_picture_s_age(take):
    np.testing.assert_allclose(
        take.clip.cameras["top"].base_from_camera, take.cameras["top"].base_from_camera, atol=1e-5
    )
    recorded, exact = (c["wrist"].base_from_camera[:, :3, 3] for c in (take.clip.cameras, take.cameras))
    apart = np.linalg.norm(recorded - exact, axis=1)
    assert apart[0] < 1e-5
    assert apart.max() < 0.03


def test_the_true_picture_scores_full_marks(true):
    found = figures(true, true)
    assert found["colour_accuracy"] == 1.0
    assert found["boundary_f"] > 0.9
    assert found["boundary_ratio"] == found["multiview_ratio"] == found["flicker_ratio"] == 1.0
    assert found["psnr_db"] == 99.0
    assert found["cube_iou_wrist"] == found["cube_iou_top"] == 1.0
    assert found["depth_sq_rel_mm"] == pytest.approx(0.0, abs=1e-6)


def test_a_picture_without_the_cube_has_no_cube(take, judges, true):
    near = np.ones((3, 3), np.uint8)

    def erased(images, classes, _):
        masks = [cv2.dilate((ids == CUBE).astype(np.uint8), near) for ids in classes]
        return np.stack([cv2.inpaint(p, m, 3, cv2.INPAINT_TELEA) for p, m in zip(images, masks, strict=True)])

    found = figures_of(judges, changed(take, erased), true)
    assert found["cube_iou_wrist"] < 0.15
    assert found["cube_iou_top"] < 0.15
    assert found["colour_accuracy"] < 0.9
    assert found["depth_sq_rel_mm"] > 0.1


def test_a_shifted_picture_misses_the_boundaries(take, judges, true):
    found = figures_of(judges, changed(take, lambda images, *_: np.roll(images, 5, axis=2)), true)
    assert found["boundary_f"] < 0.8 * figures(true, true)["boundary_f"]
    assert found["multiview_ratio"] > 1.5
    assert found["psnr_db"] < 22.0


def test_views_of_two_worlds_are_inconsistent(take, judges, true):
    def tinted(images, _, camera):
        return images if camera == "top" else np.clip(images * [1.3, 1.0, 0.7], 0, 255).astype(np.uint8)

    found = figures_of(judges, changed(take, tinted), true)
    assert found["multiview_ratio"] > 1.3
    assert found["flicker_ratio"] == pytest.approx(1.0, abs=0.2)


def test_light_that_changes_every_frame_flickers(take, judges, true):
    gain = 1.0 + 0.08 * np.random.default_rng(0).standard_normal((44, 1, 1, 1))
    found = figures_of(judges, changed(take, lambda images, *_: np.clip(images * gain, 0, 255).astype(np.uint8)), true)
    assert found["flicker_ratio"] > 3.0
    assert found["boundary_ratio"] > 0.95
    assert found["cube_iou_wrist"] > 0.9


def test_recolouring_keeps_edges_and_does_not_read_the_prompt(take, judges, true):
    found = figures_of(judges, [hue_shift(take.clip, "", seed) for seed in (0, 1)], true)
    assert found["boundary_f"] > 0.9
    assert found["colour_accuracy"] < 0.5


def test_joins_are_the_first_new_frames():
    assert joins(12, Settings(window=6, overlap=2)) == [6, 10]
    assert joins(5, Settings(window=6, overlap=2)) == []


@pytest.mark.slow
def test_the_bench_runs_with_a_generator_that_knows_nothing(tmp_path, monkeypatch, random_generator):
    monkeypatch.setattr(dream, "QUICK_FRAMES", 6)
    monkeypatch.setattr(dream, "data_dir", lambda _: random_generator.parent)
    monkeypatch.setattr(dream, "GENERATOR", random_generator.name)
    found = load_bench("dream").run(True, 1)
    for way, name in product(("", "no_depth_", "views_alone_", "frames_alone_", "hue_shift_", "steps_1_"), HEADLINES):
        assert np.isfinite(found[way + name]), way + name
    assert {row["stage"] for row in found["stages"]} > {"transformer", "decoder", "fusion", "scores"}
    assert all(row["first"] >= 0.0 and row["further"] >= 0.0 for row in found["stages"])
    assert found["seconds_per_variant"] > 0.0
    assert found["worker_rss_mb"] > 100
    assert "| transformer |" in "\n".join(tables.dream(found))
    assert found["render_colour_accuracy"] == 1.0
    assert found["colour_accuracy"] < 0.6
    assert found["psnr_db"] < 20.0
