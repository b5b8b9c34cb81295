"""The page of a live calibration: what each camera sees, what is covered, and what to show next. It changes nothing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from emma.calibrate.detect import Corners
from emma.calibrate.guide import Guide
from emma.console.config import ConsoleConfig
from emma.console.guard import HEADERS
from emma.console.server import serving

STATIC = Path(__file__).with_name("static")
WIDEST_PX = 960
JPEG_QUALITY = 80


@dataclass(frozen=True)
class _Shown:
    """The newest of one camera; number counts its pictures."""

    number: int
    picture: np.ndarray
    corners: Corners | None
    state: dict[str, Any]


class CalibrationPage:
    """`show` is called where views are taken, the routes run on the server's thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown: dict[str, _Shown] = {}
        routes = [
            Route("/", self._page),
            Route("/state", self._state),
            Route("/picture/{camera}", self._picture),
            Mount("/static", StaticFiles(directory=STATIC), name="static"),
        ]
        # A name that an attacker points at 127.0.0.1 passes a browser's same-origin rule.
        hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"])
        self.asgi = Starlette(routes=routes, middleware=[hosts])

    def show(self, camera: str, picture: np.ndarray, corners: Corners | None, guide: Guide, status: str) -> None:
        """The newest picture (H, W) of a camera, and how far its views have come."""
        with self._lock:
            before = self._shown.get(camera)
        number = 0 if before is None else before.number + 1
        # What is covered changes with a view alone.
        same = before is not None and before.state["views"] == len(guide.views)
        state = before.state if same and before is not None else _progress(guide)
        with self._lock:
            self._shown[camera] = _Shown(number, picture, corners, state | {"status": status})

    async def _page(self, _: Request) -> Response:
        return FileResponse(STATIC / "calibration.html", headers={**HEADERS, "cache-control": "no-cache"})

    async def _state(self, _: Request) -> Response:
        with self._lock:
            shown = dict(self._shown)
        cameras = [{"camera": name, "number": each.number, **each.state} for name, each in shown.items()]
        return JSONResponse(cameras, headers={**HEADERS, "cache-control": "no-store"})

    async def _picture(self, request: Request) -> Response:
        with self._lock:
            shown = self._shown.get(request.path_params["camera"])
        if shown is None:
            return Response(status_code=404)
        data = cv2.imencode(".jpg", _drawn(shown), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
        return Response(data, media_type="image/jpeg", headers={**HEADERS, "cache-control": "no-store"})


@contextmanager
def calibration_page(port: int) -> Iterator[tuple[CalibrationPage, str]]:
    """Serve a page on this machine alone while the block runs; yields it and its address. Raises EmmaError."""
    config, page = ConsoleConfig(port=port), CalibrationPage()
    with serving(page.asgi, config):
        yield page, config.url


def _progress(guide: Guide) -> dict[str, Any]:
    covered = guide.coverage
    near, far = covered.distances_m
    return {
        "views": len(guide.views),
        "fields": covered.fields.tolist(),
        "tilts": covered.tilts,
        "distances": [round(near, 2), round(far, 2)],
        "missing": list(guide.missing),
    }


def _drawn(shown: _Shown) -> np.ndarray:
    """(H, W, 3) uint8 BGR, no wider than a page: the picture with the corners that are found."""
    scale = min(1.0, WIDEST_PX / shown.picture.shape[1])
    small = cv2.resize(shown.picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    drawn = cv2.cvtColor(small, cv2.COLOR_GRAY2BGR)
    for pixel in () if shown.corners is None else np.rint(shown.corners.pixels * scale).astype(int):
        cv2.circle(drawn, pixel.tolist(), 3, (0, 200, 0), -1, cv2.LINE_AA)
    return drawn
