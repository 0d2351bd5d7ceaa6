"""Reader settings: what is legal, how layers split, and what two equal models share."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glimmer.errors import InputError
from glimmer.experiments.settings import ReaderSettings, fid, glimmer, lumen, round_half_up, run_id, split_layers

PAPER_ALPHAS = ("1", "3/4", "1/2", "1/3", "1/4", "1/6", "1/8", "1/24", "0")
PAPER_BETAS = ("0", "1/8", "1/4", "1/2", "1")
proportions = st.fractions(min_value=0, max_value=1, max_denominator=48)


def baseline(**changes):
    return glimmer(**({"alpha": "1/3", "beta": "1/4", "k": 25, "m": 5} | changes))


@pytest.mark.parametrize(
    "layers, alphas, betas",
    [
        (8, {"1/3", "1/6", "1/24"}, {"1/8", "1/4", "1/2"}),
        (12, {"1/8", "1/24"}, {"1/8"}),
        (24, set(), set()),
    ],
)
def test_the_paper_values_that_do_not_divide_evenly_are_those_that_docs_layers_lists(layers, alphas, betas):
    splits = {alpha: split_layers(layers, alpha) for alpha in PAPER_ALPHAS}
    uneven = {alpha for alpha, split in splits.items() if Fraction(split.live_layers, layers) != Fraction(alpha)}
    assert uneven == alphas
    live = splits["1/3"].live_layers
    reranks = {beta: split_layers(layers, "1/3", beta).rerank_layers for beta in PAPER_BETAS}
    assert {beta for beta, rerank in reranks.items() if Fraction(rerank, live) != Fraction(beta)} == betas


def test_the_paper_s_large_model_has_eight_live_layers_of_which_two_rerank():
    assert split_layers(24, "1/3", "1/4") == (16, 8, 2)


@pytest.mark.parametrize("value, rounded", [("1/2", 1), ("3/2", 2), ("5/2", 3), ("49/100", 0), ("0", 0)])
def test_ties_round_up(value, rounded):
    assert round_half_up(Fraction(value)) == rounded


@given(layers=st.integers(1, 48), alpha=proportions, beta=proportions)
def test_a_split_is_within_half_a_layer_and_accounts_for_every_layer(layers, alpha, beta):
    memory, live, rerank = split_layers(layers, alpha, beta)
    assert memory + live == layers
    assert 0 <= rerank <= live
    assert abs(live - alpha * layers) <= Fraction(1, 2)
    assert abs(rerank - beta * live) <= Fraction(1, 2)


@given(layers=st.integers(1, 48), alpha=proportions, beta=proportions)
def test_resolving_settings_keeps_the_split_and_is_idempotent(layers, alpha, beta):
    reader = baseline(alpha=alpha, beta=beta)
    resolved = reader.resolved(layers)
    assert resolved.split(layers) == reader.split(layers)
    assert resolved.resolved(layers) == resolved


@pytest.mark.parametrize("alpha", [0, 1, "0", "1"])
@pytest.mark.parametrize("beta", [0, 1])
def test_zero_and_one_are_legal_proportions(alpha, beta):
    split = baseline(alpha=alpha, beta=beta).split(12)
    assert split.live_layers == 12 * int(alpha)
    assert split.rerank_layers == split.live_layers * beta


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"m": 26}, "reader.m"),
        ({"m": 0}, "reader.m"),
        ({"k": -1}, "reader.k"),
        ({"k": True}, "reader.k"),
        ({"alpha": "4/3"}, "reader.alpha"),
        ({"alpha": "-1/3"}, "reader.alpha"),
        ({"alpha": 0.25}, "reader.alpha"),
        ({"alpha": "1/0"}, "reader.alpha"),
        ({"beta": "3/2"}, "reader.beta"),
        ({"beta": None}, "reader.beta"),
        ({"tau": 0}, "reader.tau"),
        ({"tau": float("nan")}, "reader.tau"),
        ({"lambda_": -1}, "reader.lambda"),
        ({"scorer": "last_token"}, "reader.scorer"),
        ({"train_tasks": ("nq", "wow")}, "reader.train_tasks"),
        ({"train_tasks": ()}, "reader.train_tasks"),
        ({"trained": 1}, "reader.trained"),
        ({"dev_evidence": "last"}, "reader.dev_evidence"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name_in_one_line(changes, named):
    with pytest.raises(InputError, match=f"^{named}: ") as caught:
        baseline(**changes)
    assert caught.value.expected and "\n" not in str(caught.value) and caught.value.exit_code == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: fid(k=5, alpha="1/3"),
        lambda: fid(k=5, memory="frozen"),
        lambda: fid(k=5, m=3),
        lambda: fid(k=5, beta="1/4"),
        lambda: lumen(alpha="1/3", k=5, beta="1/4"),
        lambda: lumen(alpha="1/3", k=5, m=3),
        lambda: lumen(alpha="1/3", k=5, lambda_=1.0),
        lambda: lumen(alpha="1/3", k=5, tau=0.1),
        lambda: lumen(alpha="1/3", k=5, reranker="separate"),
    ],
)
def test_what_contradicts_the_reader_s_name_is_refused(make):
    with pytest.raises(InputError):
        make()


def test_json_round_trips_and_has_no_float_for_a_proportion():
    for reader in (baseline(), fid(k=5), lumen(alpha="1/8", k=10, train_tasks=("nq",)), fid(k=0)):
        assert ReaderSettings.from_json(reader.to_json()) == reader
    assert baseline().to_json()["alpha"] == "1/3" and "lambda" not in baseline().to_json()
    assert fid(k=5).to_json()["lambda"] == 0.0, "the default of a field, not of a name, is left out"


def test_json_may_leave_out_what_the_name_implies_but_may_not_have_unknown_keys():
    assert ReaderSettings.from_json({"name": "fid", "k": 5}) == fid(k=5)
    with pytest.raises(InputError, match="unknown"):
        ReaderSettings.from_json({"name": "fid", "k": 5, "topk": 3})


def test_equal_models_resolve_to_equal_settings():
    assert lumen(alpha=1, k=10).resolved(8) == fid(k=10)
    assert lumen(alpha="1/3", k=0).resolved(8) == baseline(k=0, m=0).resolved(8) == fid(k=0)
    assert lumen(alpha=1, k=10, evidence="first").resolved(8) == fid(k=10, evidence="first")
    assert fid(k=0, evidence="first", labels="shuffled").resolved(8) == fid(k=0, labels="shuffled")
    assert lumen(alpha=1, k=10, dev_evidence="first").resolved(8) == fid(k=10, dev_evidence="first")
    assert fid(k=0, dev_evidence="of_another_question").resolved(8) == fid(k=0), "there are no passages to change"
    twice = baseline(evidence="first", dev_evidence="first")
    assert twice.resolved(24) == baseline(evidence="first"), "trained with gold first, and on dev anyway"
    assert lumen(alpha="1/24", k=10).resolved(12) == lumen(alpha=0, k=10).resolved(12)
    assert baseline().resolved(24) == baseline()


@pytest.mark.parametrize("dev_evidence", ["as_trained", "first", "of_another_question"])
@pytest.mark.parametrize("evidence", ["as_retrieved", "first"])
def test_a_reader_is_trained_as_if_dev_were_like_train(evidence, dev_evidence):
    reader = baseline(evidence=evidence, dev_evidence=dev_evidence, tau=0.1)
    assert reader.as_trained == baseline(evidence=evidence, tau=0.1)
    assert (reader.as_trained.to_json() == reader.to_json()) == (dev_evidence == "as_trained")
    assert reader.resolved(12).as_trained == reader.as_trained.resolved(12)


def test_a_seed_changes_what_is_trained_or_drawn_and_nothing_else():
    assert baseline().is_drawn and baseline(trained=False, reranker="scratch").is_drawn
    assert not baseline(trained=False).is_drawn and not baseline(trained=False, dev_evidence="first").is_drawn
    assert baseline(trained=False, dev_evidence="of_another_question").is_drawn, "whose passages, a seed says"


def test_train_tasks_are_a_set_whose_order_does_not_matter():
    assert baseline(train_tasks=("trex", "nq")) == baseline(train_tasks=("nq", "trex"))


def test_changing_k_moves_m_along_for_readers_that_keep_every_passage():
    assert lumen(alpha="1/3", k=10).change(k=40).m == 40
    assert baseline().change(k=40).m == 5


def test_a_run_id_is_a_digest_that_key_order_and_whole_floats_do_not_change():
    assert run_id({"a": 1, "b": [1, "x"]}) == run_id({"b": [1, "x"], "a": 1})
    # sha256 of '{"a":1}', first 12 digits
    assert run_id({"a": 1}) == "015abd7f5cc5"
    assert run_id(baseline(tau=1).to_json()) == run_id(baseline(tau=1.0).to_json())


@pytest.mark.parametrize("changes", [
    {"alpha": "1/2"}, {"beta": "1/2"}, {"k": 26}, {"m": 6}, {"reranker": "separate"}, {"reranker": "scratch"},
    {"scorer": "mean_pool"}, {"memory": "frozen"}, {"question_encoder": "separate"}, {"lambda_": 0.1}, {"tau": 0.1},
    {"kl": "lm_rank"}, {"token_reduction": "mean"}, {"train_tasks": ("nq",)}, {"trained": False},
    {"labels": "shuffled"}, {"evidence": "first"}, {"dev_evidence": "first"}, {"dev_evidence": "of_another_question"},
])  # fmt: skip
def test_every_field_of_a_reader_changes_the_id(changes):
    assert run_id(baseline(**changes).to_json()) != run_id(baseline().to_json())
