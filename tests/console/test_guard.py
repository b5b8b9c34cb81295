"""What a console lets in. Every refusal is tried against the real server, over real sockets."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from console_browser import Browser, MemoryRobot, running
from websockets.exceptions import InvalidStatus

from emma.console.config import ConsoleConfig, Limits
from emma.console.guard import WRITE_HEADER
from emma.errors import EmmaError

TOKEN = "a-token-of-the-test"


@pytest.fixture
def guarded() -> Iterator[str]:
    with running(MemoryRobot(), token=TOKEN) as address:
        yield address


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost", ""])
def test_a_foreign_host_is_refused(url: str, host: str) -> None:
    assert httpx.get(url, headers={"host": host}).status_code == 403


def test_own_names_are_answered(url: str) -> None:
    port = url.rpartition(":")[2]
    for name in ("localhost", "127.0.0.1", "LOCALHOST", "[::1]"):
        assert httpx.get(url, headers={"host": f"{name}:{port}"}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "file://"])
def test_a_foreign_origin_reaches_nothing(url: str, origin: str, robot: MemoryRobot) -> None:
    browser = Browser(url)
    assert browser.http.get("/api/about", headers={"origin": origin}).status_code == 403
    assert browser.http.post("/api/stop", headers={"origin": origin}).status_code == 403
    assert robot.stops == 0
    with pytest.raises(InvalidStatus, match="403"):
        browser.socket("/ws/state", Origin=origin)


def test_a_websocket_without_origin_is_refused(url: str) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        Browser(url).socket("/ws/state", Origin="")


def test_a_websocket_to_a_foreign_host_is_refused(url: str) -> None:
    browser = Browser(url)
    host, port = url.removeprefix("http://").split(":")
    lines = ["GET /ws/state HTTP/1.1", "Host: evil.example", f"Origin: {url}", f"Cookie: {browser.cookie}"]
    lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall("\r\n".join(lines).encode())
        assert b" 403 " in raw.recv(65536).splitlines()[0]


def test_a_request_by_another_site_is_refused(url: str) -> None:
    browser = Browser(url)
    assert browser.http.get("/api/about", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert browser.http.get("/api/about", headers={"sec-fetch-site": "same-site"}).status_code == 403
    assert browser.http.get("/", headers={"sec-fetch-site": "cross-site"}).status_code == 200


def test_a_write_needs_its_header(url: str, robot: MemoryRobot) -> None:
    browser = Browser(url)
    del browser.http.headers[WRITE_HEADER]
    assert browser.http.post("/api/stop").status_code == 403
    assert robot.stops == 0


def test_without_the_token_there_is_only_the_page(guarded: str) -> None:
    stranger = Browser(guarded, login=False)
    assert stranger.http.get("/").status_code == 200
    for path in ("/api/about", "/api/library"):
        assert stranger.http.get(path).status_code == 401
    for path in ("/api/stop", "/api/act", "/api/lease"):
        assert stranger.http.post(path, json={}).status_code == 401
    for path in ("/ws/state", "/ws/camera/front"):
        with pytest.raises(InvalidStatus, match="403"):
            stranger.socket(path)
    assert stranger.http.post("/api/session", json={"token": TOKEN + "x"}).status_code == 401
    assert stranger.http.post("/api/session", json={}).status_code == 401
    assert stranger.http.post("/api/session", json={"token": TOKEN}).status_code == 200
    assert stranger.http.get("/api/about").status_code == 200


def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(guarded: str) -> None:
    answer = Browser(guarded, login=False).http.post("/api/session", json={"token": TOKEN})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in answer.headers["set-cookie"]


def test_guessing_tokens_is_slow(guarded: str) -> None:
    stranger = Browser(guarded, login=False)
    for _ in range(Limits().logins_per_minute):
        assert "wrong token" in stranger.http.post("/api/session", json={"token": "guess"}).json()["problem"]
    assert "too many" in stranger.http.post("/api/session", json={"token": TOKEN}).json()["problem"]


def test_a_replayed_cookie_opens_nothing(guarded: str) -> None:
    browser = Browser(guarded, TOKEN)
    stolen = browser.cookie
    assert browser.http.request("DELETE", "/api/session").status_code == 200
    assert httpx.get(f"{guarded}/api/about", headers={"cookie": stolen}).status_code == 401
    with running(MemoryRobot(), token=TOKEN) as another:
        name = f"emma_console_{another.rpartition(':')[2]}"
        value = stolen.partition("=")[2]
        assert httpx.get(f"{another}/api/about", headers={"cookie": f"{name}={value}"}).status_code == 401


def test_a_session_expires() -> None:
    with running(MemoryRobot(), limits=Limits(session_s=0.0)) as url:
        assert Browser(url).http.get("/api/about").status_code == 401


def test_the_page_allows_no_inline_script_and_no_frame(url: str) -> None:
    for path in ("/", "/static/main.js", "/api/about", "/nothing"):
        policy = httpx.get(url + path).headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
    page = httpx.get(url).text
    assert "<script>" not in page
    assert "onclick" not in page
    assert "style=" not in page


@pytest.mark.parametrize(
    "path",
    ["/static/../config.py", "/static/%2e%2e/config.py", "/static/..%2fconfig.py", "/static//etc/passwd", "/../app.py"],
)
def test_no_path_leads_out(url: str, path: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.split()[1] in (b"404", b"401")
    assert b"ConsoleConfig" not in answer


def test_a_huge_body_is_refused_before_it_is_read(url: str, robot: MemoryRobot) -> None:
    host, port = url.removeprefix("http://").split(":")
    browser = Browser(url)
    head = (
        f"POST /api/act HTTP/1.1\r\nHost: {host}:{port}\r\n{WRITE_HEADER}: 1\r\nCookie: {browser.cookie}\r\n"
        f"Content-Length: {1 << 30}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(head.encode())
        assert b" 413 " in raw.recv(65536).splitlines()[0]


def test_a_huge_body_without_a_length_is_cut(url: str) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(1 << 10):
            yield b"x" * (1 << 16)

    browser = Browser(url)
    try:
        assert browser.http.post("/api/act", content=endless()).status_code == 413
    except (httpx.WriteError, httpx.RemoteProtocolError):
        # The server closed the connection while the body was still being sent.
        assert browser.http.get("/api/about").status_code == 200


def test_writes_have_a_rate_and_stopping_does_not(robot: MemoryRobot) -> None:
    with running(robot, limits=Limits(burst=5, writes_per_s=0.001)) as url:
        browser = Browser(url)
        codes = [browser.http.post("/api/lease", json={}).status_code for _ in range(8)]
        assert codes == [200] * 5 + [429] * 3
        for _ in range(20):
            assert browser.http.post("/api/stop").status_code == 200
        assert robot.stops == 20


def test_two_hundred_sockets(robot: MemoryRobot) -> None:
    limits = Limits(sockets=20, connections=64)
    with running(robot, limits=limits) as url, ExitStack() as stack:
        browser = Browser(url)
        opened, refused = [], 0
        for _ in range(200):
            try:
                opened.append(stack.enter_context(browser.socket("/ws/state")))
            except InvalidStatus:
                refused += 1
        assert len(opened) == limits.sockets
        assert refused == 200 - limits.sockets
        assert browser.http.post("/api/stop").status_code == 200
        stack.close()
        with browser.socket("/ws/state") as again:
            assert again.recv(timeout=10)


def test_an_open_address_needs_a_token_and_a_name() -> None:
    with pytest.raises(EmmaError, match="needs a token"):
        ConsoleConfig(host="192.0.2.7")
    with pytest.raises(EmmaError, match="names that browsers use"):
        ConsoleConfig(host="0.0.0.0", token=TOKEN)
    config = ConsoleConfig(host="0.0.0.0", token=TOKEN, names=("robot.local",), port=8090)
    assert config.hosts == {"0.0.0.0:8090", "robot.local:8090"}
    assert config.url == f"http://robot.local:8090/#token={TOKEN}"
