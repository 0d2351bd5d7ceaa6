"""Several processes make a reader's memory and answer with it as one does; each has a part of every matrix."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from glimmer.models.store import MemoryStore
from tests.free_port import free_port

PROGRAM = """
import dataclasses, json, sys
import jax, numpy as np
jax.config.update("jax_disable_most_optimizations", True)
from pathlib import Path
from types import SimpleNamespace
from glimmer import processes
port, count, index, directory = *map(int, sys.argv[1:4]), Path(sys.argv[4])
ROWS, K = 20, 4  # 80 passages: two blocks

def main():
    from glimmer.evaluation.answering import Answerer
    from glimmer.experiments.sections import Devices
    from glimmer.experiments.settings import glimmer
    from glimmer.models import store
    from glimmer.models.batch import Batch
    from glimmer.models.mesh import device_mesh, place_parameters
    from glimmer.preemption import Preempted
    from glimmer.runs.answer_log import AnswerLog
    from glimmer.runs.memory import write_memory
    from glimmer.training.state import split_reader
    from tests.models.tiny import ANSWER, CONFIG, PASSAGE, QUESTION, ragged, tiny_reader

    random = np.random.default_rng(0)
    questions, tokens = ragged(random, ROWS, QUESTION, left=True), ragged(random, ROWS * K, PASSAGE)
    made, wrote, given = [], [], []

    class Batcher:
        corpus = SimpleNamespace(gather=lambda ids, length: tokens[ids][..., :length])
        lengths = SimpleNamespace(passage=PASSAGE)

        def passage_ids(self, task, row):
            return K * int(row) + np.arange(K)

        def batch(self, chosen):
            rows = [row for _, row in chosen]
            made.append(rows)
            passages = tokens[[self.passage_ids(None, row) for row in rows]]
            return Batch.of(question=questions[rows], passages=passages, answer=np.ones((len(rows), ANSWER), np.int32))

    class Counted(Answerer):
        stops_after = 99

        def batches(self, *arguments, **options):
            for number, batch in enumerate(super().batches(*arguments, quiet=True, **options)):
                if number == self.stops_after:
                    raise Preempted
                given.append(len(batch))
                yield batch

    def write(plan, ids, stored, path, real=store._write_block):
        wrote.append(path.name.split("-")[1])
        real(plan, ids, stored, path)

    store._write_block = write
    layout, task = Devices(fsdp=count), SimpleNamespace(task="nq", rows=np.arange(ROWS))
    mesh, config = device_mesh(layout), dataclasses.replace(CONFIG, encoder_layers=2, decoder_layers=1)
    reader = split_reader(tiny_reader(glimmer(alpha="1/2", beta="1", k=K, m=2), config))
    reader = place_parameters(reader, mesh)
    study = SimpleNamespace(evaluation=SimpleNamespace(memory_dtype="bfloat16"), devices=layout)
    materials = SimpleNamespace(batcher=Batcher(), evaluated=[task], study=study, run=SimpleNamespace(id="r"),
                                digests={"tokens": "t"})
    memory = write_memory(reader.merge(), materials, directory / "memory")
    decoder = SimpleNamespace(decode=lambda ids: " ".join(map(str, ids)))
    answerer = Counted(Batcher(), decoder, 3, 4, mesh)
    log = AnswerLog(directory / "answers.jsonl", {"run": "r"})
    answerer.stops_after = 2
    try:
        log.answers(answerer, reader, task, memory)
    except Preempted:
        answerer.stops_after = 99
    answers = log.answers(answerer, reader, task, memory)
    return {"answers": [dataclasses.asdict(answer) for answer in answers], "made": made, "wrote": wrote, "given": given}

place = processes.Place(coordinator=f"127.0.0.1:{port}", processes=count, process=index) if count > 1 else None
with processes.joined(place):
    found = main()
print(json.dumps(found))
"""


def told_by(count: int, directory: Path) -> list[dict]:
    """What each of `count` processes of one CPU device tells."""
    directory.mkdir()
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=1"}
    port, piped = str(free_port()), {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", PROGRAM, port, str(count)]
    started = [subprocess.Popen([*command, str(i), directory], env=environment, **piped) for i in range(count)]
    ended = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0] * count, [errors[-3000:] for _, errors in ended]
    return [json.loads(out.splitlines()[-1]) for out, _ in ended]


@pytest.mark.slow
def test_two_processes_remember_answer_and_go_on_as_one_does(tmp_path):
    """Stopped after two batches of five, and called again: process 0 has all answers, and the log."""
    (one,), (first, second) = told_by(1, tmp_path / "one"), told_by(2, tmp_path / "two")
    assert first["answers"] == one["answers"] and [answer["row"] for answer in one["answers"]] == list(range(20))
    assert [told["given"] for told in (one, first, second)] == [[4] * 5] * 3, "none is answered twice"
    for whole, mine, other in zip(one["made"], first["made"], second["made"], strict=True):
        assert mine + other == whole and len(mine) == len(other), "each reads its own rows"
    assert (one["wrote"], first["wrote"], second["wrote"]) == (["0000000", "0000001"], ["0000000"], ["0000001"])
    stores = [MemoryStore(tmp_path / name / "memory") for name in ("one", "two")]
    assert stores[0].plan.described == stores[1].plan.described, "of the same parameters, by their digest"
    values = [store.read(np.arange(80)[None]).astype(np.float32) for store in stores]
    np.testing.assert_allclose(*values, atol=0.02)
    names = [sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("one", "two")]
    assert names[0] == names[1] == ["answers.jsonl", "memory"]
