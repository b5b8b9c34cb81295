"""The console node: drives episodes on a graph that runs already, as under `ros2 launch`, and ends with a summary."""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from emma import interrupts
from emma.errors import EmmaError
from emma.files import atomic_write_text
from emma.recording.recorder_state import RECORDER_STATE
from emma.robots.spec import load_robot
from emma.ros.client import RosClient
from emma.ros.parameters import declare, parameter, robot_parameter
from emma.sessions.drive import shown
from emma.sessions.scene import JUDGES, PERSON, PersonScene
from emma.sessions.session import OPERATORS, POLICY, Session, trials
from emma.sessions.summary import draw_sheet, show


@dataclass(frozen=True, kw_only=True)
class ConsoleParameters:
    """Parameters of the console node."""

    robot: str = robot_parameter()
    episodes: int = parameter(6, "episodes to run", minimum=1)
    seed: int = parameter(10_000, "seed of the first episode", minimum=0)
    domain: str = parameter("", "visual appearance of the simulator; empty: leave it as it is")
    held_out_words: bool = parameter(False, "ask in words that no training data has")
    operator: str = parameter("policy", "who moves the robot", choices=OPERATORS)
    record: bool = parameter(True, "record every episode with the recorder node")
    judge: str = parameter(
        "simulator", "who sets episodes up and judges them: simulator, or person, in this terminal", choices=JUDGES
    )
    instructions: tuple[str, ...] = parameter((), "judge person: what episodes ask for, in turn")
    timeout_s: float = parameter(13.0, "an episode that is not settled by then has failed", minimum=0.1)
    result: str = parameter("", "file for the result as JSON")
    sheet: str = parameter("", "file for a contact sheet of what the cameras saw (PNG)")


def main() -> int:
    """Run the episodes. 0 when done or told to stop, 2 when a node is missing or refuses."""
    interrupts.begin("console")
    try:
        with interrupts.raising(), RosClient("console", args=sys.argv) as client:
            return _drive(client)
    except EmmaError as error:
        print(f"emma: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0


def _drive(client: RosClient) -> int:
    values = declare(client.node, ConsoleParameters)
    spec = load_robot(values.robot)
    scene = PersonScene(values.instructions) if values.judge == PERSON else None
    session = Session(client, operator=values.operator, record=values.record, timeout_s=values.timeout_s, scene=scene)
    plan = trials(values.episodes, values.seed, held_out_words=values.held_out_words)
    plan = [replace(trial, domain=values.domain) for trial in plan]
    with shown(client, session, len(plan), table=scene is None) as report:
        try:
            session.wait_until_ready()
            for trial in plan:
                session.run(trial)
                report()
        except KeyboardInterrupt:
            if values.operator == POLICY:
                client.switch("/policy/enable", False)
    result = session.result()
    if not result.rows:
        return 0
    recorder = client.heard(RECORDER_STATE) if values.record else None
    sheet = draw_sheet(result, spec, Path(values.sheet)) if values.sheet else None
    show(result, bags=recorder.root if recorder else None, sheet=sheet)
    if values.result:
        atomic_write_text(values.result, json.dumps(result.to_json(), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
