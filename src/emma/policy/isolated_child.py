"""`python -m emma.policy.isolated_child IN OUT MEMORY`: the far end of `emma.policy.isolated.IsolatedRuntime`."""

import contextlib
import os
import select
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emma.policy.bundle import Bundle
    from emma.policy.runtime import PolicyRuntime
    from emma.policy.wire import Channel, Message

# As the nodes of the control path.
NICE = -10


def main(argv: list[str]) -> int:
    """Load what the first message names, then answer until the pipe is closed."""
    _step_back()
    # SIGTERM ends it at once, as nothing here needs an end; Ctrl+C is for the parent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(int(argv[0]),), name="parent", daemon=True).start()
    from emma.errors import EmmaError
    from emma.policy.runtime import open_runtime
    from emma.policy.wire import Channel
    from emma.robots.spec import load_robot

    channel = Channel(*map(int, argv))
    try:
        opened = channel.receive().values
        try:
            bundle = _bundle(opened)
            runtime = open_runtime(
                bundle,
                kind=opened["kind"],
                device=opened["device"],
                threads=opened["threads"],
                robot=load_robot(opened["robot"]) if opened["robot"] else None,
            )
        except EmmaError as error:
            parts = {"problem": error.problem, "found": error.found, "expected": error.expected, "fix": error.fix}
            channel.send({"refused": {key: None if part is None else str(part) for key, part in parts.items()}})
            return 2
        about = {"name": runtime.name, "reason": runtime.reason, "rtc": runtime.rtc}
        channel.send({**about, "past_s": runtime.past_s})
        while True:
            _answer(channel, runtime, channel.receive())
    except (EOFError, BrokenPipeError):
        return 0


def _bundle(opened: dict[str, Any]) -> "Bundle":
    from pathlib import Path

    from emma.policy.bundle import Bundle, BundleInfo, load_bundle

    if opened["info"] is None:
        return load_bundle(opened["bundle"])
    raw: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in opened["info"].items()}
    return Bundle(path=Path(opened["bundle"]), info=BundleInfo(**raw))


def _answer(channel: "Channel", runtime: "PolicyRuntime", asked: "Message") -> None:
    from emma.errors import EmmaError
    from emma.observation import Observation
    from emma.policy.chunk_blending import Previous

    values, arrays = asked
    try:
        if values["seed"] is not None:
            runtime.reset(values["seed"])
        observation = Observation(
            stamp_ns=values["stamp_ns"],
            state=arrays["state"],
            images=_under("images.", arrays),
            depth=_under("depth.", arrays),
            past=tuple(
                Observation(
                    stamp_ns=stamp_ns,
                    state=arrays[f"past.{i}.state"],
                    images=_under(f"past.{i}.images.", arrays),
                )
                for i, stamp_ns in enumerate(values.get("past_ns", ()))
            ),
        )
        more = [Previous(actions=arrays["previous"], **values["previous"])] if "previous" in values else []
        chunk = runtime.infer(observation, values["instruction"], *more)
    except Exception as error:  # whatever a policy raises is for the operator, and the next try may go well
        channel.send({"error": str(error) if isinstance(error, EmmaError) else f"{type(error).__name__}: {error}"})
        return
    channel.send({"note": runtime.note}, {"chunk": chunk})


def _end_with_parent(pipe: int) -> None:
    """Exit when the other end of `pipe` is closed, in the middle of loading or of an inference too."""
    poll = select.poll()
    poll.register(pipe, 0)  # hang-ups alone: what is written there is the main thread's
    poll.poll()
    os._exit(0)


def _under(prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _step_back() -> None:
    """Before compilers and trainings where that is allowed, and never before the control loop that started it.

    Comes before the imports, which take seconds. Where there was no program to do it earlier (`isolated`), this process
    has its parent's real-time class until here.
    """
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, 0, NICE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
