"""T5 1.1 and 1.0 against transformers in PyTorch: states, logits, greedy decoding, gradients, real weights."""

import dataclasses
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from glimmer.models.checkpoint import load_t5, save_t5
from glimmer.models.config import T5Config
from glimmer.models.parameter_names import origins
from glimmer.models.reader import token_log_probability
from glimmer.models.t5 import greedy_decode
from tests.models.tiny import tiny_t5

TOLERANCE = 1e-4
SMALL = T5Config(
    vocabulary=101, d_model=32, d_kv=8, d_ff=48, num_heads=4, encoder_layers=3, decoder_layers=2, dropout=0.0
)
ODD = dataclasses.replace(SMALL, d_model=24, d_kv=7, num_heads=5, d_ff=31, encoder_layers=2, decoder_layers=3)
SHAPES = {
    "small": SMALL,
    "odd: 5 heads of 7 in width 24": ODD,
    "few buckets": dataclasses.replace(ODD, relative_buckets=8, relative_max_distance=20),
    "T5 1.0": dataclasses.replace(ODD, activation="relu", tied_head=True),
}


@pytest.fixture(scope="session", params=SHAPES)
def pair(request, transformers, tmp_path_factory):
    """(our model, theirs) with the same random weights, through a Hugging Face directory that we wrote."""
    directory = tmp_path_factory.mktemp("t5") / "model"
    model = tiny_t5(SHAPES[request.param], seed=3)
    save_t5(model, directory)
    theirs = transformers.T5ForConditionalGeneration.from_pretrained(directory).eval()
    return model, theirs


def inputs(config, rows=4, width=150, seed=0):
    """Ragged rows, longer than the 128 positions that have buckets of their own; the last row is padding alone."""
    random = np.random.default_rng(seed)
    tokens = np.zeros((rows, width), np.int32)
    for row, length in enumerate([width, *random.integers(2, width, rows - 2), 0]):
        tokens[row, :length] = random.integers(2, config.vocabulary, length)
    targets = random.integers(2, config.vocabulary, (rows, 140)).astype(np.int32)
    return tokens, targets


def theirs_on(torch, model, tokens, targets, gradients=False):
    t = lambda x: torch.tensor(np.asarray(x), dtype=torch.long)  # noqa: E731
    with torch.set_grad_enabled(gradients):
        return model(input_ids=t(tokens), attention_mask=t(tokens != 0), labels=t(targets))


@nnx.jit
def ours_on(model, tokens, targets):
    return model.encode(tokens, tokens != 0), model.logits(tokens, tokens != 0, targets)


def test_encoder_states_and_logits(pair, torch, record):
    model, theirs = pair
    tokens, targets = inputs(model.config)
    states, logits = ours_on(model, tokens, targets)
    found = theirs_on(torch, theirs, tokens, targets)
    real = np.asarray(tokens != 0)
    assert record("T5 encoder states", states[real], found.encoder_last_hidden_state.numpy()[real]) < TOLERANCE
    assert record("T5 logits", logits, found.logits.numpy()) < TOLERANCE, "all-padding rows included"


def test_greedy_decoding_token_for_token_over_64_tokens(pair, torch):
    model, theirs = pair
    tokens, _ = inputs(model.config, rows=6, width=20, seed=1)
    tokens[-1, :3] = 5  # generate() refuses a row without tokens

    @nnx.jit
    def decode(model):
        encoded = model.encode(tokens, tokens != 0)
        return greedy_decode(model.embedding, model.decoder, encoded, tokens != 0, length=64, config=model.config)

    t = lambda x: torch.tensor(np.asarray(x), dtype=torch.long)  # noqa: E731
    expected = theirs.generate(
        t(tokens), attention_mask=t(tokens != 0), max_new_tokens=64, do_sample=False, num_beams=1, use_cache=False
    ).numpy()[:, 1:]
    found = np.asarray(decode(model))
    np.testing.assert_array_equal(found[:, : expected.shape[1]], expected)
    assert not found[:, expected.shape[1] :].any()
    assert len(np.unique(found)) > 5


def test_gradients_of_every_parameter(pair, torch, record):
    model, theirs = pair
    # No row of padding alone: there transformers sends a gradient through scores that it has masked, we send none.
    tokens, targets = (x[:-1] for x in inputs(model.config, rows=4, width=12, seed=2))
    targets = targets[:, :9]
    definition, state = nnx.split(model)

    def loss(state):
        model = nnx.merge(definition, state)
        return -jnp.mean(token_log_probability(model.logits(tokens, tokens != 0, targets), targets, 0))

    ours = dict(nnx.to_flat_state(jax.jit(jax.grad(loss))(state)))
    theirs.zero_grad()
    theirs_on(torch, theirs, tokens, targets, gradients=True).loss.backward()
    gradients = {name: parameter.grad.numpy() for name, parameter in theirs.named_parameters()}
    compared = set()
    for origin in origins(model.config):
        for name, found in origin.tensors(ours[origin.path][...]):
            compared.add(name)
            difference = record("T5 gradients", found, gradients[name])
            assert difference < TOLERANCE, name
    assert compared == set(gradients)


def test_the_head_is_untied_in_t5_1_1_and_tied_in_t5_1_0(pair):
    """transformers 5 ties lm_head to the embedding unless config.json says `tie_word_embeddings: false`."""
    model, theirs = pair
    tied = theirs.lm_head.weight.data_ptr() == theirs.shared.weight.data_ptr()
    assert tied is model.config.tied_head


def test_their_directories_are_read_bit_for_bit_sharded_too(transformers, torch, tmp_path):
    config = transformers.T5Config(
        vocab_size=50, d_model=16, d_kv=5, d_ff=20, num_layers=2, num_heads=3, feed_forward_proj="gated-gelu",
        tie_word_embeddings=False, decoder_start_token_id=0,
    )  # fmt: skip
    theirs = transformers.T5ForConditionalGeneration(config)
    theirs.save_pretrained(tmp_path / "whole")
    theirs.save_pretrained(tmp_path / "sharded", max_shard_size="5KB")
    assert (tmp_path / "sharded/model.safetensors.index.json").exists()
    expected = {name: tensor.numpy() for name, tensor in theirs.state_dict().items()}
    for kind in ("whole", "sharded"):
        model = load_t5(tmp_path / kind)
        flat = dict(nnx.to_flat_state(nnx.state(model)))
        for origin in origins(model.config):
            for name, found in origin.tensors(flat[origin.path][...]):
                np.testing.assert_array_equal(found, expected[name], err_msg=name)
        tokens, targets = inputs(model.config, rows=2, width=9)
        found = ours_on(load_t5(tmp_path / kind, dropout=0.0), tokens[:1], targets[:1])[1]
        logits = theirs_on(torch, theirs.eval(), tokens[:1], targets[:1]).logits.numpy()
        np.testing.assert_allclose(found, logits, atol=TOLERANCE)  # it ties this head, and does not scale it


@pytest.mark.slow
def test_the_real_checkpoint(transformers, torch, record):
    directory = os.environ.get("GLIMMER_T5_SMALL")
    if not directory or not Path(directory).is_dir():
        pytest.skip("set GLIMMER_T5_SMALL to a directory of google/t5-v1_1-small")
    model = load_t5(directory, dropout=0.0)
    theirs = transformers.T5ForConditionalGeneration.from_pretrained(directory, dtype=torch.float32).eval()
    tokens, targets = inputs(model.config, width=200)
    targets = targets[:, :16]
    states, logits = ours_on(model, tokens, targets)
    found = theirs_on(torch, theirs, tokens, targets)
    real = np.asarray(tokens != 0)
    expected = found.encoder_last_hidden_state.numpy()[real]
    assert record("t5-v1_1-small encoder states", states[real], expected) < TOLERANCE
    assert record("t5-v1_1-small logits", logits[:-1], found.logits.numpy()[:-1]) < TOLERANCE


def test_every_relative_position_bucket(transformers, torch):
    from transformers.models.t5.modeling_t5 import T5Attention

    from glimmer.models.layers import relative_bucket

    distances = np.arange(-2000, 2001)
    for bidirectional in (True, False):
        expected = T5Attention._relative_position_bucket(torch.tensor(distances), bidirectional, 32, 128).numpy()
        np.testing.assert_array_equal(relative_bucket(jnp.asarray(distances), bidirectional, 32, 128), expected)
