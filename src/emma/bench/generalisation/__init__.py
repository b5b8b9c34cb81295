"""Does the whole recipe make a better robot? The paper's table in the simulator, from one command, resumable.

Demonstrations of one appearance; policies trained on them alone, with classic augmentation, with generated clips in
several ways, and with the simulator's own pictures of the same prompts; all in the same steps, each evaluated in
appearances that no demonstration showed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

HELP = "success in appearances that no demonstration showed: real only, classic, generated, filtered, AdaMix, true"


def run(quick: bool, seed: int) -> dict[str, Any]:
    """With the default budget: see `run_with`."""
    return run_with(quick, seed, {})


def run_with(quick: bool, seed: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """`<row>` -> mean unseen success in 0..1 with its interval, gains of the parts, and `rows` with all cells.

    options: names and values of `plan.Budget`. seed: of the first evaluation episode. Raises EmmaError; what is done
    stays done, and the same call goes on.
    """
    from emma.bench.generalisation.plan import Budget
    from emma.bench.generalisation.shipped import run_shipped
    from emma.bench.generalisation.whole_table import run_all

    budget = Budget.of(options)
    return run_shipped(budget, seed) if quick else run_all(budget, seed)


def draw(figures: Mapping[str, Any], folder: Path) -> None:
    """Pictures for the results' page, beside its JSON."""
    from emma.bench.generalisation.pictures import draw_appearances, draw_table
    from emma.bench.generalisation.table import page

    if "rows" not in figures:
        return
    draw_appearances(folder / f"{page(figures)}-appearances.png", figures.get("task"))
    draw_table(figures, folder / f"{page(figures)}.png")
