"""emma: a ROS 2 robot workstation that improves itself.

`emma.api` holds the functions that this module offers; they are imported when they are first used, so that a node or a
command that needs none of them starts fast.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from emma.api import Policy as Policy
    from emma.api import augment as augment
    from emma.api import collect as collect
    from emma.api import convert as convert
    from emma.api import evaluate as evaluate
    from emma.api import improve as improve
    from emma.api import load_policy as load_policy
    from emma.api import load_robot as load_robot
    from emma.api import train as train

__all__ = [
    "Policy",
    "augment",
    "collect",
    "convert",
    "evaluate",
    "improve",
    "load_policy",
    "load_robot",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module emma has no attribute {name}")
    from emma import api

    return getattr(api, name)
