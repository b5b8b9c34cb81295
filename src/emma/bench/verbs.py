"""Run a verb as a user would, in a process of its own: benches stay below the nodes and measure the public way in."""

import os
import subprocess
import sys

from emma.errors import EmmaError
from emma.interrupts import tied


def emma(*arguments: str, ok: tuple[int, ...] = (0,)) -> None:
    """`emma <arguments>`; its output goes where ours goes. Raises EmmaError if it ends with another code than `ok`."""
    done = subprocess.run([sys.executable, "-m", "emma.cli", *arguments], check=False, env=tied(os.environ))
    if done.returncode not in ok:
        raise EmmaError(
            f"`emma {' '.join(arguments)}` failed",
            found=f"exit code {done.returncode}",
            expected=" or ".join(map(str, ok)),
            fix="run `emma doctor`, then the command by hand",
        )
