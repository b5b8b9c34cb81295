"""Lease, actions, streams: two browsers at one console."""

import json
import struct
import subprocess
import sys
import threading
from typing import Any

import cv2
import numpy as np
import pytest
from console_browser import Browser, MemoryRobot, closed, running
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection

from emma.console.config import Limits
from emma.console.sockets import TILE_HEADER, TOO_SLOW, UNSUPPORTED


def state(socket: ClientConnection) -> dict[str, Any]:
    """The next state, confirmed."""
    values: dict[str, Any] = json.loads(socket.recv(timeout=10))
    socket.send("ok")
    return values


def test_only_the_operator_acts(url: str, robot: MemoryRobot) -> None:
    first, second = Browser(url), Browser(url)
    assert first.act("start").status_code == 409
    assert first.operate(name="Ada").json() == {"mine": True, "name": "Ada", "taken_from": ""}
    assert first.act("start").json()["text"] == "did start"
    assert second.act("save").status_code == 409
    assert second.operate().status_code == 409
    assert robot.asked == [("start", "")]


def test_the_lease_is_taken_over_in_the_open(url: str, robot: MemoryRobot) -> None:
    first, second = Browser(url), Browser(url)
    first.operate(name="Ada")
    with first.socket("/ws/state") as socket:
        assert state(socket)["lease"]["mine"]
        assert second.operate(over=True, name="Grace").json()["taken_from"] == "Ada"
        seen = state(socket)
        while seen["lease"]["mine"]:
            seen = state(socket)
        assert seen["lease"] == {"mine": False, "name": "Grace", "taken_from": "Ada"}
        assert "taken over from Ada" in seen["events"][-1]["text"]
    assert first.act("start").status_code == 409
    assert second.act("start").status_code == 200


def test_whoever_watches_may_stop(url: str, robot: MemoryRobot) -> None:
    operator, watcher = Browser(url), Browser(url)
    operator.operate()
    assert watcher.http.post("/api/stop").status_code == 200
    assert robot.stops == 1


def test_stop_does_not_wait_for_an_action(url: str, robot: MemoryRobot) -> None:
    robot.blocks = True
    operator, watcher = Browser(url), Browser(url)
    operator.operate()
    waiting = threading.Thread(target=operator.act, args=("save",))
    waiting.start()
    try:
        assert watcher.http.post("/api/stop").status_code == 200
        assert robot.stops == 1
        assert robot.asked == []
    finally:
        robot.let_go.set()
        waiting.join()
    assert robot.asked == [("save", "")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b"[" * 5000,
        b'{"action": 1}',
        b'{"action": "rm"}',
        b'{"action":"instruct","argument":5}',
    ],
)
def test_nonsense_is_refused_with_words(url: str, body: bytes, robot: MemoryRobot) -> None:
    browser = Browser(url)
    browser.operate()
    answer = browser.http.post("/api/act", content=body)
    assert answer.status_code == 409
    assert answer.json()["problem"]
    assert robot.asked == []


def test_a_refusal_of_the_robot_reaches_the_page(url: str) -> None:
    browser = Browser(url)
    browser.operate()
    answer = browser.act("instruct", "refuse")
    assert answer.status_code == 409
    assert "refused" in answer.json()["text"]


def test_words_stay_words(url: str, robot: MemoryRobot) -> None:
    robot.instruction = "<img src=x onerror=alert(1)></script>"
    with Browser(url).socket("/ws/state") as socket:
        assert state(socket)["live"]["instruction"] == robot.instruction


def test_pictures_come_one_at_a_time(url: str, robot: MemoryRobot) -> None:
    with Browser(url).socket("/ws/camera/front") as socket:
        data = socket.recv(timeout=10)
        stamp, sent = TILE_HEADER.unpack_from(data)
        picture = cv2.imdecode(np.frombuffer(data[TILE_HEADER.size :], np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (480, 640, 3)
        assert stamp == 1_000
        assert sent > stamp
        robot.number = 50
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.3)
        socket.send("ok")
        assert socket.recv(timeout=10) != data
        assert robot.watched["front"]


def test_a_camera_without_viewers_is_not_received(url: str, robot: MemoryRobot) -> None:
    with Browser(url).socket("/ws/camera/wrist") as socket:
        socket.recv(timeout=10)
    # The server answers the page's goodbye before it leaves the camera.
    browser = Browser(url)
    while robot.watched["wrist"]:
        browser.http.get("/api/about")


def test_an_unknown_camera_is_no_socket(url: str) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        Browser(url).socket("/ws/camera/..%2fpasswd")


def test_a_browser_that_stops_reading_is_let_go(robot: MemoryRobot) -> None:
    with running(robot, limits=Limits(patience_s=0.2)) as url:
        with Browser(url).socket("/ws/camera/front") as socket:
            socket.recv(timeout=10)
            assert closed(socket) == TOO_SLOW
        with Browser(url).socket("/ws/state") as other:
            assert state(other)["live"]["stops"] == 0


@pytest.mark.parametrize("message", ["nonsense", b"\x00\x01", "ok" * 100_000])
def test_a_malformed_message_ends_its_socket_alone(url: str, message: str | bytes) -> None:
    browser = Browser(url)
    with browser.socket("/ws/state") as good, browser.socket("/ws/state") as bad:
        bad.recv(timeout=10)
        bad.send(message)
        assert closed(bad) in (UNSUPPORTED, 1009)
        assert state(good)


def test_malformed_frames_end_the_connection(url: str) -> None:
    browser = Browser(url)
    with browser.socket("/ws/state") as socket:
        socket.recv(timeout=10)
        # A frame with reserved bits and no mask, as no browser sends it.
        socket.socket.sendall(struct.pack("!BB", 0xFF, 0x05) + b"hello")
        assert closed(socket) == 1002
    assert browser.http.get("/api/about").status_code == 200


@pytest.mark.parametrize("module", ["emma.console.app", "emma.ros.nodes.web_console"])
def test_a_console_starts_without_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'lerobot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
