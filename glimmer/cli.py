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
import textwrap
from collections.abc import Sequence
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, NoReturn

import glimmer.commands
from glimmer.errors import GlimmerError, InputError, did_you_mean

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


FIRST = (
    "glimmer show figure2/performance/GLIMMER --study sample",
    "glimmer claims --study sample",
    "glimmer report --study sample --out report.html",
)
"""What a newcomer can type, in a copy of the repository."""


def command_names() -> list[str]:
    """Names of all subcommands, as typed."""
    return sorted(_modules())


def _module(name: str):
    return importlib.import_module(_modules()[name])


class _Parser(argparse.ArgumentParser):
    """The parser of everything: its help is an overview of all commands by purpose; what it refuses it says in a line
    or two, with what may have been meant."""

    def format_help(self) -> str:
        return overview() if self.prog == "glimmer" else super().format_help()

    def options(self) -> list[str]:
        """Every option, as typed."""
        return [option for action in self._actions for option in action.option_strings]

    def error(self, message: str) -> NoReturn:
        self.exit(InputError.exit_code, f"{self.prog}: {message}\n{self.prog} --help lists what it takes\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            near = did_you_mean(str(value), map(str, action.choices or ()))
            raise argparse.ArgumentError(action, f"{error.message}{near}") from None


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(prog="glimmer", description=sys.modules["glimmer"].__doc__)
    parser.add_argument("--version", action="version", version=f"glimmer {glimmer.__version__}")
    parser.commands = commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen, names = _chosen(argv), command_names()
    if chosen is not None and chosen not in names:
        parser.error(f"no such command: {chosen}{did_you_mean(chosen, names)}")
    # Every other command's module (and with it jax) stays unimported; only the overview needs them all.
    if chosen is not None:
        module = _module(chosen)
        module.add_arguments(commands.add_parser(chosen, **_words(module)))
    return parser


def _chosen(argv: Sequence[str]) -> str | None:
    return next((word for word in argv if not word.startswith("-")), None)


def examples_of(name: str) -> tuple[str, ...]:
    """`EXAMPLES` of a command's module: what a newcomer can type."""
    return getattr(_module(name), "EXAMPLES", ())


def _words(module: ModuleType) -> dict[str, Any]:
    """What the help of a command says around its options: what it does, and examples where its module has some."""
    examples = getattr(module, "EXAMPLES", ())
    return {
        "description": "\n".join(textwrap.wrap(f"{module.HELP[0].upper()}{module.HELP[1:]}.", 100)),
        "epilog": "\n  ".join(["examples:" if len(examples) > 1 else "example:", *examples]) if examples else None,
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    """What was typed. An option that its command does not have ends here, with the one that may have been meant."""
    parser = _parser(argv)
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        command = next(each for each in parser.commands.choices.values())
        near = did_you_mean(unknown[0].split("=")[0], command.options())
        command.error(f"not understood: {' '.join(unknown)}{near}")
    return args


def overview() -> str:
    """Every command with a line of what it does, by purpose."""
    lines = [
        sys.modules["glimmer"].__doc__ or "",
        "",
        "usage: glimmer COMMAND ...    (glimmer COMMAND --help: its options)",
        "",
        "To begin with, from results that are in the repository and in seconds:",
        *(f"    {example}" for example in FIRST),
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
    if not argv:
        print(overview(), end="", file=sys.stderr)
        return InputError.exit_code
    args = _arguments(argv)
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
