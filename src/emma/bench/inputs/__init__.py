"""What others send, damaged on purpose: no tracebacks, no hangs, nothing silently wrong, nothing lost.

`cases` are inputs that once went wrong, by kind; `families` are whole inputs in several forms with random damage.
"""

from typing import Any

HELP = "damaged bags and datasets: tracebacks, hangs, silent differences, losses; inputs that once went wrong"


def run(quick: bool, seed: int) -> dict[str, Any]:
    """`inputs_*`: over all families, and each family's numbers as a table; `cases_right` of `cases`.

    inputs_silent: the result differs from the truth and nothing reports it. inputs_unprotected: it differs in a storage
    without checksums, whose report states that damage cannot be seen. crc_cost: time of a conversion with CRCs over one
    without.
    """
    from emma.bench.inputs.measure import measure

    return measure(quick, seed)
