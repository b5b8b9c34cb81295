"""A policy that ships, in closed loop in the simulator: python examples/2_run_a_policy.py [BUNDLE] [EPISODES]"""

import sys

import emma

bundle = sys.argv[1] if len(sys.argv) > 1 else "models/desk_arm_source"
episodes = int(sys.argv[2]) if len(sys.argv) > 2 else 10

with emma.load_policy(bundle) as policy:
    print(f"{bundle} for {policy.robot}, run by {policy.runtime.name}: {policy.runtime.reason}")
    for look, result in emma.evaluate(policy, episodes=episodes, domains=("source", "small")).items():
        low, high = result.success.interval
        print(f"{look:8} success {result.success.value:.0%}, 95 % interval {low:.0%} to {high:.0%}")
