"""The console script `glimmer`: one subcommand a file of a package of commands, imported only when chosen.

glimmer/commands has the paper's. Packages that stand above the library add theirs by an entry point of the group
`glimmer.commands` that names a package such as worlds/commands.
"""

from __future__ import annotations

import argparse
import difflib
import functools
import importlib
import pkgutil
import sys
import textwrap
from importlib.metadata import entry_points

import glimmer.commands
from glimmer.errors import GlimmerError, InputError

PURPOSES = {
    "results": "Results, from cached runs",
    "study": "What a study is, and what it will cost",
    "kilt": "KILT's files and scores",
    "stages": "Stages of a study, as the workflow calls them",
}
"""What `PURPOSE` of a command's module can be, in the order of the help; one without stands among the stages."""
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


class _Parser(argparse.ArgumentParser):
    """The parser of everything: its help is an overview of all commands by purpose."""

    def format_help(self) -> str:
        return overview() if self.prog == "glimmer" else super().format_help()


def _parser(argv: list[str]) -> argparse.ArgumentParser:
    parser = _Parser(prog="glimmer", description=sys.modules["glimmer"].__doc__)
    parser.add_argument("--version", action="version", version=f"glimmer {glimmer.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen, names = next((word for word in argv if not word.startswith("-")), None), command_names()
    if chosen is not None and chosen not in names:
        near = difflib.get_close_matches(chosen, names, n=3)
        meant = f"did you mean {' or '.join(near)}?" if near else "glimmer --help lists them"
        parser.error(f"no such command: {chosen}; {meant}")
    # Every other command's module (and with it jax) stays unimported; only the overview needs them all.
    if chosen is not None:
        module = _module(chosen)
        module.add_arguments(commands.add_parser(chosen, description=module.HELP))
    return parser


def overview() -> str:
    """Every command with a line of what it does, by purpose."""
    lines = [
        sys.modules["glimmer"].__doc__ or "",
        "",
        "usage: glimmer COMMAND ...    (glimmer COMMAND --help: its options)",
    ]
    modules = {name: _module(name) for name in command_names()}
    width = max(map(len, modules))
    for purpose, title in PURPOSES.items():
        lines += ["", f"{title}:"]
        for name, module in modules.items():
            if getattr(module, "PURPOSE", "stages") == purpose:
                indent = " " * (width + 4)
                lines += textwrap.wrap(f"  {name:<{width}}  {module.HELP}", 100, subsequent_indent=indent)
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Runs one subcommand. Returns 0, 1 for a failed check, 2 for bad usage or bad input, 75 for one that was asked to
    stop and is to be started again."""
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
