"""The sim node of a robot in an environment of others: it publishes, obeys and is reset as the embedded arm is.

The environment is a toy behind the name of the SO-101's package, so that the whole path runs where no package is.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image, JointState

from emma.messages import decode_image, decode_state, stamp_ns
from emma.robots.spec import load_robot
from emma.ros import messages, qos
from emma.ros.client import RosClient
from emma.sessions.graph import NodeProcess
from emma.sim.sim_state import SIM_STATE, SimReset, SimState

TOY = Path(__file__).resolve().parents[1] / "fixtures" / "toy_driver.py"
SPEC = load_robot("so101")
# An interpreter that claims to have the package, and runs the toy in place of its driver.
INTERPRETER = """#!{python}
import importlib.metadata, os, runpy, sys
serve, wire, _, *rest = sys.argv[2:]
os.environ["TOY_JOINTS"] = "{joints}"
importlib.metadata.version = lambda _: "0.4.0"
sys.argv = [serve, wire, "{toy}", *rest]
runpy.run_path(serve, run_name="__main__")
"""


@pytest.fixture(scope="module")
def live(running_graph, tmp_path_factory):
    folder = tmp_path_factory.mktemp("env")
    python = folder / "python"
    # The driver's own order of joints is another one than the spec's.
    joints = " ".join(reversed(SPEC.joint_names))
    python.write_text(INTERPRETER.format(python=sys.executable, toy=TOY, joints=joints))
    python.chmod(0o755)
    node = NodeProcess(module="sim", parameters={"robot": "so101", "python": str(python), "cameras": ["top"]})
    with running_graph(node, logs=folder) as (graph, client):
        client.wait_for_service("/sim/reset", 60.0)
        yield graph, client


def test_it_publishes_what_the_spec_says(live, listen):
    client: RosClient = live[1]
    camera = SPEC.camera("top")
    joints = listen(client, JointState, SPEC.state_topic, qos.SENSOR_WANT)
    color = listen(client, Image, camera.image_topic, qos.SENSOR_WANT)
    info = listen(client, CameraInfo, camera.info_topic, qos.SENSOR_WANT)
    assert tuple(joints.wait(3)[0].name) == SPEC.joint_names
    assert decode_image(color.wait(2)[-1], camera).shape == (96, 96, 3)
    assert info.wait(2)[0].k[0] == pytest.approx(48.0)
    assert {stamp_ns(m) for m in info.messages} & {stamp_ns(m) for m in color.messages}


def test_it_moves_where_it_is_told_until_the_task_is_done(live, listen, eventually):
    client: RosClient = live[1]
    client.listen(SIM_STATE)
    client.set_parameters("/sim", {"seed": 4, "target": "goal", "task": "pick_place"})
    task = client.ask("/sim/reset", SimReset)
    assert (task.seed, task.instruction, task.kind) == (4, "lift", "pick_place")
    joints = listen(client, JointState, SPEC.state_topic, qos.SENSOR_WANT)
    commands = client.node.create_publisher(messages.COMMAND_TYPES[SPEC.command.kind], SPEC.command.topic, qos.COMMAND)
    eventually(lambda: commands.get_subscription_count(), "the node listens")
    target = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    commands.publish(messages.command(SPEC, target, 0))
    eventually(lambda: np.allclose(decode_state(joints.wait(1)[-1], SPEC), target, atol=1e-6), "the joints follow")
    # The gripper is the toy's first joint.
    said = client.wait_for(SIM_STATE, lambda s: s.episode == task.episode and s.success, 30.0)
    assert said is not None
    assert said.placed_on == "goal"
    assert client.ask("/sim/outcome", SimState).success
