"""Prompts from a small grammar: foreground x background x light, with combinations that are kept for evaluation."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from emma.dreamtransfer.grammar import GrammarSpec, Words
from emma.dreamtransfer.grammar_file import read_grammar
from emma.errors import EmmaError

# Up to this many prompts a grammar is written out and shuffled; a larger one is drawn from.
_LISTED = 4096
_MAX_TRIES = 10_000
_NOTHING: Words = {}


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What the generator is told. words: slot -> word, for all that the text says."""

    text: str
    words: Mapping[str, str] = field(default_factory=dict)


class Grammar:
    """Prompts of one kind of world. The same seed gives the same prompts, on any machine."""

    def __init__(self, spec: GrammarSpec) -> None:
        self.spec = spec

    @classmethod
    def load(cls, name_or_path: str | Path) -> "Grammar":
        """A grammar that ships, by name (`desk`), or any by path to its YAML file. Raises EmmaError."""
        return cls(read_grammar(name_or_path))

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def count(self) -> int:
        """How many different prompts there are, without the held-out ones."""
        return self.spec.count()

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each part (foreground, background, light), each by itself."""
        return {part: self.spec.count(slots) for part, slots in self.spec.parts.items()}

    def sample(self, n: int, seed: int, *, fixed: Words = _NOTHING, held_out: bool = False) -> list[Prompt]:
        """`n` prompts, all different while there are that many; fewer are the first ones of more.

        fixed: words that all of them have. held_out: only prompts with a combination that is kept for evaluation.
        Raises EmmaError if there is no such prompt.
        """
        return list(islice(self._stream(seed, dict(fixed), held_out), n))

    def parse(self, text: str, *, held_out: bool = False) -> Prompt:
        """What `text` says in the grammar's words: a whole sentence of it, or clauses anywhere in the text.

        Raises EmmaError if it says nothing, breaks a rule or is kept for evaluation. held_out: for evaluation, where
        every combination of words may be asked for.
        """
        words = self.spec.match(text)
        if not words:
            raise EmmaError(
                f"the prompt names nothing in the grammar {self.name}",
                found=repr(text),
                expected=f"a sentence such as: {self.sample(1, 0)[0].text}",
                fix="use its clauses and words, or write a grammar of your own for --prompts",
            )
        if not held_out and (broken := self.spec.problem(words)):
            raise EmmaError(f"the grammar {self.name} does not allow this prompt", found=repr(text), expected=broken)
        return Prompt(text=" ".join(text.split()), words=words)

    def complete(self, text: str, n: int, seed: int) -> list[Prompt]:
        """`n` whole sentences with the words of `text`; what it leaves open is drawn."""
        return self.sample(n, seed, fixed=self.parse(text).words)

    def prompt(self, words: Words) -> Prompt:
        """The sentence that says `words`: one for every slot, except those that a phrase leaves out."""
        return Prompt(text=self.spec.sentence(words), words=dict(words))

    def _stream(self, seed: int, fixed: Words, held_out: bool) -> Iterator[Prompt]:
        """Prompts without end."""
        self.spec.require(fixed)
        rng = np.random.default_rng(seed)
        total = self.spec.count(fixed=fixed)
        if held_out:
            total = self.spec.count(fixed=fixed, held_out=True) - total
        if not total:
            raise EmmaError(
                f"no prompt of the grammar {self.name} has these words",
                found=", ".join(f"{slot}: {word}" for slot, word in fixed.items()) or "rules that leave nothing",
                expected=self.spec.problem(fixed, held_out=held_out) or "words that its rules allow together",
            )
        if not held_out and total <= _LISTED:
            listed = list(self.spec.every(fixed))
            while True:
                for i in rng.permutation(len(listed)):
                    yield self.prompt(listed[i])
        seen: set[str] = set()
        while True:
            prompt = self.prompt(self._draw(rng, fixed, held_out))
            if prompt.text not in seen:
                seen.add(prompt.text)
                yield prompt
            if len(seen) == total:
                seen.clear()

    def _draw(self, rng: np.random.Generator, fixed: Words, held_out: bool) -> dict[str, str]:
        combinations = [c for c in self.spec.held_out if all(fixed.get(s, w) == w for s, w in c.items())]
        for _ in range(_MAX_TRIES):
            wanted = dict(fixed)
            if held_out:
                wanted |= combinations[rng.integers(len(combinations))]
            words = {slot: allowed[rng.integers(len(allowed))] for slot, allowed in self.spec.slots.items()}
            words = self.spec.said({**words, **wanted})
            if wanted.items() <= words.items() and not self.spec.problem(words, held_out=held_out):
                return words
        raise EmmaError(
            f"no prompt of the grammar {self.name} fits",
            found=", ".join(f"{slot}: {word}" for slot, word in fixed.items()) or "rules that leave nothing",
            expected="held-out combinations that fit" if held_out else "words that its rules allow together",
        )
