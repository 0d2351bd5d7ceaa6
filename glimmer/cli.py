"""The console script `glimmer`: one subcommand a file in glimmer/commands, imported only when chosen."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys

import glimmer.commands
from glimmer.errors import GlimmerError


def command_names() -> list[str]:
    """Names of all subcommands, as typed (`train-retriever` for glimmer/commands/train_retriever.py)."""
    found = (module.name for module in pkgutil.iter_modules(glimmer.commands.__path__))
    return sorted(name.replace("_", "-") for name in found if name not in ("output", "runtime"))


def _module(name: str):
    return importlib.import_module(f"glimmer.commands.{name.replace('-', '_')}")


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
