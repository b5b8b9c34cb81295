"""`docs/results.md` from the JSON files that the benches wrote: no figure in it was typed by hand."""

import json
from pathlib import Path
from typing import Any

from emma.bench.tables import TABLES
from emma.errors import EmmaError
from emma.provenance import CHANGED

TITLES = {
    "generalisation": (
        "Does the loop make a better robot?",
        "Success in appearances that no demonstration showed; 95 % intervals over training seeds and starts. The "
        "unseen ones are used for nothing but this table (explanation/proof.md).",
    ),
    "control": (
        "Control on a busy computer",
        "50 Hz beside sim, three cameras at 30 Hz and recorder on two cores; thread_: inference in the node's process; "
        "plain_: in the callback of a timer. swap_: the policy is changed while the arm moves.",
    ),
    "dream": (
        "The generator",
        "Unseen prompts and motions; `render_` is the simulator's true picture, the ceiling of every measure "
        "(reference/dream-metrics.md).",
    ),
    "joins": (
        "Inference latency and joins",
        "Closed loop in the simulator's time, the latency artificial (how-to/joins.md).",
    ),
    "fullsize": (
        "Full-size policies",
        "Real shapes, random weights (how-to/export.md). Roofline: bytes and operations of every graph over a measured "
        "copy and matrix product of the same run.",
    ),
    "loop": ("The loop through the ROS graph", "The shipped policy in the source appearance, recorder running."),
    "appearances": (
        "Other appearances",
        "The same policy, in process, in appearances it was not trained on: measured, not tuned.",
    ),
    "graphs": (
        "Exported graphs and TensorRT's rules",
        "Small policies with random weights; built and run by a stand-in for TensorRT (how-to/set-up.md).",
    ),
    "generalisation_push": (
        "A second task: pushing instead of placing",
        "The same rows, appearances and executor (reference/tasks.md); generator, filter and settings as they were.",
    ),
    "paths": ("ROS path against in-process path", "The same seeds both ways, and one recorded episode frame by frame."),
    "robots": (
        "Robots of others",
        "Policies in simulators of others, through the ROS graph (tutorials/robots-of-others.md); kinematics against "
        "the packages' own models.",
    ),
    "console": (
        "The console beside a robot",
        "Three 640 x 480 cameras at 30 Hz, recorder and policy on two cores; without prefix: three pages open, one_: "
        "one, _without: none (how-to/console.md).",
    ),
    "calibrate": (
        "Calibration",
        "A simulated rig with known truth: the worst of ten noise-free runs, and with noisy_ the 95th percentile of a "
        "hundred with backlash, delay, blur and uneven light (how-to/calibrating.md).",
    ),
    "loading": ("Reading datasets", "Beside LeRobot's own loader on the same dataset, in turn (how-to/datasets.md)."),
    "latency": ("Latency", "One action chunk on one thread; pairs interleaved in one process, medians of ratios."),
    "episodes": (
        "Recording",
        "A robot's full traffic into the recorder, ceilings in the same run, kills under load.",
    ),
    "soak": ("Half an hour of recording", "A tenth of the traffic; memory is the recorder's, the most in each minute."),
    "training": ("Training", "`emma train` on this machine's CPU."),
    "adamix": (
        "AdaMix",
        "What it adds to a step and an evaluation; ranking: probability that a spoilt episode is judged harder.",
    ),
    "inputs": (
        "Damaged inputs",
        "Seeded corruptions, converted and repaired; unprotected: storages without checksums, whose report states it "
        "(reference/bags.md).",
    ),
    "human": (
        "Learning from hands",
        "A simulated hand, recorded as EgoDex files and imported, beside robot data (how-to/human-video.md).",
    ),
    "setup": (
        "Set-up",
        "A fresh clone with warm package caches. fresh_: 1 where every command passed in a new root file system; "
        "python_lent: 1 where Python 3.12 came from outside of it.",
    ),
}
HEAD = """# Results

Written by `emma bench report` from the JSON files in `docs/results/`, which hold every figure. Do not edit by hand.
Shared machines are noisy: read ratios and medians, not single times. Nothing here ran on a GPU, on TensorRT or on a
real arm.
"""


def render(folder: Path, *, uncommitted: bool = False) -> str:
    """Markdown for every `<bench>.json` in `folder`, known benches first.

    Raises EmmaError for figures of a tree with uncommitted changes, which no commit can repeat; `uncommitted` shows
    them, marked as such.
    """
    documents = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    order = [name for name in TITLES if name in documents] + [name for name in documents if name not in TITLES]
    changed = [name for name in order if str(documents[name]["commit"]).endswith(CHANGED)]
    if changed and not uncommitted:
        raise EmmaError(
            "figures come from a tree with uncommitted changes",
            found=", ".join(f"{name}.json" for name in changed),
            expected="figures that a commit can repeat",
            fix="commit and run these benches again; --uncommitted shows them all the same, marked",
        )
    return "\n".join([HEAD, *(_section(name, documents[name]) for name in order)])


def _section(name: str, document: dict[str, Any]) -> str:
    title, text = TITLES.get(name, (name, ""))
    lines = [f"## {title}", ""]
    if text:
        lines += [text, ""]
    if str(document["commit"]).endswith(CHANGED):
        lines += ["**Measured on a tree with uncommitted changes: no commit repeats it exactly.**", ""]
    if name in TABLES:
        lines += TABLES[name](document["figures"])
    else:
        lines += ["| figure | value |", "|---|---|"]
        lines += [f"| `{key}` | {_value(value)} |" for key, value in document["figures"].items() if not _table(value)]
    machine = document["machine"]
    made_by = document.get("command", f"emma bench {name}")
    lines += ["", f"`{made_by}`, commit `{document['commit']}`, seed {document['seed']}, {machine['processor']}, "]
    lines[-1] += f"{machine['cores']} cores, {machine['memory_gib']} GiB, GPU: {machine['gpu'] or 'none'}."
    return "\n".join(lines) + "\n"


def _table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _value(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        # Two numbers are an interval, more are one for each setting.
        return (" to " if len(value) == 2 else ", ").join(_value(v) for v in value)
    return str(value)
