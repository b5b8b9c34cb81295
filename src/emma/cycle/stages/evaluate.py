"""The current policy and the candidate on the same trials, the verdict, and a report."""

import json
import math
from dataclasses import asdict
from pathlib import Path

from emma.cycle.data import held_out_datasets
from emma.cycle.evaluators import InSimulator, Measure, OnHeldOut, remaining
from emma.cycle.gate import Trial, judge
from emma.cycle.job import Job, Made
from emma.cycle.report import write_report
from emma.cycle.simulation import simulation_of
from emma.files import atomic_write_text, read_json_lines, sha256_file
from emma.policy.bundle import load_bundle
from emma.policy.runtime import open_runtime

TRIALS, VERDICT = "trials.jsonl", "verdict.json"
SIDES = ("before", "after")


def work(job: Job) -> Made:
    """Trials that a killed attempt finished are not run again: each depends on its own seed alone."""
    config, rows = job.cycle.config, _rows(job.folder / TRIALS)
    bundles = dict(zip(SIDES, map(load_bundle, (job.baseline, job.candidate)), strict=True))
    measure = _measure(job, bundles["before"].info.cameras)
    total, runtimes = 2 * len(measure.trials), {}
    try:
        for side in SIDES:
            runtime = open_runtime(bundles[side], kind=config.evaluate.runtime)
            runtimes[side] = runtime.name
            try:
                for trial in remaining(measure.trials, rows, side):
                    score, more = measure.run(bundles[side], runtime, trial)
                    row = {"side": side, "group": trial[0], "start": trial[1], "score": score, **more}
                    rows.append(row)
                    _append(job.folder / TRIALS, row)
                    job.progress(len(rows), total, _note(rows, side, measure.rates))
            finally:
                runtime.close()
    finally:
        measure.close()
    scores = {(row["side"], row["group"], row["start"]): row["score"] for row in rows}
    trials = [
        Trial(group=g, start=s, before=scores["before", g, s], after=scores["after", g, s]) for g, s in measure.trials
    ]
    verdict = judge(trials, config.gate, seed=job.cycle.seed, rates=measure.rates)
    results = {**asdict(verdict), "measure": config.measure, "runtimes": runtimes}
    atomic_write_text(job.folder / VERDICT, json.dumps(results, indent=2) + "\n")
    write_report(job, verdict, results)
    return Made(outputs={VERDICT: sha256_file(job.folder / VERDICT)}, results=results)


def _measure(job: Job, cameras: tuple[str, ...]) -> Measure:
    config = job.cycle.config
    if config.measure == "simulator":
        return InSimulator(config.evaluate, simulation_of(config), cameras, job.cycle.number)
    return OnHeldOut(config.evaluate, held_out_datasets(job.cycle, job.before), cameras)


def _rows(file: Path) -> list[dict]:
    """What is there, without a line that was torn; the file is mended so that the next line begins a line."""
    rows = read_json_lines(file) if file.is_file() else []
    atomic_write_text(file, "".join(json.dumps(row) + "\n" for row in rows))
    return rows


def _append(file: Path, row: dict) -> None:
    with file.open("a") as out:
        out.write(json.dumps(row) + "\n")


def _note(rows: list[dict], side: str, rates: bool) -> str:
    mine = [row["score"] for row in rows if row["side"] == side]
    mean = math.fsum(mine) / len(mine)
    return f"{side} {mean:.0%} of {len(mine)}" if rates else f"{side} error {-mean:.3f}"
