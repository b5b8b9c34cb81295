"""Who makes the clips: this process, or processes of Ray on this machine or a cluster."""

import os
import tempfile
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from emma.augmentation.clips import ClipMaker, ClipTask, GeneratorCard, MadeClip, Tools
from emma.errors import EmmaError
from emma.files import no_room

# A worker holds torch, the generator and a clip.
WORKER_BYTES = 2 << 30
# What Ray keeps in shared memory on this machine: episodes on their way to workers, and clips on their way back.
_STORE_BYTES = 512 << 20


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A task with its clip, or with the error and its traceback."""

    task: ClipTask
    made: MadeClip | None = None
    error: EmmaError | None = None
    trace: str = ""


class Crew(Protocol):
    """Makes clips in any order."""

    def card(self) -> GeneratorCard: ...

    def run(self, tasks: Iterable[ClipTask]) -> Iterator[Outcome]: ...


class LocalExecutor:
    """One clip after the other, here."""

    def __init__(self, tools: Tools) -> None:
        self.maker = ClipMaker(tools)

    def card(self) -> GeneratorCard:
        return self.maker.card()

    def run(self, tasks: Iterable[ClipTask]) -> Iterator[Outcome]:
        for task in tasks:
            made, error, trace = _attempt(self.maker, task)
            yield Outcome(task=task, made=made, error=error, trace=trace)


class RayWorkers:
    """Workers that each have the tools; a task goes to the first that is free."""

    def __init__(self, tools: Tools, workers: int, gpus: float) -> None:
        import ray

        self._ray = ray
        # An actor asks for one core, so torch takes one thread; its share of the GPUs is what it sees of them.
        actor = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0)(_Worker)
        self._workers: list[Any] = [actor.remote(tools) for _ in range(workers)]

    def card(self) -> GeneratorCard:
        card, error = self._got(self._workers[0].card.remote())
        if error is not None:
            raise error
        found: GeneratorCard = card
        return found

    def run(self, tasks: Iterable[ClipTask]) -> Iterator[Outcome]:
        free, waiting = list(self._workers), dict[Any, tuple[Any, ClipTask]]()
        left = iter(tasks)
        episode, stored = -1, None
        while True:
            while free and (task := next(left, None)) is not None:
                if task.episode.index != episode:
                    # Once for all of its variants.
                    episode, stored = task.episode.index, self._ray.put(task.episode)
                worker = free.pop()
                rest = (task.variant, task.prompt, task.seed, task.cameras, task.features)
                waiting[worker.make.remote(stored, *rest)] = (worker, task)
            if not waiting:
                return
            [done], _ = self._ray.wait(list(waiting), num_returns=1)
            worker, task = waiting.pop(done)
            free.append(worker)
            made, error, trace = self._got(done)
            yield Outcome(task=task, made=made, error=error, trace=trace)

    def _got(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            raise EmmaError(
                "a worker process died",
                found=str(error).strip().splitlines()[0],
                expected=f"a process with about {WORKER_BYTES >> 30} GB each, that can import emma",
                fix="run the same command again to go on, with fewer --workers if memory is short",
            ) from None


class _Worker:
    """A ClipMaker in a process of its own. The tools are built at the first call, so that what fails can be told."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._maker: ClipMaker | None = None

    def card(self) -> tuple[GeneratorCard | None, EmmaError | None]:
        try:
            return self._made().card(), None
        except Exception as error:
            return None, _told(error)

    def make(self, episode: Any, variant: int, prompt: Any, seed: int, cameras: Any, features: Any) -> Any:
        task = ClipTask(episode=episode, variant=variant, prompt=prompt, seed=seed, cameras=cameras, features=features)
        return _attempt(self._made(), task)

    def _made(self) -> ClipMaker:
        if self._maker is None:
            self._maker = ClipMaker(self._tools)
        return self._maker


def _attempt(maker: ClipMaker, task: ClipTask) -> tuple[MadeClip | None, EmmaError | None, str]:
    try:
        return maker.make(task), None, ""
    except Exception as error:  # a generator may raise anything; other clips can still be made
        return None, _told(error), traceback.format_exc()


def _told(error: Exception) -> EmmaError:
    if isinstance(error, EmmaError):
        return error
    if found := no_room(error):
        return EmmaError(
            "no room for what a clip needs meanwhile",
            found=found,
            expected=f"room for a clip's pictures in {tempfile.gettempdir()}",
            fix="make room there, or set TMPDIR to a folder with more",
        )
    return EmmaError("the generator failed", found=f"{type(error).__name__}: {error}".strip()[:500])


@contextmanager
def crew(tools: Tools, workers: int | None, address: str | None) -> Iterator[Crew]:
    """`workers` of them: one is this process, more are Ray's, on this machine unless `address` is a cluster's.

    None: as many as there are GPUs, else one (of a cluster: its GPUs, else its cores). Nothing leaves the machine
    unless it is to go to the cluster: no dashboard, no usage statistics, a local Ray bound to the loopback.
    """
    if address is None:
        workers = default_workers() if workers is None else workers
        if workers == 1:
            yield LocalExecutor(tools)
            return
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Ray would start workers through uv where the driver was, and hide GPUs from workers that ask for none.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address is None:
        # Where no cluster is allowed Ray keeps to the loopback; else it listens to everybody, whatever address it gets.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    import logging

    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address is None:
            ray.init(
                address="local",
                num_cpus=workers,
                include_dashboard=False,
                object_store_memory=_STORE_BYTES,
                _node_ip_address="127.0.0.1",
                **quiet,
            )
        else:
            ray.init(address=address, **quiet)
    except Exception as error:  # Ray raises bare ones for what does not start in time
        ray.shutdown()
        raise EmmaError(
            "cannot reach Ray" if address else "cannot start Ray",
            found=str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__,
            expected=f"a cluster at {address}" if address else "room for its processes",
            fix="check `ray status`, or leave --ray out" if address else "use --workers 1, which needs no Ray",
        ) from None
    try:
        resources = ray.cluster_resources()
        gpus = resources.get("GPU", 0.0)
        workers = max(1, int(gpus or resources.get("CPU", 1))) if workers is None else workers
        yield RayWorkers(tools, workers, min(1.0, gpus / workers))
    finally:
        ray.shutdown()


def default_workers() -> int:
    """As many as GPUs. Without one, this process alone: its threads use the cores already, and it needs no Ray."""
    import torch

    return max(1, torch.cuda.device_count())
