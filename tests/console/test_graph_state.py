"""What the page says of the nodes' states."""

import pytest

from emma.console.graph_state import NO_ACTIONS, Heard, graph_state
from emma.control.controller import Mode
from emma.control.policy_state import PolicyState
from emma.recording.recorder_state import RecorderState
from emma.teleop.teleop import Phase
from emma.teleop.teleop_state import TeleopState


@pytest.mark.parametrize(
    ("recorder", "policy", "person", "warned"),
    [
        ("recording", Mode.DISABLED, Phase.IDLE, True),
        ("recording", Mode.DISABLED, Phase.DRIVING, False),
        ("recording", Mode.RUNNING, Phase.IDLE, False),
        ("idle", Mode.DISABLED, Phase.IDLE, False),
    ],
)
def test_an_episode_without_a_commander_is_a_problem(recorder: str, policy: Mode, person: Phase, warned: bool) -> None:
    heard = Heard(
        recorder=RecorderState(state=recorder),
        policy=PolicyState(mode=policy),
        teleop=TeleopState(device="jog", state=person),
    )
    assert (NO_ACTIONS in graph_state(heard, e_stop=False, cameras={})["problems"]) is warned
