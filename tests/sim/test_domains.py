"""Visual domains: exact to switch, true to their captions, and the unseen ones stay unseen."""

import dataclasses

import numpy as np
import pytest

from emma.errors import EmmaError
from emma.sim.demonstrations import domain_of
from emma.sim.domains import PARTS, held_out_combinations, list_domains, load_domain, random_domain
from emma.sim.domains.domain import COLORS, LEVELS, TONES, nearest_color
from emma.sim.domains.sample import RANDOM_PATTERNS


def pictures(arm):
    return {camera: arm.render(camera).copy() for camera in arm.cameras}


def test_every_domain_shows_and_the_source_comes_back_exactly(arm):
    before = pictures(arm)
    depth = arm.depth("front").copy()
    for name in list_domains():
        arm.set_domain(name)
        shown = pictures(arm)
        if name != "source":
            assert any(not np.array_equal(shown[c], before[c]) for c in shown), name
        if arm.domain.role != "moved":
            np.testing.assert_array_equal(arm.depth("front"), depth)
        arm.set_domain("source")
        for camera, image in pictures(arm).items():
            np.testing.assert_array_equal(image, before[camera], err_msg=f"{camera} after {name}")


def test_a_domain_looks_the_same_whatever_was_before(arm):
    arm.set_domain("unseen_3")
    direct = pictures(arm)
    for name in ("light_moved", "table_speckled", "unseen_3"):
        arm.set_domain(name)
    for camera, image in pictures(arm).items():
        np.testing.assert_array_equal(image, direct[camera])


def test_graded_domains_move_further_from_the_source(arm):
    source = pictures(arm)

    def distance(name):
        arm.set_domain(name)
        return np.mean([np.abs(image.astype(float) - source[c]).mean() for c, image in pictures(arm).items()])

    small, medium, large = (distance(name) for name in ("small", "medium", "large"))
    assert 2.0 < small < medium < large


def test_roles():
    assert list_domains("source") == ["source"]
    assert list_domains("graded") == ["small", "medium", "large"]
    assert list_domains("unseen") == [f"unseen_{i}" for i in range(1, 5)]
    assert {"cube_green", "table_dark", "light_warm"} <= set(list_domains("single"))


def test_random_looks_never_show_a_held_out_combination():
    rng = np.random.default_rng(0)
    unseen = [load_domain(name).words for name in list_domains("unseen")]
    captions = {load_domain(name).caption for name in list_domains("unseen")}
    held_out = held_out_combinations()
    # Every unseen look must be protected by a combination of its own.
    for words in unseen:
        assert any(all(words.get(k) == v for k, v in c.items()) for c in held_out)
    for _ in range(3000):
        domain = random_domain(rng, jitter=0.02)
        assert domain.caption not in captions
        for combination in held_out:
            assert not all(domain.words.get(k) == v for k, v in combination.items())


def test_without_the_exclusion_the_sampler_would_show_them():
    rng = np.random.default_rng(0)
    drawn = [random_domain(rng, exclude=()).words for _ in range(3000)]
    assert any(all(w.get(k) == v for k, v in c.items()) for w in drawn for c in held_out_combinations())


def test_random_looks_cover_all_words_and_keep_things_apart():
    rng = np.random.default_rng(1)
    domains = [random_domain(rng) for _ in range(500)]
    for part in PARTS:
        assert {d.words[part] for d in domains} == set(COLORS), part
    assert {d.pattern for d in domains} == set(RANDOM_PATTERNS)
    assert {(d.words["level"], d.words["tone"]) for d in domains} == {(a, b) for a in LEVELS for b in TONES}
    for d in domains:
        assert np.linalg.norm(np.subtract(d.cube, d.table)) >= 0.35
        assert np.linalg.norm(np.subtract(d.bin, d.plate)) >= 0.35


def test_the_same_seed_gives_the_same_random_look():
    assert domain_of("random", 5) == domain_of("random", 5) != domain_of("random", 6)
    assert domain_of("medium", 5) == "medium"


def test_captions_say_the_look():
    assert load_domain("source").caption == (
        "a white robot arm, a red cube, a blue bin and a yellow plate on a plain "
        f"{nearest_color(load_domain('source').table)} table, grey floor, normal neutral light"
    )
    assert "pink cube" in load_domain("unseen_4").caption
    assert "grey and orange speckled table" in load_domain("unseen_4").caption
    assert load_domain("unseen_3").caption.endswith("dim warm light")


def test_an_unknown_domain_is_named():
    with pytest.raises(EmmaError, match="moonlight") as error:
        load_domain("moonlight")
    assert "unseen_1" in str(error.value)


@pytest.mark.parametrize(
    "change", [{"cube": (1.2, 0, 0)}, {"pattern": "dots"}, {"level": 0.0}, {"tone": (1, 1)}, {"role": "other"}]
)
def test_impossible_looks_are_refused(change):
    with pytest.raises(ValueError, match=str(next(iter(change)))):
        dataclasses.replace(load_domain("source"), **change)
