"""Running in the project's own Python environment although another ROS installation is sourced.

`/opt/ros/<distro>/setup.bash` puts its Python packages first in PYTHONPATH and its libraries first in LD_LIBRARY_PATH.
Those are built against another NumPy and other message libraries: half of each in one process crashes. The ROS wheels
restart Python with a library path of their own and remember it in a guard variable, which a child process of another
environment inherits and must forget.

`python -I -m emma.environment MODULE ARGS...` runs a module this way; standard library only, as what it imports, so
that nothing is loaded from the wrong place before the environment is right.
"""

import os
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path

from emma import interrupts, signs

PYTHON_VERSION = (3, 12)
# What was left behind, for `emma doctor` to tell; entries separated as in PATH.
SET_ASIDE = "EMMA_SET_ASIDE"

_PYTHON_VARIABLES = ("PYTHONPATH", "PYTHONHOME")
_WHEELS_GUARD = "_ROS_WHEELS_BOOTSTRAP_COMPLETE"
_ROS_LIBRARIES = ("librcl.so", "librcl-*.so*", "librcutils.so", "librmw.so", "librosidl_*.so*")


def cleaned(environ: Mapping[str, str], prefix: Path | None = None) -> dict[str, str]:
    """`environ` without what would shadow the packages and libraries of `prefix` (default: this environment)."""
    prefix = Path(sys.prefix) if prefix is None else prefix
    result = {key: value for key, value in environ.items() if key not in _PYTHON_VARIABLES}
    aside = [entry for name in (SET_ASIDE, *_PYTHON_VARIABLES) for entry in entries(environ, name)]
    libraries = entries(environ, "LD_LIBRARY_PATH")
    kept = [entry for entry in libraries if not foreign_libraries(Path(entry), prefix, environ)]
    if kept != libraries:
        # The wheels must set their library path again, now without the other installation in it.
        result.pop(_WHEELS_GUARD, None)
        result["LD_LIBRARY_PATH"] = os.pathsep.join(kept)
        aside += [entry for entry in libraries if entry not in kept]
    if aside:
        result[SET_ASIDE] = os.pathsep.join(dict.fromkeys(aside))
    return result


def entries(environ: Mapping[str, str], name: str) -> list[str]:
    """The non-empty entries of a variable that is written like PATH."""
    return [entry for entry in environ.get(name, "").split(os.pathsep) if entry]


def foreign_libraries(folder: Path, prefix: Path, environ: Mapping[str, str]) -> bool:
    """Whether `folder` holds ROS libraries that are not of the environment `prefix`."""
    # The wheels write their folders with links resolved, whichever way the environment was entered.
    if folder.resolve().is_relative_to(prefix.resolve()):
        return False
    if any(folder.is_relative_to(other) for other in entries(environ, "AMENT_PREFIX_PATH")):
        return True
    return any(next(folder.glob(pattern), None) for pattern in _ROS_LIBRARIES)


def isolate() -> None:
    """Restart this process in a clean environment if it is not in one. Returns only when it is."""
    if sys.version_info[:2] != PYTHON_VERSION:
        want = ".".join(map(str, PYTHON_VERSION))
        sys.exit(f"emma needs Python {want}; this is {sys.version.split()[0]} ({sys.executable}): run 'make setup'")
    environ = cleaned(os.environ)
    put_back = SET_ASIDE in os.environ and environ.get(SET_ASIDE) == os.environ[SET_ASIDE]
    # What something puts back at every start must not make this go round for ever.
    if environ != dict(os.environ) and not put_back:
        os.execve(sys.executable, sys.orig_argv, environ)


def main() -> None:
    """Run the module named by the first argument as `python -m` would, ended by signals from the first moment."""
    isolate()
    if len(sys.argv) < 2:
        sys.exit("usage: python -I -m emma.environment MODULE [ARGS...]")
    module = sys.argv[1]
    sys.argv = sys.argv[1:]
    title = module.rpartition(".")[2]
    interrupts.begin(title)
    with signs.of_life(title):
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
