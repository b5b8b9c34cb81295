"""The states of the nodes in the words of the page. The only file that knows their state topics."""

from collections.abc import Mapping, Sequence
from typing import Any

RECORDER, POLICY, TELEOP = "/recorder/state", "/policy/state", "/teleop/state"
SIM, LEARNER = "/sim/outcome", "/learner/state"
TOPICS = (RECORDER, POLICY, TELEOP, SIM, LEARNER)

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
# The recorder reports five times a second, the policy four; the others when something changes.
SILENT_S = {RECORDER: 3.0, POLICY: 3.0}
IDLE_MODES = ("", "inactive", "disabled")

Heard = Mapping[str, Mapping[str, Any]]


def graph_state(heard: Heard, ages_s: Mapping[str, float], *, e_stop: bool, cameras: Mapping[str, str]) -> dict:
    """The page's view of the graph. heard: topic -> newest state, {} before the first; ages_s: seconds since it came;
    cameras: name -> image topic. A node that is silent for `SILENT_S` counts as gone."""
    recorder, policy, teleop = (_fresh(heard, ages_s, topic) for topic in (RECORDER, POLICY, TELEOP))
    word, tone = _word(recorder, policy, teleop, e_stop)
    rates = recorder.get("rates_hz") or {}
    ages = policy.get("ages_s") or {}
    return {
        "word": word,
        "tone": tone,
        "why": _why(recorder, policy, teleop, e_stop),
        "e_stop": e_stop,
        "nodes": {topic.split("/")[1]: bool(_fresh(heard, ages_s, topic)) for topic in TOPICS},
        "recorder": _recorder(recorder),
        "policy": _policy(policy),
        "teleop": {key: teleop.get(key, "") for key in ("state", "device", "note", "problem")},
        "sim": dict(_fresh(heard, ages_s, SIM)),
        "cycle": dict(_fresh(heard, ages_s, LEARNER)),
        "commander": _commander(policy, teleop),
        "cameras": {
            name: {"hz": rates.get(topic), "age_s": ages.get(f"images.{name}"), "problem": _about(topic, recorder)}
            for name, topic in cameras.items()
        },
        "skew_s": recorder.get("skew_s") if recorder.get("skew_s") is not None else policy.get("skew_s"),
        "problems": _problems(recorder, policy, teleop),
    }


def _fresh(heard: Heard, ages_s: Mapping[str, float], topic: str) -> Mapping[str, Any]:
    silent = ages_s.get(topic, float("inf")) > SILENT_S.get(topic, float("inf"))
    return {} if silent else heard.get(topic, {})


def _word(
    recorder: Mapping[str, Any], policy: Mapping[str, Any], teleop: Mapping[str, Any], e_stop: bool
) -> tuple[str, str]:
    if e_stop:
        return STOPPED
    if not (recorder or policy or teleop):
        return ALONE
    if policy.get("mode") == "holding":
        return HOLDING
    if recorder.get("state", "idle") != "idle":
        return RECORDING
    if teleop.get("state", "idle") != "idle":
        return DRIVING
    return READY if policy.get("mode", "") in IDLE_MODES else RUNNING


def _why(recorder: Mapping[str, Any], policy: Mapping[str, Any], teleop: Mapping[str, Any], e_stop: bool) -> str:
    """One line beside the big word."""
    if e_stop:
        return "the emergency stop is pressed; the arm holds until it is released and enabled again"
    for text in (policy.get("reason"), policy.get("inference_error"), recorder.get("error"), teleop.get("problem")):
        if text:
            return str(text)
    unheard = recorder.get("unheard") or ()
    return f"no message on {', '.join(unheard)}" if unheard else str(policy.get("problem") or "")


def _commander(policy: Mapping[str, Any], teleop: Mapping[str, Any]) -> str:
    if teleop.get("state", "idle") not in ("idle", "taking"):
        return "person"
    return "none" if policy.get("mode", "") in IDLE_MODES else "policy"


def _recorder(recorder: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("state", "episode", "seconds", "instruction", "success", "minutes_left", "free_bytes", "mb_per_s", "root")
    values: dict[str, Any] = {key: recorder.get(key) for key in (*keys, "intervention", "queue_bytes")}
    values["messages"] = _total(recorder.get("received"))
    values["dropped"], values["lost"] = _total(recorder.get("dropped")), _total(recorder.get("lost"))
    return values


def _policy(policy: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("mode", "policy", "runtime", "runtime_reason", "instruction", "swap", "clipped", "timings", "listeners")
    return {key: policy.get(key) for key in keys}


def _problems(*states: Mapping[str, Any]) -> list[str]:
    recorder, policy, teleop = states
    found: Sequence[Any] = (
        *(recorder.get("problems") or ()),
        *(policy.get("warnings") or ()),
        policy.get("problem"),
        policy.get("inference_error"),
        recorder.get("error"),
        teleop.get("problem"),
    )
    return list(dict.fromkeys(str(text) for text in found if text))


def _about(topic: str, recorder: Mapping[str, Any]) -> str:
    """What the recorder finds wrong with one topic, without the topic's name."""
    found = (str(text) for text in recorder.get("problems") or ())
    return next((text.removeprefix(topic).lstrip(": ") for text in found if text.startswith(topic)), "")


def _total(counts: Mapping[str, int] | None) -> int:
    return sum((counts or {}).values())
