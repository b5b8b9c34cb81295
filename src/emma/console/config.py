"""Where the console listens, which names it answers to, and what it may read."""

import ipaddress
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from emma.errors import EmmaError

PORT, CALIBRATION_PORT = 8090, 8091


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one console takes on. Sizes in bytes, rates per second, times in seconds.

    writes_per_s, burst: token bucket for the writes of one session; stopping the robot is exempt.
    logins_per_minute: wrong tokens of all visitors together; patience_s: for a browser that stops reading.
    lease_s: an operator's page that stays silent this long no longer holds the lease.
    """

    body_bytes: int = 64 << 10
    sockets: int = 32
    connections: int = 96
    message_bytes: int = 4 << 10
    writes_per_s: float = 10.0
    burst: int = 30
    logins_per_minute: int = 10
    sessions: int = 64
    session_s: float = 12 * 3600.0
    patience_s: float = 10.0
    lease_s: float = 20.0


@dataclass(frozen=True, kw_only=True)
class ConsoleConfig:
    """host: address to listen on; names: further host names that browsers may use for it.

    folders: bags and datasets are looked for below these, and nothing else is read.
    token: required for every address but loopback.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    names: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    token: str = ""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65535:
            raise EmmaError("bad value for port", found=self.port, expected="1 to 65535")
        if not is_loopback(self.host) and not self.token:
            raise EmmaError(
                "a console that other machines reach needs a token",
                found=f"host {self.host} without a token",
                expected="a token, or a loopback address",
            )
        if is_any(self.host) and not self.names:
            raise EmmaError(
                "the console must know the names that browsers use for it",
                found=f"host {self.host}",
                expected="at least one name or address",
                fix="add --name with the workstation's name or address",
            )

    @property
    def hosts(self) -> frozenset[str]:
        """The values of a Host header that this console answers, in lower case."""
        own = {self.host, *self.names}
        if is_loopback(self.host):
            own |= {"localhost", "127.0.0.1", "::1"}
        bracketed = {f"[{name}]" if ":" in name else name for name in own}
        return frozenset(f"{name.lower()}:{self.port}" for name in bracketed)

    @property
    def url(self) -> str:
        """The page's address. The token is in the fragment, which browsers send to no server."""
        name = self.names[0] if self.names else self.host
        name = f"[{name}]" if ":" in name else name
        return f"http://{name}:{self.port}/" + (f"#token={self.token}" if self.token else "")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_any(host: str) -> bool:
    """Whether `host` stands for every address of the machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def new_token() -> str:
    """256 random bits for a URL."""
    return secrets.token_urlsafe(32)
