"""The initial checkpoint: what its start contains, that it learns, and that a seed decides it."""

import dataclasses
import functools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from glimmer.errors import InputError
from glimmer.experiments.sections import Lengths
from glimmer.experiments.settings import TASKS, lumen
from glimmer.models.checkpoint import load_t5
from glimmer.models.config import T5Config
from glimmer.models.reader import Reader, token_log_probability
from glimmer.models.tokenizer import Tokenizer
from glimmer.training.losses import language_model_loss
from worlds.exercises import TextForms, exercise_batch
from worlds.generate import ReadingExample, inventory, name_words, sample_pages, sample_reading_examples
from worlds.kept import KeptStages, copy_checkpoint, holds, origin, save_checkpoint
from worlds.mimetic import HEAD_SCALE, MATCH_SHARPNESS, mimetic_t5
from worlds.pretrain import (
    COIN_EXAMPLES,
    pretrain,
    reading_loss,
    run_stage,
    without_passages,
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
    "facts": [1, 1],
    "question_tokens": 16,
    "passage_tokens": 24,
    "tasks": {"text_cloze": 2, "text_bridge": 1},
}
SECTION = {
    "kind": "pretrain",
    "seed": 3,
    "stages": [STAGE, STAGE | {"name": "second", "steps": 2, "alphas": ["1/3", "0"]}],
    "examination": {"passages": [2], "examples": 4, "tasks": ["nq", "text_cloze"], "passage_tokens": 24},
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
    return mimetic_t5(config, jax.random.key(1))


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
    away, back, ahead, free = np.asarray(model.encoder.relative_bias(places, places))[:, 5]
    assert away[4:7].max() < min(away[:4].min(), away[7:].min()) - 5, "head 0 must look past the neighbours"
    assert (np.argmax(back), np.argmax(ahead)) == (4, 6)
    assert np.abs(free).max() < 2
    causal = np.asarray(model.decoder.relative_bias(places, places))
    assert np.argmax(causal[1, 5, :6]) == 4


@pytest.fixture(scope="module")
def wide(config):
    """The embedded study's widths, where random directions are nearly orthogonal."""
    return dataclasses.replace(config, d_model=64, d_kv=16, d_ff=160)


def test_a_start_has_no_circuit_of_this_benchmark(wide):
    """Layers and tokens are exchangeable: no token, layer or head but for match and neighbours is planted."""
    model = mimetic_t5(wide, jax.random.key(1))
    for weight in (model.encoder.layers.attention.key[...], model.encoder.layers.feed_forward.gate[...]):
        np.testing.assert_allclose(weight.std(axis=(1, 2)), 64**-0.5, rtol=0.05)
    lengths = jnp.linalg.norm(model.embedding.table[...], axis=1)
    assert float(lengths.max()) < 12  # 8 is expected of 64 normal numbers; a direction shared by all would lengthen it


def test_a_start_keeps_the_words_at_any_depth(wide):
    deep = mimetic_t5(dataclasses.replace(wide, encoder_layers=24), jax.random.key(1))
    tokens = jnp.asarray(np.random.default_rng(0).integers(3, 2000, size=(4, 20)))
    states = deep.encode(tokens, tokens > 0)
    assert (jnp.argmax(deep.embedding.logits(states), axis=-1) == tokens).mean() > 0.9


# -- training ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", ["1", "1/3", "0"])
def test_pretraining_reads_as_lumen_does_at_its_split(model, batch, alpha):
    """At alpha = 1 that is FiD."""
    loss = nnx.jit(lambda model: reading_loss(model, batch, Fraction(alpha)))(model)
    reader = Reader(model, lumen(alpha=alpha, k=3), rngs=nnx.Rngs(0))
    expected = language_model_loss(
        token_log_probability(reader.logits(reader.encode(batch), batch.answer), batch.answer, 0), batch.answer
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_a_few_steps_lower_the_loss(model, tokenizer):
    stage = Recipe.from_section(SECTION).stages[0]
    rows = []
    run_stage(model, stage, np.random.default_rng(0), tokenizer, FORMS, rows.append, log_every=3)
    assert [row["step"] for row in rows] == [3, 6, 9, 12]
    assert rows[-1]["loss"] < 0.9 * rows[0]["loss"]  # from random, in 12 steps


def test_after_each_stage_the_curve_says_what_was_learnt_of_each_exercise(config, tokenizer_file):
    rows = []
    alone = STAGE | {"name": "alone", "steps": 2, "passages": [1]}
    recipe = Recipe.from_section(SECTION | {"stages": [alone, STAGE | {"steps": 2}]})
    pretrain(recipe, config, Tokenizer(tokenizer_file), FORMS, rows.append)
    answered = {row["stage"]: row["answered"] for row in rows if "answered" in row}
    assert {name: set(shares) for name, shares in answered.items()} == {
        "alone": {"text_cloze"},  # two pages need two passages
        "first": {"text_cloze", "text_bridge"},
    }
    assert all(0 <= share <= 1 for shares in answered.values() for share in shares.values())


def test_same_seed_gives_the_same_checkpoint_and_it_reads_back(tmp_path, config, tokenizer_file):
    recipe = Recipe.from_section(SECTION)
    for name in ("a", "b"):
        reading = write_initial_checkpoint(recipe, config, tokenizer_file, FORMS, tmp_path / name)
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        ".sealed.json",
        "config.json",
        "model.safetensors",
        "pretrained.json",
        "reading.json",
        "tokenizer.json",
    ]
    assert load_t5(tmp_path / "a").config == config
    rows = reading["exact_match"]
    assert [(row["alpha"], row["passages"], row["task"]) for row in rows] == [
        *((alpha, 2, task) for task in ("nq", "text_cloze") for alpha in ("1", "1/2")),
        *(("1", 0, task) for task in TASKS),
    ]
    tossed = {"task": "fever", "passages": 0}.items()  # FEVER's coin
    assert all(row["examples"] == (COIN_EXAMPLES if tossed <= row.items() else 4) for row in rows)
    assert all(0 <= row["exact_match"] <= 1 for row in rows)


def test_recipe_names_the_key_that_is_wrong():
    with pytest.raises(InputError, match=r"initial.stages.0 is not valid; expected only the keys .*found \['step'\]"):
        Recipe.from_section(SECTION | {"stages": [STAGE | {"step": 3}]})
    with pytest.raises(InputError, match="stages.0 is not valid; expected the keys .*pairs"):
        Recipe.from_section(SECTION | {"stages": [{k: v for k, v in STAGE.items() if k != "pairs"}]})
    with pytest.raises(InputError, match="initial is not valid; expected only the keys .*batch_size"):
        Recipe.from_section(SECTION | {"batch_size": 3})


@pytest.mark.parametrize("form", ["nq", "cloze", "fever"])  # the gap of `cloze` is the mark of slot-filling inputs
def test_a_checkpoint_reads_text_with_gaps_and_no_form_of_the_tasks(form):
    with pytest.raises(InputError, match=rf"stages.0.tasks.*found \['{form}'\]"):
        Recipe.from_section(SECTION | {"stages": [STAGE | {"tasks": {"text_cloze": 1, form: 1}}]})


def test_a_knob_that_worlds_do_not_have_is_named():
    with pytest.raises(InputError, match="stages.0.knobs.*page_count"):
        Recipe.from_section(SECTION | {"stages": [STAGE | {"knobs": {"page_count": 3}}]})


def test_a_stage_reads_worlds_of_its_own_knobs():
    stage = STAGE | {"knobs": {"references": 0, "bynames_listed": 0}}
    recipe = Recipe.from_section(SECTION | {"stages": [stage]})
    examples = recipe.stages[0].exercises.draw(np.random.default_rng(0), 50, 2)
    texts = [text for example in examples for _, text in example.passages]
    assert not any(text.startswith("see also") or "others of this name" in text for text in texts)


def test_reading_is_examined_against_its_gate(tmp_path, config, tokenizer_file):
    recipe = Recipe.from_section(SECTION | {"stages": [STAGE | {"steps": 2}]})
    reading = write_initial_checkpoint(recipe, config, tokenizer_file, FORMS, tmp_path / "out")
    names = ("clozes_in_view", "tasks_in_view", "before_fine_tuning", "closed_book", "closed_book_fever")
    assert all(0 <= reading[name] <= 1 for name in names)
    assert reading["closed_book"] == 0  # two steps, no passages


def test_a_reader_that_always_likes_one_label_better_knows_half_of_fever(model, tokenizer, monkeypatch):
    monkeypatch.setattr(
        "worlds.pretrain._log_probability", lambda reader, batch: -np.asarray(batch.answer[:, 0], float)
    )
    examination = Recipe.from_section(SECTION | {"examination": SECTION["examination"] | {"examples": 25}}).examination
    rows = without_passages(model, examination, 0, tokenizer, FORMS)
    assert next(row["exact_match"] for row in rows if row["task"] == "fever") == 0.5


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


@pytest.mark.parametrize("alphas", [[], ["2"], ["half"]])
def test_proportions_that_cannot_be_are_refused_before_any_work(alphas):
    with pytest.raises(InputError, match="stages.0.alphas"):
        Recipe.from_section(SECTION | {"stages": [STAGE | {"alphas": alphas}]})


# -- kept and published --------------------------------------------------------------------------------------------


class _Stopped(Exception):
    pass


def _stop_after(stage):
    def log(row):
        if row["stage"] == stage and "answered" not in row:
            raise _Stopped

    return log


def test_a_pretraining_that_was_stopped_goes_on_behind_its_last_finished_stage(tmp_path, config, tokenizer_file):
    recipe, rows = Recipe.from_section(SECTION), []
    write_initial_checkpoint(recipe, config, tokenizer_file, FORMS, tmp_path / "at once")
    with pytest.raises(_Stopped):
        write_initial_checkpoint(recipe, config, tokenizer_file, FORMS, tmp_path / "out", _stop_after("second"))
    assert not (tmp_path / "out").exists()
    reading = write_initial_checkpoint(recipe, config, tokenizer_file, FORMS, tmp_path / "out", rows.append)
    assert {row["stage"] for row in rows} == {"second"}
    assert reading["seconds"]["stages_before"] == 1
    for name in ("model.safetensors", "pretrained.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "at once" / name).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["at once", "out"]


@pytest.fixture
def vocabulary(tmp_path, tokenizer_file):
    """A copy of the vocabulary that a test may change."""
    path = tmp_path / "tokenizer.json"
    path.write_bytes(tokenizer_file.read_bytes())
    return path


def _kept(tmp_path, section, config, vocabulary):
    made_of = functools.partial(origin, Recipe.from_section(section), config, vocabulary, FORMS)
    return KeptStages(tmp_path / "stages", vocabulary, made_of)


SECOND = SECTION["stages"][1]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, 1),
        ({"stages": [STAGE, SECOND | {"steps": 3}]}, 1),  # of a stage that is still to come
        ({"stages": [STAGE]}, 1),
        ({"examination": SECTION["examination"] | {"examples": 5}}, 1),
        ({"seed": 4}, 0),
        ({"stages": [STAGE | {"learning_rate": 1e-3}, SECOND]}, 0),
        ({"stages": [SECOND, STAGE]}, 0),
    ],
)
def test_a_kept_stage_serves_the_recipes_that_begin_alike(tmp_path, config, model, vocabulary, change, found):
    _kept(tmp_path, SECTION, config, vocabulary).keep(model, 1)
    other = _kept(tmp_path, SECTION | change, config, vocabulary)
    training = dataclasses.replace(config, dropout=0.0, rematerialise=True)
    latest = other.latest(len((SECTION | change)["stages"]), training)
    assert (latest[0] if latest else 0) == other.resumed_after == found
    if latest:
        assert latest[1].config == training
        np.testing.assert_array_equal(latest[1].embedding.table[...], model.embedding.table[...])


def test_a_kept_stage_of_other_bytes_dimensions_or_vocabulary_is_passed_over(tmp_path, config, model, vocabulary):
    kept = _kept(tmp_path, SECTION, config, vocabulary)
    kept.keep(model, 1)
    kept.keep(model, 2)
    assert [path.name for path in (tmp_path / "stages").iterdir()] == ["02"]
    assert kept.latest(2, config)[0] == 2
    assert _kept(tmp_path, SECTION, dataclasses.replace(config, d_ff=64), vocabulary).latest(2, config) is None
    weights = tmp_path / "stages/02/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert kept.latest(2, config) is None
    kept.keep(model, 2)
    vocabulary.write_bytes(vocabulary.read_bytes() + b"\n")
    assert kept.latest(2, config) is None


def test_a_checkpoint_is_taken_for_another_only_of_the_same_recipe_vocabulary_and_bytes(
    tmp_path, config, model, vocabulary
):
    recipe = Recipe.from_section(SECTION)
    published, wanted = tmp_path / "published", origin(recipe, config, vocabulary, FORMS)
    assert not holds(published, wanted)
    save_checkpoint(model, published, vocabulary, wanted, {"exact_match": []})
    assert holds(published, wanted)
    others = (
        (Recipe.from_section(SECTION | {"seed": 4}), config, FORMS),
        (dataclasses.replace(recipe, examination=dataclasses.replace(recipe.examination, examples=5)), config, FORMS),
        (recipe, dataclasses.replace(config, d_ff=64), FORMS),
        (recipe, config, dataclasses.replace(FORMS, passage="{text} ({title})")),
    )
    for other, dimensions, forms in others:
        assert not holds(published, origin(other, dimensions, vocabulary, forms))
    copy_checkpoint(published, tmp_path / "copy")
    names = sorted(path.name for path in published.iterdir())
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == names
    assert all((tmp_path / "copy" / name).read_bytes() == (published / name).read_bytes() for name in names)
    weights = published / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(InputError, match=r"model.safetensors: not the bytes that were written"):
        holds(published, wanted)
