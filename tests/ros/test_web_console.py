"""The web console over a real graph: what it shows and does is what the nodes say and do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from console_browser import Browser, free_port
from std_msgs.msg import Bool

from emma.bags.episode import EpisodeMeta
from emma.console.config import ConsoleConfig
from emma.console.sockets import TILE_HEADER
from emma.ros import qos
from emma.ros.nodes.web_console import bundles_below, console_over
from emma.sessions.graph import NodeProcess


def states(browser: Browser, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The first live state for which `condition` holds."""
    with browser.socket("/ws/state") as socket:
        while True:
            live: dict[str, Any] = json.loads(socket.recv(timeout=60))["live"]
            if condition(live):
                return live
            socket.send("ok")


def picture(browser: Browser, camera: str) -> tuple[int, Any]:
    with browser.socket(f"/ws/camera/{camera}") as socket:
        data = socket.recv(timeout=60)
    stamp, _ = TILE_HEADER.unpack_from(data)
    return stamp, cv2.imdecode(np.frombuffer(data[TILE_HEADER.size :], np.uint8), cv2.IMREAD_COLOR)


def test_two_episodes_by_the_page(running_graph: Any, tmp_path: Path, eventually: Any) -> None:
    bags = tmp_path / "bags"
    nodes = [
        NodeProcess(module="sim"),
        NodeProcess(module="recorder", parameters={"root": str(bags)}),
        NodeProcess(module="teleop"),
    ]
    config = ConsoleConfig(port=free_port())
    with running_graph(*nodes, logs=tmp_path / "logs") as (_, client), console_over(client, config, "desk_arm"):
        browser = Browser(f"http://127.0.0.1:{config.port}")
        about = browser.http.get("/api/about").json()["live"]
        assert [camera["name"] for camera in about["cameras"]] == ["top", "wrist", "front"]
        states(browser, lambda s: s["recorder"]["state"] == "idle" and s["nodes"]["teleop"] and s["joints"])
        browser.operate(name="Ada")
        # The simulator's service may not be discovered yet.
        eventually(lambda: browser.act("next").status_code == 200, "the next task")
        words = states(browser, lambda s: s["recorder"]["instruction"])["recorder"]["instruction"]
        for action in ("start", "success", "save", "start", "failure", "save"):
            answer = browser.act(action)
            assert answer.status_code == 200, answer.text
        saved = states(browser, lambda s: len(s["saved"]) == 2)["saved"]
        metas = [EpisodeMeta.load(bags / name) for name in saved]
        assert [meta.success for meta in metas] == [True, False]
        assert metas[0].instruction == words
        assert browser.act("discard").status_code == 409
        assert browser.act("instruct", "hold <b>still</b>").status_code == 200
        assert states(browser, lambda s: s["recorder"]["instruction"] == "hold <b>still</b>")
        assert browser.act("delete_last").status_code == 200
        assert EpisodeMeta.load(bags / saved[1]).state == "discarded"
        stamp, seen = picture(browser, "wrist")
        assert seen.shape[2] == 3
        assert seen.std() > 5
        eventually(lambda: picture(browser, "wrist")[0] > stamp, "a newer picture")
        pressed: list[bool] = []
        client.node.create_subscription(Bool, "/e_stop", lambda m: pressed.append(m.data), qos.LATCHED)
        watcher = Browser(f"http://127.0.0.1:{config.port}")
        assert watcher.http.post("/api/stop").status_code == 200
        assert states(watcher, lambda s: s["e_stop"])["word"] == "stopped"
        assert watcher.act("release_stop").status_code == 409
        refused = browser.act("take")
        assert refused.status_code == 409
        assert "emergency stop" in refused.json()["text"]
        assert browser.act("release_stop").status_code == 200
        states(browser, lambda s: not s["e_stop"])
        assert pressed == [True, False]


def test_without_a_graph_the_page_names_it(running_graph: Any, tmp_path: Path) -> None:
    config = ConsoleConfig(port=free_port())
    with running_graph(logs=tmp_path) as (_, client), console_over(client, config, "desk_arm"):
        live = states(Browser(f"http://127.0.0.1:{config.port}"), lambda s: True)
        assert live["word"] == "no robot"
        assert live["joints"] is None


def test_bundles_are_policies_only() -> None:
    from emma.resources import data_dir

    names = [path.name for path in bundles_below([data_dir("models")])]
    assert "desk_arm_source" in names
    assert "dreamtransfer_desk" not in names


def test_a_camera_without_viewers_is_not_subscribed(running_graph: Any, tmp_path: Path) -> None:
    config, topic = ConsoleConfig(port=free_port()), "/camera/top/color/image_raw"
    sim = NodeProcess(module="sim")
    with running_graph(sim, logs=tmp_path) as (_, client), console_over(client, config, "desk_arm"):
        browser = Browser(f"http://127.0.0.1:{config.port}")
        assert client.node.count_subscribers(topic) == 0
        with browser.socket("/ws/camera/top") as socket:
            socket.recv(timeout=60)
            assert client.node.count_subscribers(topic) == 1
        while client.node.count_subscribers(topic):
            browser.http.get("/api/about")


@pytest.mark.slow
def test_the_node_serves_and_ends_in_order(running_graph: Any, tmp_path: Path, eventually: Any) -> None:
    port = free_port()
    page = NodeProcess(module="web_console", parameters={"port": port, "folders": [str(tmp_path)]})
    with running_graph(page, logs=tmp_path / "logs") as (graph, _):

        def answer() -> bool:
            graph.check()
            try:
                return httpx.get(f"http://127.0.0.1:{port}").status_code == 200
            except httpx.TransportError:
                return False

        eventually(answer, "the page", 300.0)
        assert f"http://127.0.0.1:{port}/" in graph.log("web_console").read_text()
        assert graph.stop() == {"web_console": 0}
