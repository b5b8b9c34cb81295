"""The sim node is a robot: it publishes what the spec says, obeys commands, and can be reset and repainted."""

import numpy as np
import pytest
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState

from emma.errors import EmmaError
from emma.messages import decode_depth, decode_image, decode_state, stamp_ns
from emma.ros import messages, qos
from emma.sessions.graph import NodeProcess
from emma.sim.arm import DeskArm
from emma.sim.loop import EPOCH_NS
from emma.sim.scene import TARGETS
from emma.sim.sim_state import SIM_STATE, SimReset
from emma.sim.tasks import load_task

TICK_NS = 20_000_000


def stamps(found):
    return np.array([stamp_ns(message) for message in found])


@pytest.fixture(scope="module")
def live(running_graph, tmp_path_factory):
    with running_graph(NodeProcess(module="sim"), logs=tmp_path_factory.mktemp("sim")) as (graph, client):
        client.wait_for_service("/sim/reset", 60.0)
        yield graph, client


def test_topics_and_types_are_those_of_the_spec(live, spec, eventually):
    _, client = live
    there = eventually(
        lambda: (t := dict(client.node.get_topic_names_and_types())) and set(spec.topics()) <= set(t) and t,
        "all topics",
    )
    assert {topic: there[topic][0] for topic in spec.topics()} == spec.topics()


@pytest.mark.parametrize("profile", [qos.SENSOR_WANT, qos.EXACT], ids=["best effort", "reliable"])
def test_streams_decode_and_their_stamps_grow(live, spec, listen, profile):
    _, client = live
    camera = spec.camera("wrist")
    joints = listen(client, JointState, spec.state_topic, profile)
    color = listen(client, Image, camera.image_topic, profile)
    depth = listen(client, Image, camera.depth_topic, profile)
    info = listen(client, CameraInfo, camera.info_topic, profile)
    for heard in (joints, color, depth, info):
        assert (np.diff(stamps(heard.wait(10))) > 0).all()
    assert color.messages[0].encoding == "rgb8"
    assert depth.messages[0].encoding == "16UC1"
    assert color.messages[0].header.frame_id == camera.frame_id
    assert decode_image(color.messages[-1], camera).std() > 0
    assert decode_depth(depth.messages[-1], camera).max() > 0
    assert len(joints.messages[0].velocity) == len(spec.joints)
    with DeskArm(spec, cameras=("wrist",)) as sim:
        np.testing.assert_allclose(np.reshape(info.messages[0].k, (3, 3)), sim.camera_matrix("wrist"))
    # One exposure, one stamp: colour, depth and CameraInfo of a picture belong together.
    assert set(stamps(info.messages)) & set(stamps(color.messages)) & set(stamps(depth.messages))


def test_it_moves_where_it_is_told_and_stays(live, spec, listen, eventually):
    _, client = live
    client.trigger("/sim/reset")
    joints = listen(client, JointState, spec.state_topic, qos.EXACT)
    kind = messages.COMMAND_TYPES[spec.command.kind]
    commands = client.node.create_publisher(kind, spec.command.topic, qos.COMMAND)
    target = decode_state(joints.wait(1)[0], spec).astype(float)
    target[0] += 0.2
    eventually(lambda: commands.get_subscription_count() > 0, "the sim listens")
    commands.publish(messages.command(spec, target, client.node.get_clock().now().nanoseconds))
    eventually(lambda: abs(decode_state(joints.messages[-1], spec)[0] - target[0]) < 0.01, "joint 1 arrives")
    moved = [abs(message.velocity[0]) for message in joints.messages]
    assert max(moved) > 0.1
    # A command of before a reset belongs to another episode.
    client.trigger("/sim/reset")
    joints.messages.clear()
    commands.publish(messages.command(spec, target, EPOCH_NS))
    assert max(abs(decode_state(m, spec)[0] - target[0]) for m in joints.wait(20)[-5:]) > 0.1


def test_reset_starts_what_the_parameters_say(live):
    _, client = live
    client.listen(SIM_STATE)
    for target in TARGETS:
        client.set_parameters("/sim", {"seed": 7, "target": target, "held_out_words": False})
        task = client.ask("/sim/reset", SimReset)
        assert (task.seed, task.target) == (7, target)
        assert target in task.instruction
        said = client.wait_for(SIM_STATE, lambda s, task=task: s.episode == task.episode, 30.0)
        assert said is not None
        assert said.task.cube_pose == task.cube_pose
        assert not said.success
    client.set_parameters("/sim", {"task": "push"})
    task = client.ask("/sim/reset", SimReset)
    assert task.kind == "push"
    assert load_task("push").target_of(task.instruction) == target
    client.set_parameters("/sim", {"task": "place"})
    with pytest.raises(EmmaError, match="task"):
        client.set_parameters("/sim", {"task": "stack"})
    with pytest.raises(EmmaError, match="target"):
        client.set_parameters("/sim", {"target": "floor"})
    with pytest.raises(EmmaError, match="seed"):
        client.set_parameters("/sim", {"seed": -1})


def test_its_appearance_changes_while_it_runs(live, spec, listen, eventually):
    _, client = live
    camera = spec.camera("top")
    color = listen(client, Image, camera.image_topic, qos.SENSOR_WANT)
    before = decode_image(color.wait(1)[-1], camera).astype(float)
    client.set_parameters("/sim", {"domain": "light_dim"})
    eventually(lambda: decode_image(color.messages[-1], camera).mean() < 0.8 * before.mean(), "it gets darker")
    with pytest.raises(EmmaError, match="no look 'nowhere'"):
        client.set_parameters("/sim", {"domain": "nowhere"})
    client.set_parameters("/sim", {"domain": "source"})


def test_lockstep_waits_for_commands_and_stamps_with_its_own_time(running_graph, tmp_path, spec, listen, eventually):
    with running_graph(NodeProcess(module="sim", parameters={"lockstep": True}), logs=tmp_path) as (graph, client):
        client.wait_for_service("/sim/reset", 60.0)
        joints = listen(client, JointState, spec.state_topic, qos.EXACT)
        clock = listen(client, Clock, "/clock", qos.EXACT)
        color = listen(client, Image, spec.camera("top").image_topic, qos.EXACT)
        # Nobody commands: the same moment is told again and again.
        first = joints.wait(2)[-1]
        assert len(set(stamps(joints.messages))) == 1
        assert stamp_ns(first) >= EPOCH_NS
        kind = messages.COMMAND_TYPES[spec.command.kind]
        commands = client.node.create_publisher(kind, spec.command.topic, qos.EXACT)
        eventually(lambda: commands.get_subscription_count() > 0, "the sim listens")
        now = stamp_ns(first)
        for _ in range(6):
            commands.publish(messages.command(spec, decode_state(first, spec).astype(float), now))
            # A command for a moment that is over does not count twice.
            commands.publish(messages.command(spec, decode_state(first, spec).astype(float), now))
            now += TICK_NS
            eventually(lambda now=now: stamp_ns(joints.messages[-1]) == now, "one tick")
        ticks = np.unique(stamps(joints.messages))
        assert (np.diff(ticks) == TICK_NS).all()
        eventually(lambda: len(set(stamps(color.messages))) >= 4, "a picture every other tick")
        assert (np.diff(np.unique(stamps(color.messages))) == 2 * TICK_NS).all()
        assert clock.messages[-1].clock.sec * 10**9 + clock.messages[-1].clock.nanosec == ticks[-1]
        # Time goes on over a reset.
        client.trigger("/sim/reset")
        eventually(lambda: stamp_ns(joints.messages[-1]) == ticks[-1] + TICK_NS, "the next episode")
        codes = graph.stop()
    assert codes == {"sim": 0}
    assert "Traceback" not in graph.log("sim").read_text()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"robot": "nobody"}, "unknown robot 'nobody'"),
        ({"cameras": ["nowhere"]}, "no camera 'nowhere'"),
        ({"domain": "nowhere"}, "no look 'nowhere'"),
        ({"robot": "franka"}, "has no simulator"),
        ({"seed": "three"}, "parameter seed of node sim has the wrong type"),
    ],
)
def test_bad_parameters_end_it_with_a_message(running_graph, tmp_path, parameters, words):
    with running_graph(NodeProcess(module="sim", parameters=parameters), logs=tmp_path) as (graph, client):
        with pytest.raises(EmmaError, match="node sim ended"):
            client.wait_for_service("/sim/reset", 60.0)
        log = graph.log("sim").read_text()
    assert words in log
    assert "Traceback" not in log
    assert graph.stop() == {"sim": 2}


def test_it_ends_beside_a_driver_of_the_same_robot(running_graph, tmp_path, spec, eventually):
    with running_graph(NodeProcess(module="sim"), logs=tmp_path) as (graph, client):
        client.wait_for_service("/sim/reset", 60.0)
        client.node.create_publisher(JointState, spec.state_topic, qos.SENSOR_OFFER)
        with pytest.raises(EmmaError, match=r"exit code 2[\s\S]*of tester"):
            eventually(graph.check, "an end that is not retried")
