"""The console's routes. `guard` decides what may enter, `live` what the robot does, `library` what can be read."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from emma.console.config import ConsoleConfig
from emma.console.guard import Guard, cookie_name
from emma.console.lease import Lease
from emma.console.library import Library
from emma.console.live import ACTIONS, Live
from emma.console.requests import json_body, required, session_of, text_of
from emma.console.review import Review
from emma.console.runs import Runs
from emma.console.sockets import state_message, stream, tile_message
from emma.console.tiles import Tiles
from emma.console.visitors import Visitors
from emma.errors import EmmaError

STATIC = Path(__file__).with_name("static")
STATE_PERIOD_S = 0.1
NAME_LENGTH, ARGUMENT_LENGTH = 40, 500
# Notices of one page to all; the newest are shown.
EVENTS_KEPT = 20


class Console:
    """The application's state: visitors, lease, the robot if there is one, and the routes over them."""

    def __init__(self, config: ConsoleConfig, live: Live | None = None) -> None:
        self.config, self.live = config, live
        self.visitors = Visitors(config.token, config.limits)
        self.lease = Lease(config.limits.lease_s)
        self.tiles = Tiles(live) if live is not None else None
        self.library = Library(config.folders)
        self._acting = asyncio.Lock()
        self._events: list[dict[str, Any]] = []
        routes: list[BaseRoute] = [
            Route("/", self._page),
            Mount("/static", StaticFiles(directory=STATIC), name="static"),
            Route("/api/session", self._open, methods=["POST"]),
            Route("/api/session", self._close, methods=["DELETE"]),
            Route("/api/about", self._about),
            Route("/api/lease", self._lease, methods=["POST"]),
            Route("/api/stop", self._stop, methods=["POST"]),
            Route("/api/act", self._act, methods=["POST"]),
            WebSocketRoute("/ws/state", self._state),
            WebSocketRoute("/ws/camera/{camera}", self._camera),
            *Review(self.library, Runs(config.folders), self.lease if live is not None else None, self._say).routes(),
        ]
        self._app = Starlette(routes=routes, lifespan=self._lifespan, exception_handlers={EmmaError: _refused})

    @property
    def asgi(self) -> ASGIApp:
        return Guard(self._app, self.config, self.visitors)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        yield
        self.library.close()
        if self.tiles is not None:
            self.tiles.close()

    async def _page(self, _: Request) -> Response:
        return FileResponse(STATIC / "index.html", headers={"cache-control": "no-cache"})

    async def _open(self, request: Request) -> Response:
        session = session_of(request)
        if session is None:
            values = await json_body(request)
            try:
                session = self.visitors.open(text_of(values, "token", ARGUMENT_LENGTH, ""))
            except EmmaError as error:
                return JSONResponse({"problem": error.problem, "text": str(error)}, 401)
        response = JSONResponse({"name": session.name})
        response.set_cookie(
            cookie_name(self.config),
            session.id,
            max_age=int(self.config.limits.session_s),
            httponly=True,
            samesite="strict",
            path="/",
        )
        return response

    async def _close(self, request: Request) -> Response:
        if (session := session_of(request)) is not None:
            self.lease.drop(session.id)
            self.visitors.close(session)
        response = JSONResponse({})
        response.delete_cookie(cookie_name(self.config), httponly=True, samesite="strict", path="/")
        return response

    async def _about(self, request: Request) -> Response:
        session = required(request)
        live = None if self.live is None else dict(self.live.describe())
        return JSONResponse({"session": session.name, "live": live}, headers={"cache-control": "no-store"})

    async def _lease(self, request: Request) -> Response:
        session, values = required(request), await json_body(request)
        session.name = text_of(values, "name", NAME_LENGTH, session.name) or session.name
        if values.get("operate") is True:
            self.lease.take(session.id, session.name, over=values.get("over") is True)
            holder = self.lease.holder
            taken = f", taken over from {holder.taken_from}" if holder and holder.taken_from else ""
            self._say(f"{session.name} operates{taken}")
        else:
            self.lease.drop(session.id)
            self._say(f"{session.name} watches")
        return JSONResponse(self.lease.shown(session.id))

    async def _stop(self, request: Request) -> Response:
        """Always allowed: neither the lease, nor an action under way, nor a rate limit is in its way."""
        session = required(request)
        text = await run_in_threadpool(self._running().stop)
        self._say(f"{session.name} pressed stop")
        return JSONResponse({"text": text})

    async def _act(self, request: Request) -> Response:
        session, values = required(request), await json_body(request)
        action = text_of(values, "action", ARGUMENT_LENGTH)
        if action not in ACTIONS:
            raise EmmaError("unknown action", found=action, expected=", ".join(ACTIONS))
        argument = text_of(values, "argument", ARGUMENT_LENGTH, "")
        live = self._running()
        self.lease.require(session.id)
        async with self._acting:
            text = await run_in_threadpool(live.act, action, argument)
        if text:
            self._say(text)
        return JSONResponse({"text": text})

    async def _state(self, socket: WebSocket) -> None:
        session = required(socket)
        sent = [0.0]

        async def produce() -> str:
            await asyncio.sleep(max(0.0, sent[0] + STATE_PERIOD_S - time.monotonic()))
            sent[0] = time.monotonic()
            self.lease.seen(session.id)
            live = None if self.live is None else self.live.state()
            now = {"time_ns": time.time_ns(), "lease": self.lease.shown(session.id), "events": self._events}
            return state_message({**now, "live": live})

        await stream(socket, produce, self.config.limits.patience_s)

    async def _camera(self, socket: WebSocket) -> None:
        required(socket)
        camera, tiles = socket.path_params["camera"], self.tiles
        if tiles is None or self.live is None or camera not in self.live.cameras:
            await socket.close(4404)
            return
        number = [0]

        async def produce() -> bytes:
            tile = await tiles.newest(camera, number[0])
            number[0] = tile.number
            return tile_message(tile.stamp_ns, tile.jpeg)

        with tiles.viewer(camera):
            await stream(socket, produce, self.config.limits.patience_s)

    def _running(self) -> Live:
        if self.live is None:
            raise EmmaError("no robot here", found="a console that reviews only", fix="start it with `emma console`")
        return self.live

    def _say(self, text: str) -> None:
        self._events = [*self._events, {"time_ns": time.time_ns(), "text": text}][-EVENTS_KEPT:]


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, EmmaError)
    return JSONResponse({"problem": error.problem, "text": str(error)}, 409)
