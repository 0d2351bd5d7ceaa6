"""The initial checkpoint: what its start contains, how it grows, that it learns, and that a seed decides it."""

import dataclasses
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from glimmer.errors import InputError
from glimmer.experiments import load_study
from glimmer.experiments.sections import Lengths
from glimmer.experiments.settings import TASKS, fid, glimmer, lumen
from glimmer.experiments.strict import record
from glimmer.models.checkpoint import load_t5
from glimmer.models.config import T5Config
from glimmer.models.layers import RMSNorm
from glimmer.models.reader import Reader, token_log_probability
from glimmer.models.tokenizer import Tokenizer
from glimmer.training.losses import language_model_loss
from worlds.distribution import distributional_vectors, starting_words, words_of_text
from worlds.exercises import TextForms, exercise_batch
from worlds.generate import ReadingExample, inventory, name_words, sample_pages, sample_reading_examples
from worlds.mimetic import HEAD_SCALE, MATCH_SHARPNESS, grown_t5, places_at_the_end, plain_t5, planted_t5
from worlds.pretrain import (
    Probe,
    pretrain,
    reading_losses,
    run_stage,
    write_initial_checkpoint,
)
from worlds.recipe import Recipe
from worlds.vocabulary import train_vocabulary

INVENTORIES = ["BYNAMES", "YEARS", "OCCUPATIONS", "INSTRUMENTS", "CROPS", "EMBLEMS", "GENRES", "PRODUCTS", "MATERIALS"]
FORMS = TextForms(question="{question}", passage="{title} : {text}")
LENGTHS = Lengths(question=16, passage=24, target=4)
STAGE = {
    "name": "first",
    "steps": 12,
    "passages": [2],
    "pairs": 16,
    "learning_rate": 3e-3,
    "warmup_steps": 2,
    "encoder_layers": 2,
    "facts": [1, 1],
    "question_tokens": 16,
    "passage_tokens": 24,
    "tasks": {"nq": 1, "trex": 1},
}
SECTION = {
    "kind": "pretrain",
    "seed": 3,
    "word_exercises": 200,
    "stages": [STAGE, STAGE | {"name": "second", "steps": 2, "encoder_layers": 3}],
    "examination": {"passages": [2], "examples": 4, "tasks": ["nq", "fever"], "passage_tokens": 24},
}


@pytest.fixture(scope="module", autouse=True)
def _compiled_once(tmp_path_factory):
    """Equal programs of different tests, and of one test twice, are compiled once."""
    before = jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_min_compile_time_secs
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("compiled")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    yield
    jax.config.update("jax_compilation_cache_dir", before[0])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", before[1])


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory):
    """A vocabulary of sampled pages and exercises."""
    rng = np.random.default_rng(0)
    exercises = sample_reading_examples(rng, 1500, passages=1, tasks=("nq", "triviaqa", "fever", "trex", "zsre"))
    texts = [*name_words(), *(f"{title} : {text}" for e in exercises for title, text in e.passages)]
    texts += [text for e in exercises for text in (e.question, e.answer)] + sample_pages(rng, 1500)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    train_vocabulary(texts, 2048, path)
    return path


@pytest.fixture(scope="module")
def tokenizer(tokenizer_file):
    return Tokenizer(tokenizer_file)


@pytest.fixture(scope="module")
def config():
    return T5Config(
        vocabulary=2048, d_model=32, d_kv=8, d_ff=48, num_heads=4, encoder_layers=3, decoder_layers=1, dropout=0.1
    )


@pytest.fixture(scope="module")
def model(config):
    return planted_t5(dataclasses.replace(config, encoder_layers=2), jax.random.key(1))


@pytest.fixture(scope="module")
def batch(tokenizer):
    examples = sample_reading_examples(np.random.default_rng(5), 6, passages=3)
    return exercise_batch(examples, tokenizer, FORMS, LENGTHS)


# -- the start -----------------------------------------------------------------------------------------------------


def test_head_starts_as_the_scaled_transpose_of_the_embedding_and_is_a_parameter_of_its_own(model):
    table, head = model.embedding.table[...], model.embedding.head[...]
    np.testing.assert_array_equal(head, HEAD_SCALE * 32**-0.5 * table.T)
    assert not model.config.tied_head


def test_cross_attention_starts_as_a_copy_of_what_it_attends_to(model):
    attention = jax.tree.map(lambda leaf: leaf[0], nnx.state(model.decoder.layers.cross_attention))
    value, output = attention["value"][...], attention["output"][...]
    np.testing.assert_array_equal(output, value.T)
    np.testing.assert_allclose(value @ output, np.eye(32), atol=1e-5)


def test_first_head_of_every_attention_starts_by_matching_equal_tokens(model):
    decoder = model.decoder.layers
    for attention in (model.encoder.layers.attention, decoder.attention, decoder.cross_attention):
        key, query = attention.key[...], attention.query[...]
        np.testing.assert_allclose(query[..., :8], MATCH_SHARPNESS * 8**-0.5 * key[..., :8], rtol=1e-6)
        assert not np.allclose(query[..., 8:16], MATCH_SHARPNESS * 8**-0.5 * key[..., 8:16])


def test_position_heads_look_away_back_and_ahead(model):
    places = jnp.arange(12)
    bias = np.asarray(model.encoder.relative_bias(places, places))
    away, back, ahead = bias[0, 5], bias[1, 5], bias[2, 5]
    assert away[4:].max() < away[:4].min() - 5, "head 0 must look back, past the token before"
    assert (np.argmax(back), np.argmax(ahead)) == (4, 6)
    causal = np.asarray(model.decoder.relative_bias(places, places))
    assert np.argmax(causal[1, 5, :6]) == 4


@pytest.fixture(scope="module")
def plain(config):
    return plain_t5(config, jax.random.key(1))


def test_a_plain_start_copies_matches_and_looks_beside(plain):
    """The generic circuits of the other tests here, the match head looking to both sides."""
    test_head_starts_as_the_scaled_transpose_of_the_embedding_and_is_a_parameter_of_its_own(plain)
    test_cross_attention_starts_as_a_copy_of_what_it_attends_to(plain)
    test_first_head_of_every_attention_starts_by_matching_equal_tokens(plain)
    places = jnp.arange(12)
    away, back, ahead, free = np.asarray(plain.encoder.relative_bias(places, places))[:, 5]
    assert away[4:7].max() < min(away[:4].min(), away[7:].min()) - 5, "head 0 must look past the neighbours"
    assert (np.argmax(back), np.argmax(ahead)) == (4, 6)
    assert np.abs(free).max() < 2


def test_a_plain_start_has_no_circuit_of_this_benchmark(plain, wide):
    """Layers and tokens are exchangeable: no token, layer or head but for match and neighbours is planted."""
    model = plain_t5(wide, jax.random.key(1))
    for weight in (model.encoder.layers.attention.key[...], model.encoder.layers.feed_forward.gate[...]):
        np.testing.assert_allclose(weight.std(axis=(1, 2)), 64**-0.5, rtol=0.05)
    lengths = jnp.linalg.norm(model.embedding.table[...], axis=1)
    assert float(lengths.max()) < 12  # 8 is expected of 64 normal numbers; a direction shared by all would lengthen it


def test_a_plain_start_keeps_the_words_at_any_depth(wide):
    deep = plain_t5(dataclasses.replace(wide, encoder_layers=24), jax.random.key(1))
    tokens = jnp.asarray(np.random.default_rng(0).integers(3, 2000, size=(4, 20)))
    states = deep.encode(tokens, tokens > 0)
    assert (jnp.argmax(deep.embedding.logits(states), axis=-1) == tokens).mean() > 0.9


@pytest.fixture(scope="module")
def exercises():
    one_hop = ("nq", "triviaqa", "trex")
    return sample_reading_examples(np.random.default_rng(1), 1500, passages=1, facts=(1, 1), tasks=one_hop)


def test_words_of_plain_text_go_together_and_all_words_are_treated_alike(tokenizer):
    words = words_of_text(sample_pages(np.random.default_rng(1), 1500), tokenizer, 2048, 64, np.random.default_rng(0))

    def vector(word):
        return words.table[tokenizer.encode(word)[0]] / 8

    assert vector("genre") @ vector("comedy") > 0.3 > abs(vector("genre") @ vector("flute"))
    names = np.stack([vector(name) for name in name_words()])
    assert abs(np.mean(names @ names.T - np.diag(np.sum(names**2, axis=1)))) < 0.02  # no vector that names share
    assert words.separator is None and not words.shared.any()


def test_words_that_go_together_start_alike_and_of_names_nothing_is_known(tokenizer, exercises):
    vectors = distributional_vectors(exercises, tokenizer, 2048, 32)

    def vector(word):
        return vectors[tokenizer.encode(word)[0]]

    assert vector("genre") @ vector("comedy") > 8 > vector("genre") @ vector("flute")
    assert not vector(name_words()[0]).any()
    np.testing.assert_allclose(np.linalg.norm(vector("genre")), 32**0.5, rtol=1e-5)


@pytest.fixture(scope="module")
def wide(config):
    """The embedded study's widths, where random directions are nearly orthogonal."""
    return dataclasses.replace(config, d_model=64, d_kv=16, d_ff=160)


def test_later_layers_attend_to_the_separator_behind_the_title_from_everywhere(tokenizer, exercises, wide):
    words = starting_words(exercises, tokenizer, FORMS, 2048, 64, np.random.default_rng(0))
    assert tokenizer.encode(":") == [words.separator]
    model = planted_t5(wide, jax.random.key(1), words)
    states = RMSNorm(wide)(model.embedding(jnp.asarray(tokenizer.encode("old town : it grows rice and tea ."))))
    attention = model.encoder.layers.attention
    query, key = (states @ weight[...][1, :, 48:] for weight in (attention.query, attention.key))
    assert np.asarray(jax.nn.softmax(query @ key.T, axis=1))[:, 2].mean() > 0.5


def test_first_layer_marks_tokens_that_stand_to_their_left_too(wide):
    model = planted_t5(wide, jax.random.key(1))
    tokens = np.stack([np.random.default_rng(row).choice(np.arange(3, 2000), 12, replace=False) for row in range(64)])
    tokens[:, 8:10] = tokens[:, 1:3]
    before = model.embedding(jnp.asarray(tokens))
    after = model.encoder(before, tokens > 0, None, 0, 1)
    direction = model.encoder.layers.feed_forward.output[...][0, :16].sum(axis=0)
    marks = np.asarray((after - before) @ (direction / jnp.linalg.norm(direction)))
    repeated, others = marks[:, 8:10], marks[:, 2:8]  # the first tokens see none but themselves
    assert repeated.mean() > others.mean() + others.std()


# -- growing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("places", [(0, None, 1), (None, 0, 1), (0, 1, None, None)])
def test_growing_keeps_the_function(model, batch, places):
    grown = grown_t5(model, places)
    assert grown.config.encoder_layers == len(places)
    mask = batch.question != 0
    np.testing.assert_allclose(
        grown.encode(batch.question, mask), model.encode(batch.question, mask), rtol=1e-5, atol=1e-6
    )


def test_new_layers_receive_gradients(model, batch):
    grown = grown_t5(model, (0, None, 1))
    probe = Probe(evidence=jnp.zeros(32), offset=jnp.zeros(()), ranking=jnp.zeros(32))
    evidence = np.zeros((6, 3), bool)
    gradients = nnx.jit(nnx.grad(lambda model: reading_losses(model, probe, batch, evidence, 1).answer))(grown)
    assert float(jnp.abs(gradients["encoder"]["layers"]["attention"]["output"][...][1]).max()) > 0


def test_growing_that_loses_a_layer_is_refused(model):
    with pytest.raises(InputError, match="not the layers"):
        grown_t5(model, (0, None, None))


def test_growing_by_a_layer_that_is_not_there_is_refused(model):
    with pytest.raises(InputError, match="not the layers"):
        grown_t5(model, (0, 1, 2))


def test_a_layer_may_stand_in_two_places(model):
    grown = grown_t5(model, (0, 1, 0, 1))
    gates = grown.encoder.layers.feed_forward.gate[...]
    np.testing.assert_array_equal(gates[:2], gates[2:])
    np.testing.assert_array_equal(gates[:2], model.encoder.layers.feed_forward.gate[...])


@pytest.mark.parametrize("alpha", ["1", "1/2", "0"])
def test_pretraining_reads_as_lumen_does_at_its_split(model, batch, alpha):
    """At alpha = 1 that is FiD."""
    probe = Probe(evidence=jnp.zeros(32), offset=jnp.zeros(()), ranking=jnp.zeros(32))
    evidence = np.zeros((6, 3), bool)
    found = nnx.jit(lambda model: reading_losses(model, probe, batch, evidence, 1, Fraction(alpha)))(model)
    reader = Reader(model, lumen(alpha=alpha, k=3), rngs=nnx.Rngs(0))
    expected = language_model_loss(
        token_log_probability(reader.logits(reader.encode(batch), batch.answer), batch.answer, 0), batch.answer
    )
    np.testing.assert_allclose(found.answer, expected, rtol=1e-5)


def test_a_split_with_all_trained_layers_live_reads_as_the_grown_model_does(model, batch):
    grown = grown_t5(model, places_at_the_end(2, 6))
    encoded = [
        Reader(grown, settings, rngs=nnx.Rngs(0)).encode(batch).kept for settings in (fid(k=3), lumen(alpha="1/3", k=3))
    ]
    np.testing.assert_allclose(encoded[0].states, encoded[1].states, rtol=1e-5, atol=1e-5)


# -- training ------------------------------------------------------------------------------------------------------


def test_a_few_steps_lower_the_loss(model, tokenizer):
    stage = Recipe.from_section(SECTION).stages[0]
    rows = []
    run_stage(model, stage, np.random.default_rng(0), tokenizer, FORMS, rows.append, log_every=3)
    assert [row["step"] for row in rows] == [3, 6, 9, 12]
    assert rows[-1]["answer"] < 0.9 * rows[0]["answer"]  # from random, in 12 steps


def test_the_ranking_probe_is_the_scorer_after_its_layers_asked_for_the_evidence(model, batch):
    direction = jax.random.normal(jax.random.key(0), (32,))
    probe = Probe(evidence=jnp.zeros(32), offset=jnp.zeros(()), ranking=direction)
    evidence = np.zeros((6, 3), bool)
    evidence[np.arange(6), [0, 1, 2, 0, 1, 2]] = True
    reader = Reader(model, glimmer(alpha=1, beta="1/2", k=3, m=3), rngs=nnx.Rngs(0))
    reader.scorer.weight[...] = direction
    expected = -jax.nn.log_softmax(reader.encode(batch).scores, axis=1)[evidence].mean()
    found = nnx.jit(lambda model: reading_losses(model, probe, batch, evidence, 1))(model)
    np.testing.assert_allclose(found.ranking, expected, rtol=1e-4)
    np.testing.assert_allclose(found.evidence, np.log(2), rtol=1e-5)


def test_same_seed_gives_the_same_checkpoint_and_it_reads_back(tmp_path, config, tokenizer_file):
    recipe = Recipe.from_section(SECTION)
    for name in ("a", "b"):
        reading = write_initial_checkpoint(recipe, config, tokenizer_file, FORMS, tmp_path / name)
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "config.json",
        "model.safetensors",
        "reading.json",
        "tokenizer.json",
    ]
    assert load_t5(tmp_path / "a").config == config
    rows = reading["exact_match"]
    assert [(row["alpha"], row["task"]) for row in rows] == [(a, t) for t in ("nq", "fever") for a in ("1", "1/2")]
    assert all(0 <= row["exact_match"] <= 1 and row["examples"] == 4 for row in rows)


def test_recipe_names_the_key_that_is_wrong():
    with pytest.raises(InputError, match=r"initial.stages.0 is not valid; expected only the keys .*found \['step'\]"):
        Recipe.from_section(SECTION | {"stages": [STAGE | {"step": 3}]})
    with pytest.raises(InputError, match=r"stages.0.ranking_layers.*expected 1 to 2.*found 3"):
        Recipe.from_section(SECTION | {"stages": [STAGE | {"ranking_layers": 3}]})
    with pytest.raises(InputError, match="stages.0 is not valid; expected the keys .*pairs"):
        Recipe.from_section(SECTION | {"stages": [{k: v for k, v in STAGE.items() if k != "pairs"}]})
    with pytest.raises(InputError, match="initial is not valid; expected only the keys .*batch_size"):
        Recipe.from_section(SECTION | {"batch_size": 3})
    with pytest.raises(InputError, match="only grows"):
        Recipe.from_section(SECTION | {"stages": SECTION["stages"][::-1]})


READS = {
    "kind": "pretrain",
    "seed": 3,
    "start": "plain",
    "reads_only": True,
    "word_exercises": 200,
    "stages": [STAGE | {"steps": 2, "encoder_layers": 3, "tasks": {"text_cloze": 2, "text_bridge": 1}}],
    "examination": {"passages": [2], "alphas": ["1"], "examples": 4, "tasks": ["text_cloze"], "passage_tokens": 24},
}


@pytest.mark.parametrize(
    "changed, named",
    [
        ({"tasks": {"text_cloze": 1, "nq": 1}}, r"stages.0.tasks.*found \['nq'\]"),
        ({"tasks": {"cloze": 1}}, r"stages.0.tasks.*found \['cloze'\]"),  # its gap is the mark of slot-filling inputs
        ({"evidence_weight": 0.1}, "stages.0.evidence_weight"),
        ({"ranking_weight": 0.1}, "stages.0.ranking_weight"),
        ({"alphas": ["1", "1/2"]}, "stages.0.alphas"),
    ],
)
def test_a_recipe_that_says_it_has_only_read_is_refused_where_a_stage_has_more(changed, named):
    with pytest.raises(InputError, match=named):
        Recipe.from_section(READS | {"stages": [READS["stages"][0] | changed]})
    Recipe.from_section(READS | {"reads_only": False, "stages": [READS["stages"][0] | changed]})


@pytest.mark.parametrize("changed", [{"start": "planted"}, {"places": [None, 0, 1, 2]}])
def test_a_checkpoint_that_has_only_read_starts_plain_and_ends_whole(changed):
    with pytest.raises(InputError, match=f"initial.{next(iter(changed))}: no checkpoint that only reads"):
        Recipe.from_section(READS | changed)


def test_a_checkpoint_that_has_only_read_has_all_its_layers_trained(config, tokenizer):
    recipe = Recipe.from_section(READS)
    deeper = dataclasses.replace(config, encoder_layers=6)
    with pytest.raises(InputError, match="expected encoder_layers 6; found 3"):
        pretrain(recipe, deeper, tokenizer, FORMS, log=lambda row: pytest.fail("a step was done"))


def test_the_second_edition_has_only_read():
    initial = load_study("embedded2").initial
    assert initial.reads_only and Recipe.from_section(record(initial)).reads_only


def test_a_knob_that_worlds_do_not_have_is_named():
    with pytest.raises(InputError, match="stages.0.knobs.*page_count"):
        Recipe.from_section(READS | {"stages": [READS["stages"][0] | {"knobs": {"page_count": 3}}]})


def test_a_stage_reads_worlds_of_its_own_knobs():
    stage = READS["stages"][0] | {"knobs": {"references": 0, "bynames_listed": 0}}
    examples = (
        Recipe.from_section(READS | {"stages": [stage]}).stages[0].exercises.draw(np.random.default_rng(0), 50, 2)
    )
    texts = [text for example in examples for _, text in example.passages]
    assert not any(text.startswith("see also") or "others of this name" in text for text in texts)


def test_reading_is_examined_against_its_gate(tmp_path, config, tokenizer_file):
    reading = write_initial_checkpoint(Recipe.from_section(READS), config, tokenizer_file, FORMS, tmp_path / "out")
    names = ("clozes_in_view", "tasks_in_view", "before_fine_tuning", "closed_book", "closed_book_fever")
    assert all(0 <= reading[name] <= 1 for name in names)
    rows = [(row["passages"], row["task"]) for row in reading["exact_match"]]
    assert rows == [(2, "text_cloze"), *((0, task) for task in TASKS)]
    assert reading["closed_book"] == 0  # two steps, no passages


# -- exercises -----------------------------------------------------------------------------------------------------


def test_batches_spell_exercises_as_readers_see_them(tokenizer):
    passages = (("old town", "it grows rice ."), ("new town", "it grows tea ."))
    example = ReadingExample(task="nq", question="what grows", passages=passages, answer="rice", gold=(0,))
    batch = exercise_batch([example], tokenizer, FORMS, Lengths(question=4, passage=12, target=3))
    assert batch.question[0].tolist() == [0, 0, *tokenizer.encode("what grows")]
    expected = [*tokenizer.encode("new town : it grows tea ."), 1]
    assert batch.passages[0, 1].tolist() == expected + [0] * (12 - len(expected))
    assert batch.answer[0].tolist() == [*tokenizer.encode("rice"), 1, 0]


# -- vocabulary ----------------------------------------------------------------------------------------------------


def test_every_word_of_the_inventory_is_one_piece(tokenizer):
    nouns = [word for name in INVENTORIES for word in getattr(inventory, name)]
    assert len(nouns) > 100
    cut = [word for word in (*name_words(), *nouns, "SUPPORTS", "REFUTES") if len(tokenizer.encode(word)) != 1]
    assert not cut


def test_the_slot_separator_is_one_piece_that_no_word_shares(tokenizer):
    ids = tokenizer.encode("kalor [SEP] author")
    assert len(tokenizer.encode("[SEP]")) == 1 and tokenizer.encode("[SEP]")[0] in ids
    assert tokenizer.decode(tokenizer.encode("rice [SEP] tea")) == "rice [SEP] tea"


def test_unseen_words_are_spelled_and_read_back(tokenizer):
    ids = tokenizer.encode("strantok")
    assert len(ids) > 1 and 2 not in ids
    assert tokenizer.decode(ids) == "strantok"


def test_a_rare_word_stays_whole_beside_likely_characters(tmp_path):
    train_vocabulary(["as " * 3] + ["a s " * 500] * 10, 32, tmp_path / "tokenizer.json")
    assert len(Tokenizer(tmp_path / "tokenizer.json").encode("as")) == 1


def test_vocabulary_keeps_to_its_size_and_texts_decide_it(tmp_path):
    texts = sample_pages(np.random.default_rng(2), 300)
    sizes = [train_vocabulary(texts, 200, tmp_path / name) for name in ("a.json", "b.json")]
    assert sizes == [200, 200]
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    with pytest.raises(InputError, match="vocabulary too small"):
        train_vocabulary(texts, 10, tmp_path / "c.json")


@pytest.mark.parametrize(
    "changed, named",
    [
        ({"places": [0, 1, 0]}, "stages.0.places"),
        ({"places": [0, None]}, "stages.0.places"),
        ({"alphas": []}, "stages.0.alphas"),
        ({"alphas": ["2"]}, "stages.0.alphas"),
        ({"alphas": ["half"]}, "stages.0.alphas"),
    ],
)
def test_places_and_proportions_that_cannot_be_are_refused_before_any_work(changed, named):
    stages = [SECTION["stages"][0] | changed, *SECTION["stages"][1:]]
    with pytest.raises(InputError, match=named):
        Recipe.from_section(SECTION | {"stages": stages})


def test_places_of_another_depth_are_refused_before_any_step(config, tokenizer):
    recipe = dataclasses.replace(Recipe.from_section(SECTION), places=(0, 1))
    with pytest.raises(InputError, match="initial.places"):
        pretrain(recipe, config, tokenizer, FORMS, log=lambda row: pytest.fail("a step was done"))
