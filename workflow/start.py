"""A call of snakemake, understood: its options become the layout of a study and the drawing of what is shown."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from glimmer.errors import GlimmerError
from workflow.cluster import check_nodes, check_status_command
from workflow.drawing import Drawing
from workflow.layout import Layout
from workflow.options import check_targets, draws_only, shown_studies, study_of

ALLOCATOR = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184"
"""GLIBC_TUNABLES, read by the C library before Python starts: huge pages where the kernel gives them on request, and
memory that a step of a compiled program has freed is kept for the next one, which would fault each page in again."""


def start(config: Mapping[str, Any], arguments: Iterable[str]) -> tuple[Layout, Drawing]:
    """What `snakemake ARGUMENTS --config study=NAME data=DIR checkpoint=DIR results=DIR work=DIR` asks for.

    What is wrong with the options ends the program: one line on stderr, exit code 2.
    """
    # The interpreter that runs snakemake is the one whose `glimmer` the rules call, activated or not.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    os.environ.setdefault("GLIBC_TUNABLES", ALLOCATOR)
    arguments = list(arguments)
    try:
        check_targets(arguments)
        only = draws_only(arguments)
        layout = Layout(study=study_of(config), draws_only=only)
        if only:
            shown = [Layout(study=study, draws_only=True) for study in shown_studies(config, arguments)]
        else:
            check_status_command(arguments)
            check_nodes(arguments, layout.nodes)
            layout.check_inputs()
            shown = [layout]
        return layout, Drawing(studies=tuple(shown), results=layout.study.results)
    except GlimmerError as error:
        print(f"snakemake: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
