"""What every request and every WebSocket must pass before the page's code sees it. Pure ASGI.

CORS does not cover WebSockets, and a name that an attacker points at 127.0.0.1 passes a browser's same-origin rule, so
Host and Origin are checked here for both. A header of our own on writes makes browsers ask first across origins.
"""

from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emma.console.config import ConsoleConfig
from emma.console.visitors import Session, Visitors

WRITE_HEADER = "x-emma-console"
READS = ("GET", "HEAD")
STOP = "/api/stop"
# Without a session only the page itself and its way in.
OPEN = ("/", "/api/session")
STATIC = "/static/"
REFUSED = 4403
BUSY = 4429
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """Host, Origin, session, write header, body size, rates and the number of sockets. `scope["session"]` is set."""

    def __init__(self, app: ASGIApp, config: ConsoleConfig, visitors: Visitors) -> None:
        self._app, self._config, self._visitors = app, config, visitors
        self._hosts = config.hosts
        self._origins = frozenset(f"{scheme}://{host}" for host in config.hosts for scheme in ("http", "https"))
        self._sockets = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    @property
    def cookie(self) -> str:
        """Cookies ignore ports, so the port is in the name: two consoles on one machine keep apart."""
        return cookie_name(self._config)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        session = self._session(headers)
        refused = self._refusal(scope, headers, session)
        sending = _with_headers(send)
        if refused is not None:
            await refused(scope, receive, sending)
            return
        scope["session"] = session
        await self._app(scope, _Body(receive, self._config.limits.body_bytes), sending)

    def _refusal(self, scope: Scope, headers: Headers, session: Session | None) -> Response | None:
        if not self._from_here(headers, required=False):
            return _refuse(403, "wrong Host or Origin")
        if scope["path"] != "/" and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return _refuse(403, "asked for by another site")
        write = scope["method"] not in READS
        if write and WRITE_HEADER not in headers:
            return _refuse(403, f"writes carry the header {WRITE_HEADER}")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._config.limits.body_bytes:
            return _refuse(413, f"a body is at most {self._config.limits.body_bytes} bytes")
        path = scope["path"]
        if session is None and path not in OPEN and not path.startswith(STATIC):
            return _refuse(401, "no session")
        if write and session is not None and path != STOP and not self._visitors.may_write(session):
            return _refuse(429, "too many writes")
        return None

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        session = self._session(headers)
        if not self._from_here(headers, required=True) or session is None:
            # Refused before it is accepted: the handshake ends with 403.
            await send({"type": "websocket.close", "code": REFUSED})
            return
        if self._sockets >= self._config.limits.sockets:
            await send({"type": "websocket.close", "code": BUSY})
            return
        scope["session"] = session
        self._sockets += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._sockets -= 1

    def _from_here(self, headers: Headers, *, required: bool) -> bool:
        """Whether Host is ours and Origin, if there is one or if it is `required`, too."""
        if headers.get("host", "").lower() not in self._hosts:
            return False
        origin = headers.get("origin")
        return not required if origin is None else origin.lower() in self._origins

    def _session(self, headers: Headers) -> Session | None:
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return None
        return self._visitors.find(morsel.value) if morsel is not None else None


class _Body:
    """Passes a body on while it stays below the limit."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self._left = receive, limit

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise HTTPException(413, "the body is too large")
        return message


def cookie_name(config: ConsoleConfig) -> str:
    """The name of the session's cookie."""
    return f"emma_console_{config.port}"


def _refuse(code: int, why: str) -> Response:
    return PlainTextResponse(why, code)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            message["headers"] = [*message.get("headers", []), *added]
        await send(message)

    return sending
