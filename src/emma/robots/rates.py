"""Rates and clocks of topics against what a spec expects."""

from collections.abc import Iterator

from emma.robots.findings import Finding, Level
from emma.robots.heard import Traffic

# A measured rate within this factor of the spec's is the same: a few seconds of listening measure no better.
WITHIN = 1.25
# A larger share of lost messages is told.
LOST = 0.05
# Stamps further from the time of receipt are on another clock, or wait in a queue.
BEHIND_S, AHEAD_S = 0.5, 0.02


def check_rate(topic: str, seen: Traffic, expected_hz: float, where: str) -> Iterator[Finding]:
    """A topic that is slower than told goes stale; one that is faster hides losses."""
    if seen.lost > LOST * (seen.count + seen.lost):
        yield Finding(
            what=topic,
            found=f"{seen.lost} of {seen.count + seen.lost} messages did not arrive",
            expected="a machine and a network that keep up",
            fix="start camera drivers with the larger shared memory of docs/how-to/recording.md "
            "(FASTDDS_DEFAULT_PROFILES_FILE); over a network use JPEG and raise net.core.rmem_max",
            level=Level.WARNING,
        )
    if expected_hz / WITHIN <= seen.rate_hz <= expected_hz * WITHIN:
        return
    slower = seen.rate_hz < expected_hz
    yield Finding(
        what=topic,
        found=f"{seen.rate_hz:.1f} Hz",
        expected=f"{expected_hz:g} Hz",
        fix=f"raise the driver's rate, or set {where}" if slower else f"set {where} to the measured rate",
    )


def check_clock(topic: str, seen: Traffic) -> Iterator[Finding]:
    """Stamps must be there, grow, and be of this machine's clock."""
    if seen.unstamped:
        yield Finding(
            what=topic,
            found=f"{seen.unstamped} messages stamped 0",
            expected="the moment of measurement in header.stamp",
            fix="let the driver stamp its messages; until then they count from their receipt",
            level=Level.WARNING,
        )
    if seen.back:
        yield Finding(
            what=topic,
            found=f"stamps that went back {seen.back} times",
            expected="stamps that grow",
            fix="see that one node alone publishes it, with one clock",
        )
    if seen.behind_s is not None and not -AHEAD_S <= seen.behind_s <= BEHIND_S:
        direction = "behind" if seen.behind_s > 0 else "ahead of"
        yield Finding(
            what=topic,
            found=f"stamps {abs(seen.behind_s):.3f} s {direction} this machine's clock",
            expected=f"at most {BEHIND_S:g} s behind",
            fix="synchronise the clocks (chrony); set use_sim_time everywhere or nowhere",
        )
