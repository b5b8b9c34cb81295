"""One episode after another on a running graph: reset, instruct, record, let the operator work, judge, save."""

import time
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from emma.control.controller import Mode
from emma.control.policy_state import POLICY_STATE, PolicyState
from emma.errors import EmmaError
from emma.recording.recorder_state import RECORDER_STATE, EpisodeBegun, EpisodeEnded, RecorderState
from emma.records import Topic
from emma.ros.client import RosClient
from emma.sessions.scene import ANSWER_S, START_S, Asked, Ending, Scene, SimulatedScene
from emma.sim.evaluate import EvalConfig
from emma.sim.scene import TARGETS
from emma.sim.sim_state import SCRIPTED_STATE, ScriptedState
from emma.stats import Rate

POLICY, SCRIPTED = "policy", "scripted"
OPERATORS: Final = (POLICY, SCRIPTED)
ENABLE_S = 15.0
# A scripted demonstration lasts 8 s; in lockstep on a busy machine many times that.
DEMONSTRATION_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What one episode asks for. domain: appearance to change to, "" to leave it as it is; task: of the simulator, ""
    for its first."""

    seed: int
    target: str
    domain: str = "source"
    held_out_words: bool = False
    task: str = ""

    def parameters(self) -> dict[str, Any]:
        """Of the sim node, for its next reset."""
        values = {"seed": self.seed, "target": self.target, "held_out_words": self.held_out_words, "task": self.task}
        return values | ({"domain": self.domain} if self.domain else {})


@dataclass(frozen=True, kw_only=True)
class Row:
    """What became of one episode. placed_on: the target at which the cube is, or None; bag: its folder, "" if none."""

    seed: int
    target: str
    domain: str
    instruction: str
    placed_on: str | None
    success: bool
    seconds: float
    bag: str = ""
    messages: int = 0
    lost: int = 0


@dataclass(frozen=True, kw_only=True)
class SessionResult:
    """All episodes, the policy node's timings in ms at the end, and what ran the policy, and why that."""

    rows: tuple[Row, ...]
    timings: dict[str, float] = field(default_factory=dict)
    runtime: str = ""

    @property
    def success(self) -> Rate:
        return Rate(sum(row.success for row in self.rows), len(self.rows))

    @property
    def instruction_following(self) -> Rate:
        """Of the cubes that came to rest on a target: the share on the named one."""
        placed = [row for row in self.rows if row.placed_on is not None]
        return Rate(sum(row.placed_on == row.target for row in placed), len(placed))

    def to_json(self) -> dict[str, Any]:
        return {
            "success": self.success.value,
            "success_interval": self.success.interval,
            "instruction_following": self.instruction_following.value,
            "instruction_following_interval": self.instruction_following.interval,
            "episodes": [asdict(row) for row in self.rows],
            "timings": self.timings,
            "runtime": self.runtime,
        }


def trials(
    episodes: int,
    seed: int,
    domain: str = "source",
    *,
    held_out_words: bool = False,
    task: str = "",
    targets: tuple[str, ...] = TARGETS,
) -> list[Trial]:
    """The episodes of an evaluation from `seed` on: targets alternate, as in process (`emma.sim.evaluate`)."""
    config = EvalConfig(episodes=episodes, seed=seed, domain=domain, targets=targets)
    return [Trial(seed=s, target=t, domain=domain, held_out_words=held_out_words, task=task) for s, t in config.tasks()]


def require_recorder_hears(client: RosClient, timeout_s: float) -> None:
    """Return when everyone who sends what an episode holds sends it to the recorder. EmmaError when time is up.

    The recorder cannot tell: it does not know of a publisher that discovery has not brought to it yet.
    """

    def missing(said: RecorderState) -> list[str]:
        known = {topic: client.node.count_publishers(topic) for topic in said.publishers}
        few = [f"{t} from {n} of {known[t]} publishers" for t, n in said.publishers.items() if n < known[t]]
        return [f"nothing on {topic}" for topic in said.unheard] + few

    if client.wait_for(RECORDER_STATE, lambda said: not missing(said), timeout_s) is None:
        said = client.heard(RECORDER_STATE)
        raise EmmaError(
            "the recorder does not hear the robot",
            found="; ".join(missing(said)) if said else f"nothing on {RECORDER_STATE.name}",
            expected="messages of every publisher of every topic in its robot.yaml",
            fix="start the drivers, correct topics and types, or leave topics out with the recorder's parameter skip",
        )


class Session:
    """Drives a graph of robot, operator (policy or scripted) and, if `record`, recorder. One episode at a time."""

    def __init__(
        self,
        client: RosClient,
        *,
        operator: str = POLICY,
        record: bool = True,
        keep_failed: bool = True,
        timeout_s: float = 13.0,
        scene: Scene | None = None,
    ) -> None:
        """scene: who sets episodes up and judges them; None for the sim node."""
        self._scene = scene or SimulatedScene(client)
        self._client, self._operator, self._record = client, operator, record
        self._keep_failed, self._timeout_s = keep_failed, timeout_s
        self.current: Trial | None = None
        self.phase = "starting"
        self.rows: list[Row] = []
        client.listen(POLICY_STATE if operator == POLICY else SCRIPTED_STATE)
        if record:
            client.listen(RECORDER_STATE)

    def wait_until_ready(self) -> None:
        """Return when every node offers what an episode needs. EmmaError when one does not come up."""
        self._scene.wait_until_ready()
        if self._record:
            self._client.wait_for_service("/recorder/start", START_S)
        if self._operator == SCRIPTED:
            self._client.wait_for_service("/scripted_operator/start", START_S)
        elif self._client.wait_for(POLICY_STATE, lambda s: s.mode is not Mode.INACTIVE, START_S) is None:
            raise EmmaError("the policy node is not active", found="inactive", expected="configured and activated")

    def run(self, trial: Trial) -> Row:
        """Run one episode to its end. An episode under way when this raises is left to the recorder, which saves it."""
        self.current, self.phase = trial, "reset"
        asked = self._scene.reset(trial)
        self._instruct(asked.instruction)
        self._wait_until_heard()
        bag = str(self._client.ask("/recorder/start", EpisodeBegun).folder) if self._record else ""
        self.phase = "running"
        ending = (self._run_policy if self._operator == POLICY else self._run_scripted)(trial, asked)
        self.phase = "saving"
        kept = self._keep(ending.success) if self._record else None
        row = Row(
            seed=trial.seed,
            target=trial.target,
            domain=trial.domain,
            instruction=asked.instruction,
            placed_on=ending.placed_on,
            success=ending.success,
            seconds=ending.seconds,
            bag=bag,
            messages=kept.messages if kept else 0,
            lost=kept.dropped + kept.lost if kept else 0,
        )
        self.rows.append(row)
        return row

    @property
    def success(self) -> Rate:
        """So far."""
        return Rate(sum(row.success for row in self.rows), len(self.rows))

    def result(self) -> SessionResult:
        """What was done so far."""
        timings: dict[str, float] = {}
        runtime = ""
        if self._operator == POLICY:
            before = self._client.heard(POLICY_STATE)
            seen = before.stats_seq if before else 0
            # The node sums up once a second: wait for a summary that has the last episode in it.
            said = self._client.wait_for(POLICY_STATE, lambda s: s.stats_seq > seen + 1, 3.0)
            said = said or self._client.heard(POLICY_STATE)
            if said is not None:
                timings, runtime = dict(said.timings), f"{said.runtime}: {said.runtime_reason}"
        return SessionResult(rows=tuple(self.rows), timings=timings, runtime=runtime)

    def _instruct(self, instruction: str) -> None:
        """Say what to do, and go on when everyone concerned has heard it."""
        self._client.say("/instruction", instruction)
        if self._operator == POLICY:
            self._require_instructed(POLICY_STATE, instruction)
        if self._record:
            self._require_instructed(RECORDER_STATE, instruction)

    def _require_instructed[T: (PolicyState, RecorderState)](self, topic: Topic[T], instruction: str) -> None:
        if self._client.wait_for(topic, lambda s: s.instruction == instruction, ANSWER_S) is None:
            said = self._client.heard(topic)
            raise EmmaError(
                "the instruction was not heard",
                found=f"{topic.name} says {said.instruction!r}" if said else f"nothing on {topic.name}",
                expected=repr(instruction),
            )

    def _wait_until_heard(self) -> None:
        """Return when the recorder hears the robot, and everyone the operator: discovery is not done at once, and what
        is sent before then is in no episode."""
        if not self._record:
            return
        require_recorder_hears(self._client, ANSWER_S)
        if self._operator == POLICY:
            self._require_listeners(POLICY_STATE)
        else:
            self._require_listeners(SCRIPTED_STATE)

    def _require_listeners[T: (PolicyState, ScriptedState)](self, operator: Topic[T]) -> None:
        if self._client.wait_for(operator, lambda s: s.listeners >= 2, ANSWER_S) is None:
            said = self._client.heard(operator)
            raise EmmaError(
                "the commands are not heard",
                found=f"{said.listeners if said else 0} listeners",
                expected="the robot and the recorder",
            )

    def _run_policy(self, trial: Trial, asked: Asked) -> Ending:
        self._client.set_parameters("/policy", {"seed": trial.seed})
        self._enable()
        try:
            ending = self._scene.wait_until_over(asked, self._timeout_s)
        finally:
            # Before a person is asked anything.
            self._client.switch("/policy/enable", False)
        return ending or self._scene.judge(asked)

    def _enable(self) -> None:
        """Enable the policy; on a busy machine its streams may need a moment to be fresh again."""
        deadline = time.monotonic() + ENABLE_S
        while True:
            try:
                self._client.switch("/policy/enable", True)
                return
            except EmmaError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _run_scripted(self, trial: Trial, asked: Asked) -> Ending:
        self._client.trigger("/scripted_operator/start", 60.0)
        if self._client.wait_for(SCRIPTED_STATE, lambda s: s.state == "done", DEMONSTRATION_S) is None:
            raise EmmaError("the demonstration does not end", found=self._client.heard(SCRIPTED_STATE), expected="done")
        # The last command is on its way to the robot; an object may still be coming to rest.
        return self._scene.judge(asked, 1.0)

    def _keep(self, success: bool) -> EpisodeEnded:
        self._client.switch("/recorder/mark_success", success)
        how = "save" if success or self._keep_failed else "discard"
        return self._client.ask(f"/recorder/{how}", EpisodeEnded, 60.0)
