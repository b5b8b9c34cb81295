"""Recordings over the wire: a real bag and a real dataset, by id, with edits that leave the original alone."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from console_browser import Browser, MemoryRobot, free_port
from dataset_of_numbers import write_dataset

from emma.bags.episode import EpisodeMeta
from emma.console.app import Console
from emma.console.config import ConsoleConfig
from emma.console.server import serving
from emma.datasets.index import PROVENANCE_PATH
from emma.datasets.source import SourceDataset
from emma.files import sha256_tree
from emma.robots.spec import load_robot

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def folder(tmp_path: Path, make_scene: Any) -> Path:
    """`data/one` and `data/two` (datasets), and a bag of the desk arm."""
    write_dataset(tmp_path / "all" / "data" / "one", lengths=(6, 4))
    scene = make_scene(load_robot("desk_arm"), 1.0, 1_700_000_000_000_000_000, 0)
    scene.record(tmp_path / "all" / "bags")
    (tmp_path / "secret.txt").write_text("secret")
    os.symlink(tmp_path, tmp_path / "all" / "data" / "link")
    return tmp_path / "all"


@pytest.fixture
def browser(folder: Path) -> Iterator[Browser]:
    config = ConsoleConfig(port=free_port(), folders=(folder,))
    with serving(Console(config).asgi, config):
        yield Browser(f"http://127.0.0.1:{config.port}")


def sources(browser: Browser) -> dict[str, str]:
    return {source["kind"]: source["id"] for source in browser.http.get("/api/library").json()}


def decoded(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)


def test_a_dataset_plays_and_is_edited_into_a_new_one(browser: Browser, folder: Path) -> None:
    root = folder / "data" / "one"
    before = sha256_tree(root)
    base = f"/api/library/{sources(browser)['dataset']}"
    rows = browser.http.get(f"{base}/episodes").json()
    assert [row["frames"] for row in rows] == [6, 4]
    clip = browser.http.get(f"{base}/episodes/0").json()
    assert clip["cameras"] == ["top", "wrist"]
    assert len(clip["curves"]["state"][0]) == 6
    assert clip["health"]["limit hits"] == 0
    stored = SourceDataset.open(root).read(0).rows["observation.images.wrist"][2]["bytes"].as_py()
    assert browser.http.get(f"{base}/episodes/0/frames/wrist/2").content == stored
    sent = [
        {"kind": "trim", "episode": 0, "first": 1, "end": 5},
        {"kind": "delete", "episode": 1},
        {"undo": True},
        {"kind": "relabel", "episode": 1, "words": HOSTILE},
    ]
    for edit in sent:
        shown = browser.http.post(f"{base}/edits", json=edit)
        assert shown.status_code == 200, shown.text
    assert [(part["first"], part["end"]) for part in shown.json()["result"]] == [(1, 5), (0, 4)]
    assert (
        browser.http.post(f"{base}/edits", json={"kind": "trim", "episode": 0, "first": 5, "end": 1}).status_code == 409
    )
    assert browser.http.get(f"{base}/edits").json() == shown.json()
    assert browser.http.post(f"{base}/apply", json={"name": "new"}).json() == {"name": "new", "episodes": 2}
    assert sha256_tree(root) == before
    new = SourceDataset.open(folder / "data" / "new")
    assert sorted((new.length(i), new.read(i).task) for i in range(2)) == [(4, HOSTILE), (4, "task 0")]
    assert browser.http.get(f"{base}/edits").json()["edits"] == []


def test_a_bag_plays_and_is_marked(browser: Browser, folder: Path) -> None:
    source = sources(browser)["bags"]
    (row,) = [r for r in browser.http.get(f"/api/library/{source}/episodes").json() if r.get("state")]
    base = f"/api/library/{source}/episodes/{row['id']}"
    clip = browser.http.get(base).json()
    assert clip["cameras"] == list(load_robot("desk_arm").camera_names)
    assert clip["frames"] > 10
    assert {"jerk", "idle", "gaps", "skew, ms"} <= set(clip["health"])
    assert decoded(browser.http.get(f"{base}/frames/front/{clip['frames'] - 1}")).std() > 1
    assert browser.http.get(f"{base}/frames/front/{clip['frames']}").status_code == 409
    answer = browser.http.post(f"{base}/mark", json={"success": False, "instruction": HOSTILE})
    assert answer.status_code == 200, answer.text
    (path,) = (folder / "bags").glob("*/episode.yaml")
    meta = EpisodeMeta.load(path.parent)
    assert (meta.success, meta.instruction) == (False, HOSTILE)
    assert browser.http.get(base).json()["instruction"] == HOSTILE
    assert browser.http.get("/api/last").json()["episode"] == row["id"]


def test_a_generated_clip_is_judged_beside_its_source(browser: Browser, folder: Path) -> None:
    made = write_dataset(folder / "data" / "dreams", lengths=(6, 6))
    lines = [json.loads(line) for line in (made / PROVENANCE_PATH).read_text().splitlines()]
    more = {"prompt": "a red desk", "scores": {"depth": 0.9}, "accepted": True, "reason": ""}
    for episode, line in enumerate(lines):
        line |= {**more, "from": {"dataset": "one", "episode": episode}}
    (made / PROVENANCE_PATH).write_text("".join(json.dumps(line) + "\n" for line in lines))
    by_name = {source["name"]: source["id"] for source in browser.http.get("/api/library").json()}
    base = f"/api/library/{by_name['dreams']}"
    generated = browser.http.get(f"{base}/episodes/0").json()["generated"]
    assert (generated["prompt"], generated["scores"], generated["episode"]) == ("a red desk", {"depth": 0.9}, 0)
    source = generated["source"]
    assert source["cameras"] == ["top", "wrist"]
    assert decoded(browser.http.get(f"{source['base']}/frames/top/5")).std() > 1
    # Episode 1 of the source has another length: it is not what this clip was made from.
    assert browser.http.get(f"{base}/episodes/1").json()["generated"]["source"] is None
    assert browser.http.post(f"{base}/edits", json={"kind": "delete", "episode": 0}).json()["deleted"] == [0]
    assert browser.http.get(f"{base}/edits").json()["deleted"] == [0], "a verdict holds"
    assert browser.http.post(f"{base}/edits", json={"keep": True, "episode": 0}).json()["edits"] == []


@pytest.mark.parametrize(
    "path",
    [
        "/api/library/../episodes",
        "/api/library/%2e%2e%2f%2e%2e/episodes",
        "/api/library/%2Fetc/episodes/0",
        "/api/library/{dataset}/episodes/..%2f..%2fsecret.txt",
        "/api/library/{dataset}/episodes/-1",
        "/api/library/{dataset}/episodes/0/frames/..%2f..%2fsecret/0",
        "/api/library/{dataset}/episodes/0/frames/top/99",
        "/api/library/{bags}/episodes/{dataset}",
    ],
)
def test_nothing_outside_is_reached(browser: Browser, path: str) -> None:
    answer = browser.http.get(path.format(**sources(browser)))
    assert answer.status_code in (404, 409)
    assert "secret" not in answer.text.replace("secret/", "").replace("secret.txt", "")


def test_links_that_lead_out_are_not_followed(browser: Browser, folder: Path) -> None:
    write_dataset(folder.parent / "outside", lengths=(2,))
    assert {source["name"] for source in browser.http.get("/api/library").json()} == {"one", "all"}


@pytest.mark.parametrize("name", ["../out", "a/b", "", ".hidden", "x" * 65, "one"])
def test_a_new_dataset_has_a_name_and_no_path(browser: Browser, folder: Path, name: str) -> None:
    base = f"/api/library/{sources(browser)['dataset']}"
    browser.http.post(f"{base}/edits", json={"kind": "delete", "episode": 0})
    assert browser.http.post(f"{base}/apply", json={"name": name}).status_code == 409
    assert sorted(path.name for path in (folder / "data").iterdir() if path.is_dir()) == ["link", "one"]


MALFORMED = (
    {},
    {"kind": "rm"},
    {"kind": "trim", "episode": "0"},
    {"kind": "trim", "episode": True},
    {"kind": "merge", "dataset": "/etc"},
)


@pytest.mark.parametrize("edit", MALFORMED)
def test_a_malformed_edit_is_refused(browser: Browser, edit: dict[str, Any]) -> None:
    base = f"/api/library/{sources(browser)['dataset']}"
    assert browser.http.post(f"{base}/edits", json=edit).status_code == 409
    assert browser.http.get(f"{base}/edits").json()["edits"] == []


def test_beside_a_robot_edits_are_the_operators(folder: Path) -> None:
    config = ConsoleConfig(port=free_port(), folders=(folder,))
    with serving(Console(config, MemoryRobot()).asgi, config):
        watcher = Browser(f"http://127.0.0.1:{config.port}")
        base = f"/api/library/{sources(watcher)['dataset']}"
        assert watcher.http.post(f"{base}/edits", json={"kind": "delete", "episode": 0}).status_code == 409
        assert watcher.http.post(f"{base}/apply", json={"name": "x"}).status_code == 409
        watcher.operate()
        assert watcher.http.post(f"{base}/edits", json={"kind": "delete", "episode": 0}).status_code == 200
