"""Tokens made in parts are those of one job, to the byte; the command makes both."""

import json

import pytest

from glimmer import parts
from glimmer.cli import main
from glimmer.files import add_to_seal
from glimmer.kilt.chunking import write_passages
from glimmer.kilt.formats import Page
from glimmer.kilt.passages import PassageFile
from glimmer.models.tokenizer import Tokenizer
from glimmer.parts import all_parts, parts_folder, written_part
from glimmer.training.examples import TOKENS, gather_tokens, tokenize_passages
from tests.test_parts import contents
from worlds.vocabulary import train_vocabulary

MADE_OF = {"tokenize": {"lengths.passage": 6}}
TEMPLATE = "{title}: {text}"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A folder with five passages and a vocabulary."""
    root = tmp_path_factory.mktemp("corpus")
    pages = [Page(page_id=str(n), title=f"T{n}", paragraphs=[f"T{n}", f"It is {n} of nine."]) for n in range(5)]
    write_passages(pages, root / "passages", 9)
    write_passages([], root / "none", 9)
    train_vocabulary((text for page in pages for text in page.paragraphs), 64, root / "tokenizer.json")
    return root


def tokenized(corpus, out, of=None, passages="passages"):
    tokenizer, file = Tokenizer(corpus / "tokenizer.json"), PassageFile(corpus / passages)
    if of is None:
        tokenize_passages(tokenizer, file, 6, TEMPLATE, out / TOKENS)
        add_to_seal(out, [out / TOKENS])
        return contents(out)
    for part in all_parts(of):
        with written_part(out, part, MADE_OF) as folder:
            tokenize_passages(tokenizer, file, 6, TEMPLATE, folder / TOKENS, part.share(len(file)))
    gather_tokens(out, of, MADE_OF, passages=len(file), length=6)
    return contents(out)


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_gathered_tokens_are_those_of_one_job_to_the_byte(corpus, tmp_path, of):
    assert tokenized(corpus, tmp_path / "parts", of) == tokenized(corpus, tmp_path / "one")


def test_no_passages_have_no_tokens_in_parts_either(corpus, tmp_path):
    assert tokenized(corpus, tmp_path / "p", 2, "none") == tokenized(corpus, tmp_path / "one", None, "none")


def test_a_gathering_of_tokens_goes_on_behind_what_its_journal_names(corpus, tmp_path, monkeypatch):
    """What an appended part left behind the journal is cut off: as if killed between the two."""
    original, killed = parts.write_json, []

    def dies_at_the_second(path, value):
        if path.name == "gathered.json" and value["parts"] == 2 and not killed:
            killed.append(path)
            raise KeyboardInterrupt
        return original(path, value)

    monkeypatch.setattr(parts, "write_json", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        tokenized(corpus, tmp_path / "p", 3)
    assert not (tmp_path / "p").exists() and not (parts_folder(tmp_path / "p") / "1-of-3").exists()
    gather_tokens(tmp_path / "p", 3, MADE_OF, passages=5, length=6)
    assert killed and contents(tmp_path / "p") == tokenized(corpus, tmp_path / "one")


def test_the_command_makes_parts_and_gathers_them_and_refuses_those_of_another_length(corpus, tmp_path, capsys):
    def tokenize(out, *options, length=9):
        files = ["--tokenizer", str(corpus / "tokenizer.json"), "--passages", str(corpus / "passages")]
        study = ["--study", "smoke", f"--set=lengths.passage={length}"]
        return main(["tokenize", *study, *files, "--out", str(out), *options])

    assert tokenize(tmp_path / "one") == tokenize(tmp_path / "p", "--part", "1/2") == 0
    assert tokenize(tmp_path / "p", "--part", "2/2", length=8) == 0
    assert tokenize(tmp_path / "p", "--gather", "2") == 2
    assert "2-of-2/part.json: a part of something else, by its lengths.passage" in capsys.readouterr().err
    assert tokenize(tmp_path / "p", "--part", "2/2") == tokenize(tmp_path / "p", "--gather", "2") == 0
    assert contents(tmp_path / "p") == contents(tmp_path / "one")
    assert json.loads((parts_folder(tmp_path / "p") / "1-of-2.json").read_text())["made_of"]["tokenizer"]
    with pytest.raises(SystemExit):
        tokenize(tmp_path / "p", "--part", "3/2")
    assert "no such part; expected 1/N to N/N; found 3/2" in capsys.readouterr().err


def test_rows_of_passages_are_read_from_their_middle(corpus):
    file = PassageFile(corpus / "passages")
    assert list(file.rows(1, 3)) == [file[1], file[2]] and list(file.rows(5, 5)) == []
