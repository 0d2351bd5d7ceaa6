"""The console script `glimmer`: one subcommand a file of a package of commands, imported only when chosen.

glimmer/commands has the paper's. Packages that stand above the library add theirs by an entry point of the group
`glimmer.commands` that names a package such as worlds/commands.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import pkgutil
import sys
from importlib.metadata import entry_points

import glimmer.commands
from glimmer.errors import GlimmerError, InputError

_NOT_COMMANDS = ("arguments", "output", "runtime")  # what modules of glimmer/commands share


@functools.cache
def _modules() -> dict[str, str]:
    """Subcommand as typed (`train-retriever` for train_retriever.py) -> its module's full name."""
    packages = [glimmer.commands.__name__, *sorted(point.value for point in entry_points(group="glimmer.commands"))]
    return {
        name.replace("_", "-"): f"{package}.{name}"
        for package in packages
        for _, name, _ in pkgutil.iter_modules(importlib.import_module(package).__path__)
        if name not in _NOT_COMMANDS
    }


def command_names() -> list[str]:
    """Names of all subcommands, as typed."""
    return sorted(_modules())


def _module(name: str):
    return importlib.import_module(_modules()[name])


def _parser(argv: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="glimmer", description=sys.modules["glimmer"].__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = next((word for word in argv if not word.startswith("-")), None)
    names = command_names()
    # Every other command's module (and with it jax) stays unimported; only the full help needs them all.
    for name in [chosen] if chosen in names else names:
        module = _module(name)
        module.add_arguments(commands.add_parser(name, help=module.HELP, description=module.HELP))
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs one subcommand. Returns 0, 1 for a failed check, 2 for bad usage or bad input."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser(argv).parse_args(argv)
    try:
        return _module(args.command).run(args) or 0
    except GlimmerError as error:
        print(f"glimmer {args.command}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return 0
    except OSError as error:  # no space left, no permission, a directory where a file is wanted
        where = f"{error.filename}: " if error.filename else ""
        print(f"glimmer {args.command}: {where}{error.strerror or error}", file=sys.stderr)
        return InputError.exit_code
