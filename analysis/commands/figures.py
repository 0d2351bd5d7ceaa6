"""`glimmer figures`: figures and tables from results alone."""

from __future__ import annotations

import argparse
import sys

from analysis.sources import add_source_arguments, sources_of, words_after_studies

HELP = "draw figures and tables of results: each as .svg and .pdf, or .md and .tex, with a .csv of its points"
PURPOSE = "results"
EXAMPLES = ("glimmer figures figure2 table1 --study sample --paper",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which artifacts, of which results."""
    parser.add_argument(
        "artifacts", nargs="*", metavar="ARTIFACT", help="figure3, table1 ... (default: all that a study has)"
    )
    add_source_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Writes them, and names each file; a run file that is left out is named on stderr."""
    from analysis import figures
    from glimmer.experiments import load_registry
    from glimmer.results import PAPER, load_reference, load_results
    from glimmer.results.foreign import FOLDER, load_foreign

    known = load_registry().artifacts
    args.study, behind = words_after_studies(args.study, known.__contains__)
    args.artifacts += behind
    for artifact in map(figures.drawn, args.artifacts) if args.artifacts else figures.everything():
        for name in sources_of(args):
            study = load_results(name, args.results, artifact.name)
            if not (artifact.name in study.artifacts or args.artifacts):
                continue  # what is not part of a study is drawn only where it is asked for by name
            for refused in load_foreign(args.results / name)[1]:
                print(f"{artifact.name}: left out {name}/{FOLDER}/{refused.file}: {refused.reason}", file=sys.stderr)
            for refused in study.runs.refused:
                print(f"{artifact.name}: left out {name}/runs/{refused.file}: {refused.reason}", file=sys.stderr)
            reference = None if name == PAPER else load_reference(args.results)
            print(*artifact.write(study, reference, args.results / name), sep="\n")
