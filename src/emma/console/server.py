"""Uvicorn with the console in it: in the foreground, or on a thread of its own beside ROS."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from emma.console.config import ConsoleConfig
from emma.errors import EmmaError

START_S = 30.0


def listening_socket(config: ConsoleConfig) -> socket.socket:
    """A bound socket: the address is known to be free before anything else starts. Raises EmmaError if it is not."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((config.host, config.port))
    except OSError as error:
        sock.close()
        raise EmmaError(
            f"cannot listen on {config.host} port {config.port}",
            found=error.strerror,
            expected="a free port of this machine",
            fix="end the other program, or choose another --port",
        ) from None
    return sock


def server(app: ASGIApp, config: ConsoleConfig) -> uvicorn.Server:
    """A server that gives no hint about itself, keeps what it reads small, and pings silent sockets."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="websockets-sansio",
            ws_max_size=config.limits.message_bytes,
            ws_ping_interval=20.0,
            ws_ping_timeout=config.limits.patience_s,
            ws_per_message_deflate=False,
            limit_concurrency=config.limits.connections,
            timeout_graceful_shutdown=2,
            h11_max_incomplete_event_size=16 << 10,
            http="h11",
        )
    )


@contextmanager
def serving(app: ASGIApp, config: ConsoleConfig) -> Iterator[uvicorn.Server]:
    """Serve while the block runs. Uvicorn leaves signals alone on a thread that is not the main one."""
    sock = listening_socket(config)
    running = server(app, config)
    failed: list[BaseException] = []

    def work() -> None:
        try:
            running.run(sockets=[sock])
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work, name="console", daemon=True)
    thread.start()
    waited = threading.Event()
    try:
        for _ in range(int(START_S / 0.02)):
            if running.started or not thread.is_alive():
                break
            waited.wait(0.02)
        if not running.started:
            raise EmmaError("the console does not start", found=failed[0] if failed else "no answer")
        yield running
    finally:
        running.should_exit = True
        thread.join(10.0)
        sock.close()
