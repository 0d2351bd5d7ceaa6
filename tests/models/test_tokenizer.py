"""Token arrays: padding on either side, the end token, truncation, and text back."""

import numpy as np
import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers

from glimmer.errors import InputError
from glimmer.models.tokenizer import Tokenizer

WORDS = ["<pad>", "</s>", "<unk>", "a", "b", "c", "d"]


def _backend(words, path):
    tokenizer = Backend(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.save(str(path))
    return path


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return Tokenizer(_backend(WORDS, tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"))


def test_arrays_are_padded_on_the_side_asked_for(tokenizer):
    np.testing.assert_array_equal(tokenizer.encode_array(["a b", ""], 4), [[3, 4, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(tokenizer.encode_array(["a b", ""], 4, pad_left=True), [[0, 0, 3, 4], [0, 0, 0, 0]])
    assert tokenizer.encode_array([], 4).shape == (0, 4)


def test_the_end_token_is_kept_when_text_is_cut(tokenizer):
    found = tokenizer.encode_array(["a b c d", "a b c", "a", ""], 3, end=True)
    np.testing.assert_array_equal(found, [[3, 4, 1], [3, 4, 1], [3, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(tokenizer.encode_array(["a b c d"], 3), [[3, 4, 5]])
    np.testing.assert_array_equal(tokenizer.encode_array(["a b c d"], 3, pad_left=True, end=True), [[3, 4, 1]])
    np.testing.assert_array_equal(tokenizer.encode_array(["a b"], 1, end=True), [[1]])


def test_a_text_loses_its_end_or_its_beginning(tokenizer):
    texts = ["a b c d", "a b"]
    np.testing.assert_array_equal(tokenizer.encode_array(texts, 3, keep="last"), [[4, 5, 6], [3, 4, 0]])
    np.testing.assert_array_equal(tokenizer.encode_array(texts, 3, keep="last", pad_left=True), [[4, 5, 6], [0, 3, 4]])
    np.testing.assert_array_equal(tokenizer.encode_array(texts, 3, keep="last", end=True), [[5, 6, 1], [3, 4, 1]])
    np.testing.assert_array_equal(tokenizer.encode_array(texts, 1, keep="last", end=True), [[1], [1]])


@pytest.mark.parametrize("template", ["{question}", "a {question}", "{question} b", "a {question} b"])
def test_a_question_that_does_not_fit_loses_the_template_then_its_first_words_and_never_its_last(tokenizer, template):
    for count in range(8):
        question = "c d " * count
        whole = tokenizer.encode(template.format(question=question))
        for length in range(1, 20):
            (row,) = tokenizer.encode_questions([question], template, length)
            kept = whole if len(whole) <= length else tokenizer.encode(question)[-length:]
            assert row.tolist() == [0] * (length - len(kept)) + kept
    assert tokenizer.encode_questions([], template, 4).shape == (0, 4)


def test_text_ends_at_the_first_end_token(tokenizer):
    assert tokenizer.decode([3, 4, 1, 5]) == "a b"
    assert tokenizer.decode([0, 3, 0]) == "a"
    assert len(tokenizer) == len(WORDS)


def test_another_file_or_other_ids_of_pad_and_end_are_input_errors(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(InputError, match="not a tokenizer"):
        Tokenizer(tmp_path / "x.json")
    with pytest.raises(InputError, match="</s> has another id.*expected 1"):
        Tokenizer(_backend(["<pad>", "<unk>", "</s>"], tmp_path / "y.json"))
    with pytest.raises(InputError, match="no such file"):
        Tokenizer(tmp_path / "none.json")
