"""Inputs that once went wrong, as code: each makes a bag and states what is right.

They come from public bug reports and the habits of other drivers. A case returns what is wrong, "" if nothing is.
"""

from emma.bench.inputs.cases import clocks, files, gaps, meaning, pictures, trajectories
from emma.bench.inputs.cases.case import Case

# By kind, in the order of their files. A new file of cases adds its own here.
CASES: tuple[Case, ...] = (
    *clocks.CASES,
    *trajectories.CASES,
    *files.CASES,
    *meaning.CASES,
    *pictures.CASES,
    *gaps.CASES,
)
