"""Every published form of T5 gives one model; what is no such form, or would run something, ends in one line."""

import collections
import dataclasses
import os
import pickle
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx, serialization
from safetensors.numpy import load_file, save_file

from glimmer.errors import InputError
from glimmer.files import read_json, write_json
from glimmer.models import checkpoint, pickled
from glimmer.models.checkpoint import load_t5, read_config, save_t5
from glimmer.models.forms import checkpoint_files, weight_files, weights_sha256
from glimmer.models.parameter_names import FLAX, T5X, T5X_SCANNED, TORCH, head_names
from glimmer.models.pickled import read_state_dict
from tests.models.published import (
    FORMS,
    Tensor,
    flax,
    named_tensors,
    pickle_of,
    pytorch,
    safetensors,
    scanned,
    t5x,
    write_old,
    write_state_dict,
    write_t5x,
    write_zip,
)
from tests.models.tiny import CONFIG, tiny_t5

T5_1_0 = dataclasses.replace(CONFIG, activation="relu", tied_head=True)
# What T5X does not write down is as T5 has it.
PUBLISHED = dataclasses.replace(CONFIG, dropout=0.1)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 307892581\n"


def equal(left, right) -> bool:
    return jax.tree.all(jax.tree.map(lambda a, b: np.array_equal(a, b), nnx.state(left), nnx.state(right)))


def logits(model):
    tokens = jnp.asarray([[5, 9, 3, 1, 0, 0]])
    return np.asarray(model.logits(tokens, tokens != 0, jnp.asarray([[4, 8, 1]])))


@pytest.mark.parametrize("config", [PUBLISHED, dataclasses.replace(T5_1_0, dropout=0.1)], ids=["T5.1.1", "T5 1.0"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_model_bit_for_bit(tmp_path, form, config):
    model = tiny_t5(config)
    loaded = load_t5(FORMS[form](tmp_path / "model", model))
    assert loaded.config == config == read_config(tmp_path / "model")
    assert equal(loaded, model)


def test_every_form_gives_the_same_logits(tmp_path):
    model = tiny_t5(PUBLISHED)
    for form, write in FORMS.items():
        found = logits(load_t5(write(tmp_path / form, model), dropout=0.0))
        np.testing.assert_allclose(found, logits(model), atol=1e-6, err_msg=form)


@pytest.mark.parametrize("form", FORMS)
def test_a_large_parameter_is_filled_by_slices(tmp_path, form, monkeypatch):
    model = tiny_t5(PUBLISHED)
    path = FORMS[form](tmp_path / "model", model)
    monkeypatch.setattr(checkpoint, "_SLICE", 64)
    assert equal(load_t5(path), model)


def test_a_file_may_be_named_instead_of_its_folder(tmp_path):
    model = tiny_t5(PUBLISHED)
    for form, file in (
        ("safetensors in shards", "model.safetensors.index.json"),
        ("PyTorch", "pytorch_model.bin"),
        ("Flax", "flax_model.msgpack"),
        ("T5X", "checkpoint"),
    ):
        folder = FORMS[form](tmp_path / form, model)
        assert equal(load_t5(folder / file), model)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_are_read_in_float32(tmp_path, dtype):
    model = tiny_t5()
    loaded = load_t5(pytorch(tmp_path / "model", model, dtype))
    for found, whole in zip(jax.tree.leaves(nnx.state(loaded)), jax.tree.leaves(nnx.state(model)), strict=True):
        assert found.dtype == jnp.float32
        np.testing.assert_array_equal(found, jnp.asarray(whole, dtype).astype(jnp.float32))


def test_the_names_of_each_form_are_those_that_others_write():
    model = tiny_t5(dataclasses.replace(CONFIG, encoder_layers=1, decoder_layers=1))
    shapes = [{n: t.shape for n, t in named_tensors(model, form).items()} for form in (TORCH, FLAX, T5X, T5X_SCANNED)]
    assert [len(names) for names in shapes] == [29] * 4
    for torch_name, torch_shape, flax_name, flax_shape, t5x_name, t5x_shape in (
        ("shared.weight", (24, 8), "shared.embedding", (24, 8), "token_embedder.embedding", (24, 8)),
        ("lm_head.weight", (24, 8), "lm_head.kernel", (8, 24), "decoder.logits_dense.kernel", (8, 24)),
        (
            "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", (32, 2),
            "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.embedding", (32, 2),
            "encoder.relpos_bias.rel_embedding", (2, 32),
        ),
        (
            "encoder.block.0.layer.1.DenseReluDense.wi_0.weight", (12, 8),
            "encoder.block.0.layer.1.DenseReluDense.wi_0.kernel", (8, 12),
            "encoder.layers_0.mlp.wi_0.kernel", (8, 12),
        ),
        (
            "decoder.block.0.layer.1.EncDecAttention.o.weight", (8, 6),
            "decoder.block.0.layer.1.EncDecAttention.o.kernel", (6, 8),
            "decoder.layers_0.encoder_decoder_attention.out.kernel", (6, 8),
        ),
        (
            "decoder.block.0.layer.2.layer_norm.weight", (8,), "decoder.block.0.layer.2.layer_norm.weight", (8,),
            "decoder.layers_0.pre_mlp_layer_norm.scale", (8,),
        ),
        (
            "decoder.final_layer_norm.weight", (8,), "decoder.final_layer_norm.weight", (8,),
            "decoder.decoder_norm.scale", (8,),
        ),
    ):  # fmt: skip
        assert shapes[0][torch_name] == torch_shape
        assert shapes[1][flax_name] == flax_shape
        assert shapes[2][t5x_name] == t5x_shape
    assert shapes[3]["encoder.layers.mlp.wi_0.kernel"] == (8, 1, 12)
    assert shapes[3]["decoder.layers.pre_self_attention_layer_norm.scale"] == (8, 1)


# -- the head ---------------------------------------------------------------------------------------------------------


def _say(folder, **words):
    write_json(folder / "config.json", read_json(folder / "config.json") | words)
    return folder


@pytest.mark.parametrize("form", [safetensors, pytorch, flax])
@pytest.mark.parametrize("words", [{"tie_word_embeddings": True, "scale_decoder_outputs": False},
                                   {"tie_word_embeddings": True}, {"tie_word_embeddings": False}])  # fmt: skip
def test_the_head_is_the_files_own_whatever_the_words_say(tmp_path, form, words):
    """transformers 5 saves T5.1.1 with `tie_word_embeddings: true`."""
    model = tiny_t5()
    loaded = load_t5(_say(form(tmp_path / "model", model), **words))
    assert not loaded.config.tied_head and equal(loaded, model)


def test_a_head_that_is_the_embedding_under_another_name_is_tied(tmp_path):
    """PyTorch's state dict of a T5 1.0 names the shared table four times."""
    model = tiny_t5(T5_1_0)
    folder = pytorch(tmp_path / "alias", model)
    table = Tensor(named_tensors(model)["shared.weight"])
    state = collections.OrderedDict((n, Tensor(t)) for n, t in named_tensors(model).items() if n != "shared.weight")
    for name in ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"):
        state[name] = table
    write_zip(folder / "pytorch_model.bin", *pickle_of(state))
    copied = safetensors(tmp_path / "copied", model)
    tensors = load_file(copied / "model.safetensors")
    save_file(tensors | {"lm_head.weight": tensors["shared.weight"].copy()}, copied / "model.safetensors")
    for path in (folder, copied):
        loaded = load_t5(path)
        assert loaded.config.tied_head and equal(loaded, model)


def test_without_a_head_an_untied_model_is_refused(tmp_path):
    folder = safetensors(tmp_path / "model", tiny_t5(dataclasses.replace(CONFIG, tied_head=True)))
    assert load_t5(folder).config.tied_head, "the words say tied: as T5 1.0 is"
    with pytest.raises(InputError, match=r"tensor missing.*lm_head\.weight"):
        load_t5(_say(folder, tie_word_embeddings=False))


def test_a_tied_head_without_scaling_is_a_copy_of_the_table(tmp_path):
    """What transformers 5 makes of a T5.1.1 that it trains from the start."""
    folder = safetensors(tmp_path / "model", tiny_t5(dataclasses.replace(CONFIG, tied_head=True)))
    loaded = load_t5(_say(folder, tie_word_embeddings=True, scale_decoder_outputs=False))
    assert not loaded.config.tied_head
    np.testing.assert_array_equal(loaded.embedding.head[...], loaded.embedding.table[...].T)


def test_ids_that_are_null_are_those_of_t5(tmp_path):
    folder = _say(safetensors(tmp_path / "model", tiny_t5()), pad_token_id=None, eos_token_id=None)
    assert (read_config(folder).pad_id, read_config(folder).end_id) == (0, 1)


# -- pickles ----------------------------------------------------------------------------------------------------------


class Evil:
    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("function, name", [(os.mkdir, "mkdir"), (exec, "exec"), (getattr, "getattr")])
def test_a_pickle_that_names_anything_else_is_refused_by_name_and_not_run(tmp_path, function, name):
    target = tmp_path / "made"
    arguments = {"mkdir": (str(target),), "exec": (f"import os; os.mkdir({str(target)!r})",), "getattr": (1, "real")}
    index = pickle.dumps({"shared.weight": Evil(function, *arguments[name])})
    write_zip(tmp_path / "pytorch_model.bin", index, [])
    with pytest.raises(InputError, match=rf"nothing of it was run.*_rebuild_tensor_v2.*found \w+\.{name}"):
        read_state_dict(tmp_path / "pytorch_model.bin")
    assert not target.exists()


def test_nothing_of_a_pickle_changes_the_stand_ins():
    """A pickle may set attributes of what it names; ours have none to set."""
    for stand_in in (pickled._RebuildTensor(), pickled._StorageType(np.dtype("f4"))):
        with pytest.raises((AttributeError, TypeError)):
            setattr(stand_in, "anything", 1)  # noqa: B010


def test_strided_tensors_and_shared_storages_are_read(tmp_path):
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    whole = Tensor(base)
    pickle_of({"whole": whole})
    state = {
        "whole": whole,
        "transposed": Tensor(base.T, whole.storage),
        "part": Tensor(base[1:, ::2], whole.storage, offset=6),
        "alias": Tensor(base, whole.storage),
        "number": Tensor(base[0, 0:1].reshape(()), whole.storage, offset=5),
        "nothing": Tensor(base[:0], whole.storage),
    }
    write_zip(tmp_path / "x.bin", *pickle_of(state))
    tensors = read_state_dict(tmp_path / "x.bin")
    np.testing.assert_array_equal(tensors["transposed"].read(), base.T)
    np.testing.assert_array_equal(tensors["part"].read(), base[1:, ::2])
    np.testing.assert_array_equal(tensors["part"].take(1, 2).read(0, 1, 3), base[2:, 4])
    assert tensors["alias"] == tensors["whole"] and tensors["number"].read() == 5
    assert tensors["nothing"].read().shape == (0, 6)


def test_broken_pytorch_files_end_in_one_line(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    array = np.arange(6, dtype=np.float32)
    index, storages = pickle_of({"x": Tensor(array)})
    write_zip(path, index, storages, zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="compressed storage"):
        read_state_dict(path)
    write_zip(path, index, [])
    with pytest.raises(InputError, match=r"storage missing.*data/0"):
        read_state_dict(path)
    wider = Tensor(np.lib.stride_tricks.as_strided(array, (2, 6), (24, 4)), storages[0])
    write_zip(path, pickle_of({"x": wider})[0], storages)
    with pytest.raises(InputError, match="tensor outside its storage"):
        read_state_dict(path)
    for content, message in (
        (pickle.dumps([1, 2]), "not a state dict.*a list without"),
        (pickle.dumps({"x": 1}), "not a state dict.*a dict without"),
        (b"\x80\x02}q\x00X", "not a state dict"),
    ):
        write_zip(path, content, [])
        with pytest.raises(InputError, match=message):
            read_state_dict(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("something else", "")
    with pytest.raises(InputError, match="one entry data.pkl"):
        read_state_dict(path)
    write_state_dict(path, {"x": array})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="not a whole PyTorch file"):
        read_state_dict(path)


def test_a_file_of_before_pytorch_1_6_holds_the_same_tensors(tmp_path):
    whole, half = np.arange(12, dtype=np.float32).reshape(3, 4), np.arange(5, dtype=np.float16)
    state = {"half": Tensor(half), "whole": Tensor(whole)}
    pickle_of(state, old=True)  # gives each its storage
    state["turned"] = Tensor(whole.T, state["whole"].storage)  # the storage of another tensor
    index, storages = pickle_of(state, old=True)
    write_old(tmp_path / "x.bin", index, storages[::-1])  # the keys say in which order the storages stand
    found = {name: tensor.read() for name, tensor in read_state_dict(tmp_path / "x.bin").items()}
    for name, expected in (("whole", whole), ("turned", whole.T), ("half", half)):
        np.testing.assert_array_equal(found[name], expected)


def test_an_old_file_that_is_not_one_is_refused(tmp_path):
    path, whole = tmp_path / "x.bin", np.arange(6, dtype=np.float32)
    index, storages = pickle_of({"x": Tensor(whole)}, old=True)
    for options, message in (({"magic": 7}, "not a PyTorch file"), ({"little": False}, "another order of bytes")):
        write_old(path, index, storages, **options)
        with pytest.raises(InputError, match=message):
            read_state_dict(path)
    write_old(path, index, storages)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match="not a whole PyTorch file"):
        read_state_dict(path)
    write_old(path, index, [])
    with pytest.raises(InputError, match="storage missing"):
        read_state_dict(path)
    write_old(path, pickle.dumps({"x": Evil(os.mkdir, str(tmp_path / "ran"))}), [])
    with pytest.raises(InputError, match="nothing of it was run"):
        read_state_dict(path)
    assert not (tmp_path / "ran").exists()


# -- other files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [f for f in FORMS if f != "T5X in one file"])
def test_a_pointer_of_git_lfs_is_no_file(tmp_path, form):
    folder = FORMS[form](tmp_path / "model", tiny_t5())
    for file in weight_files(folder).all:
        content = file.read_bytes()
        file.write_bytes(POINTER)
        with pytest.raises(InputError, match=rf"{file.name}: a Git LFS pointer, not the file.*size 307892581"):
            load_t5(folder)
        file.write_bytes(content)
    load_t5(folder)


def test_a_folder_without_weights_says_what_it_has(tmp_path):
    folder = safetensors(tmp_path / "model", tiny_t5())
    (folder / "model.safetensors").rename(folder / "tf_model.h5")
    with pytest.raises(
        InputError, match=r"no weights that can be read.*pytorch_model\.bin.*found config\.json, tf_model\.h5"
    ):
        load_t5(folder)
    with pytest.raises(InputError, match="no such file"):
        load_t5(tmp_path / "nowhere")


def test_an_index_leads_nowhere_else(tmp_path):
    folder = FORMS["PyTorch in shards"](tmp_path / "model", tiny_t5())
    index = folder / "pytorch_model.bin.index.json"
    for weight_map, message in (({"shared.weight": "../x.bin"}, "outside its folder"), ({}, "not an index of shards")):
        write_json(index, {"weight_map": weight_map})
        with pytest.raises(InputError, match=message):
            load_t5(folder)


@pytest.mark.parametrize(
    "content", [b"", b"\xc1", b"\x81\xa1x", b"\x93\x01\x02\x03", b"\xdf\xff\xff\xff\xff", b"\x91" * 99]
)
def test_what_is_no_msgpack_is_an_input_error(tmp_path, content):
    folder = flax(tmp_path / "model", tiny_t5())
    (folder / "flax_model.msgpack").write_bytes(content)
    with pytest.raises(InputError, match=r"flax_model\.msgpack: not a (whole msgpack file|tree)"):
        load_t5(folder)


def test_a_truncated_file_is_an_input_error_in_every_form(tmp_path):
    for form in ("safetensors", "PyTorch", "Flax"):
        folder = FORMS[form](tmp_path / form, tiny_t5())
        (file,) = weight_files(folder).parts
        file.write_bytes(file.read_bytes()[:-100])
        with pytest.raises(InputError, match=file.name):
            load_t5(folder)


def test_the_optimiser_and_what_lies_beside_t5x_is_not_read(tmp_path):
    folder = t5x(tmp_path / "model", tiny_t5(PUBLISHED))
    (folder / "state.param_states.v").mkdir()
    (folder / "state.param_states.v/0.0").write_bytes(b"other")
    assert equal(load_t5(folder), tiny_t5(PUBLISHED))
    assert not any("state" in name for name in checkpoint_files(folder))


def test_a_missing_array_of_t5x_is_named(tmp_path):
    folder = t5x(tmp_path / "model", tiny_t5())
    (folder / "target.token_embedder.embedding").rename(folder / "elsewhere")
    with pytest.raises(InputError, match=r"target\.token_embedder\.embedding.*no such file"):
        load_t5(folder)


def test_scanned_layers_with_relative_positions_of_their_own_are_another_model(tmp_path):
    tensors = scanned(tiny_t5())
    tensors["encoder.layers.relative_posemb.rel_embedding"] = np.random.default_rng(0).normal(size=(2, 4, 32))
    folder = write_t5x(tmp_path / "model", {n: t.astype(np.float32) for n, t in tensors.items()})
    with pytest.raises(InputError, match="relative positions of its own"):
        load_t5(folder)


def test_a_config_beside_t5x_is_what_counts_and_must_fit(tmp_path):
    folder = t5x(tmp_path / "model", tiny_t5(PUBLISHED))
    save_t5(tiny_t5(dataclasses.replace(CONFIG, norm_epsilon=1e-5)), tmp_path / "other")
    (folder / "config.json").write_bytes((tmp_path / "other/config.json").read_bytes())
    assert read_config(folder).norm_epsilon == 1e-5
    _say(folder, d_ff=13)
    with pytest.raises(InputError, match="wrong shape"):
        load_t5(folder)


def test_the_real_t5x_checkpoints(shared):
    folder = shared / "t5x-checkpoints"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    model = load_t5(folder / "test_t5_tiny.checkpoint_0")
    tree = serialization.msgpack_restore((folder / "test_t5_tiny.checkpoint_0").read_bytes())["optimizer"]["target"]
    flat = {}

    def walk(node, name):
        for key, value in node.items():
            walk(value, [*name, key]) if isinstance(value, dict) else flat.setdefault(".".join([*name, key]), value)

    walk(tree, [])
    found = named_tensors(model, T5X)
    assert set(found) == set(flat) and head_names(T5X)[0] in flat
    for name, array in flat.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


# -- digests ----------------------------------------------------------------------------------------------------------


def test_what_counts_as_a_checkpoints_files_is_what_is_read(tmp_path):
    folder = FORMS["PyTorch in shards"](tmp_path / "model", tiny_t5())
    for name in ("tf_model.h5", "flax_model.msgpack", "spiece.model", "tokenizer_config.json"):
        (folder / name).write_bytes(b"{}")
    assert set(checkpoint_files(folder)) == {
        "config.json", "tokenizer_config.json", "spiece.model", "pytorch_model.bin.index.json",
        "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin",
    }  # fmt: skip
    before = weights_sha256(folder)
    shard = folder / "pytorch_model-00002-of-00002.bin"
    content = bytearray(shard.read_bytes())
    content[200] ^= 1
    shard.write_bytes(content)
    assert weights_sha256(folder) != before
