"""The candidate as a new version, and current, if the verdict says so."""

from emma.cycle.job import Job, Made, versions_of


def work(job: Job) -> Made:
    """Killed anywhere in between, the next attempt ends with the same one version."""
    verdict = job.before["evaluate"].results
    if not verdict["promote"]:
        return Made(results={"version": 0}, skipped="not better: " + "; ".join(verdict["reasons"]))
    versions, cycle = versions_of(job.cycle), job.cycle
    figures = {
        "gain": verdict["gain"],
        "interval": verdict["interval"],
        "p": verdict["p"],
        "measure": verdict["measure"],
    }
    number = versions.add(job.candidate, cycle=cycle.number, before=cycle.baseline, figures=figures)
    # It may have been promoted by an attempt that was killed, and rolled back since.
    if any(row["number"] == number for row in versions.history()):
        return Made(results={"version": number})
    if versions.current != cycle.baseline:
        why = f"version {versions.current} became current meanwhile, the comparison was with {cycle.baseline}"
        return Made(results={"version": 0}, skipped=why)
    versions.promote(number, f"better by {verdict['gain']:+.3f} in cycle {cycle.number}")
    return Made(results={"version": number})
