"""One operator at a time: who may record and switch. Others watch, may take over in the open, and may always stop."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from emma.errors import EmmaError


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who operates, and from whom the lease was taken ("" if it was free)."""

    session: str
    name: str
    taken_from: str = ""


class Lease:
    """Used on the event loop's thread only. It lapses when its holder's pages are silent for `lapse_s`."""

    def __init__(self, lapse_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lapse_s, self._clock = lapse_s, clock
        self._holder: Holder | None = None
        self._seen_s = 0.0

    @property
    def holder(self) -> Holder | None:
        if self._holder is not None and self._clock() - self._seen_s > self._lapse_s:
            self._holder = None
        return self._holder

    def seen(self, session: str) -> None:
        """Note that a page of `session` is alive."""
        holder = self.holder
        if holder is not None and holder.session == session:
            self._seen_s = self._clock()

    def take(self, session: str, name: str, *, over: bool = False) -> None:
        """Become the operator. Raises EmmaError while another one is, unless `over`."""
        holder = self.holder
        if holder is not None and holder.session != session and not over:
            raise EmmaError(
                "another browser operates",
                found=holder.name,
                expected="one operator at a time",
                fix="take over, or watch",
            )
        before = holder.name if holder is not None and holder.session != session else ""
        self._holder = Holder(session=session, name=name, taken_from=before)
        self._seen_s = self._clock()

    def drop(self, session: str) -> None:
        """Stop being the operator."""
        if self._holder is not None and self._holder.session == session:
            self._holder = None

    def require(self, session: str) -> None:
        """Raise EmmaError unless `session` operates."""
        holder = self.holder
        if holder is None or holder.session != session:
            raise EmmaError(
                "this page only watches",
                found=f"{holder.name} operates" if holder else "no operator",
                expected="the operator's page",
                fix="choose Operate first",
            )

    def shown(self, session: str) -> dict[str, Any]:
        """For the page of one session, without any session's id."""
        holder = self.holder
        if holder is None:
            return {"name": "", "mine": False, "taken_from": ""}
        values = asdict(holder)
        return {"mine": values.pop("session") == session, **values}
