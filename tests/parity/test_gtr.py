"""GTR against sentence-transformers reading the directory that we wrote, and theirs read by us."""

import numpy as np
import pytest
from flax import nnx

from glimmer.models.tokenizer import Tokenizer
from glimmer.retrieval.embed import Embedder
from glimmer.retrieval.gtr import GTR, load_gtr, save_gtr
from tests.models.tiny import tiny_t5
from tests.parity.conftest import HOW
from tests.parity.test_t5 import ODD
from worlds.vocabulary import train_vocabulary

TEXTS = [
    "when was Arlon built",
    "Arlon",
    "Bresk is a town on the river Corvin, built in 1901 by the people of Dalmar, who left it in 1950. " * 4,
    "Who left Dalmar?",
    "",
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Random weights in the published layout: transformer, pooling, dense, normalise."""
    import dataclasses

    import jax.numpy as jnp

    root = tmp_path_factory.mktemp("gtr")
    train_vocabulary(TEXTS, 90, root / "tokenizer.json")
    config = dataclasses.replace(
        ODD, vocabulary=len(Tokenizer(root / "tokenizer.json")), activation="relu", tied_head=True
    )
    projection = np.random.default_rng(0).standard_normal((config.d_model, 10))
    save_gtr(GTR(tiny_t5(config), jnp.asarray(projection, jnp.float32)), root / "gtr", root / "tokenizer.json")
    return root / "gtr"


def test_embeddings_equal_sentence_transformers(directory, torch, transformers):
    peer = pytest.importorskip("sentence_transformers", reason=HOW)
    theirs = peer.SentenceTransformer(str(directory), device="cpu").encode(TEXTS, convert_to_numpy=True)
    tower = load_gtr(directory)
    tokens = Tokenizer(directory / "tokenizer.json").encode_array(TEXTS, 200, end=True)
    ours = np.asarray(nnx.jit(lambda model, t: model(t))(tower, tokens))
    cosines = np.sum(ours * theirs, axis=1)
    print(f"least cosine 1 - {1 - cosines.min():.1e}")
    np.testing.assert_allclose(np.linalg.norm(theirs, axis=1), 1, rtol=1e-5)
    assert cosines.min() > 1 - 1e-6
    assert np.abs(Embedder(tower, Tokenizer(directory / "tokenizer.json")).texts(TEXTS, 200) - theirs).max() < 1e-5
