"""Visual domains: named looks of the desk as data (*.yaml here), and random ones with a caption."""

from emma.sim.domains.domain import PARTS, Domain
from emma.sim.domains.load import held_out_combinations, list_domains, load_domain
from emma.sim.domains.sample import random_domain

__all__ = ["PARTS", "Domain", "held_out_combinations", "list_domains", "load_domain", "random_domain"]
