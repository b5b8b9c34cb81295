"""The recorder node: every topic of the robot as received, one episode at a time. The work is in `emma.recording`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger

from emma.bags.episode import KINDS, EpisodeMeta
from emma.control.pacing import prefer_this_process
from emma.errors import EmmaError
from emma.recording.outcome import outcome_line
from emma.recording.recorder import EpisodeRecorder
from emma.recording.recorder_state import EpisodeBegun, EpisodeEnded, RecorderState
from emma.recording.stats import RecorderConfig
from emma.recording.stream_monitor import Watch
from emma.records import encode
from emma.robots.spec import load_robot
from emma.ros import messages, qos
from emma.ros.intervention_gate import INTERVENTION
from emma.ros.parameters import declare, parameter, read, robot_parameter
from emma.ros.raw_subscriptions import RawSubscriptions
from emma.ros.runner import Stop, run
from emma.ros.service_replies import answer

INSTRUCTION = "/instruction"
ALWAYS = {INSTRUCTION: "std_msgs/msg/String", INTERVENTION: "std_msgs/msg/Bool"}
# Time to change the disk.
FEW_MINUTES = 5.0
# Before compilers and trainings, after the control loop: what is not received in time is lost. Needs the right to it.
NICE = -5


@dataclass(frozen=True, kw_only=True)
class RecorderParameters:
    """Parameters of the recorder node."""

    robot: str = robot_parameter()
    root: str = parameter("episodes", "folder that gets one folder per episode")
    extra: tuple[str, ...] = parameter((), "more topics, as names or patterns with * and ?")
    skip: tuple[str, ...] = parameter((), "topics of the robot not to record, as depth that is not needed")
    kind: str = parameter("teleop", "what the next episodes are", choices=KINDS, runtime=True)
    operator: str = parameter("", "who or what moves the robot", runtime=True)
    policy: str = parameter("", "policy bundle that moves the robot", runtime=True)
    notes: str = parameter("", "free text for the next episodes", runtime=True)
    compress: bool = parameter(False, "compress chunks with zstd: smaller bags, more processor time")
    queue_mb: int = parameter(256, "memory between the topics and the disk, in MiB", minimum=1)
    min_free_mb: int = parameter(256, "stop recording before less than this is free on the disk, in MiB", minimum=0)
    check_rates: bool = parameter(True, "report topics that are slower than the robot's description says")


class RecorderNode(Node):
    """`~/start`, `~/save`, `~/discard`, `~/mark_success`; what it does is on `~/state` and /diagnostics."""

    def __init__(self, stop: Stop) -> None:
        # Before there is a participant: the middleware's threads inherit it.
        prefer_this_process(NICE)
        super().__init__("recorder")
        values = declare(self, RecorderParameters)
        self.spec = load_robot(values.robot)
        wanted = {topic: kind for topic, kind in self.spec.topics().items() if topic not in values.skip}
        # Commands come only while the robot is moved; everything else must be there for an episode to begin.
        self._needed = tuple(topic for topic in wanted if topic not in self.spec.command_topics)
        self._watch = Watch(self.spec, skip=values.skip, check_rates=values.check_rates)
        self._check_rates = values.check_rates
        self._seen = self._watch.report()
        config = RecorderConfig(
            queue_bytes=values.queue_mb << 20, min_free_bytes=values.min_free_mb << 20, compress=values.compress
        )
        self.episodes = EpisodeRecorder(values.root, config, on_warning=self._warn)
        self._instruction = ""
        self._person = False
        self._began_ns = 0
        self._lost_at_start: dict[str, int] = {}
        self._state_topic = self.create_publisher(String, "~/state", qos.LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._raw = RawSubscriptions(self, {**wanted, **ALWAYS}, values.extra, self._receive)
        self.create_subscription(String, INSTRUCTION, self._on_instruction, qos.LATCHED)
        self.create_subscription(Bool, INTERVENTION, self._on_intervention, qos.LATCHED)
        self.create_service(Trigger, "~/start", answer(lambda _: self._start()))
        self.create_service(Trigger, "~/save", answer(lambda _: self._end("save")))
        self.create_service(Trigger, "~/discard", answer(lambda _: self._end("discard")))
        self.create_service(SetBool, "~/mark_success", answer(lambda r: self._mark_success(bool(r.data))))
        self.create_timer(0.2, self._look)
        self.create_timer(1.0, self._diagnose)
        self._say()

    def close(self) -> None:
        meta = self.episodes.close()
        if meta is not None:
            self.get_logger().warning(f"episode {meta.id} was still being recorded: saved as it is")

    def sign(self) -> str:
        """What it does, and what is missing."""
        unheard = self._unheard()
        missing = [f"nothing heard yet on {', '.join(unheard)}"] if unheard else self._problems()
        return "; ".join([str(self.episodes.stats()), *missing])

    def _warn(self, text: str) -> None:
        self.get_logger().warning(text)

    def _start(self) -> str:
        self._look()
        values = read(self, RecorderParameters)
        silent = [topic for topic in self._needed if topic in self._raw.unpublished()]
        if silent:
            raise EmmaError(
                f"cannot record robot {self.spec.name}",
                found=f"no publisher of {', '.join(silent)}",
                expected="a publisher for every topic in its robot.yaml",
                fix="start the drivers, correct the topics, or leave them out with the parameter skip",
            )
        meta = EpisodeMeta.new(
            self.spec.name,
            instruction=self._instruction,
            operator=values.operator,
            kind=values.kind,
            notes=values.notes,
            policy=values.policy or None,
        )
        profiles = {topic: [qos.for_bag(raw.profile)] for topic, raw in self._raw.by_topic.items()}
        began_ns = self.get_clock().now().nanoseconds
        folder = self.episodes.start(meta, self._raw.types, qos=profiles)
        # What arrived before this moment belongs to no episode, also where it still waits in a queue. Only now: a start
        # that was refused must not change the episode under way.
        self._began_ns = began_ns
        self._lost_at_start = {topic: raw.lost for topic, raw in self._raw.by_topic.items()}
        self._raw.deliver_latched(self._began_ns)
        if unheard := self._unheard():
            self.episodes.mark(f"nothing heard yet on {', '.join(unheard)}", self._began_ns)
        if self._person:
            self._mark_intervention(self._began_ns)
        self.get_logger().info(f"recording {folder}")
        self._say()
        return encode(EpisodeBegun(episode=meta.id, folder=folder))

    def _end(self, how: str) -> str:
        lost = self._lost()
        if lost and self.episodes.recording:
            self.episodes.mark(f"lost before the recorder: {', '.join(f'{t} {n}' for t, n in lost.items())}")
        meta = self.episodes.save() if how == "save" else self.episodes.discard()
        self._say()
        ended = EpisodeEnded(
            episode=meta.id,
            folder=self.episodes.root / meta.id,
            messages=sum(topic.count for topic in meta.topics.values()),
            dropped=meta.dropped,
            lost=sum(lost.values()),
        )
        self.get_logger().info(outcome_line(meta, self.spec, ended.lost, check_rates=self._check_rates))
        return encode(ended)

    def _receive(self, topic: str, data: bytes, received_ns: int, sent_ns: int) -> None:
        self._watch.add(topic, data)
        if not self.episodes.recording:
            return
        if self._raw.by_topic[topic].latched:
            # What a latched topic says holds until it says something else, however long ago it was said.
            received_ns = max(received_ns, self._began_ns)
        if received_ns >= self._began_ns:
            self.episodes.offer(topic, data, received_ns, sent_ns)

    def _on_instruction(self, message: String) -> None:
        self._instruction = message.data
        self._say()
        meta = self.episodes.meta
        if meta is not None and meta.instruction != message.data:
            if meta.instruction:
                self.episodes.mark(f"instruction: {message.data}")
            else:
                self.episodes.set_instruction(message.data)

    def _on_intervention(self, message: Bool) -> None:
        if message.data != self._person:
            self._person = message.data
            self._mark_intervention(self.get_clock().now().nanoseconds)

    def _mark_intervention(self, time_ns: int) -> None:
        """In an episode of a policy, who had the robot since when; in one of teleoperation a person has it anyway."""
        meta = self.episodes.meta
        if meta is not None and meta.kind != "teleop":
            self.episodes.mark_intervention(self._person, time_ns)

    def _mark_success(self, success: bool) -> None:
        self.episodes.mark_success(success)
        self._say()

    def _look(self) -> None:
        """Follow topics that appear, and tell consoles how things stand."""
        new = self._raw.refresh()
        if self.episodes.recording:
            for topic in new:
                raw = self._raw.by_topic[topic]
                self.episodes.add_topic(topic, raw.type, [qos.for_bag(raw.profile)])
        self._say()

    def _say(self) -> None:
        stats = self.episodes.stats()
        problems = self._problems()
        meta = self.episodes.meta
        state = RecorderState(
            **vars(stats),
            text="; ".join([str(stats), *problems]),
            problems=tuple(problems),
            lost=self._lost(),
            root=Path(self.episodes.root),
            instruction=self._instruction,
            rates_hz=self._seen.rates_hz,
            skew_s=self._seen.skew_s,
            success=meta.success if meta else None,
            intervention=self._person,
            unheard=self._unheard(),
            publishers=self._raw.publishers,
        )
        self._state_topic.publish(messages.text(state))

    def _unheard(self) -> tuple[str, ...]:
        """Topics that an episode needs and no message has come from."""
        by_topic = self._raw.by_topic
        return tuple(topic for topic in self._needed if topic not in by_topic or not by_topic[topic].received)

    def _lost(self) -> dict[str, int]:
        """Messages that the middleware lost since the episode began, by topic."""
        lost = {t: raw.lost - self._lost_at_start.get(t, 0) for t, raw in self._raw.by_topic.items()}
        return {topic: count for topic, count in lost.items() if count}

    def _problems(self) -> list[str]:
        """What is wrong with streams and disk right now."""
        minutes = self.episodes.stats().minutes_left
        low = [f"the disk is full in {minutes:.1f} min"] if minutes < FEW_MINUTES else []
        return [*self._seen.problems, *low]

    def _diagnose(self) -> None:
        stats, lost = self.episodes.stats(), self._lost()
        self._seen = self._watch.report()
        if self.episodes.recording:
            for topic, jump in self._seen.jumps.items():
                self.episodes.mark(f"{topic}: {jump}")
        streams: dict[str, Any] = {topic: f"{rate:.1f} Hz" for topic, rate in self._seen.rates_hz.items()}
        if self._seen.skew_s is not None:
            streams["camera skew"] = f"{self._seen.skew_s * 1e3:.1f} ms"
        silent = [topic for topic in self._needed if topic not in self._raw.by_topic]
        dropped = sum(stats.dropped.values()) + sum(lost.values())
        disk: dict[str, Any] = {"state": stats.state, "episode": stats.episode, "written_mb": stats.written_bytes / 1e6}
        disk |= {"mb_per_s": stats.mb_per_s, "queue_mb": stats.queue_bytes / 1e6, "dropped": dropped}
        disk |= {"minutes_left": stats.minutes_left, "free_gb": stats.free_bytes / 1e9}
        array = DiagnosticArray(header=messages.header(self.get_clock().now().nanoseconds))
        array.status = [
            messages.status(
                "recorder: disk",
                self.spec.name,
                disk,
                warn=f"{dropped} messages of this episode are lost" if dropped else "",
                error=stats.error,
            ),
            messages.status(
                "recorder: topics",
                self.spec.name,
                streams,
                warn="; ".join(self._problems()),
                error=f"no publisher of {', '.join(silent)}" if silent else "",
            ),
        ]
        self._diagnostics.publish(array)


def main() -> int:
    """Run the recorder node."""
    return run(RecorderNode)


if __name__ == "__main__":
    sys.exit(main())
