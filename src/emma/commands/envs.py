"""`emma envs`: simulators of other people that emma drives."""

import argparse

HELP = """list the simulators of others that emma drives as robots, or install one

Each runs in a Python of its own, because it needs another MuJoCo than emma: in $EMMA_ENVS, or emma/envs among your data
(~/.local/share). --python of the other verbs names an interpreter that you made yourself.

examples:
  emma envs                    which there are, and which are installed
  emma envs install so101      lerobot-env-so101: an SO-101 that carries a cube to a goal
  emma envs install aloha      gym-aloha: two ViperX arms that hand over a cube
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=("install",), help="what to do; nothing: list")
    parser.add_argument("name", nargs="?", help="environment to install")


def run(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from emma.envs.environments import ENVIRONMENTS, environment_of, install
    from emma.errors import EmmaError

    if args.action == "install":
        if not args.name:
            raise EmmaError("which one?", found="no name", expected=f"one of {', '.join(ENVIRONMENTS)}")
        environment = environment_of(args.name)
        print(f"{environment.package} {environment.version} into {environment.folder}", flush=True)
        python = install(environment)
        print(f"installed; it runs with {python}\nnext: emma record --robot {environment.name} --episodes 1 --out bags")
        return 0
    table = Table(box=None)
    for column in ("robot", "package", "version", "task", "interpreter"):
        table.add_column(column, overflow="fold")
    for environment in ENVIRONMENTS.values():
        there = environment.folder / "bin" / "python"
        where = str(there) if there.is_file() else f"emma envs install {environment.name}"
        table.add_row(environment.name, environment.package, environment.version, environment.task, where)
    Console().print(table)
    return 0
