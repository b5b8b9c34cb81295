"""Of what a clip's difficulty is made, from the histories of trainings."""

import json

import pytest

from emma.adamix import history
from emma.adamix.difficulty import METRICS
from emma.bench.generalisation.data import Data
from emma.bench.generalisation.difficulty import clip_errors, difficulty_figures
from emma.bench.generalisation.plan import FULL, ROWS, Budget
from emma.bench.generalisation.table import generalisation
from emma.bench.generalisation.training import RUN, Policy
from emma.datasets.index import PROVENANCE_PATH

# Four demonstrations, then a clip of each.
LOOKS = [0.1, 0.2, 0.3, 0.4, 0.9, 0.1, 0.4, 0.4]
MOTIONS = [0.1, 0.2, 0.3, 0.4, 0.2, 0.4, 0.6, 0.8]


@pytest.fixture
def policy(tmp_path):
    data = Data(budget=Budget(demonstrations=4, variants=1, shards=1, workspace=str(tmp_path)))
    (clips,) = data.clips("whole")
    file = clips / PROVENANCE_PATH
    file.parent.mkdir(parents=True)
    file.write_text("".join(json.dumps({"from": {"episode": n}}) + "\n" for n in range(4)))
    policy = Policy(data=data, recipe=FULL, seed=0)
    folder = policy.folder / RUN / history.FOLDER
    folder.mkdir(parents=True)
    names = [f"real:{data.demonstrations.name}#{n}" for n in range(4)]
    history.write_episodes(folder, names + [f"generated:{clips.name}#{n}" for n in range(4)])
    for step, scores in ((0, LOOKS), (10, MOTIONS), (20, MOTIONS)):
        history.append(folder, {"step": step, "effective": 0.8, "raw_error": scores, **dict.fromkeys(METRICS, scores)})
    return policy


def test_looks_at_the_start_motion_later(policy):
    lines = difficulty_figures([policy])
    assert [line["metric"] for line in lines] == list(METRICS)
    for line in lines:
        assert line["trainings"] == 1
        assert line["effective"] == pytest.approx(0.8)
        assert line["motion_first"] < 0.3
        assert line["motion_later"] == pytest.approx(1)
        assert -1 <= line["again"] < 1
    assert lines[0]["look_first"] == pytest.approx(1 - 1 / 1.8)
    assert lines[0]["look_last"] == pytest.approx(0.5)
    assert "look_last" not in lines[1]
    # Of the clips alone, and not from the first evaluation.
    assert clip_errors([policy, policy]) == pytest.approx(MOTIONS[4:])
    rows = [{"row": row.name, "about": row.about, "state": "missing"} for row in ROWS]
    table = "\n".join(generalisation({"rows": rows, "difficulty": lines}))
    assert "| error | " in table
    assert "50% at the last" in table
    assert " | 100% | " in table


def test_a_training_without_evaluations_says_nothing(policy):
    (policy.folder / RUN / history.FOLDER / history.HISTORY).unlink()
    assert difficulty_figures([policy]) == []
    assert clip_errors([policy]) is None
    rows = [{"row": row.name, "about": row.about, "state": "missing"} for row in ROWS]
    assert "found hard" not in "\n".join(generalisation({"rows": rows, "difficulty": []}))
