"""Frames that a person corrected: found in every dataset, drawn by the rule, told in the bundle."""

import json
import shutil

import numpy as np
import pytest

from emma.datasets.index import PROVENANCE_PATH
from emma.errors import EmmaError
from emma.policy.bundle import load_bundle
from emma.training import loop
from emma.training.config import TrainConfig
from emma.training.draws import frame_sampler
from emma.training.frames import FrameTable, open_source
from emma.training.interventions import parse_interventions

SMALL = {"conv_channels": [8, 8, 8], "condition_dim": 32, "hidden_dim": 32, "num_blocks": 1}


def annotated(source, to, change):
    """A copy of a dataset with other provenance: change(entry) -> entry."""
    shutil.copytree(source, to)
    lines = [json.loads(line) for line in (to / PROVENANCE_PATH).read_text().splitlines()]
    (to / PROVENANCE_PATH).write_text("".join(json.dumps(change(line)) + "\n" for line in lines))
    return to


@pytest.fixture(scope="module")
def corrected(dataset, tmp_path_factory):
    """Frames 5 to 15 of the first episode are a person's."""
    folder = tmp_path_factory.mktemp("corrected") / "corrected"
    return annotated(dataset, folder, lambda e: e | {"interventions": [[5, 15]] if e["episode_index"] == 0 else []})


def drawn(table, **changes):
    config = TrainConfig(**{"data": ("x",), "policy": "act", "steps": 1, "batch_size": 20, **changes})
    draws = frame_sampler(config, table, processes=1)
    return draws, np.concatenate([draws.sampler.indices(k) for k in range(200)])


def test_all_is_as_without_marks_to_the_bit(dataset, corrected):
    (plain, first), (marked, second) = (drawn(FrameTable([open_source(path)], ())) for path in (dataset, corrected))
    np.testing.assert_array_equal(first, second)
    total = open_source(corrected).meta.total_frames
    assert (plain.corrected, marked.corrected) == (0.0, 10 / total)


def test_a_weight_draws_them_so_much_more_often(corrected):
    table = FrameTable([open_source(corrected)], ())
    draws, frames = drawn(table, interventions="weight=4")
    mine = (frames >= 5) & (frames < 15)
    expected = 40 / (len(table) + 30)
    assert draws.corrected == pytest.approx(expected)
    assert mine.mean() == pytest.approx(expected, abs=0.005)
    # AdaMix' weights come on top of it.
    weights = np.ones(len(table))
    weights[:5] = 10.0
    draws.sampler.set_weights(weights)
    both = np.concatenate([draws.sampler.indices(k) for k in range(1000)])
    counts = np.bincount(both, minlength=len(table))
    assert counts[:5].mean() / counts[20:].mean() == pytest.approx(10, rel=0.1)
    assert counts[5:15].mean() / counts[20:].mean() == pytest.approx(4, rel=0.1)


def test_only_and_none(corrected):
    table = FrameTable([open_source(corrected)], ())
    assert set(drawn(table, interventions="only")[1]) == set(range(5, 15))
    assert set(drawn(table, interventions="none")[1]) == set(range(len(table))) - set(range(5, 15))


def test_a_reimagined_episode_has_the_marks_of_its_source(corrected, generated, tmp_path):
    (line, other) = (json.loads(text) for text in (corrected / PROVENANCE_PATH).read_text().splitlines())
    made = annotated(
        generated,
        tmp_path / "made",
        lambda e: e | {"from": {"provenance": line if e["episode_index"] % 2 == 0 else other}},
    )
    table = FrameTable([open_source(corrected), open_source(f"generated:{made}")], ())
    draws, frames = drawn(table, interventions="only", sampler="fixmix", ratio=0.5)
    assert int(table.interventions.sum()) == 30
    assert draws.shares == {"real": 0.5, "generated": 0.5}
    assert (frames < 15).mean() == 0.5
    with pytest.raises(EmmaError, match="no generated frame is left") as error:
        drawn(FrameTable([open_source(corrected), open_source(f"generated:{generated}")], ()), interventions="only")
    assert "0 interventions" in str(error.value)


@pytest.mark.parametrize("text", ["", "some", "weight", "weight=0", "weight=-1", "weight=nan", "weight=inf", "only=2"])
def test_other_rules_are_refused(text):
    with pytest.raises(EmmaError, match="bad training option interventions"):
        parse_interventions(text)
    with pytest.raises(EmmaError, match="bad training option interventions"):
        TrainConfig(data=("x",), policy="act", steps=1, interventions=text)


def test_a_training_says_how_many_there_are_and_keeps_it_in_the_bundle(corrected, tmp_path, capsys):
    config = TrainConfig(
        data=(str(corrected),),
        policy="spatial_flow",
        steps=2,
        batch_size=4,
        options=SMALL,
        interventions="weight=2",
    )
    out = loop.train(config, tmp_path / "bundle")
    told = load_bundle(out).info.training["interventions"]
    total = open_source(corrected).meta.total_frames
    assert told == {"drawn": "weight=2", "frames": 10, "share": pytest.approx(20 / (total + 10))}
    assert f"10 of {total} frames are interventions, {100 * told['share']:.1f} %" in capsys.readouterr().err


def test_what_a_killed_conversion_left_is_not_trained_on(dataset, tmp_path):
    torn = tmp_path / "torn"
    shutil.copytree(dataset, torn)
    info = json.loads((torn / "meta/info.json").read_text())
    first = FrameTable([open_source(dataset)], ()).starts[1]
    info |= {"total_episodes": 1, "total_frames": int(first)}
    (torn / "meta/info.json").write_text(json.dumps(info))
    table = FrameTable([open_source(torn)], ())
    assert len(table) == len(table.interventions) == first
