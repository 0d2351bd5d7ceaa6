"""The generated benchmark: reproducible, well-formed, exact in its evidence, and answerable by reading only."""

import json
from collections import Counter, defaultdict

import numpy as np
import pytest

from glimmer.cli import main
from glimmer.errors import InputError
from glimmer.experiments.settings import TASKS
from glimmer.files import read_json_lines, sha256_directory
from glimmer.kilt.chunking import chunk
from glimmer.kilt.formats import knowledge_source_file, read_examples, read_pages, task_file
from glimmer.kilt.validate import validate_file
from worlds.generate import (
    PLAIN_READING,
    BenchmarkSettings,
    build_benchmark,
    name_words,
    sample_pages,
    sample_reading_examples,
)
from worlds.generate.benchmark import write_benchmark
from worlds.generate.questions import GAP, occurs_in
from worlds.generate.relations import CLAIMS, KINDS, RELATIONS, UNSEEN_LABELS, relations_of
from worlds.generate.tasks import evidence_is_missing, overlap

SETTINGS = BenchmarkSettings()


@pytest.fixture(scope="module")
def benchmark():
    return build_benchmark(SETTINGS, seed=3)


@pytest.fixture(scope="module")
def pages(benchmark):
    return {page.wikipedia_id: page for page in benchmark.pages}


def small(seed):
    return build_benchmark(BenchmarkSettings(pages=150, dev_examples=20, train_examples=30), seed)


def subject(record):
    """The entity that a slot question is about."""
    return record["input"].split(" [SEP] ")[0]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_gives_others(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert main(["generate", "--out", str(tmp_path / name), "--seed", str(seed), "--pages", "150", "--json"]) == 0
    digest = {name: sha256_directory(tmp_path / name) for name in "abc"}
    assert digest["a"] == digest["b"] != digest["c"]


def test_written_files_are_valid_and_hold_what_the_summary_says(tmp_path, capsys):
    report = write_benchmark(small(1), tmp_path / "out")
    source = knowledge_source_file(tmp_path / "out")
    assert sum(1 for _ in read_pages(source)) == report["pages"] == 150
    for task in TASKS:
        for split in ("train", "dev"):
            path = task_file(tmp_path / "out", task, split)
            assert sum(1 for _ in read_examples(path)) == report["examples"][task][split] > 0
            assert not list(validate_file(path)), f"{path.name} is not valid KILT"
    assert not list(validate_file(source))


def test_generating_replaces_an_older_benchmark_but_nothing_else(tmp_path):
    write_benchmark(small(1), tmp_path / "out")
    write_benchmark(small(2), tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="will not overwrite"):
        write_benchmark(small(1), tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").exists()


@pytest.mark.parametrize("count", [40, 101, 152])
def test_there_are_exactly_as_many_pages_as_asked_for_and_no_task_is_empty(count):
    made = build_benchmark(BenchmarkSettings(pages=count), seed=0)
    assert len(made.pages) == count
    assert all(made.examples.values())


def test_the_command_prints_its_summary_as_json(tmp_path, capsys):
    assert main(["generate", "--out", str(tmp_path / "out"), "--seed", "0", "--pages", "100", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pages"] == 100


def test_settings_out_of_range_are_named():
    for setting in ({"pages": 3}, {"namesakes": 99}, {"pronoun_share": 1.5}, {"missing_evidence_share": 1.0}):
        with pytest.raises(InputError, match=next(iter(setting))):
            BenchmarkSettings(**setting)


def test_default_sizes_are_met_and_trex_has_by_far_the_most_training_examples(benchmark):
    for task in TASKS:
        assert len(benchmark.examples[task, "dev"]) == SETTINGS.dev_examples
        wanted = SETTINGS.trex_train_examples if task == "trex" else SETTINGS.train_examples
        assert len(benchmark.examples[task, "train"]) == wanted
        inputs = [record["input"] for split in ("train", "dev") for record in benchmark.examples[task, split]]
        assert len(set(inputs)) == len(inputs), f"{task} asks twice"
    assert SETTINGS.trex_train_examples >= 3 * SETTINGS.train_examples


SECOND = {
    "pages": 900,
    "dev_examples": 3000,
    "train_examples_of": {"nq": 60, "fever": 3000, "hotpotqa": 3000},
    "wordings": 3,
    "shared_families": True,
    "held_out_varied": True,
    "names_apart": True,
    "linking_pages_named": 1,
    "linking_mentions": 2,
    "claims_of_nouns": True,
    "clue_share": 0.0,
    "references": 0,
    "family_persons": 12,
}
"""Every knob that came later, at a value that is not its default."""


@pytest.fixture(scope="module")
def second():
    return build_benchmark(BenchmarkSettings(**SECOND), seed=5)


def test_knobs_at_their_defaults_are_not_told_so_that_older_worlds_keep_their_bytes():
    assert not set(SECOND) - {"pages", "dev_examples", "references", "family_persons"} & set(SETTINGS.record())
    told = BenchmarkSettings(**SECOND).record()
    assert {name: told[name] for name in SECOND} == SECOND and json.dumps(told)


def test_the_command_takes_any_knob(tmp_path):
    told = [text for knob, value in SECOND.items() if knob not in ("pages", "dev_examples")
            for text in ("--set", f"{knob}={json.dumps(value)}")]  # fmt: skip
    assert main(["generate", "--out", str(tmp_path / "a"), "--seed", "1", "--pages", "200", *told]) == 0
    settings = json.loads((tmp_path / "a" / "generated.json").read_text())["settings"]
    assert settings["train_examples_of"] == SECOND["train_examples_of"] and settings["linking_mentions"] == 2


@pytest.mark.parametrize("wrong", ["pages=90", "towers=3", "wordings=often", "train_examples_of={wow: 3}"])
def test_the_command_refuses_knobs_that_it_does_not_have(tmp_path, capsys, wrong):
    assert main(["generate", "--out", str(tmp_path / "a"), "--seed", "1", "--set", wrong]) == 2
    assert wrong.split("=")[0] in capsys.readouterr().err


def test_a_task_has_the_train_examples_that_are_asked_for_and_the_others_their_default(second):
    assert len(second.examples["nq", "train"]) == 60
    assert len(second.examples["zsre", "train"]) == SETTINGS.train_examples


def test_a_fact_is_asked_again_in_other_words_only_when_all_have_been(second):
    asked = Counter(
        tuple((item["wikipedia_id"], item["start_paragraph_id"], item["start_character"]) for item in provenance)
        for record in second.examples["hotpotqa", "train"]
        if not evidence_is_missing(record)
        for provenance in [record["output"][0]["provenance"]]
    )
    assert 1 < max(asked.values()) <= 3 and np.mean(list(asked.values())) > 2
    for (task, split), records in second.examples.items():
        assert len({record["input"] for record in records}) == len(records), (task, split)
    dev = [record["output"][0]["provenance"] for record in second.examples["hotpotqa", "dev"]]
    assert len({json.dumps(provenance) for provenance in dev}) == len(dev)


def test_families_that_are_shared_have_each_kind_in_both_splits(second):
    entities = second.world.entities
    share = np.mean([entity.split == "dev" for entity in entities])
    assert share == pytest.approx(SETTINGS.dev_families, abs=0.01)
    for kind in KINDS:
        of_kind = [entity.split == "dev" for entity in entities if entity.kind == kind]
        assert np.mean(of_kind) == pytest.approx(share, abs=0.05), kind
    by_family = defaultdict(set)
    for entity in entities:
        by_family[entity.family].add(entity.split)
    assert all(len(splits) == 2 for splits in by_family.values())
    names = {split: {entity.name for entity in entities if entity.split == split} for split in ("train", "dev")}
    for (task, split), records in second.examples.items():
        other = names["train" if split == "dev" else "dev"]
        assert not {output.get("answer") for record in records for output in record["output"]} & other, task


def test_names_apart_are_no_part_of_one_another(second):
    names = [entity.name for entity in second.world.entities]
    of = Counter(pair for name in names for pair in {name, *(" ".join(name.split()[n:]) for n in (1, 2))} if pair)
    assert all(of[name] == 1 for name in names)


def test_held_out_relations_are_stated_by_their_label_no_more_often_than_the_others():
    def said(relation, statements):
        words = [word for word in relation.label.split() if word not in ("of", "by")]
        return np.mean([[word in text.split() for word in words] for text in statements])

    seen = np.mean([said(relation, relation.statements) for relation in RELATIONS if not relation.unseen])
    held_out = np.mean([said(relation, relation.varied) for relation in RELATIONS if relation.unseen])
    assert held_out == pytest.approx(seen, abs=0.05)
    assert all(len(relation.varied) == 4 for relation in RELATIONS if relation.unseen)


def test_the_sentence_with_the_answer_names_the_page_that_leads_to_it(second):
    pages = {page.wikipedia_id: page for page in second.pages}
    records = [record for key in ("train", "dev") for record in second.examples["hotpotqa", key]]
    for record in records:
        if evidence_is_missing(record):
            continue
        first, answer = record["output"][0]["provenance"]
        text = pages[answer["wikipedia_id"]].text[answer["start_paragraph_id"]]
        sentence = text[answer["start_character"] : answer["end_character"]]
        said = sentence.split(";")[1]
        assert occurs_in(" ".join([first["title"]] * 2), said)
        assert len(sentence.split()) <= 18, "a passage of the study holds it whole"


def test_claims_may_be_about_nouns_alone(second):
    names = {entity.name for entity in second.world.entities}
    for split in ("train", "dev"):
        for record in second.examples["fever", split]:
            assert sum(occurs_in(name, record["input"]) for name in names) == 1, record["input"]


def test_train_and_dev_are_about_different_entities_with_different_answers_by_name(benchmark):
    names = defaultdict(set)
    for entity in benchmark.world.entities:
        names[entity.split].add(entity.name)
    assert not names["train"] & names["dev"]
    everyone = names["train"] | names["dev"]
    assert len(everyone) == len(benchmark.world.entities), "two pages bear one name"
    for (task, split), records in benchmark.examples.items():
        other = names["train" if split == "dev" else "dev"]
        for record in records:
            answers = {output.get("answer") for output in record["output"]}
            assert not answers & other, f"{task} {split} answers with an entity of the other split"
            assert {item["title"] for output in record["output"] for item in output.get("provenance", ())} <= names[
                split
            ]


def test_zsre_asks_in_dev_for_relations_that_nothing_else_asks_for(benchmark):
    asked = {
        key: {record["input"].split(" [SEP] ")[-1] for record in benchmark.examples[key]} for key in benchmark.examples
    }
    assert asked["zsre", "dev"] == UNSEEN_LABELS
    for task, split in (("zsre", "train"), ("trex", "train"), ("trex", "dev")):
        assert not asked[task, split] & UNSEEN_LABELS
    words = {label.split()[0] for label in UNSEEN_LABELS}  # burial, twin, translator, director, namesake
    for key, records in benchmark.examples.items():
        if key != ("zsre", "dev"):
            assert not any(words & set(record["input"].split()) for record in records), f"{key} asks an unseen relation"


def test_unseen_relations_share_their_label_words_with_all_their_statements():
    for relation in RELATIONS:
        if relation.unseen:
            assert all(word in text.split() for word in relation.label.split() for text in relation.statements)


def test_provenance_covers_one_sentence_that_states_the_answer(benchmark, pages):
    for (task, _), records in benchmark.examples.items():
        for record in filter(lambda record: not evidence_is_missing(record), records):
            stated = []
            for item in record["output"][0]["provenance"]:
                page = pages[item["wikipedia_id"]]
                assert item["title"] == page.title == page.text[0]
                paragraph = page.text[item["start_paragraph_id"]]
                sentence = paragraph[item["start_character"] : item["end_character"]]
                assert sentence.endswith(" .") and sentence.count(" .") == 1
                assert item["start_character"] == 0 or paragraph[item["start_character"] - 2] == "."
                heading = [text for text in page.text[: item["start_paragraph_id"]] if text.startswith("Section::::")]
                assert item["section"] == (heading[-1] if heading else "Section::::Abstract.")
                stated.append(sentence)
            answer = record["output"][0]["answer"]
            assert task == "fever" or occurs_in(answer, stated[-1])
            assert len(stated) == (2 if task == "hotpotqa" else 1)


def test_claims_are_supported_or_refuted_by_the_sentence_they_point_to(benchmark, pages):
    for record in benchmark.examples["fever", "dev"]:
        (item,) = record["output"][0]["provenance"]
        page, facts = (
            pages[item["wikipedia_id"]],
            benchmark.world.stated[benchmark.pages.index(pages[item["wikipedia_id"]])],
        )
        span = (item["start_paragraph_id"], item["start_character"], item["end_character"])
        (fact,) = [fact for fact in facts if tuple(page.spans[fact.relation.label])[:3] == span]
        supported = occurs_in(fact.answer, record["input"])
        assert record["output"][0]["answer"] == ("SUPPORTS" if supported else "REFUTES")


def test_two_page_questions_lead_from_one_page_to_the_other(benchmark, pages):
    for record in benchmark.examples["hotpotqa", "dev"]:
        first, second = (pages[item["wikipedia_id"]] for item in record["output"][0]["provenance"])
        assert occurs_in(first.title, record["input"]) and not occurs_in(second.title, record["input"])
        start = record["output"][0]["provenance"][0]
        assert occurs_in(second.title, first.text[start["start_paragraph_id"]])


def test_no_answer_stands_in_its_question(benchmark):
    for (task, split), records in benchmark.examples.items():
        for record in records:
            answers = {output["answer"] for output in record["output"] if "answer" in output}
            assert not any(occurs_in(answer, record["input"]) for answer in answers), f"{task} {split} {record['id']}"


def test_trivia_answers_have_several_spellings(benchmark):
    for record in benchmark.examples["triviaqa", "dev"]:
        assert len({output["answer"] for output in record["output"]}) >= 3


def test_the_configured_share_of_train_and_none_of_dev_lacks_evidence(benchmark):
    for (task, split), records in benchmark.examples.items():
        lacking = [record for record in records if evidence_is_missing(record)]
        if split == "dev":
            assert not lacking
            continue
        assert len(lacking) / len(records) == pytest.approx(SETTINGS.missing_evidence_share, abs=0.01), task
        without = sum(all("provenance" not in output for output in record["output"]) for record in lacking)
        assert 0.3 < without / len(lacking) < 0.7, f"{task}: about half should carry provenance that does not hold"


def test_missing_evidence_is_stated_by_no_page(benchmark):
    for number, facts in enumerate(benchmark.world.unstated):
        page = benchmark.pages[number]
        assert not {fact.relation.label for fact in facts} & set(page.spans)


def test_guessing_the_most_frequent_answer_of_the_relation_knows_little(benchmark):
    """Closed book, the best one can do is to learn each relation's favourite answer from train."""
    by_label = defaultdict(Counter)
    for record in benchmark.examples["trex", "train"]:
        by_label[record["input"].split(" [SEP] ")[1]][record["output"][0]["answer"]] += 1
    dev = benchmark.examples["trex", "dev"]
    right = sum(
        by_label[record["input"].split(" [SEP] ")[1]].most_common(1)[0][0] == record["output"][0]["answer"]
        for record in dev
    )
    assert right / len(dev) < 0.12
    for task in TASKS:
        if task != "fever":
            answers = Counter(record["output"][0]["answer"] for record in benchmark.examples[task, "dev"])
            assert answers.most_common(1)[0][1] / SETTINGS.dev_examples < 0.12, task
    labels = Counter(record["output"][0]["answer"] for record in benchmark.examples["fever", "dev"])
    assert 0.35 < labels["SUPPORTS"] / SETTINGS.dev_examples < 0.65


def test_the_vocabulary_is_small_enough_for_one_piece_a_word(benchmark):
    words = {word for page in benchmark.pages for text in page.text for word in text.split()}
    assert len(words) < 900
    everywhere = {word for text in sample_pages(np.random.default_rng(0), 3000) for word in text.split()} | words
    assert len(everywhere) < 1_000
    assert len(name_words()) == len(set(name_words())) == 360
    templates = " ".join(
        text for relation in RELATIONS for text in relation.statements + relation.questions + relation.trivia
    )
    assert not set(name_words()) & set(templates.split())


def test_pages_make_one_or_two_short_passages(benchmark):
    from worlds.generate.benchmark import source_page

    counts = Counter(sum(1 for _ in chunk(source_page(page), 48)) for page in benchmark.pages)
    assert set(counts) <= {1, 2} and counts[1] > counts[2]


def test_near_duplicates_of_a_namesake_share_its_words_and_list_its_byname(benchmark):
    entities = benchmark.world.entities
    bearers = defaultdict(list)
    for number, entity in enumerate(entities):
        if entity.byname:
            bearers[entity.words].append(number)
    sizes = [len(group) for group in bearers.values()]
    assert np.median(sizes) == SETTINGS.namesakes
    number = bearers[max(bearers, key=lambda words: len(bearers[words]))][0]
    confusable = [
        other
        for other in bearers[entities[number].words]
        if entities[number].byname in benchmark.world.references[other]
    ]
    assert confusable, "no other page holds all the words of this name"


def test_every_kind_has_relations_of_each_sort():
    for kind in KINDS:
        relations = relations_of(kind)
        assert sum(relation.unseen for relation in relations) == 1
        assert any(relation.links and not relation.unseen for relation in relations)
        for relation in relations:
            assert relation.unseen or len(relation.statements) >= 4 and len(relation.questions) >= 4


def test_overlap_is_one_for_equal_sentences_and_small_for_others():
    assert overlap("a b c .", "a b c .") == 1
    assert overlap("kalor was born in mesk .", "kalor played the harp .") < 0.6


ALL_TASKS = ("nq", "triviaqa", "hotpotqa", "fever", "zsre", "trex")


def test_exercises_are_decided_by_the_generator_and_differ_from_call_to_call():
    first, second, again = (
        sample_reading_examples(rng, 20, passages=5)
        for rng in [np.random.default_rng(1)] * 2 + [np.random.default_rng(1)]
    )
    assert first == again != second


@pytest.mark.parametrize("passages,facts", [(2, (1, 1)), (5, (2, 4)), (25, (1, 4))])
def test_exercises_hold_their_evidence_among_distinct_passages(passages, facts):
    for example in sample_reading_examples(
        np.random.default_rng(2), 300, passages=passages, facts=facts, tasks=ALL_TASKS
    ):
        assert len(example.passages) == len(set(example.passages)) == passages
        assert len(example.gold) == (2 if example.task == "hotpotqa" else 1)
        if example.task == "fever":
            assert example.answer in ("SUPPORTS", "REFUTES")
        else:
            assert occurs_in(example.answer, " ".join(example.passages[example.gold[-1]]))
            assert not occurs_in(example.answer, example.question)


def test_near_passages_share_a_word_of_the_title_and_namesakes_are_among_them():
    examples = sample_reading_examples(np.random.default_rng(5), 200, passages=5, tasks=("nq",), near_share=1.0)
    near = namesakes = 0
    for example in examples:
        title = example.passages[example.gold[0]][0].split()
        others = [other.split() for other, _ in example.passages if other.split() != title]
        near += sum(bool(set(title) & set(other)) for other in others) == len(others)
        namesakes += any(other[-2:] == title[-2:] for other in others)
    assert near > 0.9 * len(examples), "nothing else while there are enough of them"
    assert 0.3 * len(examples) < namesakes < len(examples)


def test_exercises_put_the_evidence_anywhere_and_ask_every_relation():
    examples = sample_reading_examples(
        np.random.default_rng(3), 1500, passages=5, tasks=("nq", "triviaqa", "fever", "zsre")
    )
    places = Counter(example.gold[0] for example in examples)
    assert all(200 < places[place] < 400 for place in range(5)), places
    words = {label.split()[0] for label in UNSEEN_LABELS}
    asked = {word for example in examples for word in words & set(example.question.split())}
    assert asked == words, "zsRE's relations are unseen in the train sets, not in pretraining"


@pytest.mark.parametrize("task, gold", [("cloze", 1), ("two_page_cloze", 2)])
def test_a_cloze_is_a_statement_whose_gap_the_evidence_fills(task, gold):
    for example in sample_reading_examples(np.random.default_rng(6), 300, passages=5, tasks=(task,)):
        assert example.question.split().count(GAP) == 1 and len(example.gold) == gold
        assert f" {example.answer} " not in f" {example.question} "
        assert any(f" {example.answer} " in f" {example.passages[place][1]} " for place in example.gold)


def test_the_smallest_exercises_are_one_fact_in_one_passage():
    settings = BenchmarkSettings(crowded_names=0, references=0, introduction_share=0.0, pronoun_share=0.0)
    rng = np.random.default_rng(4)
    for example in sample_reading_examples(rng, 100, passages=1, facts=(1, 1), tasks=("nq",), settings=settings):
        ((_, text),) = example.passages
        assert text.count(" .") == 1 and example.gold == (0,)


def test_exercises_that_cannot_be_made_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="too few passages"):
        sample_reading_examples(rng, 1, passages=1, tasks=("hotpotqa",))
    with pytest.raises(InputError, match="unknown task"):
        sample_reading_examples(rng, 1, passages=1, tasks=("wow",))


def test_json_lines_have_the_keys_of_kilt(tmp_path):
    write_benchmark(small(1), tmp_path / "out")
    page = next(read_json_lines(tmp_path / "out" / "knowledge_source.jsonl"))
    assert {"_id", "wikipedia_id", "wikipedia_title", "text", "anchors", "categories"} <= set(page)
    for anchor in page["anchors"]:
        assert page["text"][anchor["paragraph_id"]][anchor["start"] : anchor["end"]] == anchor["text"]
    record = next(read_json_lines(tmp_path / "out" / "trex-dev-kilt.jsonl"))
    keys = "wikipedia_id title section start_paragraph_id start_character end_paragraph_id end_character bleu_score"
    assert " ".join(record["output"][0]["provenance"][0]) == keys


@pytest.mark.slow
def test_bm25_finds_the_evidence_of_half_the_questions_in_the_top_5_and_of_nearly_all_in_the_top_40(benchmark):
    bm25s = pytest.importorskip("bm25s")
    from worlds.generate.benchmark import source_page

    passages = [passage for page in benchmark.pages for passage in chunk(source_page(page), 48)]
    index = bm25s.BM25()
    index.index([words(f"{passage.title} {passage.text}") for passage in passages], show_progress=False)
    ranks = []
    for task in TASKS:
        for record in benchmark.examples[task, "dev"] if task != "hotpotqa" else ():
            (item,) = record["output"][0]["provenance"]
            start = (item["start_paragraph_id"], item["start_character"])
            (gold,) = [
                number
                for number, passage in enumerate(passages)
                if passage.page_id == item["wikipedia_id"]
                and (passage.start_paragraph, passage.start_character)
                <= start
                < (passage.end_paragraph, passage.end_character)
            ]
            scores = index.get_scores(words(record["input"]))
            ranks.append(int((scores > scores[gold]).sum()))
    found = {k: np.mean(np.array(ranks) < k) for k in (5, 40)}
    assert 0.4 < found[5] < 0.7 and found[40] > 0.95, found


def words(text):
    """Words as a retriever without subwords sees them."""
    return [word for word in text.replace("[SEP]", " ").split() if word not in ".?,"]


# -- text with gaps ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gapped():
    return {
        task: sample_reading_examples(np.random.default_rng(0), 300, passages=3, tasks=(task,))
        for task in PLAIN_READING
    }


def test_text_with_gaps_holds_no_form_of_the_tasks(gapped):
    """No question's first words, no claim's opening, no slot's mark, and no answer of FEVER's."""
    asked = {form.split("{s}")[0].strip() for one in RELATIONS for form in (*one.questions, *one.trivia)} - {""}
    openings = {form.split("{c}")[0] for form in CLAIMS} - {""}
    for task, examples in gapped.items():
        for example in examples:
            assert "[SEP]" not in example.question and "?" not in example.question
            assert not any(example.question.startswith(f"{form} ") for form in asked | openings), (task, example)
            assert example.answer not in ("SUPPORTS", "REFUTES")


def test_gaps_are_filled_from_the_evidence(gapped):
    for task in ("text_cloze", "text_bridge"):
        for example in gapped[task]:
            assert f" {example.answer} " in f" {example.passages[example.gold[-1]][1]} "
            assert example.question.count("<extra_id_0>") == 1
    assert all(
        len(example.gold) == 2 and example.question.count("<extra_id_1>") == 2 for example in gapped["text_bridge"]
    )


def test_spans_are_of_one_to_three_words_anywhere(gapped):
    lengths = {len(example.answer.split()) for example in gapped["text_span"]}
    assert lengths == {1, 2, 3}
    starts = {example.question.split().index("<extra_id_0>") == 0 for example in gapped["text_span"]}
    assert starts == {True, False}


def test_half_of_the_statements_hold_and_the_others_are_mended_from_the_evidence(gapped):
    claims = gapped["text_claim"]
    holding = [example for example in claims if example.answer == "true"]
    assert 0.4 < len(holding) / len(claims) < 0.6
    for example in claims:
        evidence = f" {example.passages[example.gold[0]][1]} "
        said = f" {example.question.removeprefix('that ').split(' is <extra_id_0>')[0]} "
        if example.answer != "true":
            assert f" {example.answer} " in evidence and f" {example.answer} " not in said


def test_where_there_is_no_gap_nothing_is_filled_in(gapped):
    for example in gapped["text_whole"]:
        assert "<extra_id_" not in example.question and example.answer == ""
