"""What `emma episodes` prints: plain tables and lines, so that they can be piped."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emma.bags.info import BagInfo, EpisodeEntry
    from emma.conversion.convert import ConvertReport

# A stream whose stamps jump all the time has a mark a second.
MARKS_SHOWN = 20


def entry_row(entry: "EpisodeEntry", root: Path) -> tuple[str, ...]:
    """A line of the list of `root`."""
    name = entry.path.name if entry.path == root else entry.path.relative_to(root).as_posix()
    megabytes = f"{entry.bytes / 1e6:.1f}"
    if entry.meta is None:
        return (name, "broken" if entry.problem else "foreign", "", "", "", megabytes, "", "")
    meta = entry.meta
    success = {True: "yes", False: "no", None: ""}[meta.success]
    return (
        name,
        meta.state,
        meta.kind,
        success,
        f"{meta.duration_s:.1f}",
        megabytes,
        str(meta.dropped or ""),
        meta.instruction,
    )


def print_info(info: "BagInfo") -> None:
    """What a bag is, without its topics."""
    if info.meta:
        meta = info.meta
        print(f"{meta.id}: {meta.state}, {meta.kind}, robot {meta.robot}, success {meta.success}")
        print(f"  instruction: {meta.instruction or '-'}; operator: {meta.operator or '-'}; started {meta.started}")
        for problem in meta.problems:
            print(f"  {problem}")
        for mark in meta.marks[:MARKS_SHOWN]:
            print(f"  at {(mark.time_ns - info.start_ns) / 1e9:.2f} s: {mark.label}")
        if len(meta.marks) > MARKS_SHOWN:
            print(f"  and {len(meta.marks) - MARKS_SHOWN} more marks in episode.yaml")
    else:
        print(f"{info.path}: no episode.yaml")
    for line in info.damage:
        print(f"  damaged: {line}")
    for line in info.notes:
        print(f"  {line}")
    end = "" if info.finished else ", UNFINISHED (emma episodes repair)"
    print(f"  {info.duration_s:.2f} s, {info.count} messages, {info.bytes / 1e6:.1f} MB{end}")
    if info.skew_s[1]:
        print(f"  cameras apart by {info.skew_s[0] * 1e3:.1f} ms (median), {info.skew_s[1] * 1e3:.1f} ms (largest)")


def print_report(report: "ConvertReport", out: Path) -> None:
    """What became of the bags, those first that did not convert."""
    for result in report.results:
        if result.outcome in ("refused", "skipped"):
            print(f"{result.outcome} {result.episode}: {result.reason}")
        for note in result.notes:
            print(f"{result.episode}: {note}")
    if any(result.outcome == "refused" and "older than" in result.reason for result in report.results):
        print("to do: give the cameras more processor time, record with --lockstep in the simulator, or --keep-stale")
    speed = f", {report.s_per_gb:.1f} s per GB of bag" if report.bag_bytes else ""
    print(
        f"{out}: {report.count('converted')} episodes, {report.frames} frames from {size(report.bag_bytes)} "
        f"in {report.seconds:.1f} s{speed} ({report.count('present')} there before, "
        f"{report.count('skipped')} skipped, {report.count('refused')} refused)"
    )


def size(count: int) -> str:
    """So many bytes, readable."""
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Columns as wide as their content, numbers to the right."""
    widths = [max(len(line[i]) for line in (header, *rows)) for i in range(len(header))]
    for line in (header, *rows):
        cells = [
            cell.rjust(width) if _is_number(cell) else cell.ljust(width)
            for cell, width in zip(line, widths, strict=True)
        ]
        print("  ".join(cells).rstrip())


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).isdigit()
