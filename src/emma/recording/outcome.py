"""What a finished episode is worth, in the line that the recorder logs."""

from emma.bags.episode import EpisodeMeta
from emma.recording.stream_monitor import SLOW, expected_rates
from emma.robots.spec import RobotSpec

# Of a shorter episode a rate means nothing.
RATED_S = 1.0


def outcome_line(meta: EpisodeMeta, spec: RobotSpec, lost: int = 0, *, check_rates: bool = True) -> str:
    """`saved e1: 4120 messages, 30.0 s, but 416 messages were lost and camera top ran at 13.9 of 30 Hz`.

    lost: messages that never reached the recorder; those that it received and could not keep are in `meta`.
    """
    messages = sum(topic.count for topic in meta.topics.values())
    line = f"{meta.state} {meta.id}: {messages} messages, {meta.duration_s:.1f} s"
    faults = [f"{count} messages were lost"] if (count := lost + meta.dropped) else []
    if check_rates and meta.duration_s >= RATED_S:
        faults += _slow_topics(meta, spec)
    return f"{line}, but {' and '.join(faults)}" if faults else line


def _slow_topics(meta: EpisodeMeta, spec: RobotSpec) -> list[str]:
    names = {camera.image_topic: f"camera {camera.name}" for camera in spec.cameras}
    names |= {camera.depth_topic: f"depth of camera {camera.name}" for camera in spec.cameras if camera.depth_topic}
    slow = []
    for topic, expected in expected_rates(spec).items():
        recorded = meta.topics.get(topic)
        rate = recorded.count / meta.duration_s if recorded is not None else expected
        if rate < SLOW * expected:
            slow.append(f"{names.get(topic, topic)} ran at {rate:.1f} of {expected:g} Hz")
    return slow
