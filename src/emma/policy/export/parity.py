"""The gate: exported graphs in ONNX Runtime against the unpatched LeRobot policy, from sensors to joint targets."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from emma.errors import EmmaError
from emma.observation import Observation
from emma.policy.bundle import Bundle
from emma.policy.exported import ExportInfo, Parity
from emma.policy.runtime.graph_runtime import GraphRuntime, Graphs
from emma.policy.runtime.torch_runtime import TorchRuntime

TOLERANCE = 1e-4
REFUSED = "export-refused.npz"


class Case(NamedTuple):
    """One input of the comparison."""

    observation: Observation
    instruction: str


class Difference(NamedTuple):
    """What one case gave. error: the larger of the largest differences in robot units and of normalised actions."""

    case: Case
    expected: np.ndarray
    found: np.ndarray
    error: float


def compare(
    bundle: Bundle,
    info: ExportInfo,
    graphs: Graphs,
    cases: Sequence[Case],
    advance: Callable[[], None],
    *,
    folder: Path | None = None,
) -> list[Difference]:
    """Every case through LeRobot in eager torch and through `graphs`, each from the same noise.

    folder: of the exported files, by default the bundle's.
    """
    reference = TorchRuntime(bundle)
    candidate = GraphRuntime(bundle, info, graphs, name="candidate", folder=folder)
    scale = np.minimum(np.array(info.action_scale, np.float32), 1.0)
    differences = []
    for seed, case in enumerate(cases):
        for runtime in (reference, candidate):
            runtime.reset(seed)
        expected = reference.infer(*case)
        found = candidate.infer(*case)
        # NaN must not pass as a small number: max of an array with NaN is NaN.
        error = float(np.max(np.abs(found - expected) / scale)) if found.shape == expected.shape else float("nan")
        differences.append(Difference(case, expected, found, error))
        advance()
    return differences


def worst(differences: Sequence[Difference]) -> Difference:
    """The case that differs most; one with NaN before all others."""
    return max(differences, key=lambda d: np.inf if np.isnan(d.error) else d.error)


def parity(differences: Sequence[Difference], reference: str, tolerance: float = TOLERANCE) -> Parity:
    """The result over all cases."""
    return Parity(
        max_abs_error=worst(differences).error,
        tolerance=tolerance,
        observations=len(differences),
        reference=reference,
    )


def refuse(bundle: Bundle, differences: Sequence[Difference], result: Parity) -> EmmaError:
    """Save the worst input with both outputs beside the bundle's weights, and say so."""
    case, expected, found, error = worst(differences)
    path = Path(bundle.path) / REFUSED
    arrays: dict[str, Any] = {f"image_{name}": image for name, image in case.observation.images.items()}
    arrays |= {"state": case.observation.state, "instruction": np.array(case.instruction)}
    np.savez_compressed(path, **arrays, expected=expected, found=found)
    return EmmaError(
        f"the exported graphs of {bundle.path} do not give the policy's actions; nothing was exported",
        found=f"max abs error {error:.2e} over {result.observations} observations",
        expected=f"at most {result.tolerance:.0e}",
        fix=f"the worst input is in {path}; run the bundle with the torch runtime",
    )
