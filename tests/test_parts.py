"""A stage in parts: what is put together is, to the byte, what one job makes, wherever somebody stopped it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glimmer.errors import InputError
from glimmer.files import write_json_lines
from glimmer.kilt.chunking import gather_passages, write_passages, write_passages_part
from glimmer.kilt.formats import read_pages
from glimmer.parts import StagePart, all_parts, gather, part_folder, parts_folder, stamp_file

ROOT = Path(__file__).resolve().parents[1]
MADE_OF = {"chunk": {"corpus": {"max_words": 3}}, "knowledge_source": "0" * 64}
NUMBERS = [1, 2, 3, 7]
TEXTS = [
    ["A b. C d e. F."],
    [],
    ["Ünï. 😀 smiles, and so on. \x85 no line end", "Section::::S.", "BULLET::::- Old. New."],
    ["x" * 3000 + " long."],
    ["a b c d e f g. h."],
]


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def source(tmp_path) -> Path:
    rows = ({"_id": str(n), "wikipedia_title": f"T{n}", "text": [f"T{n}", *text]} for n, text in enumerate(TEXTS))
    write_json_lines(tmp_path / "source.jsonl", rows)
    return tmp_path / "source.jsonl"


def write_part(source: Path, out: Path, part: StagePart, **changes) -> dict:
    return write_passages_part(read_pages(source, part), out, part, MADE_OF | changes, 3)


def write_parts(source: Path, out: Path, of: int) -> None:
    for part in all_parts(of):
        write_part(source, out, part)


def left_beside(out: Path) -> list[str]:
    return sorted(path.name for path in parts_folder(out).iterdir())


# -- shares and ranges ------------------------------------------------------------------------------------------------


@given(count=st.integers(0, 10**6), of=st.integers(1, 50))
def test_shares_follow_each_other_from_the_first_thing_to_the_last(count, of):
    shares = [part.share(count) for part in all_parts(of)]
    assert shares[0][0] == 0 and shares[-1][1] == count
    assert all(end == start for (_, end), (start, _) in zip(shares, shares[1:], strict=False))
    assert max(end - start for start, end in shares) - min(end - start for start, end in shares) <= 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "1/0", "2", "a/b", "-1/3", "1/3/3", ""])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(InputError, match="part"):
        StagePart.of_text(text)


@pytest.mark.parametrize("of", [*NUMBERS, 40])
def test_each_page_is_in_one_part_in_order(source, of):
    whole = list(read_pages(source))
    assert [page for part in all_parts(of) for page in read_pages(source, part)] == whole


def test_what_is_wrong_with_a_page_is_said_of_its_line_whichever_part_reads_it(source):
    lines = source.read_bytes().splitlines(keepends=True)
    source.write_bytes(b"".join([*lines[:3], b'{"_id": "9"}\n', *lines[3:]]))
    said = []
    for of in (None, *NUMBERS):
        with pytest.raises(InputError) as caught:
            for part in [None] if of is None else all_parts(of):
                list(read_pages(source, part))
        said.append(str(caught.value))
    assert set(said) == {said[0]} and f"{source}:4: page without text" in said[0]


def test_a_gzip_is_read_by_one_job_alone(source, tmp_path):
    write_json_lines(tmp_path / "source.jsonl.gz", ({"_id": "1", "text": ["T"]} for _ in range(3)))
    assert len(list(read_pages(tmp_path / "source.jsonl.gz"))) == 3
    with pytest.raises(InputError, match=r"source\.jsonl\.gz: a gzip cannot be read in parts"):
        list(read_pages(tmp_path / "source.jsonl.gz", StagePart(number=1, of=2)))


# -- passages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of", NUMBERS)
def test_gathered_passages_are_those_of_one_job_to_the_byte(source, tmp_path, of):
    meta = write_passages(read_pages(source), tmp_path / "one", 3)
    write_parts(source, tmp_path / "parts", of)
    assert gather_passages(tmp_path / "parts", of, MADE_OF) == meta
    assert contents(tmp_path / "parts") == contents(tmp_path / "one")
    assert left_beside(tmp_path / "parts") == [f"{number}-of-{of}.json" for number in range(1, of + 1)]


@pytest.mark.parametrize("texts", [[], [[]]], ids=["no pages", "a page without text"])
def test_parts_without_any_passage_are_gathered_too(tmp_path, texts):
    source = tmp_path / "source.jsonl"
    write_json_lines(source, ({"_id": str(n), "text": ["T", *text]} for n, text in enumerate(texts)))
    write_passages(read_pages(source), tmp_path / "one", 3)
    write_parts(source, tmp_path / "parts", 2)
    gather_passages(tmp_path / "parts", 2, MADE_OF)
    assert contents(tmp_path / "parts") == contents(tmp_path / "one")


def test_the_evidence_of_tasks_is_checked_once_on_the_ids_of_all_pages_before_anything_is_gathered(source, tmp_path):
    write_parts(source, tmp_path / "p", 3)
    before = contents(parts_folder(tmp_path / "p"))

    def refuse(pages):
        assert len(pages) == len(TEXTS) and all(str(n) in pages for n in range(len(TEXTS))) and "9" not in pages
        raise InputError("no such page")

    with pytest.raises(InputError, match="no such page"):
        gather_passages(tmp_path / "p", 3, MADE_OF, check_pages=refuse)
    with pytest.raises(InputError, match="too small.*expected 99 passages"):
        gather_passages(tmp_path / "p", 3, MADE_OF, at_least=99)
    after = contents(parts_folder(tmp_path / "p"))
    assert {name: after[name] for name in before} == before and not (tmp_path / "p").exists()


def test_a_part_that_is_interrupted_leaves_nothing_and_is_made_again_alone(source, tmp_path):
    def stops(part):
        yield next(read_pages(source, part))
        raise KeyboardInterrupt

    first, second = all_parts(2)
    write_part(source, tmp_path / "p", first)
    with pytest.raises(KeyboardInterrupt):
        write_passages_part(stops(second), tmp_path / "p", second, MADE_OF, 3)
    assert left_beside(tmp_path / "p") == ["1-of-2", "1-of-2.json"]
    with pytest.raises(InputError, match="2-of-2: a part is missing; expected what --part 2/2 makes"):
        gather_passages(tmp_path / "p", 2, MADE_OF)
    write_part(source, tmp_path / "p", second)
    gather_passages(tmp_path / "p", 2, MADE_OF)
    write_passages(read_pages(source), tmp_path / "one", 3)
    assert contents(tmp_path / "p") == contents(tmp_path / "one")


# -- strangers --------------------------------------------------------------------------------------------------------


def test_parts_of_another_number_are_never_gathered_and_go_with_those_that_are(source, tmp_path):
    write_parts(source, tmp_path / "p", 2)
    with pytest.raises(InputError, match="1-of-3: a part is missing"):
        gather_passages(tmp_path / "p", 3, MADE_OF)
    shutil.copytree(part_folder(tmp_path / "p", all_parts(2)[0]), part_folder(tmp_path / "p", all_parts(3)[0]))
    with pytest.raises(InputError, match=r"1-of-3/part\.json: .* something else, by its of; expected 3; found 2"):
        gather_passages(tmp_path / "p", 3, MADE_OF)
    write_parts(source, tmp_path / "p", 3)
    gather_passages(tmp_path / "p", 3, MADE_OF)
    assert not [name for name in left_beside(tmp_path / "p") if not name.endswith(".json")]


@pytest.mark.parametrize(
    "change, key",
    [({"knowledge_source": "1" * 64}, "knowledge_source"), ({"chunk": {"corpus": {"max_words": 4}}}, "max_words")],
)
def test_a_part_of_another_source_or_another_study_is_refused_by_what_differs(source, tmp_path, change, key):
    first, second = all_parts(2)
    write_part(source, tmp_path / "p", first)
    write_part(source, tmp_path / "p", second, **change)
    with pytest.raises(InputError, match=rf"2-of-2/part\.json: a part of something else, by its {key}"):
        gather_passages(tmp_path / "p", 2, MADE_OF)
    assert not (tmp_path / "p").exists()
    with pytest.raises(InputError, match=rf"1-of-2/part\.json: a part of something else, by its {key}"):
        gather_passages(tmp_path / "p", 2, MADE_OF | change)


def test_a_part_in_which_a_byte_has_changed_is_named(source, tmp_path):
    write_parts(source, tmp_path / "p", 2)
    path = part_folder(tmp_path / "p", all_parts(2)[1]) / "passages.jsonl"
    path.write_bytes(path.read_bytes().replace(b"h.", b"H."))
    with pytest.raises(InputError, match=r"2-of-2/passages\.jsonl: not the bytes that were written"):
        gather_passages(tmp_path / "p", 2, MADE_OF)
    assert not (tmp_path / "p").exists()


def test_parts_that_are_missing_lose_their_stamps_so_that_the_workflow_makes_them_again(source, tmp_path):
    write_parts(source, tmp_path / "p", 3)
    for part in all_parts(3)[:2]:
        shutil.rmtree(part_folder(tmp_path / "p", part))
    with pytest.raises(InputError, match="1-of-3: a part is missing"):
        gather_passages(tmp_path / "p", 3, MADE_OF)
    assert [stamp_file(tmp_path / "p", part).exists() for part in all_parts(3)] == [False, False, True]


def test_a_whole_that_is_shorter_than_its_journal_says_is_not_gone_on_from(source, tmp_path):
    write_parts(source, tmp_path / "p", 2)
    second = part_folder(tmp_path / "p", all_parts(2)[1])
    second.rename(tmp_path / "aside")
    second.mkdir()
    shutil.copy(tmp_path / "aside/part.json", second)  # enough to be begun with, and not to be appended
    shutil.copy(tmp_path / "aside/meta.json", second)
    shutil.copy(tmp_path / "aside/page_ids.npy", second)
    with pytest.raises(OSError):
        gather_passages(tmp_path / "p", 2, MADE_OF)
    shutil.rmtree(second)
    (tmp_path / "aside").rename(second)
    cut = parts_folder(tmp_path / "p") / "gathered/passages.jsonl"
    cut.write_bytes(cut.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"gathered/passages\.jsonl: shorter than its journal says"):
        gather_passages(tmp_path / "p", 2, MADE_OF)
    assert not (tmp_path / "p").exists()


def test_what_was_gathered_of_something_else_is_not_gone_on_from(source, tmp_path):
    write_parts(source, tmp_path / "p", 2)

    def stops(part, whole, state):
        if state:
            raise KeyboardInterrupt
        (whole / "file").write_text("of before")
        return {"parts": 1}

    with pytest.raises(KeyboardInterrupt):
        gather(tmp_path / "p", 2, MADE_OF, check=len, append=stops, finish=print)
    assert left_beside(tmp_path / "p") == [".lock", "1-of-2.json", "2-of-2", "2-of-2.json", "gathered", "gathered.json"]
    other = MADE_OF | {"knowledge_source": "2" * 64}
    for part in all_parts(2):
        write_part(source, tmp_path / "p", part, **other)
    gather_passages(tmp_path / "p", 2, other)
    write_passages(read_pages(source), tmp_path / "one", 3)
    assert contents(tmp_path / "p") == contents(tmp_path / "one")


# -- stops ------------------------------------------------------------------------------------------------------------

_left: list[int] = []
"""File operations until this process ends; empty: it does not."""


def _end(event: str, arguments: tuple) -> None:
    if not _left or event not in ("open", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.mkdir"):
        return
    if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
        return
    _left[0] -= 1
    if _left[0] < 0:
        os._exit(9)


def killed_at_each_file_operation(work: Callable[[], object], prepare: Callable[[], object]) -> Iterator[int]:
    """Prepares, and does the work in a process of its own that ends without a word before its nth file operation."""
    for n in range(10_000):
        prepare()
        child = os.fork()
        if not child:
            _left.append(n)
            sys.addaudithook(_end)
            try:
                work()
            finally:
                os._exit(0 if sys.exc_info()[0] is None else 1)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert ended in (0, 9)
        if not ended:
            return
        yield n


def in_another_process(call: str) -> subprocess.CompletedProcess:
    """Calls a function of the tests in a Python of its own: one that may fork, since nothing has started threads."""
    module = call.partition("(")[0].rpartition(".")[0]
    command = [sys.executable, "-c", f"import {module}; {call}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def gather_again_and_again(root: Path) -> None:
    """Kills a gathering of passages at each of its file operations; looks at what is left and what it becomes."""
    out, one, late = root / "p", contents(root / "one"), 0

    def prepare():
        for path in (out, parts_folder(out)):
            shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(root / "kept", parts_folder(out))

    for stops in killed_at_each_file_operation(lambda: gather_passages(out, 2, MADE_OF), prepare):
        if out.exists():  # whole already; the workflow would remove it, and make its parts again
            late += 1
            assert contents(out) == one
            shutil.rmtree(out)
            with pytest.raises(InputError, match="a part is missing"):
                gather_passages(out, 2, MADE_OF)
            write_parts(root / "source.jsonl", out, 2)
        gather_passages(out, 2, MADE_OF)
        assert contents(out) == one, stops
        assert left_beside(out) == ["1-of-2.json", "2-of-2.json"]
    assert 0 < late < stops / 2


@pytest.mark.slow
def test_a_gathering_that_is_killed_anywhere_leaves_no_half_and_goes_on(source, tmp_path):
    write_passages(read_pages(source), tmp_path / "one", 3)
    write_parts(source, tmp_path / "p", 2)
    shutil.copytree(parts_folder(tmp_path / "p"), tmp_path / "kept")
    done = in_another_process(f"tests.test_parts.gather_again_and_again(tests.test_parts.Path({str(tmp_path)!r}))")
    assert done.returncode == 0, done.stderr[-2000:]


def test_two_that_gather_at_once_are_one_and_a_line(source, tmp_path):
    write_parts(source, tmp_path / "p", 2)
    other = f"tests.test_parts.gather_passages({str(tmp_path / 'p')!r}, 2, tests.test_parts.MADE_OF)"
    said = []
    gather_passages(tmp_path / "p", 2, MADE_OF, check_pages=lambda pages: said.append(in_another_process(other)))
    assert said[0].returncode == 1 and "somebody is at it" in said[0].stderr.splitlines()[-1]
    assert (tmp_path / "p/meta.json").exists()
