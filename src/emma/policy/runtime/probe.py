"""One input with the policy's own answer, kept beside the graphs: whether they give it on this machine, too, is asked
whenever they are opened. Another processor, GPU or onnxruntime may compute otherwise than the one that exported."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from emma.errors import EmmaError
from emma.observation import Observation
from emma.policy.end_effector.poses import relative_chunk
from emma.policy.exported import ExportInfo

PROBE = "probe.npz"
# Outside the CPU matrix products may run in a shorter float (TF32), so directions are compared and not digits.
COSINE = 0.999


class Seeded(Protocol):
    """A runtime whose noise can be restarted."""

    def reset(self, seed: int) -> None: ...

    def infer(self, observation: Observation, instruction: str) -> np.ndarray: ...


def write_probe(folder: Path, observation: Observation, instruction: str, seed: int, expected: np.ndarray) -> None:
    """expected: (chunk, J) what the unpatched policy answers with the noise of `seed`."""
    images: dict[str, Any] = {f"image_{name}": image for name, image in observation.images.items()}
    arrays = {"state": observation.state, "instruction": np.array(instruction), "seed": np.array(seed), **images}
    np.savez_compressed(folder / PROBE, expected=expected, **arrays)


class Probe(NamedTuple):
    """The input that was kept, the seed of its noise, and the policy's answer (chunk, J)."""

    observation: Observation
    instruction: str
    seed: int
    expected: np.ndarray


def read_probe(folder: Path) -> Probe | None:
    """None for an export without a probe."""
    if not (folder / PROBE).is_file():
        return None
    with np.load(folder / PROBE) as kept:
        arrays: Mapping[str, np.ndarray] = dict(kept)
    images = {name.removeprefix("image_"): array for name, array in arrays.items() if name.startswith("image_")}
    observation = Observation(stamp_ns=0, state=arrays["state"], images=images)
    return Probe(observation, str(arrays["instruction"]), int(arrays["seed"]), arrays["expected"])


def check_probe(folder: Path, info: ExportInfo, runtime: Seeded, *, device: str) -> str:
    """How the graphs did, in words; "" for an export without a probe. The noise sequence is restarted.

    Raises EmmaError if they do not give the policy's answer here.
    """
    probe = read_probe(folder)
    if probe is None:
        return ""
    runtime.reset(probe.seed)
    found = runtime.infer(probe.observation, probe.instruction)
    runtime.reset(0)
    error = np.abs(found - probe.expected) / np.minimum(np.array(info.action_scale, np.float32), 1.0)
    worst = float(error.max())
    if device == "cpu":
        tolerance = info.parity.tolerance if info.parity is not None else 0.0
        good, said = worst <= tolerance, f"max abs error {worst:.1e}"
    else:
        cosine = _cosine(*(_normalised(chunk, probe.observation.state, info) for chunk in (found, probe.expected)))
        good, said = cosine >= COSINE, f"cosine {cosine:.5f}"
    if not good:
        raise EmmaError(
            "the exported graphs do not give the policy's answer on this machine",
            found=said,
            expected=f"what LeRobot gives, as in {folder / PROBE}",
            fix=f"run `emma export {folder.parent}` here",
        )
    return said


def _normalised(chunk: np.ndarray, state: np.ndarray, info: ExportInfo) -> np.ndarray:
    if info.relative_poses:
        chunk = relative_chunk(state, chunk)
    moved: np.ndarray = chunk - np.array(info.relative) * state[: chunk.shape[1]] - np.array(info.action_shift)
    return moved / np.array(info.action_scale)


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.vdot(a, b) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))
