"""Service callbacks in one line: the work's text becomes the message, an EmmaError a refusal."""

from collections.abc import Callable
from typing import Any

from emma.errors import EmmaError


def answer(work: Callable[[Any], object]) -> Callable[[Any, Any], Any]:
    """A callback for std_srvs Trigger and SetBool. `work(request)` returns the message; EmmaError -> success false."""

    def callback(request: Any, response: Any) -> Any:
        try:
            result = work(request)
            response.success, response.message = True, "" if result is None else str(result)
        except EmmaError as error:
            response.success, response.message = False, str(error)
        return response

    return callback
