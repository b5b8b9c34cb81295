"""Demonstrations, and the same motions in looks that a sentence describes: python examples/4_new_looks.py OUT"""

import sys
from pathlib import Path

import emma
from emma.augmentation.config import AugmentConfig, ToolOptions

out = Path(sys.argv[1])

emma.collect(out / "real", episodes=2, workers=1)
report = emma.augment(
    out / "real",
    out / "dreams",
    prompts="desk",
    config=AugmentConfig(variants=1, episodes=(0,), workers=1),
    tools=ToolOptions(settings={"steps": 4}),
)
print(f"{report.made} clips at {report.seconds_per_clip:.0f} s each, {report.accepted} accepted; look at {report.page}")
