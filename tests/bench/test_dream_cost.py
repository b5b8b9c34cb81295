"""Where the time of an augmentation goes, with a generator that knows nothing."""

from pathlib import Path

import numpy as np

from emma.bench import dream_cost
from emma.bench.dream_cost import DECODER, FILES, FUSION, GUIDE, REST, SCORES, TRANSFORMER
from emma.bench.tables import _dream_cost
from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.geometry import CameraGeometry
from emma.dreamtransfer.prompts import Grammar

PARTS = [GUIDE, TRANSFORMER, DECODER, FUSION, SCORES, FILES, REST]


def test_each_part_of_an_episode_and_its_variants_is_told(random_generator: Path) -> None:
    camera = CameraGeometry(
        intrinsics=np.array([[40.0, 0, 15.5], [0, 40.0, 15.5], [0, 0, 1]]),
        base_from_camera=np.tile(np.diag([1.0, -1.0, -1.0, 1.0]), (3, 1, 1)),
    )
    views = ("top", "wrist")
    clip = Clip(
        images={view: np.full((3, 32, 32, 3), 90, np.uint8) for view in views},
        depth={view: np.full((3, 32, 32), 600, np.uint16) for view in views},
        cameras=dict.fromkeys(views, camera),
        fps=10.0,
    )
    prompts = [prompt.text for prompt in Grammar.load("desk").sample(2, 0)]
    found = dream_cost.measure(random_generator, clip, prompts, 0)
    first, further = found["variants"]
    # This generator does not fuse.
    assert set(first) == {*PARTS} - {FUSION}
    assert set(further) == {*first} - {GUIDE}, "the second variant has the first one's geometry"
    assert all(seconds > 0.0 for seconds in (*first.values(), *further.values()))
    assert found["rss_mb"] > 100
    rows = [{"stage": part, "first": 2.0, "further": 1.0} for part in PARTS]
    lines = _dream_cost({"stages": rows, "worker_rss_mb": 900, "variants_per_minute": {"1": 10.0, "2": 19.0}})
    assert "| in all | 14.0 | 7.0 |" in lines
    assert lines[-1] == "A worker holds up to 900 MB. Variants a minute: 10.0 with 1 at work, 19.0 with 2 at work."
