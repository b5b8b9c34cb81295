"""What the page says of the nodes' states."""

import pytest

from emma.console.graph_state import NO_ACTIONS, Heard, graph_state
from emma.control.controller import Mode
from emma.control.policy_state import PolicyState
from emma.recording.recorder_state import RecorderState
from emma.teleop.teleop import Phase
from emma.teleop.teleop_state import TeleopState


@pytest.mark.parametrize(
    ("recorder", "policy", "person", "commands", "warned"),
    [
        ("recording", Mode.DISABLED, Phase.IDLE, 0, True),
        # Another node commands.
        ("recording", Mode.DISABLED, Phase.IDLE, 9, False),
        ("recording", Mode.DISABLED, Phase.DRIVING, 0, False),
        ("recording", Mode.RUNNING, Phase.IDLE, 0, False),
        ("idle", Mode.DISABLED, Phase.IDLE, 0, False),
    ],
)
def test_an_episode_that_nobody_commands_is_a_problem(
    recorder: str, policy: Mode, person: Phase, commands: int, warned: bool
) -> None:
    heard = Heard(
        recorder=RecorderState(state=recorder, received={"/command": commands, "/joint_states": 50}),
        policy=PolicyState(mode=policy),
        teleop=TeleopState(device="jog", state=person),
    )
    said = graph_state(heard, e_stop=False, cameras={}, commands=["/command"])
    assert (NO_ACTIONS in said["problems"]) is warned
