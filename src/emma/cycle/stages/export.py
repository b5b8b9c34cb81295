"""The candidate as a bundle to deploy, with graphs where its policy class has them."""

import shutil

from emma.cycle.data import real_datasets
from emma.cycle.job import Job, Made
from emma.cycle.parity_inputs import recorded_cases
from emma.cycle.stages.train import BUNDLE
from emma.cycle.versions import LEFT_OUT
from emma.files import atomic_dir, sha256_file
from emma.policy.bundle import load_bundle
from emma.policy.export.bundle_export import SUPPORTED, export_bundle
from emma.policy.exported import FOLDER, MANIFEST, weights_of


def work(job: Job) -> Made:
    """Graphs that do not give the policy's actions end the cycle: what is wrong, no robot shall find out."""
    settings, out = job.cycle.config.export, job.folder / BUNDLE
    if not out.is_dir():
        with atomic_dir(out) as aside:
            shutil.copytree(
                job.cycle.stage("train") / BUNDLE, aside, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*LEFT_OUT)
            )
    bundle = load_bundle(out)
    outputs = {f"{BUNDLE}/{name}": digest for name, digest in weights_of(out).items()}
    kind = bundle.info.policy_type
    if not settings.enabled or kind not in SUPPORTED:
        why = "export is switched off" if not settings.enabled else f"policies of type {kind} have no graphs"
        return Made(outputs=outputs, results={"graphs": {}, "why": f"{why}: it runs with torch"})
    cases = recorded_cases(real_datasets(job.cycle, job.before), bundle, settings.observations, job.cycle.seed)
    total, done = len(cases) + 4, 0

    def advance(what: str) -> None:
        nonlocal done
        done += 1
        job.progress(min(done, total), total, what)

    info = export_bundle(bundle, cases, reference="recordings", tolerance=settings.tolerance, progress=advance)
    assert info.parity is not None
    outputs[f"{BUNDLE}/{FOLDER}/{MANIFEST}"] = sha256_file(out / FOLDER / MANIFEST)
    return Made(outputs=outputs, results={"graphs": sorted(info.graphs), "max_abs_error": info.parity.max_abs_error})
