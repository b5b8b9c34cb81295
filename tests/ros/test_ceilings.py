"""The search for the highest load without loss, with a recorder whose limits are known."""

from emma.ros.load.ceilings import Outcome, Play, ceiling, sustained
from emma.ros.load.rig import Sent

FACTORS = (1.0, 1.5, 2.0, 3.0)


def limited(short: float, long: float, hiccups: int = 0) -> Play:
    """Loses messages above `short` times the load, above `long` times when it lasts, and in the first `hiccups`."""
    runs = 0

    def play(factor: float, seconds: float) -> Outcome:
        nonlocal runs
        runs += 1
        lost = runs <= hiccups or factor > (short if seconds < 10 else long)
        sent = Sent(sent={"/a": 100}, mb_per_s=138.0 * factor, late_s=0.0, skipped=0)
        return Outcome(sent=sent, missing=7 if lost else 0, dropped=3 if lost else 0, lost=4 if lost else 0)

    return play


def test_the_probes_alone() -> None:
    found = ceiling(limited(2.0, 1.0), FACTORS, probe_s=5, sustained_s=0)
    assert found.mb_per_s == 276
    # Twice, before it is believed.
    assert [step.factor for step in found.steps] == [1.0, 1.5, 2.0, 3.0, 3.0]


def test_what_holds_for_a_moment_must_hold_on() -> None:
    found = ceiling(limited(2.0, 1.5), FACTORS, probe_s=5, sustained_s=30)
    assert found.mb_per_s == 207
    assert [(step.factor, step.missing) for step in found.steps if step.seconds == 30] == [(2.0, 7), (2.0, 7), (1.5, 0)]


def test_one_hiccup_is_forgiven() -> None:
    assert ceiling(limited(9, 9, hiccups=1), FACTORS, probe_s=5, sustained_s=30).mb_per_s == 414


def test_nothing_holds() -> None:
    found = ceiling(limited(0.5, 0.5), FACTORS, probe_s=5, sustained_s=30)
    assert found.mb_per_s == 0
    # Who lost them: the recorder's queue, or the middleware before it.
    assert [(row["missing"], row["dropped"], row["lost"]) for row in found.rows()] == 2 * [(7, 3, 4)]


def test_a_share_of_what_the_disk_can_do() -> None:
    disk = iter([300.0, 250.0, 310.0, 290.0])
    found = sustained(limited(9, 2.0), lambda: next(disk), 138.0, seconds=30)
    # 0.97 x 300 is 2.1 times the load: too much. The second try is measured against the disk as it is then.
    assert [round(step.factor, 2) for step in found.steps] == [2.11, 1.76]
    assert (found.mb_per_s / 250.0, found.limit_mb_per_s) == (0.97, 250.0)
