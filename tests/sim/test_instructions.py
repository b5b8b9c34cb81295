"""Paraphrases: enough of them, each with one meaning, some kept for evaluation."""

import numpy as np
import pytest

from emma.errors import EmmaError
from emma.sim.instructions import choose, phrases, target_of


@pytest.mark.parametrize("target", ["bin", "plate"])
def test_eight_to_train_on_and_two_held_out(target):
    train, held_out = phrases(target), phrases(target, held_out=True)
    assert len(set(train)) >= 8
    assert len(set(held_out)) == 2
    assert not set(train) & set(held_out)
    for phrase in (*train, *held_out):
        assert target_of(phrase) == target
        assert target in phrase


def test_held_out_phrasings_add_two_new_words():
    def words(held_out):
        return {w for target in ("bin", "plate") for p in phrases(target, held_out=held_out) for w in p.split()}

    assert words(held_out=True) - words(held_out=False) == {"grab", "please"}


def test_choice_follows_the_seed_and_the_split(arm):
    assert {choose("bin", np.random.default_rng(i)) for i in range(200)} == set(phrases("bin"))
    assert arm.reset(4, "bin").instruction == arm.reset(4, "bin").instruction
    assert arm.reset(4, "plate", held_out_words=True).instruction in phrases("plate", held_out=True)


def test_other_words():
    assert target_of("make me a coffee") is None
    with pytest.raises(EmmaError, match="unknown target"):
        phrases("cup")
