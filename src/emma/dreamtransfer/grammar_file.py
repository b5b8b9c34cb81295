"""A prompt grammar from YAML; what is wrong with it is said with file, key and what is allowed."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Any

import yaml

from emma.dreamtransfer.grammar import Apart, GrammarSpec, Line
from emma.errors import EmmaError

_KEYS = ("name", "words", "slots", "text", "phrases", "apart", "differ", "held_out")


def grammar_names() -> list[str]:
    """The grammars that ship."""
    folder = files("emma.dreamtransfer") / "prompts"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def read_grammar(name_or_path: str | Path) -> GrammarSpec:
    """Read a shipped grammar by name (with or without .yaml) or any by path. Raises EmmaError."""
    text = str(name_or_path)
    path = Path(text)
    name = text.removesuffix(".yaml")
    if not path.is_file():
        if name not in grammar_names():
            raise EmmaError(
                f"no prompt grammar {text}",
                found="no such file" if "/" in text or path.suffix else text,
                expected=f"a YAML file, or one of {', '.join(grammar_names())}",
            )
        content = (files("emma.dreamtransfer") / "prompts" / f"{name}.yaml").read_text()
    else:
        try:
            content = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise EmmaError(f"cannot read {path}", found=str(error), expected="a YAML file") from None
    try:
        raw = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise EmmaError(f"{text} is not valid YAML", found=" ".join(str(error).split())) from None
    try:
        return _Reader(text, raw).spec()
    except (TypeError, AttributeError, ValueError, KeyError) as error:
        raise EmmaError(
            f"{text} is not a prompt grammar",
            found=f"{type(error).__name__}: {error}",
            expected=f"the keys {', '.join(_KEYS)} as in the shipped prompts/desk.yaml",
        ) from None


class _Reader:
    """Turns what YAML says into a GrammarSpec, refusing what does not fit together."""

    def __init__(self, file: str, raw: Any) -> None:
        self.file = file
        if not isinstance(raw, Mapping) or not {"name", "words", "slots", "text"} <= raw.keys():
            self.refuse("the file", raw, "a mapping with name, words, slots and text")
        if unknown := sorted(set(raw) - set(_KEYS)):
            self.refuse("the file", unknown, f"the keys {', '.join(_KEYS)}")
        self.raw: Mapping[str, Any] = raw

    def refuse(self, where: str, found: object, expected: str) -> None:
        raise EmmaError(f"{self.file}: {where} does not fit", found=str(found)[:200], expected=expected)

    def spec(self) -> GrammarSpec:
        raw = self.raw
        colours: dict[str, tuple[float, float, float]] = {}
        for kind, words in raw["words"].items():
            if not words or not all(isinstance(word, str) and word for word in words):
                self.refuse(f"words.{kind}", words, "words, in quotes where YAML reads something else")
            if isinstance(words, Mapping):
                for word, rgb in words.items():
                    red, green, blue = (float(value) for value in rgb)
                    colours[word] = (red, green, blue)
        parts = {part: tuple(slots) for part, slots in raw["slots"].items()}
        slots: dict[str, tuple[str, ...]] = {}
        for part, kinds in raw["slots"].items():
            for slot, kind in kinds.items():
                if kind not in raw["words"]:
                    self.refuse(f"slots.{part}.{slot}", kind, f"one of {', '.join(raw['words'])}")
                if slot in slots:
                    self.refuse(f"slots.{part}.{slot}", slot, "a slot once")
                slots[slot] = tuple(word.lower() for word in raw["words"][kind])
        phrases = {
            name: tuple(Line(text=line["text"], when=dict(line.get("when") or {})) for line in lines)
            for name, lines in (raw.get("phrases") or {}).items()
        }
        clauses = (raw["text"],) if isinstance(raw["text"], str) else tuple(raw["text"])
        spec = GrammarSpec(
            name=str(raw["name"]),
            parts=parts,
            slots=slots,
            colours={word.lower(): rgb for word, rgb in colours.items()},
            clauses=clauses,
            phrases=phrases,
            apart=tuple(
                Apart(slots=_pair(rule["slots"]), distance=float(rule["distance"])) for rule in raw.get("apart") or ()
            ),
            differ=tuple(_pair(pair) for pair in raw.get("differ") or ()),
            held_out=tuple(dict(combination) for combination in raw.get("held_out") or ()),
        )
        self._check(spec)
        return spec

    def _check(self, spec: GrammarSpec) -> None:
        for name, lines in spec.phrases.items():
            if not lines or lines[-1].when or any(not line.when for line in lines[:-1]):
                self.refuse(f"phrases.{name}", [line.when for line in lines], "a `when` on every line but the last")
            for line in lines:
                spec.require(line.when)
        allowed = {*spec.slots, *spec.phrases}
        said: list[str] = []
        texts = [*spec.clauses, *(line.text for lines in spec.phrases.values() for line in lines)]
        for text in texts:
            for _, slot, _, _ in Formatter().parse(text):
                if slot is not None and slot not in allowed:
                    self.refuse(f"the text {text!r}", "{" + slot + "}", f"one of {', '.join(sorted(allowed))}")
                said += [slot] if slot is not None else []
        decided = {slot for lines in spec.phrases.values() for line in lines for slot in line.when}
        if missing := sorted(allowed - set(said) - decided):
            self.refuse("text", f"nothing about {', '.join(missing)}", "every slot and phrase in the text")
        for where, pairs in (("apart", [rule.slots for rule in spec.apart]), ("differ", spec.differ)):
            for slot in (slot for pair in pairs for slot in pair):
                if slot not in spec.slots:
                    self.refuse(where, slot, f"one of {', '.join(spec.slots)}")
        for slot in {slot for rule in spec.apart for slot in rule.slots}:
            if plain := [word for word in spec.slots[slot] if word not in spec.colours]:
                self.refuse("apart", f"{slot}: {', '.join(plain)}", "words with [r, g, b]")
        for combination in spec.held_out:
            spec.require(combination)


def _pair(values: Any) -> tuple[str, str]:
    first, second = values
    return str(first), str(second)
