"""One WebSocket per stream. The browser confirms every message, so at most one is on its way and nothing queues up."""

import asyncio
import json
import struct
import time
from collections.abc import Awaitable, Callable

from starlette.websockets import WebSocket, WebSocketDisconnect

from emma.errors import EmmaError

ACK = "ok"
UNSUPPORTED, TOO_SLOW = 1003, 4408
# A tile's header: camera stamp and the moment of sending, both ns since the epoch, little endian.
TILE_HEADER = struct.Struct("<qq")


async def stream(socket: WebSocket, produce: Callable[[], Awaitable[str | bytes]], patience_s: float) -> None:
    """Send what `produce` gives, one message after the other's confirmation, until the browser leaves.

    A browser that does not confirm within `patience_s`, or sends anything else, is disconnected.
    """
    await socket.accept()
    produced: asyncio.Task[str | bytes] | None = None
    received: asyncio.Task[str] | None = None
    try:
        while True:
            received = received or asyncio.create_task(socket.receive_text())
            produced = asyncio.create_task(_as_coroutine(produce))
            # Also while there is nothing to send, a browser that leaves must be noticed.
            await asyncio.wait((produced, received), return_when=asyncio.FIRST_COMPLETED)
            if received.done():
                received.result()
                await socket.close(UNSUPPORTED)
                return
            message = produced.result()
            async with asyncio.timeout(patience_s):
                await (socket.send_bytes(message) if isinstance(message, bytes) else socket.send_text(message))
                answer = await received
            received = None
            if answer != ACK:
                await socket.close(UNSUPPORTED)
                return
    except TimeoutError:
        await _close(socket, TOO_SLOW)
    except (EmmaError, WebSocketDisconnect, RuntimeError, KeyError):
        # EmmaError: a picture that cannot be decoded; the page comes back by itself.
        # Starlette: KeyError for binary where text is expected, RuntimeError after the browser has gone.
        await _close(socket, UNSUPPORTED)
    finally:
        for task in (produced, received):
            if task is not None:
                task.cancel()


def tile_message(stamp_ns: int, jpeg: bytes) -> bytes:
    """A tile as it goes over the socket."""
    return TILE_HEADER.pack(stamp_ns, time.time_ns()) + jpeg


def state_message(values: object) -> str:
    """JSON with null for NaN and infinity, which browsers do not read."""
    try:
        return json.dumps(values, allow_nan=False, separators=(",", ":"))
    except ValueError:
        finite = json.loads(json.dumps(values), parse_constant=lambda _: None)
        return json.dumps(finite, allow_nan=False, separators=(",", ":"))


async def _as_coroutine(produce: Callable[[], Awaitable[str | bytes]]) -> str | bytes:
    return await produce()


async def _close(socket: WebSocket, code: int) -> None:
    try:
        async with asyncio.timeout(1.0):
            await socket.close(code)
    except (RuntimeError, TimeoutError, WebSocketDisconnect):
        return
