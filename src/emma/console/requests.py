"""What handlers take out of a request, checked."""

import json
from typing import Any

from starlette.requests import Request
from starlette.websockets import WebSocket

from emma.console.visitors import Session
from emma.errors import EmmaError


def required(connection: Request | WebSocket) -> Session:
    """The session, which the guard has checked."""
    session = connection.scope["session"]
    assert isinstance(session, Session)
    return session


def session_of(request: Request) -> Session | None:
    session: Session | None = request.scope["session"]
    return session


async def json_body(request: Request) -> dict[str, Any]:
    body = await request.body()
    try:
        values = json.loads(body) if body else {}
    except (ValueError, RecursionError) as error:
        raise EmmaError("the body is not JSON", found=type(error).__name__, expected="a JSON object") from None
    if not isinstance(values, dict):
        raise EmmaError("not an object", found=type(values).__name__, expected="a JSON object")
    return values


def text_of(values: dict[str, Any], key: str, length: int, default: str | None = None) -> str:
    value = values.get(key, default)
    if not isinstance(value, str) or len(value) > length:
        raise EmmaError(
            f"bad value for {key}", found=type(value).__name__, expected=f"text of at most {length} letters"
        )
    return value
