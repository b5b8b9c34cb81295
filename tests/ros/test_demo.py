"""`emma demo` before and after: one graph, the same starts, the policy changed over in between."""

import json
import shutil
from argparse import ArgumentParser, Namespace
from pathlib import Path

import pytest

from emma.bags.episode import EpisodeMeta
from emma.commands import demo
from emma.sessions.before_after import BeforeAfter
from emma.sessions.drive import DriveConfig, Part, drive_parts
from emma.sessions.session import Trial


def arguments(*words: str) -> Namespace:
    parser = ArgumentParser()
    demo.configure(parser)
    return parser.parse_args(list(words))


def test_what_is_compared(tmp_path: Path) -> None:
    default, mine = tmp_path / demo.DEFAULT_POLICY, tmp_path / "mine"
    assert demo.after_policy(arguments(), default, tmp_path) is None, "it does not ship yet"
    ships = tmp_path / demo.AFTER_POLICY
    ships.mkdir()
    (ships / "emma.json").write_text("{}")
    assert demo.after_policy(arguments(), default, tmp_path) == ships
    assert demo.after_policy(arguments(), tmp_path / "another_robots", tmp_path) is None
    assert demo.after_policy(arguments("--compared", "0"), default, tmp_path) is None
    assert demo.after_policy(arguments("--policy", "mine"), mine, tmp_path) is None, "nobody knows its data"
    named = demo.after_policy(arguments("--policy", "mine", "--after", str(tmp_path)), mine, tmp_path)
    assert named == tmp_path


@pytest.mark.slow
def test_one_graph_two_policies_and_each_episode_says_whose_it_is(bundle, spec, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(bundle, other)
    # In real time: in lockstep nothing is changed over.
    config = DriveConfig(out=tmp_path / "run", policy=bundle, timeout_s=0.6, cameras=("top", "wrist"), depth=False)
    trials = [Trial(seed=4, target="plate", domain="medium")]
    first, before, after = drive_parts(
        config, [Part(trials=trials), Part(trials=trials), Part(trials=trials, policy=other)]
    )
    metas = [EpisodeMeta.load(result.rows[0].bag) for result in (first, before, after)]
    assert [Path(meta.policy).name for meta in metas] == [bundle.name, bundle.name, "other"]
    assert [len(result.rows) for result in (first, before, after)] == [1, 1, 1]
    both = BeforeAfter(names=(bundle.name, "other"), domain="medium", before=before, after=after)
    sheet = both.draw(spec, tmp_path / "both.png")
    assert sheet.stat().st_size > 1000
    both.show(sheet)
    said = capsys.readouterr().out
    assert "(medium)" in said
    assert "other" in said
    assert json.dumps(after.to_json())
