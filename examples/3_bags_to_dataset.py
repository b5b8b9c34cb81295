"""Recorded episodes to a LeRobotDataset: python examples/3_bags_to_dataset.py BAGS DATASET [ROBOT]"""

import sys

import emma
from emma.conversion.config import ConvertConfig

bags, out = sys.argv[1:3]
robot = sys.argv[3] if len(sys.argv) > 3 else "desk_arm"

report = emma.convert(bags, out, robot=robot, config=ConvertConfig(keep_failed=False))
for bag in report.results:
    print(f"{bag.episode}: {bag.outcome} {bag.reason}".rstrip())
print(f"{out} holds {report.count('converted')} new episodes")
