"""A few questions of a study with what each reader was given and answered: chosen by a digest of their ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.names import TASK_NAMES
from glimmer.evaluation.kilt_scores.answers import normalise
from glimmer.experiments import TASKS
from glimmer.results import StudyResults


def shown_questions(study: StudyResults) -> list[dict[str, Any]]:
    """One entry a question: task, question, accepted answers, and of each reader of Figure 2 its answer, whether it is
    right (None where the file does not say) and passages.

    Of a study with several seeds the first that has results. Readers whose order is the retriever's come first.
    """
    readers = list(_readers(study))
    questions: dict[tuple[str, str], dict[str, Any]] = {}
    for name, run in readers:
        for task in TASKS:
            for shown in (run.get("shown") or {}).get(task, ()):
                place = {"task": TASK_NAMES[task], "question": shown["question"], "accepted": shown["accepted"]}
                entry = questions.setdefault((task, shown["id"]), place | {"id": shown["id"], "readers": []})
                entry["readers"].append(_read(name, shown))
    return list(questions.values())


def _readers(study: StudyResults) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for result in study.of("figure2", "performance"):
        run = next((study.runs.by_id[id] for id in result.point.run_ids if id in study.runs), None)
        if run is not None:
            yield result.label, run


def _read(name: str, shown: Mapping[str, Any]) -> dict[str, Any]:
    right = shown.get("right")
    # Files of before do not say, and keep only the first accepted answers: what is none of those may be right.
    if right is None and normalise(shown["answer"]) in {normalise(answer) for answer in shown["accepted"]}:
        right = True
    return {"name": name, "answer": shown["answer"] or "(nothing)", "right": right, "passages": shown["passages"]}
