"""The states of the nodes in the words of the page."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from emma.control.controller import Mode
from emma.control.policy_state import PolicyState
from emma.cycle.learner_state import LearnerState
from emma.recording.recorder_state import RecorderState
from emma.sim.sim_state import SimState
from emma.teleop.teleop import Phase
from emma.teleop.teleop_state import TeleopState

# The big word and its colour: what a person across the room must know first.
STOPPED, HOLDING, RECORDING, DRIVING, RUNNING, READY, ALONE = (
    ("stopped", "bad"),
    ("holding", "warn"),
    ("recording", "rec"),
    ("person drives", "go"),
    ("policy runs", "go"),
    ("ready", "calm"),
    ("no robot", "warn"),
)
NO_ACTIONS = "no commands yet: this episode has no actions; take over (t) or enable the policy (p)"
IDLE_MODES = (Mode.INACTIVE, Mode.DISABLED)
RECORDER_KEYS = (
    *("state", "episode", "seconds", "instruction", "success", "minutes_left", "free_bytes", "mb_per_s", "root"),
    *("intervention", "queue_bytes"),
)
POLICY_KEYS = (
    *("mode", "policy", "runtime", "runtime_reason", "instruction", "swap", "clipped", "timings", "listeners"),
    "resumes",
)


@dataclass(frozen=True, kw_only=True)
class Heard:
    """The newest state of every node, None for one that is not there. unreadable: why a node's state is none."""

    recorder: RecorderState | None = None
    policy: PolicyState | None = None
    teleop: TeleopState | None = None
    sim: SimState | None = None
    learner: LearnerState | None = None
    unreadable: tuple[str, ...] = ()


def graph_state(
    heard: Heard, *, e_stop: bool, cameras: Mapping[str, str], commands: Sequence[str] = ()
) -> dict[str, Any]:
    """The page's view of the graph. cameras: name -> image topic; commands: topics of the arm's commands."""
    recorder, policy, teleop = heard.recorder, heard.policy, heard.teleop
    word, tone = _word(heard, e_stop)
    rates = recorder.rates_hz if recorder else {}
    ages = policy.ages_s if policy else {}
    skew_s = recorder.skew_s if recorder else None
    return {
        "word": word,
        "tone": tone,
        "why": _why(heard, e_stop),
        "e_stop": e_stop,
        "nodes": {name: state is not None for name, state in vars(heard).items() if name != "unreadable"},
        "recorder": _recorder(recorder),
        "policy": _shown(asdict(policy) if policy else {}, POLICY_KEYS),
        "teleop": asdict(teleop) if teleop else {},
        "sim": asdict(heard.sim) if heard.sim else {},
        "cycle": asdict(heard.learner) if heard.learner else {},
        "commander": _commander(heard),
        "cameras": {
            name: {"hz": rates.get(topic), "age_s": ages.get(f"images.{name}"), "problem": _about(topic, recorder)}
            for name, topic in cameras.items()
        },
        "skew_s": policy.skew_s if skew_s is None and policy else skew_s,
        "problems": _problems(heard, commands),
    }


def _word(heard: Heard, e_stop: bool) -> tuple[str, str]:
    recorder, policy, teleop = heard.recorder, heard.policy, heard.teleop
    if e_stop:
        return STOPPED
    if not (recorder or policy or teleop):
        return ALONE
    if policy and policy.mode is Mode.HOLDING:
        return HOLDING
    if recorder and recorder.recording:
        return RECORDING
    if teleop and teleop.state is not Phase.IDLE:
        return DRIVING
    return RUNNING if policy and policy.mode not in IDLE_MODES else READY


def _why(heard: Heard, e_stop: bool) -> str:
    """One line beside the big word."""
    recorder, policy, teleop = heard.recorder, heard.policy, heard.teleop
    if e_stop:
        return "the emergency stop is pressed; the arm holds until it is released and enabled again"
    found = [policy.reason, policy.inference_error] if policy else []
    found += [recorder.error] if recorder else []
    found += [teleop.problem] if teleop else []
    found += heard.unreadable
    found += [f"no message on {', '.join(recorder.unheard)}"] if recorder and recorder.unheard else []
    found += [policy.problem] if policy else []
    return next(filter(None, found), "")


def _commander(heard: Heard) -> str:
    if heard.teleop and heard.teleop.state not in (Phase.IDLE, Phase.TAKING):
        return "person"
    return "policy" if heard.policy and heard.policy.mode not in IDLE_MODES else "none"


def _recorder(recorder: RecorderState | None) -> dict[str, Any]:
    if recorder is None:
        return _shown({}, RECORDER_KEYS) | {"messages": 0, "dropped": 0, "lost": 0}
    totals = {"messages": recorder.received, "dropped": recorder.dropped, "lost": recorder.lost}
    values = asdict(recorder) | {"minutes_left": recorder.minutes_left, "root": str(recorder.root)}
    return _shown(values, RECORDER_KEYS) | {name: sum(counts.values()) for name, counts in totals.items()}


def _shown(values: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: values.get(key) for key in keys}


def _problems(heard: Heard, commands: Sequence[str]) -> list[str]:
    recorder, policy, teleop = heard.recorder, heard.policy, heard.teleop
    recording = recorder is not None and recorder.recording
    commanded = recorder is not None and any(recorder.received.get(topic) for topic in commands)
    found = [NO_ACTIONS] if recording and not commanded and _commander(heard) == "none" else []
    found += [*heard.unreadable, *(recorder.problems if recorder else ()), *(policy.warnings if policy else ())]
    found += [policy.problem, policy.inference_error] if policy else []
    found += [recorder.error] if recorder else []
    found += [teleop.problem] if teleop else []
    return list(dict.fromkeys(filter(None, found)))


def _about(topic: str, recorder: RecorderState | None) -> str:
    """What the recorder finds wrong with one topic, without the topic's name."""
    found = recorder.problems if recorder else ()
    return next((text.removeprefix(topic).lstrip(": ") for text in found if text.startswith(topic)), "")
