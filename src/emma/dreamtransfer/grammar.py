"""The rules of a prompt grammar: which words go together, how they are said, and how many ways there are."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from string import Formatter
from typing import Protocol

import numpy as np

from emma.errors import EmmaError

Words = Mapping[str, str]
Rgb = tuple[float, float, float]

# In a factor's axis: the slot is not said. No word of a grammar is empty.
_UNSAID = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One way to say a phrase, and the words for which it is the right one (all of them; none: always)."""

    text: str
    when: Words = field(default_factory=dict)

    def holds(self, words: Words) -> bool:
        return all(words.get(slot) == word for slot, word in self.when.items())


@dataclass(frozen=True, kw_only=True)
class Apart:
    """Two slots whose words must be at least `distance` apart (Euclidean in RGB, 0..1)."""

    slots: tuple[str, str]
    distance: float


@dataclass(frozen=True, kw_only=True)
class GrammarSpec:
    """A grammar as data, checked by `grammar_file`.

    parts: foreground, background, ... -> its slots; slots: slot -> its words; colours: word -> RGB where it has one;
    clauses: the sentence in pieces with {slot} and {phrase}; phrases: name -> its lines, the first that holds is said;
    differ: pairs of slots that never have the same word; held_out: combinations that only evaluation may see.
    """

    name: str
    parts: Mapping[str, tuple[str, ...]]
    slots: Mapping[str, tuple[str, ...]]
    colours: Mapping[str, Rgb]
    clauses: tuple[str, ...]
    phrases: Mapping[str, tuple[Line, ...]] = field(default_factory=dict)
    apart: tuple[Apart, ...] = ()
    differ: tuple[tuple[str, str], ...] = ()
    held_out: tuple[Words, ...] = ()

    def require(self, words: Words) -> None:
        """Raise EmmaError for a slot or word that the grammar does not have."""
        for slot, word in words.items():
            if slot not in self.slots:
                raise EmmaError(
                    f"the grammar {self.name} has no slot '{slot}'",
                    found=slot,
                    expected=f"one of {', '.join(self.slots)}",
                )
            if word not in self.slots[slot]:
                raise EmmaError(
                    f"the grammar {self.name} has no {slot} '{word}'",
                    found=word,
                    expected=f"one of {', '.join(self.slots[slot])}",
                )

    def said(self, words: Words) -> dict[str, str]:
        """`words` without those that no chosen phrase says: a plain table has no second colour."""
        unsaid = {slot for name, lines in self.phrases.items() for slot in self._unsaid(name, _chosen(lines, words))}
        return {slot: word for slot, word in words.items() if slot not in unsaid}

    def problem(self, words: Words, *, held_out: bool = False) -> str | None:
        """Which rule forbids `words` (or some of them), in words; None if none does. held_out: those are allowed."""
        for combination in () if held_out else self.held_out:
            if all(words.get(slot) == word for slot, word in combination.items()):
                pair = ", ".join(f"{slot} {word}" for slot, word in combination.items())
                return f"no combination that is kept for evaluation ({pair})"
        for a, b in self.differ:
            if a in words and words.get(a) == words.get(b):
                return f"{a} and {b} that differ, not both {words[a]}"
        for rule in self.apart:
            a, b = rule.slots
            if a in words and b in words and self._distance(words[a], words[b]) < rule.distance:
                return f"{a} and {b} that can be told apart, not {words[a]} and {words[b]}"
        return None

    def sentence(self, words: Words) -> str:
        """The prompt that says `words`. Raises EmmaError for unknown, missing or superfluous ones."""
        self.require(words)
        text = self._template(words)
        fields = _fields(text)
        wanted = set(self.said(dict.fromkeys(self.slots, _UNSAID) | dict(words)))
        if missing := sorted(wanted - set(words)):
            raise EmmaError(
                f"a prompt of the grammar {self.name} lacks words", found=f"nothing for {', '.join(missing)}"
            )
        if extra := sorted(set(words) - wanted):
            raise EmmaError(f"a prompt of the grammar {self.name} does not say {', '.join(extra)}", found=dict(words))
        return text.format(**{slot: words[slot] for slot in fields})

    def match(self, text: str) -> dict[str, str]:
        """The words that `text` says: all of a whole sentence, or those of the clauses found in it; may be empty."""
        plain = " ".join(text.lower().split()).rstrip(".")
        for template, when in self._expanded("".join(self.clauses)):
            if found := re.fullmatch(self._pattern(template), plain):
                return when | found.groupdict()
        words: dict[str, str] = {}
        for clause in self.clauses:
            for template, when in self._expanded(re.sub(r"^[\s,]*((and|on|an?|the)\s+)*", "", clause)):
                if found := re.search(rf"\b{self._pattern(template)}\b", plain):
                    words |= when | found.groupdict()
                    break
        return words

    def every(self, fixed: Words) -> Iterator[dict[str, str]]:
        """Every allowed choice of words that has those of `fixed`."""
        # Fixed words first, so that rules which leave nothing are met at once; what may be unsaid comes last.
        yield from self._every({}, sorted(self.slots, key=lambda s: (s in self._phrase_of, s not in fixed)), fixed)

    def count(self, only: Sequence[str] | None = None, fixed: Words | None = None, *, held_out: bool = False) -> int:
        """How many allowed choices there are, of the slots `only` and with the words `fixed`. held_out: with those too.

        A sum over all slots of the product of the rules as 0/1 factors, contracted slot by slot, so that it is exact
        for grammars far too large to list.
        """
        only = tuple(self.slots) if only is None else tuple(only)
        axes = {slot: (*self.slots[slot], *((_UNSAID,) if slot in self._phrase_of else ())) for slot in only}
        numbers = {slot: i for i, slot in enumerate(only)}
        operands: list[object] = []
        for slots, allowed in self._factors(held_out):
            if set(slots) <= set(only):
                table = np.array([allowed(words) for words in product(*(axes[slot] for slot in slots))], np.int64)
                operands += [table.reshape([len(axes[slot]) for slot in slots]), [numbers[slot] for slot in slots]]
        for slot in only:
            kept = [not fixed or slot not in fixed or fixed[slot] == word for word in axes[slot]]
            operands += [np.array(kept, np.int64), [numbers[slot]]]
        return int(np.einsum(*operands, [], optimize="greedy"))  # type: ignore[call-overload]

    def _factors(self, held_out: bool) -> Iterator[tuple[tuple[str, ...], "_Allowed"]]:
        """Each rule as the slots it speaks of and whether it allows words for them."""
        for name, lines in self.phrases.items():
            deciding = sorted({slot for line in lines for slot in line.when})
            for slot in sorted(self._own_slots(name)):
                yield (*deciding, slot), _Said(lines, tuple(deciding), slot)
        for pair in [*self.differ, *(rule.slots for rule in self.apart)]:
            yield pair, _Unproblematic(self, pair, True)
        for combination in () if held_out else self.held_out:
            yield tuple(combination), _Unproblematic(self, tuple(combination), False)

    def _every(self, words: dict[str, str], left: list[str], fixed: Words) -> Iterator[dict[str, str]]:
        if not left:
            if fixed.items() <= words.items():
                yield dict(words)
            return
        slot, *rest = left
        phrase = self._phrase_of.get(slot)
        if phrase is not None and slot in self._unsaid(phrase, _chosen(self.phrases[phrase], words)):
            yield from self._every(words, rest, fixed)
            return
        for word in self.slots[slot] if slot not in fixed else (fixed[slot],):
            words[slot] = word
            if self.problem(words) is None:
                yield from self._every(words, rest, fixed)
            del words[slot]

    @cached_property
    def _phrase_of(self) -> dict[str, str]:
        """Slot -> the phrase that may leave it unsaid."""
        return {slot: name for name in self.phrases for slot in self._own_slots(name)}

    def _own_slots(self, phrase: str) -> set[str]:
        """The slots that only this phrase says, and that decide nothing."""
        lines = self.phrases[phrase]
        said = {slot for line in lines for slot in _fields(line.text)}
        return said - {slot for line in lines for slot in line.when} - set(_fields("".join(self.clauses)))

    def _unsaid(self, phrase: str, line: Line) -> set[str]:
        return self._own_slots(phrase) - set(_fields(line.text))

    def _template(self, words: Words) -> str:
        text = "".join(self.clauses)
        for name, lines in self.phrases.items():
            text = text.replace("{" + name + "}", _chosen(lines, words).text)
        return text

    def _expanded(self, clause: str) -> Iterator[tuple[str, dict[str, str]]]:
        """A clause with every choice of lines for its phrases, and the words that the choice implies."""
        names = [name for name in _fields(clause) if name in self.phrases]
        for lines in product(*(self.phrases[name] for name in names)):
            text, when = clause, dict[str, str]()
            for name, line in zip(names, lines, strict=True):
                text = text.replace("{" + name + "}", line.text)
                when |= line.when
            yield text, when

    def _pattern(self, template: str) -> str:
        parts = []
        for literal, slot, _, _ in Formatter().parse(template):
            parts.append(re.escape(literal.lower()))
            if slot is not None:
                words = sorted(self.slots[slot], key=len, reverse=True)
                parts.append(f"(?P<{slot}>{'|'.join(map(re.escape, words))})")
        return "".join(parts)

    def _distance(self, a: str, b: str) -> float:
        return math.dist(self.colours[a], self.colours[b])


class _Allowed(Protocol):
    """A rule over some slots."""

    def __call__(self, words: tuple[str, ...]) -> bool:
        """Whether it allows these words, given in the order of its slots."""
        ...


@dataclass(frozen=True)
class _Said:
    """A slot is unsaid exactly when the line that the deciding words choose does not say it."""

    lines: tuple[Line, ...]
    deciding: tuple[str, ...]
    slot: str

    def __call__(self, words: tuple[str, ...]) -> bool:
        line = _chosen(self.lines, dict(zip(self.deciding, words, strict=False)))
        return (self.slot in _fields(line.text)) == (words[-1] != _UNSAID)


@dataclass(frozen=True)
class _Unproblematic:
    spec: GrammarSpec
    slots: tuple[str, ...]
    held_out: bool

    def __call__(self, words: tuple[str, ...]) -> bool:
        said = {slot: word for slot, word in zip(self.slots, words, strict=True) if word != _UNSAID}
        return self.spec.problem(said, held_out=self.held_out) is None


def _chosen(lines: tuple[Line, ...], words: Words) -> Line:
    return next(line for line in lines if line.holds(words))


def _fields(template: str) -> list[str]:
    return [slot for _, slot, _, _ in Formatter().parse(template) if slot is not None]
