"""What the appearances look like, what the clips look like, and the table as bars."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emma.bench.generalisation.data import Data, kept_clips, rendered
from emma.bench.generalisation.plan import CAMERAS, SEEN, UNSEEN
from emma.bench.generalisation.table import TITLES, columns
from emma.dreamtransfer.score_sheets import sheet
from emma.sim.domains import load_domain
from emma.sim.tasks import DEFAULT

ALL = SEEN + UNSEEN
# A motion that no training shows; the moments of it that are shown.
SEED, MOMENTS = 900_000, 5
CLIPS = 6


def draw_appearances(file: Path, task: str | None = None) -> None:
    """The same motion in every appearance, a row each; task: the first one by default."""
    from emma.robots.spec import load_robot
    from emma.sim.arm import DeskArm
    from emma.sim.demonstrations import demonstrate, target_of

    spec = load_robot()
    shown: dict[str, dict[str, list[np.ndarray]]] = {name: {camera: [] for camera in CAMERAS} for name in ALL}
    moment, every = 0, 14

    def watch(sim: Any) -> None:
        nonlocal moment
        if moment % every == 0:
            own = sim.domain
            for name in ALL:
                sim.set_domain(name)
                for camera in CAMERAS:
                    shown[name][camera].append(sim.render(camera))
            sim.set_domain(own)
        moment += 1

    with DeskArm(spec, cameras=CAMERAS, task=task or DEFAULT) as sim:
        demonstrate(sim, SEED, target_of(SEED), noise=0.0, fps=spec.fps, depth=False, watch=watch)
    clips = [{camera: np.stack(pictures) for camera, pictures in shown[name].items()} for name in ALL]
    sheet(file, clips, [f"{name}: {load_domain(name).caption}" for name in ALL], MOMENTS)


def draw_table(figures: Mapping[str, Any], file: Path) -> None:
    """Success of every row in every appearance, with 95 % intervals."""
    import io

    from matplotlib.figure import Figure

    from emma.files import atomic_write_bytes

    rows = [row for row in figures["rows"] if row["state"] == "measured"]
    # Rows kept from an older table may have no random looks.
    varied = any(row.get("looks") is not None for row in rows)
    names = [name for name in columns(rows) if name != "looks" or varied]
    figure = Figure(figsize=(13, 4), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / max(1, len(rows))
    for n, row in enumerate(rows):
        values = np.array([row.get(name) for name in names], float)
        bounds = np.array([row.get(f"{name}_interval") or (np.nan, np.nan) for name in names]).T
        at = np.arange(len(names)) + (n - (len(rows) - 1) / 2) * width
        errors = np.clip(np.stack([values - bounds[0], bounds[1] - values]), 0, None)
        axes.bar(at, values, width, yerr=errors, error_kw={"linewidth": 0.8}, label=row["about"])
    axes.set_xticks(np.arange(len(names)), [TITLES.get(name, name.replace("_", " ")) for name in names])
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("success")
    figure.legend(fontsize=8, loc="outside upper center", ncols=4)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    atomic_write_bytes(file, data.getvalue())


def write_clips(data: Data, file: Path) -> None:
    """Some generated clips between what they were made from and the simulator's own pictures of the prompt."""
    from emma.dreamtransfer.dataset import DatasetClips

    if not all((folder / "meta" / "info.json").is_file() for folder in (*data.clips("whole"), data.true())):
        return
    kept = kept_clips(data)
    if rendered(data, len(kept)) < 1.0:
        return
    real, true = DatasetClips.open(data.demonstrations, views=CAMERAS), DatasetClips.open(data.true(), views=CAMERAS)
    made = [DatasetClips.open(folder, views=CAMERAS) for folder in data.clips("whole")]
    places = [(shard, n) for shard, clips in enumerate(made) for n in range(len(clips))]
    rows, titles = [], []
    for number in np.linspace(0, len(kept) - 1, min(CLIPS, len(kept))).round().astype(int):
        shard, n = places[number]
        rows += [clips[i].clip.images for clips, i in ((real, kept[number]["from"]["episode"]), (made[shard], n))]
        rows.append(true[int(number)].clip.images)
        titles += ["demonstration", f"generated: {kept[number]['prompt']}", "the simulator's own"]
    sheet(file, rows, titles, MOMENTS)
