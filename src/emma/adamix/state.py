"""AdaMix over a training: weights from one evaluation to the next, reset when they collapse, saved and resumed."""

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from emma.adamix.config import AdaMixConfig
from emma.adamix.difficulty import COMPONENTS, METRICS, Difficulty
from emma.adamix.watch import LossWatch, weights_collapsed
from emma.adamix.weights import (
    beyond_source,
    capped,
    effective_share,
    metric_scores,
    performance,
    performance_of,
    smoothed,
    weights,
)

FILE = "adamix.safetensors"
_DEAL = 7


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which frames make which episode, and whose weights are compared. starts: (E + 1,) first frame of each episode,
    the number of frames at the end; group: (E,) the source an episode belongs to: shares between groups are fixed;
    made_from: (E,) the episode that one was generated from, -1 for none; None: not known."""

    starts: np.ndarray
    group: np.ndarray
    made_from: np.ndarray | None = None

    @property
    def episodes(self) -> int:
        return len(self.group)

    @property
    def size(self) -> np.ndarray:
        """(E,) frames of each episode."""
        return np.diff(self.starts)

    @property
    def episode_of(self) -> np.ndarray:
        """(N,) episode of each frame."""
        return np.repeat(np.arange(self.episodes), self.size)


class AdaMix:
    """Weights of episodes and frames. They change in `update` and `reset` only, so draws follow from seed and step."""

    def __init__(self, config: AdaMixConfig, layout: Layout) -> None:
        self.config, self.layout = config, layout
        self._size, self._episode_of = layout.size, layout.episode_of
        self._loss = LossWatch(config.divergence)
        self.components: dict[str, np.ndarray] = {}
        self.performance = np.ones(layout.episodes)
        self.resets, self.hold_until = 0, 0
        self._uniform()

    def _uniform(self) -> None:
        self._seen = False
        self.episode_weights = np.ones(self.layout.episodes)
        self._factors = np.ones(int(self.layout.starts[-1]))
        self.uniform = True

    @property
    def given_up(self) -> bool:
        """Whether it collapsed so often that the rest of the training stays uniform."""
        return self.resets > self.config.max_resets

    def due(self, step: int) -> bool:
        """Whether an evaluation belongs before step `step`."""
        return self.config.due(step) and step >= self.hold_until and not self.given_up

    def frame_weights(self) -> np.ndarray:
        """(N,) weight of every frame, mean 1 within each group."""
        return self.episode_weights[self._episode_of] * self._factors

    def update(self, step: int, difficulty: Difficulty) -> str | None:
        """New weights from an evaluation before step `step`. Returns why they collapsed and were reset, or None."""
        config = self.config
        self.components = difficulty.by_episode(self._episode_of, self.layout.episodes)
        self.performance = performance_of(self._scores(), config)
        now = self._episodes_now()
        factors = np.ones(len(self._episode_of)) if config.level == "episode" else self._frame_factors(difficulty)
        self.episode_weights = smoothed(self.episode_weights if self._seen else None, now, config.smoothing)
        self._factors = smoothed(self._factors if self._seen else None, factors, config.smoothing)
        self._seen = True
        self._note_uniform()
        reason = weights_collapsed(self.episode_weights, self._size, self._square(), self.layout.group, config)
        if reason is not None:
            self.reset(step)
        return reason

    def _episodes_now(self) -> np.ndarray:
        """(E,) weights of the last evaluation, mean 1 over the frames of each group."""
        if self.config.level == "within":
            return np.ones(self.layout.episodes)
        now = weights(self.performance if self.config.dealt == "difficulty" else self._by_chance(), self.config)
        for mine in self._groups():
            now[mine] = capped(now[mine], self._size[mine], self.config.cap)
        return now

    def observe(self, step: int, loss: float) -> str | None:
        """Take the loss of step `step`. Returns why the training diverged and the weights were reset, or None.

        With uniform weights a diverging loss has another cause, and nothing is done about it here.
        """
        reason = self._loss.observe(loss)
        if reason is None or self.uniform:
            return None
        self.reset(step)
        return reason

    def reset(self, step: int) -> None:
        """Back to uniform draws, for a warm-up again or a period, whichever is longer."""
        self._uniform()
        self._loss.restart()
        self.resets += 1
        self.hold_until = step + max(self.config.warm_up, self.config.period)

    def _note_uniform(self) -> None:
        # Asked for in every step, so not counted over all frames there.
        self.uniform = bool((self.episode_weights == 1).all() and (self._factors == 1).all())

    def _scores(self) -> dict[str, np.ndarray]:
        """metric -> (E,) hardness in [0, 1]."""
        trim, made_from = self.config.trim, self.layout.made_from
        if self.config.against == "dataset" or made_from is None or (made_from < 0).all():
            return metric_scores(self.components, trim)
        if self.config.against == "look":
            return dict.fromkeys(METRICS, beyond_source(self.components["error"], made_from))
        # Differences and whole values do not share a scale: each group has its own. A clip of unknown origin counts as
        # an average one.
        scores = {metric: np.zeros(self.layout.episodes) for metric in METRICS}
        for mine in self._groups():
            origin = made_from[mine]
            values = {name: v[mine] for name, v in self.components.items()}
            if (origin >= 0).any():
                values = {
                    name: np.where(origin >= 0, v - self.components[name][origin], np.nan) for name, v in values.items()
                }
            for metric, found in metric_scores(values, trim).items():
                scores[metric][mine] = found
        return scores

    def _by_chance(self) -> np.ndarray:
        """(E,) the performances, dealt out anew within each group, the same way at every evaluation."""
        dealt = self.performance.copy()
        for number, mine in enumerate(self._groups()):
            dealt[mine] = np.random.default_rng([_DEAL, number]).permutation(dealt[mine])
        return dealt

    def _frame_factors(self, difficulty: Difficulty) -> np.ndarray:
        """(N,) weights within episodes, mean 1 in each; between judged frames interpolated."""
        hard = weights(performance(difficulty.values, self.config), self.config)
        factors = np.ones(len(self._episode_of))
        order = np.argsort(difficulty.frames, kind="stable")
        frames, hard = difficulty.frames[order], hard[order]
        edges = np.searchsorted(frames, self.layout.starts)
        for episode, (first, end) in enumerate(pairwise(edges)):
            if end > first:
                start, stop = self.layout.starts[episode : episode + 2]
                values = np.interp(np.arange(start, stop), frames[first:end], hard[first:end])
                factors[start:stop] = capped(values, np.ones(len(values)), self.config.cap)
        return factors

    def row(self, step: int, reset: str | None = None) -> dict[str, Any]:
        """One line of the history: everything by episode, rounded for reading, and what watches over it."""
        scores = self._scores() if self.components else {}
        w, size, square = self.episode_weights, self._size, self._square()
        by_group = [effective_share(w[g], size[g], square[g]) for g in self._groups()]
        return {
            "step": step,
            "reset": reset,
            "resets": self.resets,
            "effective": min(by_group),
            "performance": _rounded(self.performance),
            "weights": _rounded(self.episode_weights),
            **{metric: _rounded(scores[metric]) for metric in METRICS if scores},
            **{f"raw_{name}": _rounded(self.components[name], 6) for name in COMPONENTS if self.components},
        }

    def _square(self) -> np.ndarray:
        """(E,) mean square of the factors of each episode's frames."""
        return np.bincount(self._episode_of, weights=self._factors**2, minlength=self.layout.episodes) / self._size

    def _groups(self) -> list[np.ndarray]:
        return [self.layout.group == number for number in np.unique(self.layout.group)]

    def save(self, folder: Path) -> None:
        """Write everything that decides what comes next to `folder`/adamix.safetensors."""
        arrays = {"weights": self.episode_weights, "factors": self._factors, "performance": self.performance}
        arrays |= {f"raw_{name}": values for name, values in self.components.items()}
        numbers = {
            "seen": self._seen,
            "resets": self.resets,
            "hold_until": self.hold_until,
            # JSON has no infinity; a loss not yet seen is left out.
            "loss": {key: value for key, value in self._loss.to_dict().items() if np.isfinite(value)},
        }
        save_file(arrays, folder / FILE, metadata={"state": json.dumps(numbers)})

    def load(self, folder: Path) -> None:
        """Take what `save` wrote. The layout must be the same: ValueError if not."""
        with safe_open(folder / FILE, framework="numpy") as file:
            numbers = json.loads(file.metadata()["state"])
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
        if len(arrays["weights"]) != self.layout.episodes or len(arrays["factors"]) != len(self._episode_of):
            raise ValueError(f"{folder / FILE} belongs to other data")
        self.episode_weights, self._factors = arrays["weights"], arrays["factors"]
        self.performance = arrays["performance"]
        self.components = {name: arrays[f"raw_{name}"] for name in COMPONENTS if f"raw_{name}" in arrays}
        self._seen, self.resets, self.hold_until = numbers["seen"], numbers["resets"], numbers["hold_until"]
        self._loss = LossWatch(**{**numbers["loss"], "divergence": self.config.divergence})
        self._note_uniform()


def _rounded(values: np.ndarray, digits: int = 4) -> list[float | None]:
    return [round(float(v), digits) if np.isfinite(v) else None for v in values]
