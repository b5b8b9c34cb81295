"""Two policies on the same starts, side by side: what a summary says of them, and one picture."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from emma.robots.spec import RobotSpec
from emma.sessions.contact_sheet import contact_sheet
from emma.sessions.session import SessionResult

# Starts on the picture: each is a row per camera, before and after.
SHEET_STARTS = 2


@dataclass(frozen=True, kw_only=True)
class BeforeAfter:
    """names: of the two bundles; domain: the appearance of all these episodes."""

    names: tuple[str, str]
    domain: str
    before: SessionResult
    after: SessionResult

    def show(self, sheet: Path | None) -> None:
        """Print the comparison."""
        console = Console(highlight=False, soft_wrap=True)
        count = len(self.after.rows)
        console.print()
        console.print(f"[bold]the same {count} starts in a look that no demonstration showed[/bold] ({self.domain})")
        width = max(map(len, self.names))
        for name, result in zip(self.names, (self.before, self.after), strict=True):
            console.print(f"{name:<{width}}  {result.success}")
        if sheet is not None:
            console.print(f"side by side  {sheet}")

    def draw(self, spec: RobotSpec, path: Path) -> Path | None:
        """Each start before and after, below each other, as PNG; None if nothing was recorded."""
        bags = [
            (f'{name}, {"success" if row.success else "failed"}: "{row.instruction}"', Path(row.bag))
            for pair in list(zip(self.before.rows, self.after.rows, strict=False))[:SHEET_STARTS]
            for name, row in zip(self.names, pair, strict=True)
            if row.bag
        ]
        return contact_sheet(bags, spec, path) if bags else None
