"""The line about a finished episode: what was lost and what was slow stands in it."""

from emma.bags.episode import EpisodeMeta, TopicMeta
from emma.recording.outcome import outcome_line
from emma.robots.spec import RobotSpec


def episode(seconds: float = 10.0, dropped: int = 0, **counts: int) -> EpisodeMeta:
    """All topics of the test robot at their rates, but for `counts` by the first word of their name."""
    topics = {"/joint_states": int(50 * seconds), "/command": int(50 * seconds)}
    topics |= {f"/{camera}/{kind}": int(25 * seconds) for camera in ("top", "wrist") for kind in ("image", "depth")}
    topics |= {topic: counts[word] for topic in topics if (word := topic.strip("/").replace("/", "_")) in counts}
    found = {t: TopicMeta(type="x", count=n, dropped=dropped if t == "/top/image" else 0) for t, n in topics.items()}
    return EpisodeMeta(id="e1", robot="tiny_arm", state="saved", duration_s=seconds, topics=found)


def test_a_whole_episode_is_saved(spec: RobotSpec) -> None:
    assert outcome_line(episode(), spec) == "saved e1: 2000 messages, 10.0 s"


def test_losses_and_slow_cameras_are_named(spec: RobotSpec) -> None:
    line = outcome_line(episode(dropped=16, top_image=139), spec, 400)
    assert line == ("saved e1: 1889 messages, 10.0 s, but 416 messages were lost and camera top ran at 13.9 of 25 Hz")
    assert "depth of camera wrist ran at 0.0 of 25 Hz" in outcome_line(episode(wrist_depth=0), spec)
    assert "but /joint_states ran at 10.0 of 50 Hz" in outcome_line(episode(joint_states=100), spec)


def test_rates_are_left_out_where_they_mean_nothing(spec: RobotSpec) -> None:
    assert "ran at" not in outcome_line(episode(top_image=1), spec, check_rates=False)
    assert "ran at" not in outcome_line(episode(0.5, top_image=1), spec)
