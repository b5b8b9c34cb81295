"""Rows of a result as a table for people: one a bench whose figures are many."""

from collections.abc import Callable, Mapping
from typing import Any

from emma.bench.generalisation.table import generalisation

NOT_TRIED = "not tried"


def joins(figures: Mapping[str, Any]) -> list[str]:
    """Markdown lines: success and smoothness of every method at every latency."""
    latencies = figures["latencies_ms"]
    lines = []
    for key, title, number in (
        ("success", "success", "{:.0%}"),
        ("disagreement", "new chunk against the old one as it comes into play, largest, rad", "{:.3f}"),
        ("join_step", "largest step at a join, rad a tick, mean over episodes", "{:.4f}"),
        ("jerk", "jerk, rad/s³, root mean square", "{:.0f}"),
        ("seconds", "time of an episode, s", "{:.1f}"),
    ):
        lines += [
            f"| {title} | " + " | ".join(f"{ms} ms" for ms in latencies) + " |",
            "|---" * (len(latencies) + 1) + "|",
        ]
        for method in figures["methods"]:
            rows = [row for row in figures["cells"] if row["method"] == method]
            values = [number.format(row[key]) for row in rows]
            lines.append(f"| {rows[0]['about']} | " + " | ".join(values) + " |")
        lines.append("")
    return [*lines, "![Success, join step and jerk against latency](results/joins.png)"]


def dream(figures: Mapping[str, Any]) -> list[str]:
    """Markdown lines: the generator beside its ablations and the true pictures, and sheets of what they drew."""
    columns = {
        "colour_accuracy": ("colours named rightly", "{:.2f}"),
        "boundary_f": ("edges, F", "{:.2f}"),
        "psnr_db": ("PSNR, dB", "{:.1f}"),
        "multiview_ratio": ("views differ, x render", "{:.2f}"),
        "flicker_ratio": ("flicker, x render", "{:.2f}"),
        "cube_iou_wrist": ("cube, wrist, IoU", "{:.2f}"),
        "cube_iou_top": ("cube, top, IoU", "{:.2f}"),
        "seconds_per_episode": ("drawing, s an episode", "{:.1f}"),
        "seconds_per_variant": ("s a further variant", "{:.1f}"),
    }
    columns = {name: column for name, column in columns.items() if name in figures}
    lines = ["| | " + " | ".join(title for title, _ in columns.values()) + " |", "|---" * (len(columns) + 1) + "|"]
    for key in (key for key in figures if key.endswith("psnr_db")):
        prefix = key.removesuffix("psnr_db")
        values = [
            number.format(figures[prefix + name]) if prefix + name in figures else ""
            for name, (_, number) in columns.items()
        ]
        name = prefix.removesuffix("_").replace("_", " ") or "generator"
        lines.append(f"| {name} | " + " | ".join(values) + " |")
    lines += ["", *_dream_cost(figures)]
    # A quick run, which has one motion, draws none.
    sheets = figures["clips"] if figures["clips"] > 1 else 0
    return [*lines, "", *(f"![Motion {n}, all ways](results/dream-{n}.png)" for n in range(1, sheets + 1))]


def _dream_cost(figures: Mapping[str, Any]) -> list[str]:
    if "stages" not in figures:
        return []
    lines = ["| where the time goes, s on one core | first variant of an episode | each further one |", "|---|---|---|"]
    rows = figures["stages"]
    total = {"stage": "in all", **{key: sum(row[key] for row in rows) for key in ("first", "further")}}
    lines += [f"| {row['stage']} | {row['first']:.1f} | {row['further']:.1f} |" for row in (*rows, total)]
    lines += ["", f"A worker holds up to {figures['worker_rss_mb']} MB."]
    if rates := figures.get("variants_per_minute"):
        lines[-1] += " Variants a minute: " + ", ".join(f"{rate} with {n} at work" for n, rate in rates.items()) + "."
    return lines


def fullsize(figures: Mapping[str, Any]) -> list[str]:
    """Markdown lines: what a chunk costs by count, and what of it was measured."""
    counted = [row for row in figures["cells"] if "flops_per_chunk" in row]
    lines = [
        "| policy | cameras | parameters | weights read, prefix + step | operations a chunk | bytes a chunk, fp32 "
        "| roofline, CPU, one thread |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in counted:
        weights = f"{row['weights']['prefix'] / 1e6:.0f} M + {row['weights']['step'] / 1e6:.0f} M"
        lines.append(
            f"| {row['kind']} | {row['cameras']} | {row['parameters'] / 1e6:.0f} M | {weights} "
            f"| {row['flops_per_chunk'] / 1e9:.0f} GFLOP | {row['bytes_fp32'] / 1e9:.1f} GB "
            f"| {row['roofline_cpu_ms'] / 1e3:.2f} s |"
        )
    lines += [
        "",
        "| policy | cameras | layers | type | graphs, MB | parity | ONNX Runtime | LeRobot eager | roofline | state |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_cell(row) for row in figures["cells"] if "flops_per_chunk" not in row and row["device"] == "cpu"]
    lines += [
        "",
        "| policy | cameras | eager | compile | CUDA graph | ONNX Runtime CUDA | LeRobot eager | roofline | state |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return lines + [_gpu(row) for row in figures["cells"] if row.get("device", "cpu") != "cpu"]


def _cell(row: Mapping[str, Any]) -> str:
    graphs = " + ".join(f"{size / 1e6:.0f}" for size in row.get("graph_bytes", {}).values()) or NOT_TRIED
    parity = f"{row['parity_max_abs_error']:.1e}" if "parity_max_abs_error" in row else _absent(row)
    ours, theirs, least = (_ms(row, key) for key in ("onnxruntime_p50_ms", "torch_p50_ms", "roofline_cpu_ms"))
    layers = row["layers"] or "all"
    cells = (row["kind"], row["cameras"], layers, row["dtype"], graphs, parity, ours, theirs, least, row["state"])
    return "| " + " | ".join(map(str, cells)) + " |"


def _gpu(row: Mapping[str, Any]) -> str:
    names = ("eager", "compile", "cuda_graph", "onnxruntime_cuda", "lerobot_eager")
    values = [
        " / ".join(f"{row[f'{n}_p{p}_ms']:.1f}" for p in (50, 95, 99)) if f"{n}_p50_ms" in row else NOT_TRIED
        for n in names
    ]
    return (
        "| "
        + " | ".join([row["kind"], str(row["cameras"]), *values, _ms(row, "roofline_cuda_ms"), row["state"]])
        + " |"
    )


def _ms(row: Mapping[str, Any], key: str) -> str:
    return f"{row[key]:.0f} ms" if key in row else _absent(row)


def _absent(row: Mapping[str, Any]) -> str:
    """A bfloat16 graph cannot be run here; anything else was not."""
    return "cannot run on a CPU" if row["dtype"] == "bfloat16" and row["state"] == "measured" else NOT_TRIED


def control(figures: Mapping[str, Any]) -> list[str]:
    """Markdown lines: ticks and delays of every case that was run."""
    cases = {
        "": "raw images, 50 Hz, inference in a process",
        "jpeg_": "JPEG images, 50 Hz",
        "hz100_": "raw images, 100 Hz",
        "thread_": "raw images, 50 Hz, inference in a thread",
        "plain_": "raw images, 50 Hz, a plain timer",
    }
    columns = {
        "missed_ticks": ("missed", "{:.0f}"),
        "lateness_p99_ms": ("lateness p99, ms", "{:.2f}"),
        "stamp_to_command_p50_ms": ("camera to command p50, ms", "{:.0f}"),
        "stamp_to_command_p99_ms": ("p99, ms", "{:.0f}"),
        "command_gap_max_ms": ("longest gap between commands, ms", "{:.0f}"),
    }
    lines = ["| | ticks | " + " | ".join(title for title, _ in columns.values()) + " |"]
    lines.append("|---" * (len(columns) + 2) + "|")
    for prefix, about in cases.items():
        if f"{prefix}ticks" in figures:
            values = [number.format(figures[prefix + key]) for key, (_, number) in columns.items()]
            lines.append(f"| {about} | {figures[f'{prefix}ticks']} | " + " | ".join(values) + " |")
    return lines


def human(figures: Mapping[str, Any]) -> list[str]:
    """Markdown lines: what needs no training; success on each axis by diversity, robot alone and with hands."""
    about = {
        "ik_ms_per_chunk": ("inverse kinematics of a chunk of 16, ms of one thread", "{:.2f}"),
        "ik_ms_per_chunk_p99": ("... 99th percentile", "{:.2f}"),
        "ik_ms_per_chunk_out_of_reach": ("... of a chunk that leaves the reach", "{:.2f}"),
        "ik_worst_error_mm": ("worst error within reach, mm", "{:.4f}"),
        "import_realtime_factor": ("1080p recordings: their seconds over the import's processor seconds", "{:.1f}"),
        "shipped_joint_success": ("shipped policy with joint actions", "{:.0%}"),
        "shipped_through_poses_success": ("... its chunks turned into relative tool poses and back", "{:.0%}"),
        "ee_vs_joint": ("success with end-effector actions over joints, equal steps", "{:.2f}"),
        "gain_slope": ("gain from 0 to 100 % diversity, slope", "{:.2f}"),
        "shuffled_gain": ("gain of shuffled hands", "{:.2f}"),
    }
    plain = ["| | |", "|---|---|"]
    plain += [f"| {text} | {form.format(figures[key])} |" for key, (text, form) in about.items() if key in figures]
    if "cells" not in figures:
        return [*plain, "", "The table of transfer was not run: it takes a night without `--quick`."]
    rates = {(row["level"], row["data"], row["axis"]): row["rate"] for row in figures["cells"]}
    axes = list(dict.fromkeys(row["axis"] for row in figures["cells"]))
    head = " | ".join(f"{axis}: robot only | + human | gain" for axis in axes)
    lines = [*plain, "", f"| diversity | {head} |", "|---" * (3 * len(axes) + 1) + "|"]
    for level in figures["levels"]:
        values = []
        for axis in axes:
            alone, together = (rates[level, name, axis] for name in ("robot", "human"))
            values += [f"{alone:.0%}", f"{together:.0%}", f"{100 * (together - alone):+.0f}"]
        lines.append(f"| {level} % | " + " | ".join(values) + " |")
    return [*lines, "", "![Success by diversity of pretraining](results/human.png)"]


TABLES: Mapping[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "control": control,
    "joins": joins,
    "dream": dream,
    "fullsize": fullsize,
    "generalisation": generalisation,
    "generalisation_push": generalisation,
    "human": human,
}
