"""Which generated clips are trained on. The augmentation sorted them; here a run that went wrong is stopped."""

from collections import Counter
from pathlib import Path
from typing import Any

from emma.cycle.job import Job, Made
from emma.datasets.index import read_provenance

REJECTED = "rejected"


def work(job: Job) -> Made:
    """Counts what was kept and why the rest was not; datasets with too small a share of kept clips are not used."""
    augmented = job.before["augment"]
    least, used = job.cycle.config.filter.min_accepted, []
    rows: list[dict[str, Any]] = []
    for name in augmented.outputs:
        folder = (job.cycle.stage("augment") / name).resolve()
        kept, gone = _provenance(folder), _provenance(folder / REJECTED)
        total = len(kept) + len(gone)
        share = len(kept) / total if total else 0.0
        if kept and share >= least:
            used.append(name)
        # "flicker_error 0.3 is ..." and the like, counted by their first word.
        reasons = Counter(str(row.get("reason") or "not said").split()[0] for row in gone)
        rows.append(
            {"made": name, "kept": len(kept), "rejected": len(gone), "reasons": dict(reasons), "used": name in used}
        )
    if not used:
        worst = ", ".join(f"{row['kept']} of {row['kept'] + row['rejected']}" for row in rows)
        return Made(
            skipped=f"too few clips passed the filter ({worst}): nothing generated is used", results={"datasets": rows}
        )
    return Made(outputs={}, results={"datasets": rows, "used": used})


def _provenance(folder: Path) -> list[dict]:
    return list(read_provenance(folder)) if (folder / "meta").is_dir() else []
