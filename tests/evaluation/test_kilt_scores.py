"""KILT's scores: the official program's output on golden sets, its rules one by one, and what it dies of."""

import itertools
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glimmer.cli import main
from glimmer.errors import InputError
from glimmer.evaluation.kilt_scores import PROGRAMS, iterate_scores, score_example, score_files
from glimmer.evaluation.kilt_scores.answers import answer_scores, normalise
from glimmer.evaluation.kilt_scores.ranking import at_k, completions, r_precision, ranked_ids
from glimmer.evaluation.kilt_scores.rouge import rouge_l
from glimmer.files import atomic_write, read_json_lines

PAGE = ("wikipedia_id",)


def items(*pages):
    return [{"wikipedia_id": page} for page in pages]


def gold(*outputs, identifier="a", question="q"):
    return {"id": identifier, "input": question, "output": list(outputs)}


def guess(answer, *pages, identifier="a"):
    return {"id": identifier, "output": [{"answer": answer, "provenance": items(*pages)}]}


def write_lines(path, rows):
    with atomic_write(path) as file:
        file.writelines((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    return path


# The official program's own output.


def golden_cases(shared, prefix):
    cases = sorted((shared / "kilt-scorer/golden").glob(prefix + "*"))
    assert cases, "no golden sets found"
    for case in cases:
        yield case, json.loads((case / "official.json").read_text(encoding="utf-8"))


def assert_same(ours, official, where):
    assert set(official) <= set(ours), where
    for name, value in official.items():
        assert ours[name] == pytest.approx(value, abs=1e-9), (where, name)


def test_golden_sets_means_and_every_example(shared):
    examples = 0
    for case, official in golden_cases(shared, "set"):
        keys = [key.split("+") for key in official["eval_retrieval"]]
        rows = []
        scores = score_files(case / "gold.jsonl", case / "guess.jsonl", official["meta"]["ks"], keys, each=rows.append)
        ours = scores.as_dict() | {"ranking": scores.ranking}
        for group, values in official["eval_downstream"].items():
            assert set(ours[group]) == set(values)
            assert_same(ours[group], values, case.name)
        for key, values in official["eval_retrieval"].items():
            assert set(scores.ranking[key]) == set(values)
            assert_same(scores.ranking[key], values, (case.name, key))
        expected = list(read_json_lines(case / "per_example.jsonl"))
        assert [row.id for row in rows] == [row["id"] for row in expected]
        for row, one in zip(rows, expected, strict=True):
            assert_same(row.downstream, one["downstream"]["downstream"], (case.name, row.id))
            assert_same(row.kilt, one["downstream"]["kilt"], (case.name, row.id))
            for key, values in one["retrieval"].items():
                assert_same(row.ranking[key], values, (case.name, row.id, key))
        assert scores.per_example["f1"].tolist() == [row.downstream["f1"] for row in rows]
        examples += len(rows)
    assert examples >= 572


def test_golden_errors_raise_where_the_official_programs_die_and_score_where_they_score(shared):
    for case, official in golden_cases(shared, "err"):
        outcomes = {"downstream": official["eval_downstream"], "ranking": official["eval_retrieval"]["wikipedia_id"]}
        for program, outcome in outcomes.items():
            files = case / "gold.jsonl", case / "guess.jsonl"
            if "error" in outcome:
                with pytest.raises(InputError, match=r"jsonl:\d: ") as error:
                    score_files(*files, programs=[program])
                assert " b" in str(error.value) or " a " in str(error.value) or "blank line" in str(error.value), (
                    case.name
                )
                continue
            scores = score_files(*files, programs=[program])
            for ours, theirs in ([(scores.ranking["wikipedia_id"], outcome)] if program == "ranking" else
                                 [(scores.as_dict()[group], values) for group, values in outcome.items()]):  # fmt: skip
                assert_same(ours, theirs, case.name)


# Its rules, by hand.


@pytest.mark.parametrize(("text", "normal"), [
    ("The Rock-n-Roll,  a  band!", "rocknroll band"),
    ("a-the", "athe"),
    ("the’s", "’s"),
    ("a\u0301rbol", "\u0301rbol"),
    ("éa", "éa"),
    ("a_b a² a", "ab a²"),
    ("İK", "i\u0307k"),
    ("ΣΑΣ", "σας"),
    ("THE", ""),
])  # fmt: skip
def test_normalisation(text, normal):
    assert normalise(text) == normal


def test_answers_take_the_best_gold_answer_for_each_metric():
    scores = answer_scores("the red fox", ["red", "Red Fox.", "x"])
    assert (scores["accuracy"], scores["em"], scores["f1"]) == (0.0, 1.0, 1.0)
    assert answer_scores("red cat", ["red fox"])["f1"] == pytest.approx(0.5)
    assert answer_scores("The", ["a"]) | {"rougel": 0} == {"accuracy": 0, "em": 1, "f1": 0, "rougel": 0}
    assert set(answer_scores("", []).values()) == {0.0}


@pytest.mark.parametrize(("hypothesis", "reference", "score"), [
    ("a b c", "a b c", 2 / (2 + 1e-8)),
    ("A b", "a b", 2 * 0.25 / (1 + 1e-8)),
    ("...", "...", 0.0),
    ("a b", "b a", 0.5 / (1 + 1e-8)),
    ("x. y", "y. x", 2 / (2 + 1e-8)),
    ("a a a", "a", 2 / (2 + 1e-8)),  # sets of tokens
    (" .a", " .b", 2 * 0.25 / (1 + 1e-8)),  # a sentence of spaces is one empty token
])  # fmt: skip
def test_rouge_l(hypothesis, reference, score):
    assert rouge_l(hypothesis, reference) == pytest.approx(score, abs=1e-12)


def test_rouge_l_ties_drop_the_hypothesis_token_first():
    # Reference "x y", hypothesis "y x": x alone and y alone are equally long; the hypothesis's x is dropped first
    # and y taken. Which one shows in the union with another sentence, of y alone or of x alone.
    assert rouge_l("y x. y", "x y") == pytest.approx(2 * 0.5 * 0.5 / (1 + 1e-8))
    assert rouge_l("y x. x", "x y") == pytest.approx(2 / (2 + 1e-8))


def test_rouge_l_scores_sentences_that_overflow_the_official_recursion():
    text = " ".join(str(i) for i in range(700))
    assert rouge_l(text, text) == pytest.approx(1.0, abs=1e-8)


def brute_force_completions(ranked, sets):
    """A set has one entry, at the rank of the last of its pages that is ranked; a page of no set has its own."""
    entries = []
    for page in ranked:
        holders = [pages for pages in sets if page in pages]
        entries += [pages <= set(ranked) for pages in holders if page == max(pages & set(ranked), key=ranked.index)]
        entries += [] if holders else [False]
    return entries


@given(
    st.permutations("012345").map(lambda pages: pages[:4]),
    st.lists(st.frozensets(st.sampled_from("012345"), min_size=1, max_size=3), max_size=4, unique=True),
)
def test_a_set_is_complete_at_the_rank_of_its_last_page(ranked, sets):
    complete = completions(ranked, sets)
    assert complete == brute_force_completions(ranked, sets)
    assert sum(complete) == sum(s <= set(ranked) for s in sets)


def test_evidence_that_needs_two_pages_takes_one_place_at_its_last_page():
    scores = at_k(["1", "x", "2", "y"], [frozenset("12")], [1, 2, 3, 5])
    # After the first page's place moved, the list is x, {1, 2}, y.
    assert [scores[f"success_rate@{k}"] for k in (1, 2, 3, 5)] == [0, 1, 1, 1]
    assert (scores["precision@5"], scores["recall@5"]) == (0.2, 1.0)
    assert set(at_k([], [frozenset("1")], [5]).values()) == {0.0}


def test_an_empty_evidence_set_counts_and_cannot_be_completed():
    scores = score_example(gold({"answer": "x", "provenance": items("1")}, {"provenance": []}, {"provenance": []}),
                           guess("x", "1"))  # fmt: skip
    assert scores.retrieval == {"Rprec": 1.0, "recall@5": 0.5}


def test_r_precision_removes_repeats_before_it_cuts():
    outputs = [{"provenance": items("1", "2")}, {"provenance": items("9")}, {}]
    assert r_precision(ranked_ids(items("1", "1", " 2 ", "3"), PAGE), outputs, PAGE) == 1.0
    assert r_precision(ranked_ids(items("3", "1", "2"), PAGE), outputs, PAGE) == 0.5
    assert ranked_ids([{"wikipedia_id": None}, {"title": "t"}, {"wikipedia_id": 1.0}], PAGE) == ["None", "1.0"]


def test_kilt_scores_need_all_pages_at_the_top():
    right = gold({"answer": "x", "provenance": items("1", "2")}, {"answer": "y"})
    assert score_example(right, guess("y", "2", "1")).kilt["KILT-em"] == 1.0
    assert score_example(right, guess("y", "2", "3", "1")).kilt["KILT-em"] == 0.0
    assert score_example(gold({"answer": "x"}), guess("x", "1")).kilt["KILT-em"] == 0.0


def test_guess_answers_are_python_spellings():
    for value, spelled in ((None, "None"), (True, "True"), (42, "42"), (["x"], "['x']")):
        assert score_example(gold({"answer": spelled}), guess(value)).downstream["accuracy"] == 1.0


def test_context_metrics_look_at_texts_of_the_first_items():
    evidence = [
        {"wikipedia_id": "1"},
        {"wikipedia_id": "1", "text": "In the Oslo."},
        {"wikipedia_id": "2", "text": "Oslo City"},
    ]
    right = gold({"answer": "Oslo", "provenance": [{"wikipedia_id": "2", "title": "City"}]}, question="which city?")
    scores = score_example(right, {"id": "a", "output": [{"answer": "x", "provenance": evidence}]}, ks=[1, 2, 3])
    ranking = scores.ranking["wikipedia_id"]
    assert [ranking[f"answer_in_context@{k}"] for k in (1, 2, 3)] == [0, 1, 1]
    assert [ranking[f"answer_and_ent_in_context@{k}"] for k in (1, 2, 3)] == [0, 0, 1]
    assert ranking["entity_in_input"] == 1.0


@given(st.permutations(range(5)))
def test_the_order_of_guesses_is_irrelevant(tmp_path_factory, order):
    directory = tmp_path_factory.mktemp("order")
    golds = [gold({"answer": str(i), "provenance": items(str(i))}, identifier=i) for i in range(4)]
    guesses = [guess(str(i % 2), str(i), identifier=f" {i} ") for i in range(5)]  # 4 is unknown to gold
    gold_file = write_lines(directory / "gold.jsonl", golds)
    scores = score_files(gold_file, write_lines(directory / "guess.jsonl.gz", [guesses[i] for i in order]))
    assert (scores.n, scores.unused_guesses) == (4, 1)
    assert scores.per_example["em"].tolist() == [1, 1, 0, 0]
    assert scores.downstream["em"] == 0.5


def test_the_mean_of_examples_in_memory_is_the_score_of_the_file(tmp_path):
    golds = [gold({"answer": f"the {i}", "provenance": items(str(i), "x")}, identifier=i) for i in range(7)]
    guesses = [guess(f"{i % 3} b", str(i), "y", "x", identifier=i) for i in range(7)]
    files = write_lines(tmp_path / "gold.jsonl", golds), write_lines(tmp_path / "guess.jsonl", guesses)
    scores = score_files(*files)
    one_by_one = [score_example(*pair) for pair in zip(golds, guesses, strict=True)]
    assert [s.as_dict() for s in iterate_scores(*files)] == [s.as_dict() for s in one_by_one]
    for name, mean in scores.downstream.items():
        assert mean == pytest.approx(sum(s.downstream[name] for s in one_by_one) / 7)
    assert "recall@1" in one_by_one[0].ranking["wikipedia_id"] and "recall@1" not in scores.ranking["wikipedia_id"]


def test_an_empty_gold_file_scores_zero_of_zero_like_the_official_program(tmp_path):
    scores = score_files(write_lines(tmp_path / "gold.jsonl", []), write_lines(tmp_path / "guess.jsonl", [guess("x")]))
    assert (scores.n, scores.unused_guesses, scores.downstream["em"]) == (0, 1, 0.0)


# What goes wrong.

GOOD = gold({"answer": "x", "provenance": items("1")})


@pytest.mark.parametrize(("golds", "guesses", "message"), [
    ([GOOD], [], "gold.jsonl:1: no guess for gold id a"),
    ([GOOD, GOOD], [guess("x")], "gold.jsonl:2: gold id a appears twice; found it on line 1"),
    ([GOOD], [guess("x"), guess("x", identifier="a ")], "guess.jsonl:2: guess id a appears twice"),
    ([{"id": "a", "output": []}], [guess("x")], "gold.jsonl:1: gold a; expected `input`"),
    ([gold()], [guess("x")], "gold.jsonl:1: gold a; expected at least one output"),
    ([gold({"answer": 5})], [guess("x")], "gold.jsonl:1: gold answer of a; expected a string; found 5"),
    ([gold({"answer": "x", "provenance": None})], [guess("x")], "gold.jsonl:1: gold a; expected `provenance`"),
    ([gold({"provenance": items("1")})], [guess("x")], "gold.jsonl:1: gold a has no answer"),
    ([GOOD], [{"id": "a"}], "guess.jsonl:1: guess a; expected `output`"),
    ([GOOD], [{"id": "a", "output": [{"answer": "x"}, {}]}], "guess.jsonl:1: guess a cannot be scored"),
    ([GOOD], [{"id": "a", "output": [{"answer": "x"}]}], "guess.jsonl:1: guess a cannot be ranked"),
    ([GOOD], [{"id": "a", "output": [{"answer": "x", "provenance": None}]}], "jsonl:1: guess a; expected `provenance`"),
    ([GOOD], [guess("x"), ""], "guess.jsonl:2: blank line"),
    ([GOOD, "{"], [guess("x")], "gold.jsonl:2: not JSON"),
    ([GOOD], [{"output": []}], "guess.jsonl:1: line without `id`"),
])  # fmt: skip
def test_what_the_official_program_dies_of_is_one_line_with_the_id_and_exit_code_2(
    tmp_path, capsys, golds, guesses, message
):
    files = write_lines(tmp_path / "gold.jsonl", golds), write_lines(tmp_path / "guess.jsonl", guesses)
    out = tmp_path / "scores.json"
    assert main(["score", *map(str, files), "--out", str(out), "--per-example", str(tmp_path / "each.jsonl")]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1 and captured.out == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gold.jsonl", "guess.jsonl"]


@pytest.mark.parametrize(
    "arguments", [["--ks", "0"], ["--ks", "five"], ["--rank-keys", "wikipedia_id,"], ["--rank-keys", "+"]]
)
def test_arguments_without_sense_are_bad_usage(tmp_path, capsys, arguments):
    files = write_lines(tmp_path / "gold.jsonl", [GOOD]), write_lines(tmp_path / "guess.jsonl", [guess("x")])
    assert main(["score", *map(str, files), *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_missing_file_is_bad_input(tmp_path, capsys):
    assert main(["score", str(tmp_path / "gold.jsonl"), str(tmp_path / "guess.jsonl")]) == 2


def test_the_command_prints_and_writes_the_scores(tmp_path, capsys):
    files = write_lines(tmp_path / "gold.jsonl", [GOOD]), write_lines(tmp_path / "guess.jsonl", [guess("x", "1")])
    out, each = tmp_path / "scores.json", tmp_path / "each.jsonl"
    arguments = [
        "--ks",
        "1,5",
        "--rank-keys",
        "wikipedia_id,wikipedia_id+section",
        "--out",
        str(out),
        "--per-example",
        str(each),
    ]
    assert main(["score", *map(str, files), *arguments, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(out.read_text())
    assert set(printed) == {"n", "unused_guesses", "downstream", "kilt", "retrieval", "ranking"}
    assert set(printed["ranking"]) == {"wikipedia_id", "wikipedia_id+section"}
    row = json.loads(each.read_text())
    assert row["id"] == "a" and row["kilt"]["KILT-em"] == 1.0 and row["ranking"]["wikipedia_id"]["precision@1"] == 1.0
    assert main(["score", *map(str, files), "--only", "ranking", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"n", "unused_guesses", "ranking"}


def test_answers_without_evidence_can_be_scored_alone(tmp_path):
    answer_only = {"id": "a", "output": [{"answer": "x"}]}
    files = write_lines(tmp_path / "gold.jsonl", [GOOD]), write_lines(tmp_path / "guess.jsonl", [answer_only])
    scores = score_files(*files, programs=PROGRAMS[:1])
    assert (scores.downstream["em"], scores.retrieval["Rprec"], scores.ranking) == (1.0, 0.0, {})


@pytest.mark.slow
def test_200_000_lines_are_scored_in_some_80_bytes_each(tmp_path):
    lines = 200_000
    files = (
        write_lines(tmp_path / "gold.jsonl", (gold({"answer": "x"}, identifier=i) for i in range(lines))),
        write_lines(tmp_path / "guess.jsonl", (guess("x", identifier=i) for i in reversed(range(lines)))),
    )
    tracemalloc.start()
    scores = score_files(*files, programs=["downstream"])
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (scores.n, scores.downstream["em"]) == (lines, 1.0)
    assert peak_bytes / lines < 160


def test_memory_stays_bounded_on_fewer_lines(tmp_path):
    lines = 10_000
    golds = (gold({"answer": "x " * 200}, identifier=i) for i in range(lines))
    files = (
        write_lines(tmp_path / "gold.jsonl", golds),
        write_lines(tmp_path / "guess.jsonl", (guess("y " * 200, identifier=i) for i in range(lines))),
    )
    tracemalloc.start()
    score_files(*files, programs=["downstream"])
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 200 * lines < files[1].stat().st_size / 2


@given(st.text(alphabet="ab. ", max_size=8), st.text(alphabet="ab. ", max_size=8))
def test_rouge_l_of_one_sentence_each_follows_the_longest_common_subsequence(hypothesis, reference):
    score = rouge_l(hypothesis, reference)
    assert 0 <= score < 1
    if "." in hypothesis + reference or not hypothesis or not reference:
        return
    one, two = hypothesis.split() or [""], reference.split() or [""]
    longest = max(len(c) for n in range(len(one) + 1) for c in itertools.combinations(one, n)
                  if any(c == d for d in itertools.combinations(two, n)))  # fmt: skip
    assert (score > 0) == (longest > 0)


def plain_rouge_l(hypothesis, reference):
    """The whole table of every pair of sentences, and the way back through it, without a short cut."""
    sentences = [[" ".join(piece.split()).split(" ") for piece in text.split(".") if piece]
                 for text in (reference, hypothesis)]  # fmt: skip
    common = set()
    for one, two in itertools.product(*sentences):
        length = {(i, j): 0 for i in range(len(one) + 1) for j in range(len(two) + 1)}
        for i, j in itertools.product(range(1, len(one) + 1), range(1, len(two) + 1)):
            longest = max(length[i - 1, j], length[i, j - 1])
            length[i, j] = length[i - 1, j - 1] + 1 if one[i - 1] == two[j - 1] else longest
        i, j = len(one), len(two)
        while i and j:
            if one[i - 1] == two[j - 1]:
                common.add(one[i - 1])
                i, j = i - 1, j - 1
            elif length[i - 1, j] > length[i, j - 1]:
                i -= 1
            else:
                j -= 1
    if not all(sentences):
        return 0.0
    recall, precision = (len(common) / len(set().union(*part)) for part in sentences)
    return 2 * precision * recall / (precision + recall + 1e-8)


ANSWERS = st.lists(st.sampled_from(["a", "b", "c", "the", "b.", "a.c", ".", "A"]), max_size=7).map(" ".join)


@given(hypothesis=ANSWERS, reference=ANSWERS)
def test_rouge_l_is_that_of_the_whole_table_to_the_bit(hypothesis, reference):
    assert rouge_l(hypothesis, reference) == plain_rouge_l(hypothesis, reference)
    assert rouge_l(reference, reference) == plain_rouge_l(reference, reference)


@given(guess=ANSWERS.map(str.strip).filter(bool), golds=st.lists(ANSWERS.map(str.strip).filter(bool), min_size=1))
def test_f1_is_the_best_over_multisets_of_tokens(guess, golds):
    best = 0.0
    for gold_answer in golds:
        given_tokens, tokens = normalise(guess).split(), normalise(gold_answer).split()
        same = sum(min(given_tokens.count(token), tokens.count(token)) for token in set(tokens))
        best = max(best, 2 * same / (len(given_tokens) + len(tokens)) if same else 0.0)
    assert answer_scores(guess, golds)["f1"] == pytest.approx(best, abs=1e-12)
