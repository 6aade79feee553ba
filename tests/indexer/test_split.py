"""Parts: bounded, without gap or overlap, cut at definitions, and steady when other code changes."""

import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codemem import indexer
from codemem.indexer import Document, SourceFile, read_file
from codemem.indexer.packing import pack
from codemem.indexer.selection import Selection

FIXTURES = Path(__file__).parent / "fixtures"
REAL_FILES = sorted(Path(indexer.__file__).parent.glob("*.py")) + sorted(FIXTURES.iterdir())


def parts(path: str, data: bytes, limit: int = 1600) -> tuple[Document, ...]:
    file = read_file(path, data, selection=Selection(max_document_bytes=limit))
    assert isinstance(file, SourceFile)
    return file.documents


def check(path: str, data: bytes, limit: int) -> tuple[Document, ...]:
    """Every promise that holds for all parts of all files but notebooks."""
    documents = parts(path, data, limit)
    position = 0
    for document in documents:
        assert document.start_byte == position
        position = document.end_byte
        assert data[document.start_byte : document.end_byte] == document.text.encode()
        assert len(document.text.encode()) <= max(limit, 4)
        assert document.start_line == data.count(b"\n", 0, document.start_byte) + 1
        assert document.end_line == data.count(b"\n", 0, document.end_byte - 1) + 1
    assert position == len(data) or not data.strip()
    return documents


@settings(max_examples=150, deadline=None)
@given(path=st.sampled_from([path for path in REAL_FILES if path.suffix != ".ipynb"]), limit=st.integers(40, 4000))
def test_parts_of_real_files_are_the_file(path: Path, limit: int) -> None:
    check(path.name, path.read_bytes(), limit)


@settings(max_examples=150, deadline=None)
@given(text=st.text(st.sampled_from('ab {}()\n\t:é日😀\r"#'), max_size=400), limit=st.integers(4, 100))
def test_parts_of_any_text_are_the_text(text: str, limit: int) -> None:
    check("a.py", text.encode(), limit)


def test_a_file_that_fits_is_one_document() -> None:
    source = (FIXTURES / "sample.go").read_bytes()
    (document,) = parts("sample.go", source)
    assert (document.scope, document.symbol) == ("", None)
    assert document.header == "sample.go\n"
    (document,) = parts("a.py", b"\n\ndef only():\n    return 1\n")
    assert document.symbol == "only"


FUNCTION = "def {name}(value):\n    # {filler}\n    return value\n\n\n"


def module(names: list[str], filler: int = 300) -> str:
    return "import os\n\n\n" + "".join(FUNCTION.format(name=name, filler="x" * filler) for name in names)


def test_small_neighbours_are_packed_and_cut_between_definitions() -> None:
    documents = check("a.py", module([f"f{number}" for number in range(40)]).encode(), 1600)
    assert len(documents) < 20
    for document in documents[1:]:
        assert document.text.startswith("def ")
    for one, two in pairwise(documents):
        assert len(one.text) + len(two.text) > 1600


def test_a_long_class_is_its_head_and_its_methods() -> None:
    methods = "".join(
        f"    def method_{number}(self):\n" + f"        total = {number}\n" * 86 + "        return total\n\n"
        for number in range(4)
    )
    source = f'class Queue(Base):\n    """Keeps jobs."""\n\n    limit = 8\n\n{methods}'
    documents = check("a.py", source.encode(), 1600)
    assert documents[0].text.startswith("class Queue")
    assert (documents[0].scope, documents[0].symbol) == ("", "Queue")
    for number, document in enumerate(documents[1:]):
        assert document.text.startswith(f"    def method_{number}")
        assert (document.scope, document.symbol) == ("Queue", f"Queue.method_{number}")
        assert document.header == "a.py Queue\n"


def test_a_long_function_is_cut_at_blank_and_less_indented_lines() -> None:
    blocks = "".join(
        f"    if step == {number}:\n" + "".join(f"        work({number}, {line})\n" for line in range(20)) + "\n"
        for number in range(12)
    )
    documents = check("a.py", f"def long(step):\n{blocks}".encode(), 1600)
    assert documents[0].scope == ""
    for document in documents[1:]:
        assert document.text.startswith("    if step")
        assert (document.scope, document.symbol) == ("long", "long")


def test_one_endless_line_is_cut_between_characters() -> None:
    check("a.txt", ("日本語" * 3000).encode(), 1600)
    documents = check("a.txt", b"word " * 3000, 1600)
    assert all(document.text.endswith(" ") for document in documents)


def texts(path: str, source: str) -> list[tuple[str, str]]:
    return [(document.header, document.text) for document in parts(path, source.encode())]


@pytest.mark.parametrize("place", [0, 1, 20, 39, 40])
def test_an_insertion_changes_only_the_parts_around_it(place: int) -> None:
    names = [f"f{number}" for number in range(40)]
    before = texts("a.py", module(names))
    after = texts("a.py", module([*names[:place], "inserted", *names[place:]]))
    assert len(set(after) - set(before)) <= 3
    assert len(set(before) - set(after)) <= 3


def test_edits_of_real_files_change_few_parts() -> None:
    """A line added inside one function of each long file; all parts but its neighbours stay byte for byte."""
    choice = random.Random(7)  # noqa: S311
    changed = total = 0
    for path in sorted(Path(indexer.__file__).parent.glob("*.py")):
        source = path.read_text()
        file = read_file(path.name, source.encode())
        assert isinstance(file, SourceFile)
        functions = [symbol for symbol in file.symbols if symbol.kind in ("function", "method")]
        if len(file.documents) < 3 or not functions:
            continue
        lines = source.splitlines(keepends=True)
        symbol = choice.choice(functions)
        lines.insert(symbol.end_line, "    # one more line of this function\n")
        before, after = texts(path.name, source), texts(path.name, "".join(lines))
        changed += len(set(after) - set(before))
        total += len(after)
    assert total > 60
    assert changed / total < 0.3


@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=60),
    limit=st.integers(1, 100),
    seed=st.integers(0, 1000),
)
def test_packing_keeps_order_and_leaves_no_two_parts_that_fit(sizes: list[int], limit: int, seed: int) -> None:
    generator = random.Random(seed)  # noqa: S311
    strengths = [(generator.randrange(3), generator.randrange(1000)) for _ in sizes]
    found = pack(sizes, strengths, limit)
    assert [index for first, last in found for index in range(first, last)] == list(range(len(sizes)))
    totals = [sum(sizes[first:last]) for first, last in found]
    assert all(total <= limit or last - first == 1 for total, (first, last) in zip(totals, found, strict=True))
    assert all(one + two > limit for one, two in pairwise(totals))


def test_packing_of_nothing() -> None:
    assert pack([], [], 10) == []
