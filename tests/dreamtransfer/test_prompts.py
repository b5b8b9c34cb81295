"""Prompts: the same sentences, rules and held-out looks as the simulator's, and clear words for what is wrong."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import yaml

from emma.dreamtransfer.grammar import GrammarSpec
from emma.dreamtransfer.prompts import Grammar
from emma.errors import EmmaError
from emma.sim.domains import held_out_combinations, list_domains, load_domain, random_domain
from emma.sim.domains.domain import COLORS, LEVELS, TONES
from emma.sim.domains.sample import _APART, _MIN_DISTANCE, RANDOM_PATTERNS

TINY = """
name: tiny
words:
  colours: {red: [1, 0, 0], crimson: [0.9, 0, 0], blue: [0, 0, 1]}
  patterns: [plain, dotted]
slots:
  foreground: {cup: colours}
  background: {mat: colours, dots: colours, pattern: patterns}
text: ["a {cup} cup", " on a {top} mat"]
phrases:
  top:
    - {when: {pattern: plain}, text: "plain {mat}"}
    - {text: "{mat} with {dots} dots {pattern}"}
apart: [{slots: [cup, mat], distance: 0.5}]
differ: [[mat, dots]]
held_out: [{cup: red, pattern: dotted}]
"""


@pytest.fixture
def desk() -> Grammar:
    return Grammar.load("desk")


@pytest.fixture
def tiny(tmp_path: Path) -> Grammar:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return Grammar.load(path)


def test_the_desk_grammar_is_the_simulators(desk: Grammar) -> None:
    spec = desk.spec
    assert {name: rgb for name, rgb in spec.colours.items()} == COLORS
    assert spec.slots["pattern"] == RANDOM_PATTERNS
    assert spec.slots["level"] == tuple(LEVELS)
    assert spec.slots["tone"] == tuple(TONES)
    assert spec.held_out == held_out_combinations()
    assert tuple(rule.slots for rule in spec.apart) == _APART
    assert {rule.distance for rule in spec.apart} == {_MIN_DISTANCE}


def test_random_looks_of_the_simulator_are_sentences_of_the_grammar(desk: Grammar) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        domain = random_domain(rng)
        assert desk.prompt(domain.words).text == domain.caption
        assert desk.parse(domain.caption).words == domain.words


def test_unseen_looks_are_kept_for_evaluation(desk: Grammar) -> None:
    for name in list_domains("unseen"):
        domain = load_domain(name)
        with pytest.raises(EmmaError, match="kept for evaluation"):
            desk.parse(domain.caption)
        assert desk.parse(domain.caption, held_out=True).words == domain.words
    for prompt in desk.sample(50, 1, held_out=True):
        assert any(c.items() <= prompt.words.items() for c in held_out_combinations())
        assert desk.spec.problem(prompt.words, held_out=True) is None


def test_samples_obey_the_rules_and_repeat_with_the_seed(desk: Grammar) -> None:
    prompts = desk.sample(300, 7)
    assert prompts == desk.sample(300, 7)
    assert prompts[:20] == desk.sample(20, 7)
    assert prompts != desk.sample(300, 8)
    assert len({p.text for p in prompts}) == 300
    assert all(desk.spec.problem(p.words) is None for p in prompts)
    assert all(desk.prompt(p.words) == p for p in prompts)
    for slot, words in desk.spec.slots.items():
        assert {p.words[slot] for p in prompts if slot in p.words} == set(words)


def listed(spec: GrammarSpec, *, held_out: bool = False) -> set[str]:
    """All sentences the slow way."""
    found = set()
    for values in product(*spec.slots.values()):
        words = spec.said(dict(zip(spec.slots, values, strict=True)))
        if spec.problem(words, held_out=held_out) is None:
            found.add(spec.sentence(words))
    return found


def test_counts_are_exact(tiny: Grammar, desk: Grammar) -> None:
    assert tiny.count == len(listed(tiny.spec)) == len(list(tiny.spec.every({})))
    assert tiny.spec.count(held_out=True) == len(listed(tiny.spec, held_out=True))
    assert tiny.spec.count(fixed={"pattern": "plain"}) == len([s for s in listed(tiny.spec) if "plain" in s])
    assert tiny.counts == {"foreground": 3, "background": 3 + 3 * 2}
    assert desk.counts["light"] == 9
    # Far too many to list; a part of it can be: arm, floor and light do not touch what is fixed here.
    fixed = {"arm": "red", "floor": "red", "level": "dim", "tone": "warm", "pattern": "plain"}
    assert desk.spec.count(fixed=fixed) == sum(1 for _ in desk.spec.every(fixed))


def test_every_prompt_comes_once_before_one_comes_again(tiny: Grammar) -> None:
    texts = [p.text for p in tiny.sample(2 * tiny.count, 3)]
    assert sorted(texts[: tiny.count]) == sorted(texts[tiny.count :]) == sorted(listed(tiny.spec))
    held = tiny.spec.count(held_out=True) - tiny.count
    assert len({p.text for p in tiny.sample(2 * held, 3, held_out=True)}) == held


def test_a_large_grammar_begins_again_too(desk: Grammar, monkeypatch: pytest.MonkeyPatch, tiny: Grammar) -> None:
    monkeypatch.setattr("emma.dreamtransfer.prompts._LISTED", 2)
    texts = [p.text for p in tiny.sample(2 * tiny.count, 3)]
    assert sorted(texts[: tiny.count]) == sorted(texts[tiny.count :]) == sorted(listed(tiny.spec))


def test_clauses_of_a_free_text_are_found_and_the_rest_is_drawn(desk: Grammar) -> None:
    prompt = desk.parse("The  black robot arm reaches for a Pink cube, bright warm light")
    assert prompt.words == {"arm": "black", "cube": "pink", "level": "bright", "tone": "warm"}
    assert desk.parse("a red cube on a plain green table").words["pattern"] == "plain"
    for whole in desk.complete("a purple cube", 20, 0):
        assert whole.words["cube"] == "purple"
        assert whole == desk.parse(whole.text)
    full = desk.sample(1, 0)[0]
    assert desk.complete(full.text, 2, 5) == [full, full]


@pytest.mark.parametrize("text", ["", "a dinosaur in the rain", "cube", "a mauve cube"])
def test_a_prompt_that_names_nothing_is_refused(desk: Grammar, text: str) -> None:
    with pytest.raises(EmmaError, match="names nothing in the grammar desk") as caught:
        desk.parse(text)
    assert "a sentence such as" in str(caught.value)


def test_a_prompt_that_breaks_a_rule_is_refused(desk: Grammar) -> None:
    with pytest.raises(EmmaError) as caught:
        desk.parse("a red cube on a plain red table")
    assert "cube and table that can be told apart, not red and red" in str(caught.value)
    for fixed in ({"cube": "green", "table": "brown"}, {"pattern": "plain", "accent": "blue"}):
        with pytest.raises(EmmaError, match="no prompt of the grammar"):
            desk.sample(1, 0, fixed=fixed)
    with pytest.raises(EmmaError, match="no cube 'mauve'"):
        desk.sample(1, 0, fixed={"cube": "mauve"})
    with pytest.raises(EmmaError, match="no slot 'lid'"):
        desk.sample(1, 0, fixed={"lid": "red"})


def test_a_missing_or_superfluous_word_is_refused(desk: Grammar) -> None:
    words = dict(desk.sample(1, 0, fixed={"pattern": "plain"})[0].words)
    with pytest.raises(EmmaError, match="does not say accent"):
        desk.prompt({**words, "accent": "red"})
    with pytest.raises(EmmaError, match="lacks words"):
        desk.prompt({slot: word for slot, word in words.items() if slot != "floor"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slots": {"foreground": {"cup": "shapes"}}}, "slots.foreground.cup"),
        ({"text": "a {mug} cup"}, "{mug}"),
        ({"text": "a {cup} cup"}, "nothing about"),
        ({"words": {"colours": [True, "red"], "patterns": ["plain"]}}, "words.colours"),
        ({"apart": [{"slots": ["cup", "pattern"], "distance": 1}]}, "words with"),
        ({"differ": [["cup", "lid"]]}, "lid"),
        ({"held_out": [{"cup": "mauve"}]}, "mauve"),
        ({"phrases": {"top": [{"text": "{mat} {dots} {pattern}"}, {"text": "x"}]}}, "a `when` on every line"),
        ({"apart": [{"slots": ["cup"]}]}, "not a prompt grammar"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_broken_grammar_file_is_refused_with_the_place(tmp_path: Path, change: dict, message: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(TINY), **change}))
    with pytest.raises(EmmaError) as caught:
        Grammar.load(path)
    assert message in str(caught.value)
    assert "broken.yaml" in str(caught.value) or "grammar tiny" in str(caught.value)


def test_unknown_grammars_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EmmaError, match="no prompt grammar kitchen"):
        Grammar.load("kitchen")
    (tmp_path / "x.yaml").write_text("name: [")
    with pytest.raises(EmmaError, match="not valid YAML"):
        Grammar.load(tmp_path / "x.yaml")
    (tmp_path / "x.yaml").write_text("- 1")
    with pytest.raises(EmmaError, match="does not fit"):
        Grammar.load(tmp_path / "x.yaml")
    assert Grammar.load("desk.yaml").name == "desk"
