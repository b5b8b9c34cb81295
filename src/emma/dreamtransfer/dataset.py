"""Episodes of a LeRobotDataset as clips, read one by one."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from emma.datasets.files import dataset_root, decoded, each_encoded, vectors
from emma.datasets.spill_arrays import stacked
from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.geometry import CameraPoses
from emma.errors import EmmaError

IMAGES, DEPTH, MASK = "observation.images.", "observation.depth.", "observation.mask."
STATE, ACTION = "observation.state", "action"
PROVENANCE = "meta/provenance.jsonl"


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One episode: its clip, state (T, J), action (T, A), the instruction and what its provenance line says."""

    index: int
    clip: Clip
    state: np.ndarray
    action: np.ndarray
    task: str
    provenance: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class DatasetClips:
    """A LeRobotDataset with lossless pictures, opened for some views. `poses` gives clips their camera geometry."""

    root: Path
    meta: LeRobotDatasetMetadata
    views: tuple[str, ...]
    provenance: tuple[dict[str, Any], ...]
    poses: CameraPoses | None = None

    @classmethod
    def open(cls, path: Path | str, *, views: Sequence[str] | None = None, poses: CameraPoses | None = None) -> Self:
        """Read the metadata. Raises EmmaError if there is no such dataset, or not these views in it."""
        root = dataset_root(path)
        try:
            meta = LeRobotDatasetMetadata(f"local/{root.name}", root=root)
        except Exception as error:  # LeRobot raises many kinds for a broken folder
            raise EmmaError(f"cannot read the dataset {path}", found=f"{type(error).__name__}: {error}") from error
        there = [key.removeprefix(IMAGES) for key in meta.features if key.startswith(IMAGES)]
        wanted = tuple(there if views is None else views)
        missing = [view for view in wanted if view not in there]
        if missing or not wanted:
            raise EmmaError(
                f"the dataset {path} lacks cameras",
                found=", ".join(there) or "none",
                expected=", ".join(wanted) or "at least one camera",
            )
        for view in wanted:
            kind = meta.features[IMAGES + view]["dtype"]
            if kind != "image":
                raise EmmaError(
                    f"{path} stores {view} as {kind}",
                    found=kind,
                    expected="image (lossless PNG)",
                    fix="convert the bags without video",
                )
        lines: list[dict[str, Any]] = []
        if (root / PROVENANCE).is_file():
            lines = [json.loads(line) for line in (root / PROVENANCE).read_text().splitlines()]
        return cls(root=root, meta=meta, views=wanted, provenance=tuple(lines), poses=poses)

    def __len__(self) -> int:
        return int(self.meta.total_episodes)

    def __getitem__(self, index: int) -> Episode:
        """Decode episode `index`. Views without depth or mask in the dataset have none in the clip."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        rows = self._rows(index)
        depths, masks = ([view for view in self.views if kind + view in rows.schema.names] for kind in (DEPTH, MASK))
        state = vectors(rows[STATE])
        clip = Clip(
            images={view: stacked(map(decoded, each_encoded(rows[IMAGES + view])), len(rows)) for view in self.views},
            depth={view: stacked(map(_depth, each_encoded(rows[DEPTH + view])), len(rows)) for view in depths},
            cameras=self._cameras(state),
            keep={view: stacked(map(_mask, each_encoded(rows[MASK + view])), len(rows)) for view in masks},
            fps=float(self.meta.fps),
        )
        task = str(self.meta.tasks.index[self.meta.tasks["task_index"] == rows["task_index"][0].as_py()][0])
        provenance = self.provenance[index] if index < len(self.provenance) else {}
        return Episode(
            index=index, clip=clip, state=state, action=vectors(rows[ACTION]), task=task, provenance=dict(provenance)
        )

    def caption(self, index: int) -> str:
        """How the episode looks, in words: its provenance's prompt or caption. EmmaError if it has neither."""
        line = self.provenance[index] if index < len(self.provenance) else {}
        text = line.get("prompt") or line.get("caption")
        if not text:
            raise EmmaError(
                f"episode {index} of {self.root} has no caption",
                found="neither caption nor prompt in meta/provenance.jsonl",
                expected="a sentence on how foreground, background and light look",
                fix="write one per episode, or let a model do it: emma dream caption",
            )
        return str(text)

    def _rows(self, index: int) -> pa.Table:
        keys = [STATE, ACTION, "episode_index", "task_index"]
        keys += [IMAGES + view for view in self.views]
        keys += [kind + view for kind in (DEPTH, MASK) for view in self.views if kind + view in self.meta.features]
        file = self.root / self.meta.get_data_file_path(index)
        table = pq.read_table(file, columns=keys, filters=[("episode_index", "=", index)])
        if len(table) == 0:
            raise EmmaError(
                f"episode {index} is missing in {file}", found="no rows", fix="see `emma episodes validate`"
            )
        return table

    def _cameras(self, state: np.ndarray) -> dict[str, Any]:
        if self.poses is None:
            return {}
        return {camera: geometry for camera, geometry in self.poses(state).items() if camera in self.views}


def _mask(data: bytes) -> np.ndarray:
    """Any pixel that is not black belongs to it."""
    return np.asarray(decoded(data, cv2.IMREAD_GRAYSCALE) > 0)


def _depth(data: bytes) -> np.ndarray:
    return decoded(data, cv2.IMREAD_UNCHANGED)
