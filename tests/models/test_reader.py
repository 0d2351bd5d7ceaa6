"""One reader, three names: against plain NumPy on real tokens, and the theorems that hold between the three."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from glimmer.experiments.settings import fid, glimmer, lumen
from glimmer.models.batch import Batch, Pairs
from glimmer.models.reader import Scorer
from tests.models import reference
from tests.models.tiny import (
    ANSWER,
    CONFIG,
    PASSAGE,
    QUESTION,
    K,
    program,
    ragged_batch,
    randomised,
    tiny_reader,
    tiny_t5,
)

TOLERANCE = {"rtol": 2e-4, "atol": 2e-5}  # float32 sums in another order
FID = fid(k=K)
LUMEN = lumen(alpha="1/2", k=K)
GLIMMER = glimmer(alpha="1/2", beta="1/2", k=K, m=2)
SEPARATE = "separate reranker and question encoder, means, question in decoder"
READERS = {
    "fid": FID,
    "lumen": LUMEN,
    "glimmer": GLIMMER,
    SEPARATE: glimmer(
        alpha="1/2",
        beta="1/2",
        k=K,
        m=2,
        scorer="mean_pool",
        reranker="separate",
        question_encoder="separate",
        token_reduction="mean",
        question_in_decoder=True,
    ),
    "alpha = 1, beta = 1": glimmer(alpha=1, beta=1, k=K, m=3),
    "alpha = 0": glimmer(alpha=0, beta="1/2", k=K, m=2, scorer="mean_pool"),
    "beta = 0": glimmer(alpha="1/2", beta=0, k=K, m=2, scorer="mean_pool"),
}


def real(row):
    return [int(token) for token in np.asarray(row) if token]


def in_numpy(reader, batch):
    """reference.read of every question of a batch."""
    return [
        reference.read(reader, real(q), [real(p) for p in ps], real(a))
        for q, ps, a in zip(*(np.asarray(x) for x in (batch.question, batch.passages, batch.answer)), strict=True)
    ]


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_reader_computes_its_equations_whatever_the_padding(name, seed):
    reader, run = program(READERS[name])
    batch = ragged_batch(seed, absent=seed - 1)
    found = run(batch)
    for row, (scores, kept, logits, likelihoods) in enumerate(in_numpy(reader, batch)):
        there = np.isfinite(scores)
        if reader.scorer is not None:
            np.testing.assert_allclose(found.scores[row], scores, **TOLERANCE)
            np.testing.assert_array_equal(found.kept[row], kept)
            np.testing.assert_allclose(found.log_likelihood[row][there], likelihoods[there], **TOLERANCE)
        np.testing.assert_allclose(found.logits[row][: len(logits)], logits, **TOLERANCE)


def same(left, right):
    """Equal logits but for the order of a sum."""
    np.testing.assert_allclose(left.logits, right.logits, rtol=1e-5, atol=2e-6)


@settings(max_examples=6)
@given(seed=st.integers(0, 2**31), absent=st.integers(0, K - 1))
def test_lumen_with_alpha_1_is_fid(seed, absent):
    batch = ragged_batch(seed, absent=absent)
    ours, run_fid = program(lumen(alpha=1, k=K))
    theirs, run_lumen = program(FID)
    assert _names(ours) == _names(theirs)
    found, expected = run_lumen(batch), run_fid(batch)
    np.testing.assert_array_equal(found.logits, expected.logits)


@settings(max_examples=6)
@given(seed=st.integers(0, 2**31), absent=st.integers(0, K - 1))
def test_glimmer_that_keeps_all_passages_is_lumen(seed, absent):
    """For its answer: passages are a set to the decoder, so that their order by score changes nothing."""
    batch = ragged_batch(seed, absent=absent)
    glimmer_reader, run = program(dataclasses.replace(GLIMMER, m=K))
    lumen_reader, run_lumen = program(LUMEN)
    assert _names(lumen_reader) == _names(glimmer_reader) - {"scorer.weight", "scorer.norm.scale"}
    same(run(batch), run_lumen(batch))


def _names(reader):
    return {".".join(map(str, path)) for path, _ in nnx.to_flat_state(nnx.state(reader))}


@settings(max_examples=6)
@given(seed=st.integers(0, 2**31), order=st.permutations(range(K)), absent=st.integers(0, 2))
def test_permuting_passages_permutes_scores_and_leaves_the_answer(seed, order, absent):
    batch = ragged_batch(seed, absent=absent)
    order = jnp.array(order)
    permuted = dataclasses.replace(batch, passages=batch.passages[:, order], present=batch.present[:, order])
    _, run = program(GLIMMER)
    found, expected = run(permuted), run(batch)
    np.testing.assert_allclose(found.scores, expected.scores[:, order], rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(found.log_likelihood, expected.log_likelihood[:, order], rtol=1e-5, atol=2e-6)
    same(found, expected)


def test_padding_changes_nothing():
    """Wider arrays (padding before questions, after passages and answers) and places without a passage, which score
    -inf, are never kept before a real one, and are not seen by the answer."""
    _, run = program(GLIMMER)
    batch = ragged_batch(5)
    wider = Batch.of(
        question=jnp.pad(batch.question, ((0, 0), (3, 0))),
        passages=jnp.pad(batch.passages, ((0, 0), (2, 1), (0, 4))),
        answer=jnp.pad(batch.answer, ((0, 0), (0, 2))),
    )
    found, expected = run(wider), run(batch)
    assert np.isneginf(found.scores[:, [0, 1, -1]]).all()
    np.testing.assert_allclose(found.scores[:, 2:-1], expected.scores, rtol=1e-5, atol=2e-6)
    np.testing.assert_array_equal(found.kept, expected.kept + 2)
    np.testing.assert_allclose(found.logits[:, :ANSWER], expected.logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.log_likelihood[:, 2:-1], expected.log_likelihood, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["lumen", "glimmer"])
def test_memory_and_live_layers_on_one_sequence_are_the_encoder(name):
    """Pairs that were never reranked have all live layers before them, in a reader that reranks too."""
    t5, (reader, _) = tiny_t5(), program(READERS[name])
    tokens = ragged_batch(3).passages

    @nnx.jit
    def both(t5, reader):
        memory = reader.remember_passages(tokens)
        pairs = Pairs(states=memory, tokens=tokens != 0, present=jnp.ones(tokens.shape[:2], bool))
        rows = tokens.reshape(-1, PASSAGE)
        return reader.finish(pairs).states, t5.encode(rows, rows != 0).reshape(memory.shape)

    found, expected = both(t5, reader)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [name for name, settings in READERS.items() if settings.name == "glimmer"])
def test_pairs_get_every_live_layer_once_whether_or_not_they_were_reranked(name):
    """Finishing pairs as they were paired is finishing them reranked, and is the whole live stack and the norm."""
    reader, run = program(READERS[name])
    batch = ragged_batch(6, absent=1)
    memory = run(batch)

    @nnx.jit
    def three_ways(reader, question_memory, passage_memory):
        pairs = reader.pair(batch, question_memory, passage_memory)
        reranked, _ = reader.rerank(pairs)
        rows = pairs.states.reshape(-1, *pairs.states.shape[2:])
        states = reader.live(rows, pairs.tokens.reshape(rows.shape[:2])).reshape(pairs.states.shape)
        return reader.finish(pairs), reader.finish(reranked), reader.encoder_norm(states)

    unranked, ranked, whole = three_ways(reader, memory.question_memory, memory.passage_memory)
    assert unranked.live_layers_done == ranked.live_layers_done == reader.live_layers
    np.testing.assert_allclose(unranked.states, whole, rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(ranked.states, whole, rtol=1e-5, atol=2e-6)


def test_given_memory_is_used_as_it_is():
    _, run = program(GLIMMER)
    batch = ragged_batch(8)
    fresh = run(batch)
    same(run(batch, fresh.passage_memory), fresh)
    assert not np.allclose(run(batch, fresh.passage_memory * 1.5).logits, fresh.logits)


def test_of_equal_scores_the_earlier_retrieved_passages_are_kept():
    reader, _ = program(dataclasses.replace(GLIMMER, m=3))
    inf = np.inf
    scores = jnp.array([[0.0, 1, 1, 0], [2, 2, 2, 2], [-inf, 0, -inf, -inf], [-inf, -inf, -inf, -inf]])
    np.testing.assert_array_equal(reader.select(scores), [[1, 2, 0], [0, 1, 2], [1, 0, 2], [0, 1, 2]])


def test_before_the_first_step_all_scores_tie_and_the_order_of_retrieval_stands():
    reader = tiny_reader(GLIMMER, scorer_seed=None)
    batch = ragged_batch(2)
    _, run = program(GLIMMER)
    found = run(batch, state=nnx.state(reader))
    assert not np.asarray(found.scores).any()
    np.testing.assert_array_equal(found.kept, [[0, 1], [0, 1]])


def test_a_separate_question_encoder_equals_the_shared_one_before_the_first_step():
    separate, run_separate = program(READERS[SEPARATE])
    _, run_shared = program(GLIMMER)
    batch = ragged_batch(4)
    np.testing.assert_array_equal(run_separate(batch).question_memory, run_shared(batch).question_memory)
    assert {name for name in _names(separate) if name.startswith("question_memory.")}, "it has parameters of its own"


def test_a_separate_reranker_starts_as_the_live_layers_and_a_scratch_one_does_not():
    live = nnx.state(program(GLIMMER)[0].live)
    count = GLIMMER.split(CONFIG.encoder_layers).rerank_layers
    for kind, equal in (("separate", True), ("scratch", False)):
        found = nnx.state(tiny_reader(dataclasses.replace(GLIMMER, reranker=kind)).reranker)
        for path, variable in nnx.to_flat_state(found):
            expected = dict(nnx.to_flat_state(live))[path][...]
            expected = expected[:count] if "layers" in path else expected
            if "scale" not in path:  # a fresh norm is all ones, as trained ones nearly are
                assert np.array_equal(variable[...], expected) is equal, path


def test_with_beta_0_scores_come_from_the_memory_alone():
    """Changing every live layer changes the answer and no score."""
    reader, run = program(READERS["beta = 0"])
    batch = ragged_batch(1)
    other = tiny_reader(READERS["beta = 0"])
    other.live = nnx.data(randomised(other.live, 99))
    found, expected = run(batch, state=nnx.state(other)), run(batch)
    np.testing.assert_array_equal(found.scores, expected.scores)
    assert not np.allclose(found.logits, expected.logits)


def test_with_beta_0_the_first_token_cannot_tell_passages_apart():
    """The first token of [Q; P] is the question's, and no layer has shown it the passage: retrieval's order stands."""
    reader, run = program(READERS["beta = 0"])
    batch = ragged_batch(1)
    memory = run(batch)
    pairs = reader.pair(batch, memory.question_memory, memory.passage_memory)
    scorer = nnx.merge(*nnx.split(reader.scorer))
    scorer.pool = "first_token"
    scores = scorer(pairs)
    np.testing.assert_array_equal(scores, np.broadcast_to(scores[:, :1], scores.shape))
    np.testing.assert_array_equal(reader.select(scores), [[0, 1], [0, 1]])


@pytest.mark.parametrize("pool", ["first_token", "mean_pool"])
def test_the_scorer_pools_real_tokens_only(pool):
    random = np.random.default_rng(0)
    states = random.standard_normal((2, 3, 6, CONFIG.d_model)).astype(np.float32)
    tokens = np.zeros((2, 3, 6), bool)
    tokens[:, :, 2:5] = True
    scorer = randomised(Scorer(CONFIG, pool), 3)
    present = jnp.ones((2, 3), bool)
    found = scorer(Pairs(states=jnp.array(states), tokens=jnp.array(tokens), present=present))
    normed = reference.norm(states.astype(np.float64), np.asarray(scorer.norm.scale[...], np.float64))
    pooled = normed[:, :, 2] if pool == "first_token" else normed[:, :, 2:5].mean(axis=2)
    np.testing.assert_allclose(found, pooled @ np.asarray(scorer.weight[...], np.float64), rtol=1e-5)
    states[~tokens] = 1e3
    again = scorer(Pairs(states=jnp.array(states), tokens=jnp.array(tokens), present=present))
    np.testing.assert_array_equal(again, found)


def without_passages(batch, k):
    passages = jnp.zeros((len(batch.question), k, PASSAGE), jnp.int32)
    return Batch.of(question=batch.question, passages=passages, answer=batch.answer)


@pytest.mark.parametrize("settings", [fid(k=0), fid(k=K)], ids=["closed book", "nothing retrieved"])
def test_a_question_without_passages_is_read_alone(settings):
    reader, run = program(settings)
    batch = without_passages(ragged_batch(9), max(settings.k, 1))
    found = run(batch)
    p = reference.Parameters(reader)
    for row in range(2):
        question, answer = real(batch.question[row]), real(batch.answer[row])
        states = reference.encoder_layers(p.below("live"), p["embedding.table"][question], CONFIG, 0, 4)
        encoded = reference.norm(states, p["encoder_norm.scale"])
        expected = reference.decoder_logits(p, answer, encoded, CONFIG)
        np.testing.assert_allclose(found.logits[row][: len(answer)], expected, **TOLERANCE)


@pytest.mark.parametrize("name", ["lumen", "glimmer"])
def test_how_many_passages_are_absent_changes_nothing_where_all_are(name):
    _, run = program(READERS[name])
    one, many = (run(without_passages(ragged_batch(9), k)) for k in (1, K))
    np.testing.assert_allclose(many.logits, one.logits, rtol=1e-5, atol=1e-6)
    assert np.isfinite(many.scores[:, 0]).all() and (many.scores[:, 1:] == -np.inf).all()


def test_the_question_stands_before_the_passage_without_a_gap():
    reader, _ = program(FID)
    batch = ragged_batch(11)
    pairs = reader.pair(batch, jnp.ones((2, QUESTION, CONFIG.d_model)), jnp.ones((2, K, PASSAGE, CONFIG.d_model)))
    starts = np.diff(np.pad(np.asarray(pairs.tokens), ((0, 0), (0, 0), (1, 1))).astype(int), axis=2) == 1
    assert (starts.sum(axis=2) == 1).all(), "real tokens of a pair must stand together"
