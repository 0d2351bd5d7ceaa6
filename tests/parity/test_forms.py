"""The forms that PyTorch, transformers and SentencePiece really write: parameters bit for bit, tokens one by one."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from glimmer.errors import InputError
from glimmer.files import read_json
from glimmer.models.checkpoint import load_t5, read_config, save_t5
from glimmer.models.parameter_names import origins
from glimmer.models.pickled import read_state_dict
from glimmer.models.tokenizer import Tokenizer, tokenizer_json
from tests.models.test_spiece import ODD
from tests.models.tiny import CONFIG, tiny_t5

T5_1_0 = dataclasses.replace(CONFIG, activation="relu", tied_head=True)
TEXTS = [
    "The quick brown fox jumps over the lazy dog, and the dog did not mind at all.",
    "Ferdinand von Zeppelin was born in Konstanz in 1838; the airship bears his name.",
    "Where is the highest mountain of the world, and who was the first to climb it?",
]


@pytest.fixture(params=[CONFIG, T5_1_0], ids=["T5.1.1", "T5 1.0"])
def pair(request, transformers, tmp_path):
    """(our model, theirs) with the same random weights, and the folder that we wrote them to."""
    model = tiny_t5(request.param, seed=3)
    save_t5(model, tmp_path / "model")
    return model, transformers.T5ForConditionalGeneration.from_pretrained(tmp_path / "model"), tmp_path / "model"


def tensors_of(model):
    flat = dict(nnx.to_flat_state(nnx.state(model)))
    return dict(pair for origin in origins(model.config) for pair in origin.tensors(flat[origin.path][...]))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_what_torch_saves_of_transformers_model(pair, torch, dtype, zipped):
    """Its state dict names the shared table several times, and for T5 1.0 the head too."""
    model, theirs, folder = pair
    state = theirs.to(getattr(torch, dtype)).state_dict()
    assert {"shared.weight", "encoder.embed_tokens.weight", "lm_head.weight"} <= set(state)
    torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    (folder / "model.safetensors").unlink()
    loaded = load_t5(folder)
    assert loaded.config == model.config
    for name, found in tensors_of(loaded).items():
        np.testing.assert_array_equal(found, state[name].float().numpy(), err_msg=name)
    if dtype == "float32":
        tokens, targets = np.asarray([[5, 9, 3, 1]]), np.asarray([[4, 8, 1]])
        t = lambda x: torch.tensor(x, dtype=torch.long)  # noqa: E731
        with torch.no_grad():
            expected = theirs.eval()(input_ids=t(tokens), labels=t(targets)).logits.numpy()
        found = loaded.logits(jnp.asarray(tokens), jnp.asarray(tokens) != 0, jnp.asarray(targets))
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_strided_and_aliased_tensors_that_torch_saves(torch, tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    state = {"t": base.t(), "part": base[1:, ::2], "alias": base, "parameter": base.clone(), "count": torch.tensor(3)}
    torch.save(state, tmp_path / "x.bin")
    found = read_state_dict(tmp_path / "x.bin")
    assert set(found) == set(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name].read(), tensor.numpy(), err_msg=name)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
def test_a_whole_module_is_refused_by_name(pair, torch, zipped):
    _, theirs, folder = pair
    (folder / "model.safetensors").unlink()
    torch.save(theirs, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r"nothing of it was run.*found transformers\.models\.t5"):
        load_t5(folder)


def test_what_transformers_saves_again_keeps_its_head(pair):
    """It writes `tie_word_embeddings: true` for T5.1.1 whose head is its own."""
    model, theirs, folder = pair
    theirs.save_pretrained(folder / "again")
    assert read_json(folder / "again/config.json")["tie_word_embeddings"] is True
    assert read_config(folder / "again").tied_head is model.config.tied_head
    loaded = tensors_of(load_t5(folder / "again"))
    for name, tensor in tensors_of(model).items():
        np.testing.assert_array_equal(loaded[name], tensor, err_msg=name)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    """A folder with a spiece.model that SentencePiece trained, with T5's ids and its table of characters."""
    sentencepiece = pytest.importorskip("sentencepiece", reason="no sentencepiece (requirements/parity.txt)")
    folder = tmp_path_factory.mktemp("vocabulary")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 20), model_prefix=str(folder / "spiece"), vocab_size=120, hard_vocab_limit=False,
        model_type="unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1, pad_piece="<pad>", minloglevel=2,
    )  # fmt: skip
    (folder / "spiece.vocab").unlink()
    return folder


ALL = [*TEXTS, *ODD, " ", "a ", " a ", "a\x85b", "a\x1cb", "▁", "a ▁ b", "x </s> y", "\ufeffbom", "a\x00b", "～〜"]


def test_tokens_of_spiece_model_are_those_of_transformers_and_of_sentencepiece(vocabulary, transformers):
    import sentencepiece

    theirs = transformers.T5Tokenizer.from_pretrained(vocabulary)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(vocabulary / "spiece.model"))
    ours = Tokenizer(vocabulary)
    assert len(ours) == len(theirs) == processor.get_piece_size() + 100
    for text in ALL:
        assert ours.encode(text) == theirs.encode(text, add_special_tokens=False), repr(text[:60])
        if "<" not in text and "\x85" not in text and "\x1c" not in text:  # no sentinels and other spaces there
            assert ours.encode(text) == processor.encode(text), repr(text[:60])
    for text in TEXTS:
        ids = ours.encode(text)
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=True) == processor.decode(ids)


def test_transformers_reads_the_tokenizer_json_that_is_written(vocabulary, transformers, tmp_path):
    (tmp_path / "tokenizer.json").write_bytes(tokenizer_json(vocabulary))
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    ours = Tokenizer(vocabulary)
    for text in ALL:
        assert theirs.encode(text) == [*ours.encode(text), 1], repr(text[:60])
