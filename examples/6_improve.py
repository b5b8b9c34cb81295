"""One whole cycle, in minutes: python examples/6_improve.py REAL OUT"""

import sys

import emma
from emma.cycle.config import ImproveConfig, quick
from emma.cycle.improve import in_words

real, out = sys.argv[1:3]

config = ImproveConfig(datasets=(real,), policy="models/desk_arm_source", out=out)
# `quick` trains for a few steps: enough to see every stage, too little to expect a better policy.
outcome = emma.improve(quick(config))
print(in_words(outcome) if outcome else "nothing new to learn from")
if outcome:
    print(f"report: {outcome.report}")
