"""A tiny tower and a tiny corpus in the files that the stages read."""

import json

import pytest

from glimmer.kilt.chunking import write_passages
from glimmer.kilt.formats import Page

CONFIG = {
    "vocabulary": 120,
    "d_model": 16,
    "d_kv": 4,
    "d_ff": 24,
    "num_heads": 4,
    "encoder_layers": 2,
    "decoder_layers": 1,
}
NAMES = (
    "Arlon",
    "Bresk",
    "Corvin",
    "Dalmar",
    "Eskol",
    "Fenwar",
    "Gorlan",
    "Hestia",
    "Ivarro",
    "Jostal",
    "Krenn",
    "Lurvik",
)


@pytest.fixture(scope="session")
def make_gtr():
    """Builds a tower of other dimensions or activation from a seed."""
    import jax
    from flax import nnx

    from glimmer.models.config import T5Config
    from glimmer.models.t5 import T5
    from glimmer.retrieval.gtr import GTR

    def make(seed=0, dimension=16, **changes):
        encoder = T5(T5Config(**CONFIG | changes), rngs=nnx.Rngs(seed))
        return GTR(encoder, jax.random.normal(jax.random.key(seed), (16, dimension)))

    return make


@pytest.fixture(scope="session")
def small_world(tmp_path_factory):
    """A directory with data/ (NQ in KILT's format), passages/ and a T5 in init/: a page and a question a name."""
    from flax import nnx

    from glimmer.models.checkpoint import save_t5
    from glimmer.models.config import T5Config
    from glimmer.models.t5 import T5
    from glimmer.models.tokenizer import Tokenizer
    from worlds.vocabulary import train_vocabulary

    root = tmp_path_factory.mktemp("world")
    (root / "data").mkdir()
    pages = [
        Page(page_id=str(i), title=name, paragraphs=[name, f"{name} is a town.", f"{name} was built in {1900 + i}."])
        for i, name in enumerate(NAMES)
    ]
    write_passages(pages, root / "passages", 5)
    for split, chosen in (("train", NAMES), ("dev", NAMES[:3])):
        lines = [_line(number, name, split) for number, name in enumerate(chosen)]
        (root / f"data/nq-{split}-kilt.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    train_vocabulary((text for page in pages for text in page.paragraphs), 120, root / "tokenizer.json")
    vocabulary = len(Tokenizer(root / "tokenizer.json"))
    model = T5(T5Config(**CONFIG | {"vocabulary": vocabulary}), rngs=nnx.Rngs(0))
    save_t5(model, root / "init", root / "tokenizer.json")
    return root


def _line(number, name, split):
    evidence = {"wikipedia_id": str(number), "title": name, "start_paragraph_id": 2, "start_character": 0}
    evidence |= {"end_paragraph_id": 2, "end_character": 5}
    output = [{"answer": str(1900 + number), "provenance": [evidence]}]
    return {"id": f"{split}{number}", "input": f"when was {name} built", "output": output}
