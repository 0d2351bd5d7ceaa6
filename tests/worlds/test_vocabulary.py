"""The texts that a study's vocabulary is trained on."""

import dataclasses

from glimmer.experiments import load_study
from glimmer.experiments.sections import CheckpointInitial
from worlds import vocabulary


def test_dev_sets_have_no_say_in_the_vocabulary(tmp_path, monkeypatch):
    for split, question in (("train", "who"), ("dev", "where")):
        line = f'{{"id": "1", "input": "{question}", "output": [{{"answer": "{split} answer"}}]}}\n'
        (tmp_path / f"nq-{split}-kilt.jsonl").write_text(line)
    monkeypatch.setattr(vocabulary, "PassageFile", lambda path: [])
    study = load_study("embedded")
    given = CheckpointInitial(kind="checkpoint", release="x", directory=None, sha256=None)
    study = dataclasses.replace(study, data=dataclasses.replace(study.data, tasks=("nq",)), initial=given)
    assert list(vocabulary.study_texts(study, tmp_path, tmp_path)) == ["who", "train answer"]
