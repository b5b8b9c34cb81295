"""kill -9 of the recorder node at random moments under load, and what is left."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from emma.bags.episode import EpisodeMeta
from emma.bags.repair import repair_all
from emma.bench.load import Tally, tally_bag
from emma.errors import EmmaError
from emma.files import sha256_tree
from emma.ros.load.ceilings import deleted
from emma.ros.load.rig import Rig

# How far into an episode the kill may come, in seconds.
LATEST_S = 2.0
WHOLE_S = 0.5
SENDING_S = 600.0
ANSWER_S = 12.0
RESTARTS = 4


@dataclass(frozen=True, kw_only=True)
class Kill:
    """One kill.

    lost_s: from the last message of a topic in the mended bag, or the start of the episode, to the kill; of the topic
    that lost most, its own period included. gaps: messages missing before that. deaf: recorders started before this
    one that did not hear the publisher. repaired: by the repair; untouched: the finished episode beside it is what it
    was.
    """

    after_s: float
    deaf: int
    messages: int
    gaps: int
    lost_s: float
    repaired: bool
    untouched: bool

    @property
    def recovered(self) -> bool:
        """The whole promise: mended, without gaps, at most the last second lost, the finished episode untouched."""
        return self.repaired and self.untouched and self.gaps == 0 and self.lost_s <= 1.0


def kills(rig: Rig, bags: Path, count: int, factor: float, seed: int, done: Callable[[Kill], None]) -> list[Kill]:
    """Record a whole episode, then kill `count` recorders within their next one, each at another moment."""
    chance = random.Random(seed)
    with rig.recorder(bags) as recorder:
        whole = recorder.start()
        rig.play(factor, WHOLE_S)
        recorder.save()
    digest = sha256_tree(whole)
    found = []
    for _ in range(count):
        found.append(_kill(rig, bags, whole, digest, chance.uniform(0.0, LATEST_S), factor))
        done(found[-1])
    return found


def _kill(rig: Rig, bags: Path, whole: Path, digest: str, after_s: float, factor: float) -> Kill:
    runs = rig.start(factor, SENDING_S)
    deaf = 0
    try:
        while True:
            try:
                with rig.recorder(bags) as recorder:
                    torn = recorder.start(ANSWER_S)
                    began = time.time_ns()
                    recorder.wait_for_all_topics()
                    time.sleep(after_s)
                    moment = recorder.kill()
                break
            except EmmaError:
                deaf += 1
                if deaf == RESTARTS:
                    raise
    finally:
        rig.stop()
        rig.wait(runs, 60.0)
    reports = {report.path: report for report in repair_all(bags)}
    with deleted(torn):
        tallies = tally_bag(torn)
        state = EpisodeMeta.load(torn).state
        last = [tallies.topics.get(topic, Tally()).last_stamp_ns for topic in rig.spec.topics()]
        return Kill(
            after_s=after_s,
            deaf=deaf,
            messages=sum(tally.count for tally in tallies.topics.values()),
            gaps=tallies.gaps(),
            lost_s=(moment - max(began, min(last))) / 1e9,
            repaired=reports[torn].action == state == "recovered",
            untouched=sha256_tree(whole) == digest,
        )
