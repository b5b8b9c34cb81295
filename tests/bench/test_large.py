"""The large generator's bench: ours draws what diffusers' own pipeline draws, and what was not tried is said."""

import pytest
import torch

from emma.bench import large
from emma.bench.large_shapes import SHAPES, parameters


def test_the_shapes_are_those_of_the_released_weights() -> None:
    small, big = (parameters(SHAPES[name]) for name in ("1.3B", "14B"))
    # The main branch has the billions of its name, the control branch half or a fifth of its layers on top.
    assert 1.3 * 1.3 < small["transformer"] < 1.3 * 1.8
    assert 14.0 < big["transformer"] < 14.0 * 1.3
    assert small["text_encoder"] == big["text_encoder"] == pytest.approx(5.68, abs=0.05)
    assert small["vae"] == pytest.approx(0.127, abs=0.005)


@pytest.mark.slow
def test_both_ways_draw_the_same_and_a_missing_gpu_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    figures = large.run(quick=True, seed=0)
    assert figures["tiny_largest_difference"] == 0
    assert figures["tiny_seconds"] > 0
    assert figures["1.3B_state"] == large.NOT_TRIED
    assert [row["name"] for row in figures["cells"]] == ["tiny", "1.3B"]
