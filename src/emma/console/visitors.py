"""Who may come in: sessions behind a cookie, opened with a token where the console has one."""

import hmac
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from emma.console.config import Limits
from emma.errors import EmmaError


@dataclass
class Session:
    """One browser. name: how the page calls it; credit: writes that it may still do now."""

    id: str
    name: str
    opened_s: float
    seen_s: float
    credit: float


class Visitors:
    """The open sessions. Used on the event loop's thread only. clock: monotonic seconds."""

    def __init__(self, token: str, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._token, self._limits, self._clock = token, limits, clock
        self._sessions: dict[str, Session] = {}
        self._wrong: deque[float] = deque(maxlen=limits.logins_per_minute)
        self._number = 0

    @property
    def needs_token(self) -> bool:
        return bool(self._token)

    def open(self, token: str) -> Session:
        """A new session. Raises EmmaError for a wrong token, or too many wrong ones within a minute."""
        now = self._clock()
        if self._token:
            if len(self._wrong) == self._wrong.maxlen and now - self._wrong[0] < 60.0:
                raise EmmaError("too many wrong tokens", found=f"{len(self._wrong)} within a minute", fix="wait")
            if not hmac.compare_digest(token.encode(), self._token.encode()):
                self._wrong.append(now)
                raise EmmaError("wrong token", expected="the token that `emma console` printed")
        self._forget_old(now)
        self._number += 1
        session = Session(
            id=secrets.token_urlsafe(32),
            name=f"browser {self._number}",
            opened_s=now,
            seen_s=now,
            credit=float(self._limits.burst),
        )
        self._sessions[session.id] = session
        return session

    def find(self, cookie: str) -> Session | None:
        """The session of a cookie; None for one that was never given out, was closed or has expired."""
        session = self._sessions.get(cookie)
        if session is None:
            return None
        if self._clock() - session.opened_s > self._limits.session_s:
            del self._sessions[cookie]
            return None
        return session

    def close(self, session: Session) -> None:
        """Make the cookie of `session` invalid."""
        self._sessions.pop(session.id, None)

    def may_write(self, session: Session) -> bool:
        """Take one write from the session's credit; False when it has none left."""
        now = self._clock()
        session.credit += (now - session.seen_s) * self._limits.writes_per_s
        session.credit, session.seen_s = min(session.credit, float(self._limits.burst)), now
        if session.credit < 1.0:
            return False
        session.credit -= 1.0
        return True

    def _forget_old(self, now: float) -> None:
        old = [key for key, s in self._sessions.items() if now - s.opened_s > self._limits.session_s]
        for key in old:
            del self._sessions[key]
        while len(self._sessions) >= self._limits.sessions:
            del self._sessions[min(self._sessions, key=lambda key: self._sessions[key].seen_s)]
