"""The robot as the web console sees it: topics in, services out. Nothing of the graph waits for this node."""

import itertools
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription
from std_msgs.msg import Bool
from trajectory_msgs.msg import JointTrajectory

from emma.bags.episode import EpisodeMeta
from emma.bags.index import header_stamp_ns
from emma.console.graph_state import Heard, graph_state
from emma.control.policy_state import POLICY_STATE
from emma.cycle.learner_state import LEARNER_STATE
from emma.envs.maker import maker_of
from emma.errors import EmmaError
from emma.messages import decode_command, decode_image, merge_states
from emma.policy.bundle import load_bundle
from emma.recording.recorder_state import RECORDER_STATE
from emma.records import Record, Topic
from emma.robots.spec import RobotSpec, StateTopic
from emma.ros import qos
from emma.ros.chunk_topic import CHUNK
from emma.ros.client import RosClient
from emma.ros.e_stop import E_STOP, EStop
from emma.ros.raw_subscriptions import message_class
from emma.sessions.key_console import KeyConsole, KeysConfig
from emma.sessions.session import Trial
from emma.sim.demonstrations import target_of
from emma.sim.sim_state import SIM_STATE
from emma.teleop.keys import Action
from emma.teleop.teleop_state import TELEOP_STATE

TOPICS = (RECORDER_STATE, POLICY_STATE, TELEOP_STATE, SIM_STATE, LEARNER_STATE)
# The recorder reports five times a second, the policy four: silent for so long they count as gone. The others report
# when something changes.
SILENT_S = {RECORDER_STATE.name: 3.0, POLICY_STATE.name: 3.0}
# Only the newest message counts, and a lost one is not sent again.
NEWEST = QoSProfile(depth=1, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT)
FIRST_SEED = 1000
# Of a predicted chunk, so many points reach the page: enough for a smooth line.
POINTS = 25
Decode = Callable[[Any, RobotSpec], np.ndarray]


@dataclass
class _Newest:
    """The newest serialised message of one topic."""

    kind: type
    number: int = 0
    data: bytes = b""
    subscription: Subscription | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, data: bytes) -> None:
        with self.lock:
            self.number, self.data = self.number + 1, data

    def forget(self) -> None:
        """What was received in an earlier look is not what a camera sees now. Numbers go on."""
        with self.lock:
            self.data = b""

    def read(self) -> tuple[int, Any]:
        """Number and decoded message; None before the first."""
        with self.lock:
            number, data = self.number, self.data
        return number, deserialize_message(data, self.kind) if data else None


class GraphLive:
    """`emma.console.live.Live` over a running graph.

    bundles: folders of policies that a person may swap to. first_seed: of the simulated arm's next tasks.
    """

    def __init__(
        self, client: RosClient, spec: RobotSpec, bundles: Sequence[Path] = (), *, first_seed: int = FIRST_SEED
    ) -> None:
        self._client, self._spec = client, spec
        self._seeds = itertools.count(first_seed)
        self._bundles = {f"b{number}": path for number, path in enumerate(bundles)}
        self._images = {camera.name: camera.image_topic for camera in spec.cameras}
        kinds = spec.topics()
        self._pictures = {name: _Newest(_class(kinds[topic])) for name, topic in self._images.items()}
        self._joints = [_Part(kinds[s.topic], s.topic, s.joints, spec, _state_of(s)) for s in spec.state_topics]
        self._commands = [
            _Part(g.type, g.recorded_topic, spec.led(g), spec, partial(decode_command, group=g))
            for g in spec.command_groups
        ]
        self._chunk = _Newest(JointTrajectory)
        self._saved: list[Path] = []
        for topic in TOPICS:
            client.listen(topic)
        self._stop = client.node.create_publisher(Bool, E_STOP, qos.LATCHED)
        self._e_stop = EStop(client.node, lambda _pressed: None)
        for part in (*self._joints, *self._commands):
            newest = part.newest
            newest.subscription = client.node.create_subscription(
                newest.kind, part.topic, newest.take, NEWEST, raw=True
            )
        self._chunk.subscription = client.node.create_subscription(
            JointTrajectory, CHUNK, self._chunk.take, NEWEST, raw=True
        )

    @property
    def cameras(self) -> Sequence[str]:
        return self._spec.camera_names

    def describe(self) -> dict[str, Any]:
        return {
            "robot": self._spec.name,
            "simulated": self._spec.simulated,
            "max_age_s": self._spec.max_age_s,
            "max_skew_s": self._spec.max_skew_s,
            "joints": [asdict(joint) for joint in self._spec.joints],
            "cameras": [{"name": c.name, "width": c.width, "height": c.height} for c in self._spec.cameras],
            "bundles": [{"id": key, "name": path.name} for key, path in self._bundles.items()],
        }

    def state(self) -> dict[str, Any]:
        spec, e_stop = self._spec, self._e_stop.pressed
        values = graph_state(self._heard(), e_stop=e_stop, cameras=self._images, commands=spec.command_topics)
        values["joints"] = self._vector(self._joints)
        values["command"] = self._vector(self._commands)
        values["ahead"] = self._ahead()
        values["saved"] = [folder.name for folder in self._saved]
        return values

    def _heard(self) -> Heard:
        unreadable: list[str] = []

        def newest[T: Record](topic: Topic[T]) -> T | None:
            if self._client.silent_s(topic) > SILENT_S.get(topic.name, math.inf):
                return None
            try:
                return self._client.heard(topic)
            except EmmaError as error:
                unreadable.append(str(error))
                return None

        return Heard(
            recorder=newest(RECORDER_STATE),
            policy=newest(POLICY_STATE),
            teleop=newest(TELEOP_STATE),
            sim=newest(SIM_STATE),
            learner=newest(LEARNER_STATE),
            unreadable=tuple(unreadable),
        )

    def _ahead(self) -> dict[str, Any] | None:
        """The chunk that is being played: begin_s, stamp of its first action; at_s, (K,) since then; positions, (K, J),
        at most POINTS of them. None without one, and once it has run out."""
        _, message = self._chunk.read()
        if message is None or not message.points:
            return None
        stamp = message.header.stamp
        begin_s = stamp.sec + stamp.nanosec / 1e9
        ends = [point.time_from_start.sec + point.time_from_start.nanosec / 1e9 for point in message.points]
        if begin_s + ends[-1] < time.time():
            return None
        every = math.ceil(len(ends) / POINTS)
        rows = [[round(value, 4) for value in point.positions] for point in message.points[::every]]
        return {"begin_s": begin_s, "at_s": [round(at, 4) for at in ends[::every]], "positions": rows}

    def watch(self, camera: str, on: bool) -> None:
        """On the executor's thread: a subscription must not go while its messages are being taken."""
        executor = self._client.node.executor
        assert executor is not None
        executor.create_task(self._watch, camera, on)

    def picture(self, camera: str) -> tuple[int, int] | None:
        newest = self._pictures[camera]
        with newest.lock:
            number, data = newest.number, newest.data
        return (number, header_stamp_ns(data) or 0) if data else None

    def decode(self, camera: str) -> tuple[int, int, np.ndarray]:
        number, message = self._pictures[camera].read()
        if message is None:
            raise EmmaError(f"no picture of {camera}", found="a camera without a viewer", expected="a viewer")
        stamp = message.header.stamp
        return number, stamp.sec * 1_000_000_000 + stamp.nanosec, decode_image(message, self._spec.camera(camera))

    def act(self, action: str, argument: str) -> str:
        match action:
            case "instruct":
                return self._instruct(argument)
            case "swap":
                return self._swap(argument)
            case "roll_back":
                return self._client.trigger("/learner/rollback")
            case "cycle_start":
                return self._client.trigger("/learner/start") or "a cycle begins"
            case "cycle_pause" | "cycle_go_on":
                paused = action == "cycle_pause"
                return self._client.switch("/learner/pause", paused) or ("paused" if paused else "goes on")
            case "release_stop":
                self._stop.publish(Bool(data=False))
                return "the emergency stop is released; nothing moves until it is enabled"
            case "delete_last":
                return self._delete_last()
            case _:
                keys = KeyConsole(self._client, self._keys())
                text = keys.perform(Action(action))
                self._saved += [Path(folder) for folder in keys.saved]
                return text

    def stop(self) -> str:
        self._stop.publish(Bool(data=True))
        return "stopped"

    def _keys(self) -> KeysConfig:
        """What the keys may count on in the graph as it is now."""
        there = self._heard()
        trials: tuple[Trial, ...] = ()
        if there.sim is not None and self._spec.simulator:
            seed = next(self._seeds)
            trials = (Trial(seed=seed, target=target_of(seed, maker_of(self._spec).targets), domain=""),)
        return KeysConfig(teleop=there.teleop is not None, policy=there.policy is not None, trials=trials)

    def _instruct(self, words: str) -> str:
        if not words.strip():
            raise EmmaError("an instruction without words", found=repr(words), expected="what the robot is to do")
        self._client.say("/instruction", words.strip())
        return f'instruction: "{words.strip()}"'

    def _swap(self, key: str) -> str:
        bundle = self._bundles.get(key)
        if bundle is None:
            raise EmmaError("no such policy", found=key, expected=f"one of {', '.join(self._bundles) or 'none'}")
        load_bundle(bundle).check(self._spec)
        before = self._client.heard(POLICY_STATE)
        self._client.set_parameters("/policy", {"policy": str(bundle)})
        try:
            return f"{bundle.name}: " + self._client.trigger("/policy/swap")
        except EmmaError:
            if before is not None and before.policy:
                self._client.set_parameters("/policy", {"policy": before.policy})
            raise

    def _delete_last(self) -> str:
        """Mark the newest episode that was saved from this console as discarded; its bag stays on the disk."""
        recorder = self._client.heard(RECORDER_STATE)
        if recorder is not None and recorder.recording:
            raise EmmaError("an episode is being recorded", fix="save or discard it first")
        if not self._saved:
            raise EmmaError("nothing was saved from this console", found="0 episodes", expected="at least one")
        folder = self._saved[-1]
        EpisodeMeta.load(folder).with_(state="discarded").save(folder)
        self._saved.pop()
        return f"{folder.name} is marked as discarded; its bag stays until a person removes it"

    def _watch(self, camera: str, on: bool) -> None:
        newest, node = self._pictures[camera], self._client.node
        if on and newest.subscription is None:
            newest.subscription = node.create_subscription(
                newest.kind, self._images[camera], newest.take, NEWEST, raw=True
            )
        elif not on and newest.subscription is not None:
            node.destroy_subscription(newest.subscription)
            newest.subscription = None
            newest.forget()

    def _vector(self, parts: Sequence["_Part"]) -> list[float] | None:
        """(J,) the newest values of all parts; None while one is missing."""
        whole = np.zeros(len(self._spec.joints))
        for part in parts:
            _, message = part.newest.read()
            if message is None:
                return None
            try:
                whole[part.places] = part.decode(message, self._spec)
            except EmmaError:
                # A driver that sends other joints now and then is the recorder's and the policy's to report.
                return None
        values: list[float] = whole.tolist()
        return values


class _Part:
    """One topic of joints: its newest message, and where its values belong in a vector."""

    def __init__(self, kind: str, topic: str, joints: Sequence[str], spec: RobotSpec, decode: Decode) -> None:
        self.newest, self.topic, self.decode = _Newest(_class(kind)), topic, decode
        self.places = [spec.index(name) for name in joints]


def _state_of(topic: StateTopic) -> Decode:
    return lambda message, spec: merge_states([message], spec, topic)[0]


def _class(kind: str) -> type:
    cls = message_class(kind)
    if cls is None:
        raise EmmaError("a message type without its package", found=kind, expected="an installed ROS package")
    return cls
