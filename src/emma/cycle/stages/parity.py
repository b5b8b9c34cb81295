"""The bundle as it will be deployed against the policy itself, on observations that the export was not checked on."""

import json

import numpy as np

from emma.cycle.data import held_out_datasets, real_datasets
from emma.cycle.job import Job, Made
from emma.cycle.parity_inputs import recorded_cases
from emma.errors import EmmaError
from emma.files import atomic_write_text, sha256_file
from emma.policy.bundle import load_bundle
from emma.policy.runtime import open_runtime

FILE = "parity.json"


def work(job: Job) -> Made:
    """Raises EmmaError if the runtime that `auto` chooses gives other actions than torch."""
    settings, bundle = job.cycle.config.export, load_bundle(job.candidate)
    datasets = held_out_datasets(job.cycle, job.before) or real_datasets(job.cycle, job.before)
    cases = recorded_cases(datasets, bundle, settings.observations, job.cycle.seed + 1)
    deployed, reference = open_runtime(bundle), open_runtime(bundle, kind="torch")
    worst = 0.0
    try:
        for i, case in enumerate(cases):
            actions = []
            for runtime in (deployed, reference):
                runtime.reset(i)
                actions.append(runtime.infer(*case))
            error = float(np.max(np.abs(actions[0] - actions[1])))
            # NaN is larger than anything.
            worst = error if np.isnan(error) else max(worst, error)
            if not worst <= settings.tolerance:
                break
            job.progress(i + 1, len(cases), "")
    finally:
        deployed.close()
        reference.close()
    if not worst <= settings.tolerance:
        raise EmmaError(
            f"{deployed.name} gives other actions than the policy",
            found=f"a difference of {worst:.2e} rad or m",
            expected=f"at most {settings.tolerance:.0e}",
            fix="set export.enabled: false to deploy with torch, and report the bundle",
        )
    figures = {"runtime": deployed.name, "max_abs_error": worst, "observations": len(cases)}
    atomic_write_text(job.folder / FILE, json.dumps(figures, indent=2) + "\n")
    return Made(outputs={FILE: sha256_file(job.folder / FILE)}, results=figures)
