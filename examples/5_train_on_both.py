"""A policy on real and generated episodes: python examples/5_train_on_both.py REAL DREAMS OUT [STEPS]"""

import sys

import emma
from emma.training.config import TrainConfig

real, dreams, out = sys.argv[1:4]
steps = int(sys.argv[4]) if len(sys.argv) > 4 else 4000

config = TrainConfig(
    data=(f"real:{real}", f"generated:{dreams}"),
    steps=steps,
    sampler="fixmix",
    ratio=0.5,
    init="models/desk_arm_source",
)
bundle = emma.train(config, out)
print(f"{bundle.path}: {bundle.info.policy_type}, cameras {', '.join(bundle.info.cameras)}")
print(f"success {emma.evaluate(bundle.path, episodes=2)['source'].success.value:.0%} in the source look")
