"""Operation counts against Figure 2's published speeds, the printed formulas, and the identities between readers."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glimmer.compute import (
    CONVENTIONS,
    Dimensions,
    Workload,
    memory_bytes_per_token,
    memory_macs_per_passage,
    operation_count,
    operation_counts,
    samples_per_tflop,
    t5_1_1_large,
    t5_1_1_small,
    t5_1_1_xxl,
)
from glimmer.errors import InputError

THIRD, QUARTER = Fraction(1, 3), Fraction(1, 4)
FIGURE_2 = [
    ((Fraction(1), None, 5, 5), 0.09272427067),
    ((THIRD, None, 10, 10), 0.1067540778),
    ((THIRD, QUARTER, 25, 5), 0.1278586731),
]
proportions = st.fractions(min_value=0, max_value=1, max_denominator=24)
small_dimensions = st.builds(
    Dimensions,
    **{
        name: st.integers(1, 9)
        for name in ("d_model", "d_kv", "num_heads", "d_ff", "encoder_layers", "decoder_layers", "vocabulary")
    },
)


def work(alpha, beta, k, m, tokens=384, target_tokens=64, question_tokens=48, **others):
    return Workload(
        alpha=alpha,
        beta=beta,
        k=k,
        m=m,
        tokens=tokens,
        target_tokens=target_tokens,
        question_tokens=min(question_tokens, tokens),
        **others,
    )


@pytest.mark.parametrize("reader, published", FIGURE_2)
def test_the_figure_2_count_gives_the_published_speeds(reader, published):
    assert samples_per_tflop(t5_1_1_xxl(), work(*reader)) == pytest.approx(published, rel=1e-9)


@pytest.mark.parametrize("convention", ["printed", "exact"])
@pytest.mark.parametrize("reader, published", FIGURE_2)
def test_no_other_count_gives_the_published_speeds(reader, published, convention):
    assert samples_per_tflop(t5_1_1_xxl(), work(*reader), convention) != pytest.approx(published, rel=1e-3)


def test_the_printed_formulas_are_those_of_sections_2_and_3():
    d, L, n_p, n_t = 1024, 24, 304, 32
    fid = 5 * n_p * L * 14 * d**2 + n_t * L * 14 * d**2

    def lumen(k):
        return k * n_p * THIRD * L * 12 * d**2 + k * n_p * L * 2 * d**2 + n_t * L * 14 * d**2

    glimmer = lumen(5) + (25 - 5) * n_p * QUARTER * THIRD * L * 12 * d**2
    lengths = {"tokens": n_p, "target_tokens": n_t}
    assert operation_count(t5_1_1_large(), work(Fraction(1), None, 5, 5, **lengths), "printed") == fid
    assert operation_count(t5_1_1_large(), work(THIRD, None, 10, 10, **lengths), "printed") == lumen(10)
    assert operation_count(t5_1_1_large(), work(THIRD, QUARTER, 25, 5, **lengths), "printed") == glimmer


def matrix_products(d, w):
    """The exact count again, from the shapes of every product of the program, layer by layer."""
    h = d.num_heads * d.d_kv

    def encoder_layer(tokens):
        projections = 4 * tokens * d.d_model * h
        attention = 2 * d.num_heads * tokens * tokens * d.d_kv
        return projections + attention + 3 * tokens * d.d_model * d.d_ff

    live = int(w.alpha * d.encoder_layers)
    rerank = int((w.beta or 0) * live)
    total = sum(encoder_layer(w.question_tokens) for _ in range(d.encoder_layers - live))
    for layer in range(live):
        total += (w.k if layer < rerank else w.m) * encoder_layer(w.tokens)
    total += w.k * d.d_model if w.beta is not None else 0
    for _ in range(d.decoder_layers):
        total += 2 * w.m * w.tokens * d.d_model * h
        for _ in range(w.target_tokens):
            total += 4 * d.d_model * h + 2 * h * w.target_tokens
            total += 2 * d.d_model * h + 2 * h * w.m * w.tokens
            total += 3 * d.d_model * d.d_ff
    return total + w.target_tokens * d.d_model * d.vocabulary


@given(
    d=small_dimensions, live=st.integers(0, 9), rerank=st.integers(0, 9), m=st.integers(1, 4), more=st.integers(0, 4)
)
def test_the_exact_count_is_the_sum_over_every_matrix_product(d, live, rerank, m, more):
    live = min(live, d.encoder_layers)
    beta = Fraction(min(rerank, live), live) if live else Fraction(0)
    w = work(Fraction(live, d.encoder_layers), beta, m + more, m, tokens=7, target_tokens=3, question_tokens=2)
    assert operation_count(d, w, "exact") == matrix_products(d, w)


@pytest.mark.parametrize("convention", CONVENTIONS)
@given(alpha=proportions, beta=proportions, k=st.integers(1, 50))
def test_glimmer_that_keeps_every_passage_costs_what_lumen_costs(convention, alpha, beta, k):
    d = t5_1_1_small()
    scorer = k * d.d_model if convention == "exact" else 0
    assert operation_count(d, work(alpha, beta, k, k), convention) - scorer == operation_count(
        d, work(alpha, None, k, k), convention
    )


@given(k=st.integers(1, 50), tokens=st.integers(1, 400))
def test_lumen_with_every_layer_live_costs_what_the_printed_fid_costs(k, tokens):
    d = t5_1_1_large()
    found = operation_count(d, work(Fraction(1), None, k, k, tokens=tokens), "printed")
    assert found == (k * tokens + 64) * d.encoder_layers * 14 * d.d_model**2


@pytest.mark.parametrize("convention", CONVENTIONS)
@given(alpha=proportions, beta=proportions, m=st.integers(1, 20), more=st.integers(0, 20))
def test_cost_grows_with_k_m_alpha_and_beta(convention, alpha, beta, m, more):
    def cost(*args):
        return operation_count(t5_1_1_large(), work(*args), convention)

    assert cost(alpha, beta, m + more, m) <= cost(alpha, beta, m + more + 1, m)
    assert cost(alpha, beta, m + more, m) <= cost(alpha, beta, m + more, m + more)
    assert cost(alpha * QUARTER, beta, m + more, m) <= cost(alpha, beta, m + more, m)
    assert cost(alpha, beta * QUARTER, m + more, m) <= cost(alpha, beta, m + more, m)


def test_a_separate_reranker_costs_the_kept_passages_rerank_layers_twice():
    d, w = t5_1_1_large(), work(THIRD, QUARTER, 25, 5)
    apart = operation_count(d, work(THIRD, QUARTER, 25, 5, separate_reranker=True), "exact")
    layer = 384 * d.encoder_macs_per_token + 2 * 384**2 * d.heads_width
    assert apart - operation_count(d, w, "exact") == 5 * 2 * layer


def test_at_alpha_0_and_1_the_live_cost_vanishes_and_the_memory_vanishes():
    d = t5_1_1_large()
    stored = operation_count(d, work(Fraction(0), None, 10, 10))
    cross_and_decoder = 24 * (10 * 384 * d.cross_macs_per_token + 64 * d.decoder_macs_per_token)
    assert stored == cross_and_decoder
    assert memory_bytes_per_token(d, Fraction(1)) == 0 == memory_macs_per_passage(d, Fraction(1), 304)
    assert memory_bytes_per_token(d, Fraction(0)) == 2048
    assert memory_bytes_per_token(d, THIRD, "float32") == 4096
    assert memory_bytes_per_token(d, THIRD, "int8") == 1024 + 4
    assert memory_bytes_per_token(d, Fraction(1), "int8") == 0


def test_without_passages_only_the_question_is_read():
    d = t5_1_1_small()
    closed = operation_count(d, work(Fraction(1), None, 0, 0), "exact")
    assert 0 < closed < operation_count(d, work(Fraction(1), None, 1, 1), "exact")


def test_all_conventions_are_recorded_as_floats():
    counts = operation_counts(t5_1_1_large(), work(THIRD, QUARTER, 25, 5))
    assert set(counts) == set(CONVENTIONS) and all(isinstance(count, float) for count in counts.values())


@pytest.mark.parametrize(
    "changes", [{"m": 26}, {"m": -1}, {"alpha": Fraction(4, 3)}, {"beta": Fraction(-1, 4)}, {"question_tokens": 400}]
)
def test_an_impossible_workload_is_refused(changes):
    fields = {"alpha": THIRD, "beta": QUARTER, "k": 25, "m": 5, "tokens": 384, "target_tokens": 64} | changes
    with pytest.raises(InputError):
        Workload(**fields)


def test_an_unknown_convention_is_refused():
    with pytest.raises(InputError, match="printed or figure2 or exact"):
        operation_count(t5_1_1_small(), work(THIRD, None, 1, 1), "guess")
