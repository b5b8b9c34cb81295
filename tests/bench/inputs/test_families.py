"""Damage itself, and the clock that ends what hangs."""

import time
from random import Random

import pytest

from emma.bench.inputs.families import Hang, ends_within, flipped


def test_what_hangs_is_ended() -> None:
    def hang() -> None:
        with ends_within(0.05):
            while True:
                time.sleep(1)

    with pytest.raises(Hang):
        hang()


def test_damage_depends_on_the_seed_alone() -> None:
    data = bytes(range(256)) * 8
    assert flipped(data, Random(3)) == flipped(data, Random(3))
    changed = sum(flipped(data, Random(seed))[1] != data for seed in range(50))
    assert changed > 40
