"""Files that are whole or absent, and JSON that people can compare."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glimmer.files import json_text, read_json, write_json

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_what_is_written_is_read_back(value):
    assert json.loads(json_text(value)) == value


def test_keys_are_sorted_and_a_list_of_numbers_is_one_line():
    text = json_text({"b": list(range(2000)), "a": {"deep": [1.0, 0.5]}, "c": [{"x": 1}], "d": []})
    assert text.splitlines()[:3] == ["{", ' "a": {', '  "deep": [1.0, 0.5]']
    assert len(text.splitlines()) == 12 and text.count("1999") == 1


def test_a_list_of_digests_is_one_line_and_one_of_words_is_not():
    assert len(json_text(["0123abcd"] * 2000).splitlines()) == 1
    assert len(json_text(["evidence"] * 2000).splitlines()) == 2002


@pytest.mark.parametrize("value", [{"score": math.nan}, [math.inf], {1: "x"}])
def test_what_json_does_not_have_is_refused_and_leaves_no_file(tmp_path, value):
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "x.json", value)
    assert not list(tmp_path.iterdir())


def test_writing_replaces_the_whole_file(tmp_path):
    write_json(tmp_path / "x.json", {"long": list(range(100))})
    write_json(tmp_path / "x.json", {"short": 1})
    assert read_json(tmp_path / "x.json") == {"short": 1}
