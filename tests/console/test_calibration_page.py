"""The page of a live calibration: read-only, on this machine alone, and as far as the views are."""

import cv2
import httpx
import numpy as np
import pytest
from console_browser import free_port

from emma.bench.calibrate_rig import BOARD, BoardCamera, Faults, lens_of
from emma.calibrate.guide import Guide
from emma.calibrate.pinhole import rigid
from emma.console.calibration_page import calibration_page


@pytest.fixture
def guide() -> Guide:
    """A guide that took one view, of the board in the left half."""
    camera, rng = BoardCamera(lens_of(width=480, height=360), BOARD), np.random.default_rng(0)
    picture = camera.picture(rigid(np.array([0.3, 0, 0]), np.array([-0.13, -0.09, 0.42]))[None], Faults(), rng)
    guide = Guide(BOARD, (480, 360))
    for i in range(4):
        guide.offer(picture, 0.2 * i, np.zeros(0))
    assert len(guide.views) == 1
    return guide


def test_the_page_shows_what_is_covered_and_what_is_next(guide: Guide) -> None:
    with calibration_page(free_port()) as (page, address), httpx.Client(base_url=address) as browser:
        assert browser.get("/state").json() == []
        assert browser.get("/picture/top").status_code == 404
        picture = guide.views[0].picture
        assert picture is not None
        page.show("top", picture, guide.corners, guide, "taken")
        (state,) = browser.get("/state").json()
        assert (state["camera"], state["status"], state["views"], state["number"]) == ("top", "taken", 1, 0)
        fields = np.array(state["fields"])
        assert fields[:, :3].sum() > 0
        assert fields[:, 5:].sum() == 0
        assert "11 more views" in state["missing"]
        drawn = cv2.imdecode(np.frombuffer(browser.get("/picture/top").content, np.uint8), cv2.IMREAD_COLOR)
        assert drawn.shape == (360, 480, 3)
        assert (drawn[..., 1].astype(int) - drawn[..., 2] > 80).any()
        page.show("top", picture, None, guide, "no board in sight")
        assert browser.get("/state").json()[0]["number"] == 1
        for path in ("/", "/static/calibration.js", "/static/calibration.css", "/static/dom.js"):
            assert browser.get(path).status_code == 200, path


def test_other_hosts_and_writes_are_refused(guide: Guide) -> None:
    with calibration_page(free_port()) as (_, address), httpx.Client(base_url=address) as browser:
        assert browser.get("/state", headers={"host": "evil.example"}).status_code == 400
        assert browser.post("/state").status_code == 405
        policy = browser.get("/").headers["content-security-policy"]
        assert "script-src 'self'" in policy
