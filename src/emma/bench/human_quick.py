"""What needs no training: inverse kinematics of chunks, the import's speed, the shipped policy through tool poses."""

import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from emma.bench.hand_files import EXACT, Tracker, write_egodex
from emma.bench.human_plan import SLOW_DOWN, TARGETS
from emma.human.importing import ImportConfig, import_recordings
from emma.observation import Observation
from emma.policy.bundle import load_bundle
from emma.policy.chunk_blending import Previous
from emma.policy.end_effector.poses import absolute_chunk, relative_chunk
from emma.policy.end_effector.space import EndEffectorSpace
from emma.policy.runtime import PolicyRuntime, open_runtime
from emma.policy.runtime.cartesian import CartesianRuntime
from emma.resources import data_dir
from emma.robots.spec import RobotSpec, load_robot
from emma.sim.arm import DeskArm
from emma.sim.evaluate import EvalConfig, evaluate
from emma.sim.hand import HandSim
from emma.sim.hand_model import tool_from_hand

CHUNK = 16
# Chunks whose kinematics are timed.
CHUNKS, QUICK_CHUNKS = 1000, 200
EPISODES, QUICK_EPISODES = 40, 4
# Recordings of about five seconds each, as large as EgoDex'.
RECORDINGS, QUICK_RECORDINGS = 12, 2
VIDEO = (1920, 1080)
SHIPPED = "desk_arm_source"


class AsPoses:
    """A policy with joint actions as one with end-effector actions, through the relative chunks of a training."""

    rtc, note, isolated = "", "", False
    past_s: tuple[float, ...] = ()

    def __init__(self, inner: PolicyRuntime, space: EndEffectorSpace) -> None:
        self._inner, self._space = inner, space
        self.name, self.reason = inner.name, inner.reason
        self.joints: np.ndarray = np.zeros(0)

    def reset(self, seed: int) -> None:
        self._inner.reset(seed)

    def infer(self, observation: Observation, instruction: str, previous: Previous | None = None) -> np.ndarray:
        """(K, 10 G) absolute vectors; `joints` must hold the state that the policy inside takes."""
        seen = Observation(stamp_ns=observation.stamp_ns, state=self.joints, images=observation.images)
        chunk = self._space.encode(self._inner.infer(seen, instruction))
        there = relative_chunk(observation.state, chunk.astype(np.float32)).astype(np.float32)
        return absolute_chunk(observation.state, there)

    def close(self) -> None:
        self._inner.close()


class Detour(CartesianRuntime):
    """Joints -> poses -> relative chunk -> poses -> joints: what a policy with joint actions loses on the way."""

    def __init__(self, policy: PolicyRuntime, space: EndEffectorSpace, fps: int) -> None:
        self._policy = AsPoses(policy, space)
        super().__init__(self._policy, space, fps)

    def infer(self, observation: Observation, instruction: str, previous: Previous | None = None) -> np.ndarray:
        self._policy.joints = np.asarray(observation.state, np.float32)
        return super().infer(observation, instruction)


def quick_figures(quick: bool, seed: int) -> dict[str, Any]:
    """Times are of one thread."""
    spec = load_robot()
    figures = kinematics(spec, QUICK_CHUNKS if quick else CHUNKS, seed)
    figures |= imports(QUICK_RECORDINGS if quick else RECORDINGS, seed)
    return figures | detour(spec, QUICK_EPISODES if quick else EPISODES, seed)


def kinematics(spec: RobotSpec, chunks: int, seed: int) -> dict[str, Any]:
    """Processor time of a chunk's inverse kinematics, for motions within reach and for poses that leave it."""
    space, rng = EndEffectorSpace(spec), np.random.default_rng(seed)
    lower, upper = (np.array([getattr(joint, end) for joint in spec.joints]) for end in ("lower", "upper"))
    times: dict[str, list[float]] = {"": [], "_out_of_reach": []}
    worst = 0.0
    for name, away in (("", 0.0), ("_out_of_reach", 0.6)):
        for _ in range(chunks):
            start = np.array(spec.home) + np.append(rng.uniform(-0.4, 0.4, 6), -0.01)
            change = np.append(rng.uniform(-0.6, 0.6, 6), 0.0)
            motion = np.clip(start + change * np.linspace(0, 1, CHUNK)[:, None], lower, upper)
            chunk = space.encode(motion)
            chunk[:, 0] += away * np.linspace(0, 1, CHUNK)
            begun = time.thread_time()
            found = space.decode(chunk, start, 1.0 / spec.fps)
            times[name].append(1e3 * (time.thread_time() - begun))
            if not away:
                worst = max(worst, float(found.position_error_m.max()))
    figures = {f"ik_ms_per_chunk{name}": statistics.median(values) for name, values in times.items()}
    p99 = {f"ik_ms_per_chunk{name}_p99": float(np.quantile(values, 0.99)) for name, values in times.items()}
    return figures | p99 | {"ik_worst_error_mm": 1e3 * worst}


def imports(recordings: int, seed: int) -> dict[str, Any]:
    """Seconds of 1080p recordings over processor seconds of their import in one process, and what noise costs."""
    folder = Path(tempfile.mkdtemp(prefix="emma-bench-human-"))
    sim = HandSim()
    try:
        lost = []
        for i in range(recordings):
            episode = sim.episode(seed + i, TARGETS[i % 2])
            write_egodex(folder / "noisy" / f"{i}.hdf5", episode, Tracker(), seed=seed, size=VIDEO)
            lost.append(not episode.success)
        write_egodex(folder / "exact" / "0.hdf5", episode, EXACT)
        config = ImportConfig(
            camera="front", size=(96, 96), slow_down=SLOW_DOWN, tool_from_hand=tool_from_hand("right")
        )
        begun = time.process_time()
        results = import_recordings(folder / "noisy", folder / "out", config)
        spent = time.process_time() - begun
    finally:
        sim.close()
        shutil.rmtree(folder, ignore_errors=True)
    good = [result for result in results if result.outcome == "imported"]
    return {
        "import_realtime_factor": sum(result.seconds for result in good) / spent,
        "imported": len(good),
        "recordings": recordings,
        "hand_success": 1.0 - float(np.mean(lost)),
    }


def detour(spec: RobotSpec, episodes: int, seed: int) -> dict[str, Any]:
    """The shipped policy as it is, and with its chunks turned into tool poses and back."""
    bundle = load_bundle(data_dir("models") / SHIPPED)
    space, results = EndEffectorSpace(spec), {}
    unreached = 0
    with DeskArm(spec, cameras=bundle.info.cameras) as sim:
        for name in ("joint", "pose"):
            runtime = open_runtime(bundle)
            if name == "pose":
                runtime = Detour(runtime, space, bundle.info.fps)
            try:
                config = EvalConfig(episodes=episodes, seed=seed)
                results[name] = evaluate(sim, runtime, bundle.info.fps, config)
                unreached += runtime.unreached_chunks if isinstance(runtime, Detour) else 0
            finally:
                runtime.close()
    joint, pose = results["joint"].success, results["pose"].success
    return {
        "shipped_joint_success": joint.value,
        "shipped_through_poses_success": pose.value,
        "shipped_through_poses_interval": pose.interval,
        "shipped_unreached_chunks": unreached,
        "episodes": episodes,
    }
