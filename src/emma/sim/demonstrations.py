"""Expert episodes as plain arrays, in this process."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from emma.observation import Observation
from emma.robots.spec import RobotSpec, load_robot
from emma.sim.domains import Domain, random_domain
from emma.sim.maker import DESK_ARM, SimulatorMaker
from emma.sim.scene import TARGETS
from emma.sim.simulator import Look, Simulator, observation

RANDOM = "random"
_LOOK = 4


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """One successful expert episode of T frames at the dataset's rate.

    observations: T of them; action: (T, 7) float32 clean joint targets at each frame's moment;
    executed: (T, 7) float32 what was sent (differs by the noise); failed: tries with other seeds before this one.
    """

    observations: tuple[Observation, ...]
    action: np.ndarray
    executed: np.ndarray
    instruction: str
    target: str
    seed: int
    domain: Look
    failed: int = 0

    @property
    def state(self) -> np.ndarray:
        """(T, 7) float32: measured joints."""
        return np.stack([o.state for o in self.observations])

    @property
    def images(self) -> Mapping[str, np.ndarray]:
        """Camera -> (T, H, W, 3) uint8."""
        return {c: np.stack([o.images[c] for o in self.observations]) for c in self.observations[0].images}

    @property
    def depth(self) -> Mapping[str, np.ndarray]:
        """Camera -> (T, H, W) uint16 mm."""
        return {c: np.stack([o.depth[c] for o in self.observations]) for c in self.observations[0].depth}


def demonstrations(
    n: int,
    *,
    seed: int = 0,
    domain: str | Domain = "source",
    noise: float = 0.02,
    cameras: Iterable[str] | None = None,
    fps: int | None = None,
    target: str | None = None,
    jitter: float = 0.0,
    depth: bool = True,
    spec: RobotSpec | None = None,
    maker: SimulatorMaker = DESK_ARM,
    task: str = "",
) -> Iterator[Demonstration]:
    """Yield `n` successful episodes with seeds from `seed` on; failed ones are dropped and counted in `failed`.

    domain: a name, a Domain, or "random" for a new look each episode (`jitter` as in `random_domain`).
    target: one for all of them; by default they alternate with the seed. depth: without it a fifth faster.
    maker: of the robot's simulator; task: one of its tasks, "" for the first.
    """
    spec = load_robot() if spec is None else spec
    failed = 0
    targets = maker.targets
    with maker.make(spec, cameras=cameras, task=task or maker.tasks[0]) as sim:
        while n > 0:
            sim.set_domain(domain_of(domain, seed, jitter))
            episode = demonstrate(
                sim, seed, target or target_of(seed, targets), noise=noise, fps=fps or spec.fps, depth=depth
            )
            seed += 1
            if episode is None:
                failed += 1
                continue
            yield replace(episode, failed=failed)
            n, failed = n - 1, 0


def target_of(seed: int, targets: Sequence[str] = TARGETS) -> str:
    """The target of a seed's episode: they take turns."""
    return targets[seed % len(targets)]


def domain_of(domain: str | Domain, seed: int, jitter: float = 0.0) -> str | Domain:
    """The look of a seed's episode: `domain` itself, or for "random" one that the seed decides."""
    return random_domain(np.random.default_rng([seed, _LOOK]), jitter=jitter) if domain == RANDOM else domain


def demonstrate[S: Simulator](
    sim: S,
    seed: int,
    target: str,
    *,
    noise: float,
    fps: int,
    depth: bool = True,
    watch: Callable[[S], None] | None = None,
) -> Demonstration | None:
    """One episode, or None if the expert failed (noise can make it drop the cube).

    watch: called at every frame's moment, after its observation. It may change the look, if it restores it.
    """
    task = sim.reset(seed, target)
    script = sim.script(noise=noise)
    rate = sim.spec.control_rate_hz
    frames = 1 + int((len(script.commands) - 1) * fps / rate)
    # The first control tick not before each frame's moment i / fps.
    ticks = {int(np.ceil(i * rate / fps - 1e-9)) for i in range(frames)}
    observations, clean, sent = [], [], []
    for tick, (command, executed) in enumerate(zip(script.commands, script.executed, strict=True)):
        if tick in ticks:
            observations.append(observation(sim, depth=depth))
            clean.append(command)
            sent.append(executed)
            if watch is not None:
                watch(sim)
        sim.step(executed)
    if not sim.outcome().success:
        return None
    return Demonstration(
        observations=tuple(observations),
        action=np.stack(clean),
        executed=np.stack(sent),
        instruction=task.instruction,
        target=task.target,
        seed=seed,
        domain=sim.domain,
    )
