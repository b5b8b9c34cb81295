"""The keys of a person at work: record, mark, jog, take the robot over from a policy and give it back."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from emma.control.controller import Mode
from emma.control.policy_state import POLICY_STATE
from emma.errors import EmmaError
from emma.recording.recorder_state import RECORDER_STATE, EpisodeBegun, EpisodeEnded
from emma.ros.client import RosClient
from emma.ros.policy_watch import JOG_TOPIC
from emma.sessions.session import Trial, require_recorder_hears
from emma.sim.sim_state import SimReset
from emma.teleop.keys import HELP, Action, action
from emma.teleop.sources import KeySource
from emma.teleop.teleop import Phase
from emma.teleop.teleop_state import TELEOP_STATE

# How often axes are said: well within the time that the teleop lets a deflection count.
AXES_PERIOD_S = 0.04
ANSWER_S = 10.0
# Modes of the policy node in which it commands nothing.
IDLE = (Mode.INACTIVE, Mode.DISABLED, Mode.STOPPED)
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
        for topic in (RECORDER_STATE, TELEOP_STATE, POLICY_STATE):
            client.listen(topic)

    def wait_until_ready(self, timeout_s: float) -> None:
        """Return when every node that keys speak to is there. EmmaError when one does not come up."""
        config, deadline = self._config, time.monotonic() + timeout_s
        services = ["/recorder/start"] + ["/teleop/take"] * config.teleop + ["/sim/reset"] * bool(config.trials)
        for service in services:
            self._client.wait_for_service(service, max(deadline - time.monotonic(), 0.1))
        # A policy that is being loaded has its services already, but does not answer.
        if config.policy and not self._client.wait_for(POLICY_STATE, lambda s: s.mode is not Mode.INACTIVE, timeout_s):
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
        recorder = self._client.heard(RECORDER_STATE)
        return action(
            key,
            recording=recorder is not None and recorder.recording,
            success=recorder.success if recorder else None,
            driving=self._driving(),
            enabled=self._enabled(),
        )

    def _enabled(self) -> bool:
        policy = self._client.heard(POLICY_STATE)
        return policy is not None and (policy.mode not in IDLE or policy.resumes)

    def _driving(self) -> bool:
        teleop = self._client.heard(TELEOP_STATE)
        return teleop is not None and teleop.state is not Phase.IDLE

    def perform(self, wanted: Action) -> str:
        """Do one thing and return what came of it. Raises EmmaError where it is refused."""
        call = self._client.trigger
        match wanted:
            case Action.START:
                # What is sent before the recorder is known to the sender would be in no episode.
                require_recorder_hears(self._client, ANSWER_S)
                return "recording " + self._client.ask("/recorder/start", EpisodeBegun, ANSWER_S).episode
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
        kept = self._client.ask(f"/recorder/{how}", EpisodeEnded, SAVE_S)
        if how is Action.SAVE:
            self.saved.append(str(kept.folder))
        lost = kept.dropped + kept.lost
        text = f"{how}d {kept.episode}: {kept.messages} messages" + (f", {lost} LOST" if lost else "")
        text = text.replace("discardd", "discarded")
        done = self._config.episodes is not None and len(self.saved) >= self._config.episodes
        return text + ("" if done or not self._config.trials else "; " + self._next_task())

    def _next_task(self) -> str:
        """Put the simulated arm before its next task. Nobody may command it meanwhile: it is moved at once."""
        if not self._config.trials:
            raise EmmaError("no next task", found="a real robot", expected="the simulated arm", fix="set it up by hand")
        recorder = self._client.heard(RECORDER_STATE)
        if recorder is not None and recorder.recording:
            raise EmmaError("an episode is being recorded", fix="save it (s) or discard it (d) first")
        enabled = self._enabled()
        if self._config.policy:
            self._client.switch("/policy/enable", False)
        drove = self._config.teleop and self._driving()
        if drove:
            self._client.trigger("/teleop/give")
            if self._client.wait_for(TELEOP_STATE, lambda s: s.state is Phase.IDLE, ANSWER_S) is None:
                raise EmmaError("the person's device does not let go", found=self._client.heard(TELEOP_STATE))
        trial = self._config.trials[self._next % len(self._config.trials)]
        self._next += 1
        self._client.set_parameters("/sim", trial.parameters())
        words = self._client.ask("/sim/reset", SimReset, 30.0).instruction
        self._client.say("/instruction", words)
        if self._client.wait_for(RECORDER_STATE, lambda s: s.instruction == words, ANSWER_S) is None:
            raise EmmaError("the recorder did not hear the instruction", found=self._client.heard(RECORDER_STATE))
        if drove and not enabled:
            self._client.trigger("/teleop/take")
        return f'seed {trial.seed}: "{words}"'

    def _say_axes(self, axes: list[float]) -> None:
        moving = any(axes)
        if moving or self._moving:
            self._client.publish_axes(JOG_TOPIC, axes)
        self._moving = moving

    def __rich__(self) -> RenderableType:
        recorder, teleop = self._client.heard(RECORDER_STATE), self._client.heard(TELEOP_STATE)
        policy = self._client.heard(POLICY_STATE)
        table = Table.grid(padding=(0, 2))
        mark = {True: "success", False: "failure", None: ""}[recorder.success if recorder else None]
        table.add_row("recorder", recorder.text if recorder else "-", mark)
        table.add_row("instruction", (recorder.instruction if recorder else "") or "-", "")
        if self._config.teleop:
            table.add_row("person", *((teleop.state, teleop.problem or teleop.note) if teleop else ("-", "")))
        if self._config.policy:
            table.add_row("policy", *((policy.mode, policy.reason or policy.problem) if policy else ("-", "")))
        table.add_row("saved", str(len(self.saved)), "")
        return Group(table, Text(self._message), Text(HELP if self._help else "", "dim"))
