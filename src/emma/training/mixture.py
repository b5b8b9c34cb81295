"""Which data a training mixes, and in which shares."""

from collections.abc import Mapping, Sequence

from emma.errors import EmmaError

KINDS = ("real", "generated", "human")
SAMPLERS = ("uniform", "fixmix", "adamix", "adamix-loss")
# EMMA's gains peak at half generated (arXiv 2509.22407).
RATIO = 0.5


def parse_data(text: str) -> tuple[str, str]:
    """`generated:PATH` -> (generated, PATH); a plain path is real."""
    kind, separator, path = text.partition(":")
    return (kind, path) if separator and kind in KINDS else ("real", text)


def shares(kinds: Sequence[str], frames: Mapping[str, float], sampler: str, ratio: float | None) -> dict[str, float]:
    """The share of each kind among the samples, in the order of KINDS; they add up to 1.

    uniform: every frame is as likely, so shares follow from the sizes `frames`. The others: `ratio` is the share of
    what is not real (RATIO by default), split by size if it is both generated and human. Raises EmmaError for a ratio
    that nothing would keep.
    """
    present = [kind for kind in KINDS if kind in kinds]
    total = sum(frames[kind] for kind in present)
    if sampler == "uniform" or len(present) == 1:
        if ratio is not None:
            raise EmmaError(
                "a ratio that nothing keeps",
                found=f"ratio {ratio:g} with sampler {sampler} and {' and '.join(present)} data",
                expected="sampler fixmix or adamix, and data of more than one kind",
                fix="name what each dataset is (--data real:A --data generated:B), or leave --ratio out",
            )
        return {kind: frames[kind] / total for kind in present}
    ratio = RATIO if ratio is None else ratio
    if "real" not in present:
        return {kind: frames[kind] / total for kind in present}
    other = total - frames["real"]
    return {kind: 1 - ratio if kind == "real" else ratio * frames[kind] / other for kind in present}
