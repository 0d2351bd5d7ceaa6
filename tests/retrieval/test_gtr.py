"""The tower: pooling without padding, unit length, the sentence-transformers directory, batches by length."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from glimmer.errors import InputError
from glimmer.files import read_json, write_json
from glimmer.models.parameter_names import T5X
from glimmer.models.tokenizer import Tokenizer
from glimmer.retrieval.embed import Embedder, batch_width
from glimmer.retrieval.gtr import (
    _encoder_origins,
    gtr_from_t5,
    is_gtr,
    load_gtr,
    save_gtr,
    tokenizer_path,
    with_activations,
)
from tests.models.published import write_state_dict, write_t5x

TOKENS = np.random.default_rng(0).integers(2, 120, (5, 12)).astype(np.int32)


def test_embeddings_have_unit_length_whatever_the_dimension(make_gtr):
    for dimension in (16, 5, 40):
        embedded = make_gtr(dimension=dimension)(TOKENS)
        assert embedded.shape == (5, dimension) and embedded.dtype == jnp.float32
        np.testing.assert_allclose(np.linalg.norm(embedded, axis=1), 1, rtol=1e-5)


def test_padding_changes_no_embedding(make_gtr):
    gtr = make_gtr()
    padded = np.pad(TOKENS, ((0, 2), (0, 9)))
    np.testing.assert_allclose(gtr(padded)[:5], gtr(TOKENS), atol=2e-6)
    assert not np.asarray(gtr(padded)[5:]).any(), "a row without tokens has no direction"


def test_the_embedding_is_the_projected_mean_of_the_encoder_states(make_gtr):
    from glimmer.models.config import T5Config
    from glimmer.models.t5 import T5
    from glimmer.retrieval.gtr import GTR

    encoder = T5(T5Config(vocabulary=120, d_model=16, d_kv=4, d_ff=24, num_heads=4, encoder_layers=2,
                          decoder_layers=1), rngs=nnx.Rngs(3))  # fmt: skip
    projection = np.random.default_rng(1).standard_normal((16, 7)).astype(np.float32)
    row = TOKENS[:1, :6]
    states = np.asarray(encoder.encode(row, row != 0))[0]
    expected = states.mean(axis=0) @ projection
    found = GTR(encoder, jnp.asarray(projection))(np.pad(row, ((0, 0), (0, 4))))[0]
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-5)


@pytest.mark.parametrize("changes", [{}, {"activation": "relu", "tied_head": True}])
def test_a_saved_directory_gives_the_same_embeddings(make_gtr, small_world, tmp_path, changes):
    gtr = make_gtr(dimension=6, **changes)
    save_gtr(gtr, tmp_path / "gtr", small_world / "tokenizer.json", tokens=33)
    again = load_gtr(tmp_path / "gtr")
    np.testing.assert_array_equal(np.asarray(again(TOKENS)), np.asarray(gtr(TOKENS)))
    assert again.config == gtr.config
    assert tokenizer_path(tmp_path / "gtr").read_bytes() == (small_world / "tokenizer.json").read_bytes()


def test_the_directory_has_the_names_and_shapes_of_sentence_transformers(make_gtr, small_world, tmp_path):
    save_gtr(make_gtr(dimension=6, activation="relu"), tmp_path / "gtr", small_world / "tokenizer.json")
    kinds = [module["type"].rsplit(".", 1)[1] for module in read_json(tmp_path / "gtr/modules.json")]
    assert kinds == ["Transformer", "Pooling", "Dense", "Normalize"]
    assert load_file(tmp_path / "gtr/2_Dense/model.safetensors")["linear.weight"].shape == (6, 16)
    names = set(load_file(tmp_path / "gtr/model.safetensors"))
    assert {
        "shared.weight",
        "encoder.final_layer_norm.weight",
        "encoder.block.1.layer.1.DenseReluDense.wi.weight",
    } <= names
    assert not any(name.startswith(("decoder", "lm_head")) for name in names)


def _edit(path, **changes):
    write_json(path, read_json(path) | changes)


BREAKAGES = {
    "mean over tokens": lambda d: _edit(d / "1_Pooling/config.json", pooling_mode_cls_token=True),
    "no bias": lambda d: _edit(d / "2_Dense/config.json", bias=True),
    r"expected \(9, 16\)": lambda d: _edit(d / "2_Dense/config.json", out_features=9),
    "found Transformer > Pooling$": lambda d: write_json(d / "modules.json", read_json(d / "modules.json")[:2]),
    "path below it": lambda d: write_json(
        d / "modules.json", [m | {"path": "../" + m["path"]} for m in read_json(d / "modules.json")]
    ),
    "not a PyTorch file": lambda d: (d / "2_Dense/model.safetensors").rename(d / "2_Dense/pytorch_model.bin"),
    "SelfAttention.q.weight has the wrong shape": lambda d: _edit(d / "config.json", d_kv=8),
    "tensor missing": lambda d: save_file({"x": np.zeros(1)}, d / "model.safetensors"),
}


@pytest.mark.parametrize("message", BREAKAGES)
def test_a_directory_that_is_not_gtr_is_an_input_error(make_gtr, small_world, tmp_path, message):
    save_gtr(make_gtr(dimension=6), tmp_path / "gtr", small_world / "tokenizer.json")
    BREAKAGES[message](tmp_path / "gtr")
    with pytest.raises(InputError, match=message):
        load_gtr(tmp_path / "gtr")


def test_an_untrained_tower_of_the_encoders_width_is_the_pooled_encoder(small_world):
    np.testing.assert_array_equal(gtr_from_t5(small_world / "init").projection[...], np.eye(16))
    narrow = np.asarray(gtr_from_t5(small_world / "init", dimension=5).projection[...])
    np.testing.assert_allclose(narrow.T @ narrow, np.eye(5), atol=1e-5)


def test_batches_by_length_give_the_rows_in_order(make_gtr, small_world):
    gtr = make_gtr()
    random = np.random.default_rng(2)
    tokens = np.zeros((40, 30), np.int32)
    for row, length in enumerate(random.integers(0, 31, 40)):
        tokens[row, :length] = random.integers(2, 120, length)
    embedder = Embedder(gtr, Tokenizer(small_world / "tokenizer.json"), tokens_per_batch=256)
    np.testing.assert_allclose(embedder.tokens(tokens), gtr(tokens), atol=3e-6)


def test_every_length_fits_its_batch_width():
    assert all(batch_width(length) >= length for length in range(1, 2000))
    assert batch_width(513) == 640


def test_changing_the_activations_keeps_the_parameters(make_gtr):
    gtr = make_gtr()
    low = with_activations(gtr, dtype="bfloat16")
    assert low.config.dtype == "bfloat16" and low.projection.dtype == jnp.float32
    cosines = np.sum(np.asarray(low(TOKENS)) * np.asarray(gtr(TOKENS)), axis=1)
    assert cosines.min() > 0.999


def test_the_declared_length_is_the_one_it_was_trained_with(make_gtr, small_world, tmp_path):
    save_gtr(make_gtr(), tmp_path / "gtr", small_world / "tokenizer.json", tokens=33)
    assert json.loads((tmp_path / "gtr/sentence_bert_config.json").read_text())["max_seq_length"] == 33


def as_pickles(folder, dtype):
    """The folder with its weights as PyTorch pickles them."""
    for path in (folder / "model.safetensors", folder / "2_Dense/model.safetensors"):
        write_state_dict(path.with_name("pytorch_model.bin"), load_file(path), dtype)
        path.unlink()
    return folder


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_pickled_towers_are_read_as_they_were_published(make_gtr, small_world, tmp_path, dtype):
    gtr = make_gtr(dimension=6, activation="relu", tied_head=True)
    save_gtr(gtr, tmp_path / "gtr", small_world / "tokenizer.json")
    loaded = load_gtr(as_pickles(tmp_path / "gtr", dtype))
    for found, whole in zip(jax.tree.leaves(nnx.state(loaded)), jax.tree.leaves(nnx.state(gtr)), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, whole.astype(dtype).astype(np.float32))


def test_a_published_tower_brings_spiece_model_or_tokenizer_json(make_gtr, small_world, tmp_path):
    save_gtr(make_gtr(), tmp_path / "gtr", small_world / "tokenizer.json")
    assert tokenizer_path(tmp_path / "gtr").name == "tokenizer.json"
    (tmp_path / "gtr/tokenizer.json").rename(tmp_path / "gtr/spiece.model")
    assert tokenizer_path(tmp_path / "gtr").name == "spiece.model"


def test_a_pointer_in_place_of_the_dense_layer_is_named(make_gtr, small_world, tmp_path):
    save_gtr(make_gtr(), tmp_path / "gtr", small_world / "tokenizer.json")
    (tmp_path / "gtr/2_Dense/model.safetensors").write_bytes(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n"
    )
    with pytest.raises(InputError, match=r"2_Dense/model\.safetensors: a Git LFS pointer"):
        load_gtr(tmp_path / "gtr")


def test_a_tower_in_t5xs_form_is_the_same(make_gtr, tmp_path):
    gtr = make_gtr(dimension=6, activation="relu", tied_head=True)
    flat = {path: leaf[...] for path, leaf in nnx.to_flat_state(nnx.state(gtr))}
    listed = _encoder_origins(gtr.config, T5X)
    tensors = dict(pair for origin in listed for pair in origin.tensors(flat[origin.path]))
    folder = write_t5x(tmp_path / "t5x", tensors | {"projection_layer.kernel": np.asarray(flat[("projection",)])})
    assert is_gtr(folder)
    loaded = load_gtr(folder)
    for found, whole in zip(jax.tree.leaves(nnx.state(loaded)), jax.tree.leaves(nnx.state(gtr)), strict=True):
        np.testing.assert_array_equal(found, whole)


def test_the_real_dual_encoder_of_t5x(shared):
    folder = shared / "t5x-checkpoints/test_de_t5_tiny.checkpoint_1000"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    gtr = load_gtr(folder)
    assert (gtr.dimension, gtr.config.d_model, gtr.config.encoder_layers, gtr.config.activation) == (768, 4, 2, "relu")
    found = np.asarray(gtr(np.asarray([[7, 8, 9, 1, 0]])))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
