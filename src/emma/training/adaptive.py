"""AdaMix inside a training: evaluates when due, hands weights to the draws or to the loss, shows what it does."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from emma.adamix import history
from emma.adamix.difficulty import Difficulty
from emma.adamix.loss import AdaMixWeighter
from emma.adamix.pictures import contact_sheet, plot_history
from emma.adamix.state import AdaMix, Layout
from emma.robots.spec import RobotSpec
from emma.training.config import TrainConfig
from emma.training.difficulty_evaluator import Judge
from emma.training.frames import FrameTable
from emma.training.mixture import KINDS
from emma.training.origins import origins
from emma.training.policies import Built
from emma.training.sampler import FrameSampler

# Episodes and moments on the contact sheet of the hardest.
SHEET_ROWS, SHEET_COLUMNS = 6, 8


class Adaptive:
    """One training's AdaMix. Every process holds the same state: evaluations and losses are summed over all of them."""

    def __init__(
        self,
        config: TrainConfig,
        table: FrameTable,
        built: Built,
        spec: RobotSpec | None,
        sampler: FrameSampler,
        accelerator: Accelerator,
        run: Path,
        say: Callable[[str], None],
    ) -> None:
        self._table, self._accelerator, self._folder, self._say = table, accelerator, run / history.FOLDER, say
        self._names = table.episode_names()
        group = np.array([KINDS.index(source.kind) for source in table.sources])[table.source_of]
        layout = Layout(starts=table.starts, group=group, made_from=origins(table))
        self.state = AdaMix(config.adamix, layout)
        self._judge = Judge(config.adamix, table, built.preprocessor, built.postprocessor, spec, seed=config.seed)
        on_loss = config.sampler == "adamix-loss"
        self.weighter = AdaMixWeighter(self.state, accelerator.device) if on_loss else None
        self._sampler = sampler
        self._drawn = True
        # Seconds spent in evaluations and pictures, apart from the steps.
        self.seconds = 0.0
        if accelerator.is_main_process:
            if config.steps <= config.adamix.warm_up:
                say(f"AdaMix never begins: {config.steps} steps, warm_up {config.adamix.warm_up}. Draws stay uniform.")
            self._folder.mkdir(parents=True, exist_ok=True)
            history.write_episodes(self._folder, self._names)

    def before(self, step: int, policy: Any) -> None:
        """Evaluate `policy` if that is due before step `step`, and take the new weights."""
        if not self.state.due(step):
            return
        start = time.monotonic()
        rank, every = self._accelerator.process_index, self._accelerator.num_processes
        frames, values = self._judge(policy, step, share=slice(rank, None, every), autocast=self._accelerator.autocast)
        if every > 1:
            summed = self._accelerator.reduce(torch.from_numpy(values).to(self._accelerator.device), "sum")
            values = summed.cpu().numpy()
        reason = self.state.update(step, Difficulty.from_table(frames, values))
        self._apply()
        self._show(step, reason)
        self.seconds += time.monotonic() - start

    def after(self, step: int, loss: float) -> bool:
        """Take the loss of step `step`, the same in every process; True if the weights were reset because of it."""
        reason = self.state.observe(step, loss)
        if reason is None:
            return False
        self._apply()
        self._show(step, reason)
        return True

    def save(self, folder: Path) -> None:
        """Write the state to a checkpoint's folder, and draw the history so far: the main process does."""
        start = time.monotonic()
        self.state.save(folder)
        if not self._drawn:
            plot_history(history.read(self._folder), self._names, self._folder / "adamix.png")
            self._drawn = True
        self.seconds += time.monotonic() - start

    def load(self, folder: Path) -> None:
        self.state.load(folder)
        self._apply()

    def forget_after(self, step: int) -> None:
        """Drop what the history holds of step `step` and later: those steps are done again."""
        if self._accelerator.is_main_process:
            history.truncate(self._folder, step)

    def _apply(self) -> None:
        if self.weighter is not None:
            self.weighter.refresh()
        else:
            self._sampler.set_weights(None if self.state.uniform else self.state.frame_weights())

    def _show(self, step: int, reason: str | None) -> None:
        if not self._accelerator.is_main_process:
            return
        row = self.state.row(step, reason)
        history.append(self._folder, row)
        if reason is not None:
            rest = "for the rest of the training" if self.state.given_up else f"until step {self.state.hold_until}"
            self._say(f"AdaMix collapsed at step {step}: {reason}. Uniform draws {rest}.")
        self._drawn = False
        if self._table.cameras and reason is None:
            contact_sheet(self._sheet(row), self._folder / f"hardest-{step:08d}.png")

    def _sheet(self, row: dict[str, Any]) -> list[tuple[str, np.ndarray]]:
        rows = []
        for episode in history.hardest(row, SHEET_ROWS):
            first, end = self._table.starts[episode : episode + 2]
            moments = np.linspace(first, end - 1, SHEET_COLUMNS).astype(np.int64)
            scores = "  ".join(f"{metric} {row[metric][episode]:.2f}" for metric in ("error", "smoothness", "limits"))
            title = f"{self._names[episode]}  P {row['performance'][episode]:.2f}  w {row['weights'][episode]:.2f}"
            rows.append((f"{title}  {scores}", self._table.pixels(self._table.cameras[0], moments)))
        return rows
