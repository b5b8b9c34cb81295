"""AdaMix: the episodes that a policy does badly on are drawn more often, watched, and never without bound.

The parts, none of which knows a dataset or a train loop: `difficulty` (what is measured), `weights` (measure to
weight), `state` (weights over re-evaluations, saved and resumed), `watch` (collapse), `loss` (the same weights on the
loss), `history` and `pictures` (what a run shows).
"""
