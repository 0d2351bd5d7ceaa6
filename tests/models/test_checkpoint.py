"""Hugging Face directories in and out: bit for bit, sharded too, and errors that name the tensor."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from glimmer.errors import InputError
from glimmer.files import read_json, write_json
from glimmer.models.checkpoint import load_t5, read_config, save_t5
from glimmer.models.config import from_hugging_face, to_hugging_face
from glimmer.models.parameter_names import origins
from tests.models.tiny import CONFIG, tiny_t5

T5_1_0 = dataclasses.replace(CONFIG, activation="relu", tied_head=True)
QUERY = "encoder.block.2.layer.0.SelfAttention.q.weight"


@pytest.fixture
def saved(tmp_path):
    save_t5(tiny_t5(), tmp_path / "t5")
    return tmp_path / "t5"


def equal(left, right) -> bool:
    return jax.tree.all(jax.tree.map(lambda a, b: np.array_equal(a, b), nnx.state(left), nnx.state(right)))


@pytest.mark.parametrize("config", [CONFIG, T5_1_0], ids=["T5.1.1", "T5 1.0"])
def test_export_and_import_round_trip_bit_for_bit(tmp_path, config):
    model = tiny_t5(config)
    save_t5(model, tmp_path / "one")
    again = load_t5(tmp_path / "one")
    assert again.config == config and equal(again, model)
    save_t5(again, tmp_path / "two")
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_every_parameter_has_a_name_and_every_tensor_a_parameter(saved):
    ours = {path for path, _ in nnx.to_flat_state(nnx.state(tiny_t5()))}
    listed = list(origins(CONFIG))
    assert {origin.path for origin in listed} == ours
    names = [name for origin in listed for name in origin.names]
    assert len(names) == len(set(names)) and set(names) == set(load_file(saved / "model.safetensors"))


def test_a_sharded_checkpoint_is_the_whole_one(saved, tmp_path):
    tensors = load_file(saved / "model.safetensors")
    sharded = tmp_path / "sharded"
    sharded.mkdir()
    names = sorted(tensors)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in shards.items():
        save_file({name: tensors[name] for name in part}, sharded / file)
    weight_map = {name: file for file, part in shards.items() for name in part}
    write_json(sharded / "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})
    (sharded / "config.json").write_bytes((saved / "config.json").read_bytes())
    assert equal(load_t5(sharded), load_t5(saved))
    write_json(sharded / "model.safetensors.index.json", {"weight_map": dict.fromkeys(names, "b.safetensors")})
    with pytest.raises(InputError, match=r"b\.safetensors: tensor not in its file"):
        load_t5(sharded)
    write_json(sharded / "model.safetensors.index.json", {"weight_map": weight_map})
    (sharded / "b.safetensors").unlink()
    with pytest.raises(InputError, match=r"b\.safetensors"):
        load_t5(sharded)


def _rewrite(directory, change):
    tensors = load_file(directory / "model.safetensors")
    change(tensors)
    save_file(tensors, directory / "model.safetensors")


def test_a_missing_tensor_is_named(saved):
    _rewrite(saved, lambda tensors: tensors.pop(QUERY))
    with pytest.raises(InputError, match=f"tensor missing.*{QUERY}"):
        load_t5(saved)


@pytest.mark.parametrize("layers", ["every layer", "one layer"])
def test_a_tensor_of_the_wrong_shape_is_an_input_error_with_both_shapes(saved, layers):
    def change(tensors):
        for name in list(tensors):
            if name == QUERY or (layers == "every layer" and name.endswith("SelfAttention.q.weight")):
                tensors[name] = np.zeros((7, 8), np.float32)

    _rewrite(saved, change)
    with pytest.raises(InputError, match="wrong shape"):
        load_t5(saved)


def test_a_file_that_is_no_safetensors_is_an_input_error(saved):
    (saved / "model.safetensors").write_bytes(b"not tensors at all")
    with pytest.raises(InputError, match="not a safetensors file"):
        load_t5(saved)


def test_half_precision_tensors_are_read_in_float32(saved):
    def halve(tensors):
        tensors.update({name: tensor.astype(np.float16) for name, tensor in tensors.items()})

    _rewrite(saved, halve)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(nnx.state(load_t5(saved)))} == {"float32"}


def test_an_encoder_only_export_holds_the_shared_table_under_another_name(saved):
    _rewrite(saved, lambda t: t.update({"encoder.embed_tokens.weight": t.pop("shared.weight")}))
    assert equal(load_t5(saved), tiny_t5())


def test_the_configuration_round_trips_and_another_model_is_refused(saved):
    assert from_hugging_face(to_hugging_face(T5_1_0)) == T5_1_0 and read_config(saved) == CONFIG
    for change, message in (
        ({"model_type": "bert"}, "not a T5"),
        ({"feed_forward_proj": "gated-silu"}, "feed_forward_proj"),
    ):
        write_json(saved / "config.json", read_json(saved / "config.json") | change)
        with pytest.raises(InputError, match=message):
            read_config(saved)
        write_json(saved / "config.json", to_hugging_face(CONFIG))
    (saved / "config.json").write_text(json.dumps({"model_type": "t5"}))
    with pytest.raises(InputError, match="key missing.*vocab_size"):
        read_config(saved)
