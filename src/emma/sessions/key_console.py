"""The keys of a person at work: record, mark, jog, take the robot over from a policy and give it back."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from emma.errors import EmmaError
from emma.ros.client import RosClient
from emma.ros.policy_watch import JOG_TOPIC, POLICY_STATE
from emma.sessions.session import RECORDER, Trial, require_recorder_hears
from emma.teleop.keys import HELP, Action, action
from emma.teleop.sources import KeySource

TELEOP = "/teleop/state"
# How often axes are said: well within the time that the teleop lets a deflection count.
AXES_PERIOD_S = 0.04
ANSWER_S = 10.0
# Modes of the policy node in which it commands nothing.
IDLE = ("inactive", "disabled", "stopped")
# A long episode is synced to the disk before `save` answers.
SAVE_S = 120.0


@dataclass(frozen=True, kw_only=True)
class KeysConfig:
    """teleop, policy: whether these nodes belong to the graph; trials: tasks for the simulated arm, () on a real robot;
    instruction: what the robot shall do, where there are no trials; episodes: leave after so many were saved."""

    teleop: bool = True
    policy: bool = False
    trials: tuple[Trial, ...] = ()
    instruction: str = ""
    episodes: int | None = None


class KeyConsole:
    """Reads keys and does what they say, one after another; its `__rich__` is the status."""

    def __init__(self, client: RosClient, config: KeysConfig) -> None:
        self._client, self._config = client, config
        self._moving = False
        self._next = 0
        self._message = "h: help"
        self._help = False
        self.saved: list[str] = []
        for topic in (RECORDER, TELEOP, POLICY_STATE):
            client.listen(topic)

    def wait_until_ready(self, timeout_s: float) -> None:
        """Return when every node that keys speak to is there. EmmaError when one does not come up."""
        config, deadline = self._config, time.monotonic() + timeout_s
        services = ["/recorder/start"] + ["/teleop/take"] * config.teleop + ["/sim/reset"] * bool(config.trials)
        for service in services:
            self._client.wait_for_service(service, max(deadline - time.monotonic(), 0.1))
        # A policy that is being loaded has its services already, but does not answer.
        if config.policy and not self._client.wait_for(POLICY_STATE, lambda s: s["mode"] != "inactive", timeout_s):
            raise EmmaError("the policy node is not active", found="inactive", expected="configured and activated")

    def run(self, source: KeySource, show: Callable[[], None] = lambda: None) -> None:
        """Work until `q`, until enough episodes are saved, or until the source of keys is gone."""
        self._begin()
        while self._config.episodes is None or len(self.saved) < self._config.episodes:
            try:
                keys = source.read(AXES_PERIOD_S)
            except EOFError as error:
                self._message = str(error)
                return
            self._say_axes(source.axes())
            for key in keys:
                wanted = self._meaning(key)
                if wanted is Action.QUIT:
                    return
                if wanted is not None:
                    self.do(wanted)
            show()

    def do(self, wanted: Action) -> None:
        """Do one thing; what came of it, or why it was refused, is in the status."""
        try:
            self._message = self.perform(wanted)
        except EmmaError as error:
            self._message = str(error)

    def _begin(self) -> None:
        if self._config.trials:
            self.do(Action.NEXT)
        elif self._config.instruction:
            self._client.say("/instruction", self._config.instruction)

    def _meaning(self, key: str) -> Action | None:
        recorder, teleop, policy = (self._client.heard(topic) for topic in (RECORDER, TELEOP, POLICY_STATE))
        return action(
            key,
            recording=recorder.get("state", "idle") != "idle",
            success=recorder.get("success"),
            driving=teleop.get("state", "idle") != "idle",
            enabled=policy.get("mode", "inactive") not in IDLE or bool(policy.get("intervention")),
        )

    def perform(self, wanted: Action) -> str:
        """Do one thing and return what came of it. Raises EmmaError where it is refused."""
        call = self._client.trigger
        match wanted:
            case Action.START:
                # What is sent before the recorder is known to the sender would be in no episode.
                require_recorder_hears(self._client, ANSWER_S)
                return "recording " + str(json.loads(call("/recorder/start", ANSWER_S))["episode"])
            case Action.SAVE | Action.DISCARD:
                return self._end(wanted)
            case Action.SUCCESS | Action.FAILURE:
                self._client.switch("/recorder/mark_success", wanted is Action.SUCCESS)
                return f"marked as {wanted}"
            case Action.TAKE:
                call("/teleop/take", ANSWER_S)
                return "taking the robot over"
            case Action.GIVE:
                call("/teleop/give", ANSWER_S)
                return "giving the robot back"
            case Action.ENABLE | Action.DISABLE:
                return "policy " + self._client.switch("/policy/enable", wanted is Action.ENABLE)
            case Action.NEXT:
                return self._next_task()
            case _:
                self._help = not self._help
                return ""

    def _end(self, how: Action) -> str:
        kept = json.loads(self._client.trigger(f"/recorder/{how}", SAVE_S))
        if how is Action.SAVE:
            self.saved.append(kept["folder"])
        lost = kept["dropped"] + kept["lost"]
        text = f"{how}d {kept['episode']}: {kept['messages']} messages" + (f", {lost} LOST" if lost else "")
        text = text.replace("discardd", "discarded")
        done = self._config.episodes is not None and len(self.saved) >= self._config.episodes
        return text + ("" if done or not self._config.trials else "; " + self._next_task())

    def _next_task(self) -> str:
        """Put the simulated arm before its next task. Nobody may command it meanwhile: it is moved at once."""
        if not self._config.trials:
            raise EmmaError("no next task", found="a real robot", expected="the simulated arm", fix="set it up by hand")
        if self._client.heard(RECORDER).get("state", "idle") != "idle":
            raise EmmaError("an episode is being recorded", fix="save it (s) or discard it (d) first")
        if self._config.policy:
            self._client.switch("/policy/enable", False)
        drove = self._config.teleop and self._client.heard(TELEOP).get("state", "idle") != "idle"
        if drove:
            self._client.trigger("/teleop/give")
            self._expect(TELEOP, "state", "idle")
        trial = self._config.trials[self._next % len(self._config.trials)]
        self._next += 1
        self._client.set_parameters("/sim", trial.parameters())
        words = json.loads(self._client.trigger("/sim/reset", 30.0))["instruction"]
        self._client.say("/instruction", words)
        self._expect(RECORDER, "instruction", words)
        if drove and not self._config.policy:
            self._client.trigger("/teleop/take")
        return f'seed {trial.seed}: "{words}"'

    def _expect(self, topic: str, key: str, value: object) -> None:
        if self._client.wait_for(topic, lambda said: said.get(key) == value, ANSWER_S) is None:
            raise EmmaError(f"{topic} does not follow", found=self._client.heard(topic).get(key), expected=value)

    def _say_axes(self, axes: list[float]) -> None:
        moving = any(axes)
        if moving or self._moving:
            self._client.publish_axes(JOG_TOPIC, axes)
        self._moving = moving

    def __rich__(self) -> RenderableType:
        recorder, teleop, policy = (self._client.heard(topic) for topic in (RECORDER, TELEOP, POLICY_STATE))
        table = Table.grid(padding=(0, 2))
        mark = {True: "success", False: "failure"}.get(recorder.get("success"), "")  # type: ignore[arg-type]
        table.add_row("recorder", recorder.get("text", "-"), mark)
        table.add_row("instruction", recorder.get("instruction") or "-", "")
        if self._config.teleop:
            table.add_row("person", teleop.get("state", "-"), teleop.get("problem") or teleop.get("note", ""))
        if self._config.policy:
            table.add_row("policy", policy.get("mode", "-"), policy.get("reason") or policy.get("problem") or "")
        table.add_row("saved", str(len(self.saved)), "")
        return Group(table, Text(self._message), Text(HELP if self._help else "", "dim"))
