from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emma.bags.episode import KINDS, STATES, EpisodeMeta, Mark, TopicMeta
from emma.errors import EmmaError

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=30)
METAS = st.builds(
    EpisodeMeta,
    id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True),
    robot=st.text(min_size=1, max_size=10),
    instruction=TEXT,
    operator=TEXT,
    kind=st.sampled_from(KINDS),
    state=st.sampled_from(STATES),
    success=st.sampled_from((True, False, None)),
    notes=TEXT,
    policy=st.none() | TEXT,
    software=st.dictionaries(TEXT, TEXT, max_size=3),
    topics=st.dictionaries(
        TEXT, st.builds(TopicMeta, type=TEXT, count=st.integers(0, 10**9), dropped=st.integers(0, 9)), max_size=3
    ),
    marks=st.lists(st.builds(Mark, time_ns=st.integers(0, 2**62), label=TEXT), max_size=3).map(tuple),
    problems=st.lists(TEXT, max_size=3).map(tuple),
)


@settings(max_examples=50, deadline=None)
@given(METAS)
def test_what_is_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, meta: EpisodeMeta) -> None:
    folder = tmp_path_factory.mktemp("episode")
    meta.save(folder)
    assert EpisodeMeta.load(folder) == meta


def test_a_new_episode_has_an_id_a_time_and_versions() -> None:
    a, b = EpisodeMeta.new("arm", instruction="pick"), EpisodeMeta.new("arm")
    assert a.id != b.id
    assert a.started.endswith("+00:00")
    assert a.state == "recording"
    assert "emma" in a.software


def test_dropped_is_the_sum_over_topics() -> None:
    topics = {"/a": TopicMeta(type="x", count=5, dropped=2), "/b": TopicMeta(type="x", dropped=1)}
    assert EpisodeMeta(id="e", robot="arm", topics=topics).dropped == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id: e\nrobot: arm\nkind: dance\n", "bad value for kind"),
        ("id: e\nrobot: arm\nstate: lost\n", "bad value for state"),
        ("id: ../e\nrobot: arm\n", "bad value for id"),
        ("id: e\nrobot: arm\nsuccess: maybe\n", "bad value for success"),
        ("id: e\n", "not a whole episode.yaml"),
        ("id: e\nrobot: arm\ntopics: {/a: 3}\n", "not a whole episode.yaml"),
        ("- a\n", "does not describe an episode"),
        ("a: [\n", "not valid YAML"),
    ],
)
def test_a_bad_file_is_named_with_what_is_allowed(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "episode.yaml").write_text(text)
    with pytest.raises(EmmaError, match=message) as caught:
        EpisodeMeta.load(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_keys_of_later_versions_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "episode.yaml").write_text("id: e\nrobot: arm\nweather: sunny\n")
    assert EpisodeMeta.load(tmp_path).id == "e"


def test_a_missing_file_is_an_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(EmmaError, match=r"episode\.yaml"):
        EpisodeMeta.load(tmp_path)
