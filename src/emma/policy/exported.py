"""`BUNDLE/export/export.json`: what was exported, of which weights, and whether it gives the same actions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from emma.errors import EmmaError
from emma.files import atomic_write_text, sha256_file
from emma.records import decode, encode

FOLDER, MANIFEST, TOKENIZER = "export", "export.json", "tokenizer.json"
# The files of a bundle that decide its actions.
DECISIVE = ("config.json", "model.safetensors", "policy_preprocessor*", "policy_postprocessor*")


@dataclass(frozen=True, kw_only=True)
class FlowInfo:
    """steps: Euler steps; noise_scale: deviation of the first noise; trained_delay: largest frozen prefix trained."""

    steps: int
    noise_scale: float
    trained_delay: int = 0


@dataclass(frozen=True, kw_only=True)
class TokenizerInfo:
    """How `tokenizer.json` (of the `tokenizers` library, padded to the graph's length) reads an instruction.

    newline: the instruction ends with one; masked: token ids that the mask leaves out, beside the padding.
    """

    newline: bool
    masked: tuple[int, ...]
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Largest difference to the unpatched policy over `observations` inputs.

    max_abs_error: of normalised actions and of actions in the robot's units, whichever is larger.
    """

    max_abs_error: float
    tolerance: float
    observations: int
    reference: str

    @property
    def passed(self) -> bool:
        # A comparison with NaN is false, so a graph that gives NaN does not pass.
        return self.max_abs_error <= self.tolerance


@dataclass(frozen=True, kw_only=True)
class ExportInfo:
    """The content of `export.json`.

    weights: file -> sha256 of what was exported; graphs: graph -> sha256 of its files; cameras: name -> (H, W);
    width: actions as the model knows them; tokens: language tokens, 0 without language; state_in_words: they say the
    state, too, which is then no input of its own; action_shift, action_scale: normalised actions to the robot's units;
    relative: for each action whether the state is added; relative_poses: end-effector actions are in the tools' frames;
    tokenizer: None where only the bundle's pre-processor makes the tokens.
    """

    policy_type: str
    weights: Mapping[str, str]
    graphs: Mapping[str, Mapping[str, str]]
    cameras: Mapping[str, tuple[int, int]]
    joints: int
    chunk: int
    width: int
    tokens: int
    action_shift: tuple[float, ...]
    action_scale: tuple[float, ...]
    relative: tuple[bool, ...]
    flow: FlowInfo | None
    state_in_words: bool = False
    relative_poses: bool = False
    tokenizer: TokenizerInfo | None = None
    parity: Parity | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    VERSION: ClassVar[int] = 1


def weights_of(bundle: Path) -> dict[str, str]:
    """File -> sha256 of everything in a bundle that decides its actions."""
    files = sorted({file for pattern in DECISIVE for file in bundle.glob(pattern) if file.is_file()})
    return {file.name: sha256_file(file) for file in files}


def graph_files(folder: Path, graph: str) -> dict[str, str]:
    """File -> sha256 of a graph and of the weights beside it."""
    return {file.name: sha256_file(file) for file in sorted(folder.glob(f"{graph}.onnx*"))}


def write_export(folder: Path, info: ExportInfo) -> None:
    """Write `export.json`."""
    atomic_write_text(folder / MANIFEST, encode(info, indent=2) + "\n")


def read_export(folder: Path) -> ExportInfo:
    """Read `folder/export.json`. Raises EmmaError if it is not there or not what `emma export` writes."""
    file = folder / MANIFEST
    if not file.is_file():
        raise EmmaError(
            f"{folder.parent} has no exported graphs",
            found=f"no {file}",
            expected="graphs with their manifest",
            fix=f"run `emma export {folder.parent}`",
        )
    return decode(ExportInfo, file.read_bytes(), str(file), fix=f"run `emma export {folder.parent}` again")


def usable_export(bundle: Path) -> ExportInfo:
    """The export of a bundle whose graphs and weights are unchanged and which passed parity. Raises EmmaError else."""
    folder = bundle / FOLDER
    info = read_export(folder)
    again = f"run `emma export {bundle}` again"
    if weights_of(bundle) != info.weights:
        raise EmmaError(
            "the exported graphs are of other weights", found="the bundle changed", expected="as exported", fix=again
        )
    for graph, files in info.graphs.items():
        if graph_files(folder, graph) != files:
            raise EmmaError(f"graph '{graph}' was changed", found="another hash", expected="as exported", fix=again)
    file = folder / TOKENIZER
    if info.tokenizer is not None and (not file.is_file() or sha256_file(file) != info.tokenizer.sha256):
        raise EmmaError(f"{file} was changed", found="another file or none", expected="as exported", fix=again)
    if info.parity is None or not info.parity.passed:
        raise EmmaError(
            "the exported graphs did not pass parity",
            found="no check" if info.parity is None else f"max abs error {info.parity.max_abs_error:.2e}",
            expected="a passed check",
            fix=again,
        )
    return info
