"""`python -m emma` and the `emma` command: the command line in a clean environment."""

import sys

from emma import interrupts
from emma.environment import isolate


def run() -> int:
    """Run the command line, first leaving behind what a sourced ROS installation put in the way."""
    isolate()
    interrupts.begin("emma")
    from emma.cli import main

    return main()


if __name__ == "__main__":
    sys.exit(run())
