"""What nodes say and files hold meets other versions of emma: it survives the way, and nothing else is taken for it."""

import json
import math
from pathlib import Path

import pytest

from emma.control.controller import Mode
from emma.control.policy_state import PolicyState, SwapPhase, SwapState
from emma.cycle.config import ImproveConfig
from emma.cycle.cycle import Cycle, Outcome
from emma.cycle.inventory import Inventory
from emma.cycle.learner_state import LearnerState, LearnerSwap
from emma.cycle.manifest import Begun, Manifest, Plan
from emma.cycle.versions import Version
from emma.dreamtransfer.corpus import CorpusIndex, Cut
from emma.errors import EmmaError
from emma.policy.export.engines import Built, EngineKey, EngineSet, Platform
from emma.recording.recorder_state import EpisodeBegun, EpisodeEnded, RecorderState
from emma.records import Record, decode, encode
from emma.ros.load.states import CounterState, LoadState
from emma.sim.sim_state import ScriptedState, SimReset, SimState
from emma.sim.task import Task
from emma.teleop.teleop import Phase
from emma.teleop.teleop_state import TeleopState

PLAN = Plan(stage="convert", version=1, settings={"fps": 10}, inputs={"bag": "abc"}, seed=3)
KEY = EngineKey(
    graph={"policy.onnx": "abc"},
    platform=Platform(tensorrt="10", gpu="one", capability="9.0", driver="1"),
    precision="fp16",
)
TASK = Task(seed=3, target="bin", instruction="put the cube in the bin", cube_pose=(0.3, -0.1, 0.5))
RECORDS: tuple[Record, ...] = (
    PolicyState(
        mode=Mode.HOLDING,
        ages_s={"images.top": math.inf, "state": 0.01},
        swap=SwapState(number=2, policy="models/one", phase=SwapPhase.REFUSED, why="another robot"),
        timings={"ticks": 100.0},
    ),
    RecorderState(state="recording", received={"/a": 3}, root=Path("episodes"), skew_s=None, success=False),
    EpisodeBegun(episode="e1", folder=Path("episodes/e1")),
    EpisodeEnded(episode="e1", folder=Path("episodes/e1"), messages=10, dropped=1, lost=2),
    SimState(placed_on=None, success=False, settled=True, cube_xyz=(0.1, 0.2, 0.3), episode=4, task=TASK, time_s=1.5),
    SimReset(**vars(TASK), episode=4),
    ScriptedState(state="running", listeners=2),
    TeleopState(state=Phase.TAKING, device="leader", note="the leader is silent"),
    LearnerState(phase="running", stages=("convert", "train"), swap=LearnerSwap(phase=SwapPhase.DONE, ticks=7)),
    LoadState(running=True, runs=1, sent={"/a": 2}, matched=1, mb_per_s=3.0, late_s=0.0, skipped=0),
    CounterState(received={"/a": 2}),
    Cycle(number=1, config=ImproveConfig(bags=("bags",)), baseline=1, inventory=Inventory(passed={"e1": "failed"})),
    Outcome(cycle=1, promoted=2, baseline=1, gain=0.1, interval=(0.0, 0.2), reasons=("better",), figures={"n": 20}),
    Begun(plan=PLAN, attempts=2),
    Manifest(plan=PLAN, outputs={"data": "abc"}, results={"frames": 7}, key=PLAN.key),
    Version(number=2, before=1, cycle=1, figures={"success": 0.5}),
    EngineSet(keys={"policy": KEY}, cosine=0.9999),
    Built(key=KEY, sha256="abc"),
    CorpusIndex(cut=Cut(data=("data",), views=("top",), frames=8), fps=10.0, captions=("a dark table",)),
)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_it_survives_the_way_and_nothing_else_is_taken_for_it(record: Record) -> None:
    text = encode(record)
    assert decode(type(record), text, "/topic") == record
    with pytest.raises(EmmaError, match="run the version of emma that wrote it"):
        decode(type(record), json.dumps(json.loads(text) | {"version": record.VERSION + 1}), "/topic")
    for name in json.loads(text).keys() - {"version"}:
        rest = {key: value for key, value in json.loads(text).items() if key != name}
        with pytest.raises(EmmaError, match=f"missing fields[^$]*{name}"):
            decode(type(record), json.dumps(rest), "/topic")
