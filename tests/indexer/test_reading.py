"""Encodings, notebooks, kinds, and reading in several processes."""

import json
import os
import signal
from pathlib import Path

import pytest
from git_repository import GitRepository
from hypothesis import given, settings
from hypothesis import strategies as st

from codemem.indexer import (
    FILE_KINDS,
    Skipped,
    SourceFile,
    blob_id,
    index_tree,
    most_useful_first,
    open_tree,
    read_file,
)
from codemem.indexer.kinds import file_kind
from codemem.indexer.languages import detect_language
from codemem.indexer.parallel import Job, read_in_processes
from codemem.indexer.selection import DEFAULT_SELECTION, Selection

FIXTURES = Path(__file__).parent / "fixtures"
TEXT = "def grüße():\n    return '日本 😀'\n\n\n" * 60


def read(path: str, data: bytes, limit: int = 1600) -> SourceFile:
    file = read_file(path, data, selection=Selection(max_document_bytes=limit))
    assert isinstance(file, SourceFile)
    return file


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (TEXT.encode(), "utf-8"),
        (b"\xef\xbb\xbf" + TEXT.encode(), "utf-8"),
        (b"\xff\xfe" + TEXT.encode("utf-16-le"), "utf-16-le"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "utf-16-be"),
        (TEXT.encode()[:-1] + b"\xff\n", "latin-1"),
        (TEXT.replace("日本 😀", "é").encode("latin-1"), "latin-1"),
        (TEXT.replace("\n", "\r\n").encode(), "utf-8"),
    ],
    ids=["utf-8", "utf-8 mark", "utf-16-le", "utf-16-be", "broken", "latin-1", "crlf"],
)
def test_bytes_and_lines_are_exact_in_every_encoding(data: bytes, encoding: str) -> None:
    file = read("a.py", data)
    mark = {b"\xef\xbb": 3, b"\xff\xfe": 2, b"\xfe\xff": 2}.get(data[:2], 0)
    position = 0
    for document in file.documents:
        assert document.start_byte == position
        position = document.end_byte
        raw = data[document.start_byte : document.end_byte]
        assert raw[mark if document.start_byte == 0 else 0 :].decode(encoding) == document.text
    assert position == len(data)
    assert len(file.documents) > 1
    assert len(file.symbols) == 60
    for symbol in file.symbols:
        span = data[symbol.start_byte : symbol.end_byte]
        assert span[mark if symbol.start_byte == 0 else 0 :].decode(encoding).startswith("def gr")
    assert file.symbols[59].start_line == 59 * 4 + 1
    assert file.oid == blob_id(data)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_named(data: bytes) -> None:
    for name in ("a.py", "a.md", "notes"):
        outcome = read_file(name, data)
        if isinstance(outcome, SourceFile) and outcome.documents:
            assert b"".join(data[part.start_byte : part.end_byte] for part in outcome.documents) == data


def test_lines_of_a_piece_of_a_document() -> None:
    file = read("a.py", TEXT.encode())
    document = file.documents[1]
    start = document.text.index("return", 100)
    line = document.start_line + document.text.count("\n", 0, start)
    assert document.line_span(start, start + 3) == (line, line)
    assert document.line_span(0, len(document.text)) == (document.start_line, document.end_line)


def test_notebook_is_read_by_cell_without_outputs() -> None:
    data = (FIXTURES / "sample.ipynb").read_bytes()
    file = read("sample.ipynb", data)
    assert [(document.language, document.text) for document in file.documents] == [
        ("markdown", '# Jobs\n\nHow jobs are *run*, with "quotes".'),
        ("python", 'LIMIT = 8\n\n\ndef push(queue, item):\n    """Adds one job."""\n    queue.append(item)'),
        ("python", "push([], 1)\npush([], 2)"),
    ]
    lines = data.decode().split("\n")
    code = file.documents[1]
    first, last = code.line_span(code.text.index("def push"), len(code.text))
    assert "def push" in lines[first - 1]
    assert "queue.append" in lines[last - 1]
    assert last == first + 2
    assert b"def push" in data[code.start_byte : code.end_byte]
    push = next(symbol for symbol in file.symbols if symbol.name == "push")
    assert (push.start_line, push.end_line, push.doc) == (first, last, "Adds one job.")


def test_a_cell_may_be_one_string_and_lines_may_be_torn() -> None:
    cells = [
        {"cell_type": "code", "source": "push([], 1)\npush([], 2)"},
        {"cell_type": "raw", "source": ["to", "rn\nnext", " line"]},
    ]
    data = json.dumps({"cells": cells, "metadata": {"kernelspec": {"language": "R"}}}, indent=1).encode()
    lines = data.decode().split("\n")
    code, raw = read("a.ipynb", data).documents
    assert (code.language, code.text) == ("r", "push([], 1)\npush([], 2)")
    assert "push([], 1)" in lines[code.line_span(12, 23)[0] - 1]
    assert (raw.language, raw.text) == ("text", "torn\nnext line")
    assert [lines[number - 1].strip() for number in raw.line_numbers] == ['"to",', '"rn\\nnext",']


def test_a_long_cell_is_split_and_still_leads_to_its_lines() -> None:
    data = (FIXTURES / "sample.ipynb").read_bytes()
    file = read("sample.ipynb", data, limit=40)
    lines = data.decode().split("\n")
    assert len(file.documents) > 4
    for document in file.documents:
        first = document.text.strip().split("\n")[0].replace('"', '\\"')
        start = document.text.index(document.text.strip()[0])
        assert first in lines[document.line_span(start, start + 1)[0] - 1]


def test_what_only_looks_like_a_notebook_is_read_as_it_is() -> None:
    for data in (b"{}\n", b'{"cells": 3}\n', b"not json\n", b'{"cells": [1, {"source": [2]}]}\n'):
        file = read("a.ipynb", data)
        assert b"".join(data[part.start_byte : part.end_byte] for part in file.documents) in (data, b"")


def test_kinds() -> None:
    for path, kind in {
        "src/queue.py": "code",
        "src/queue_test.go": "test",
        "tests/data.json": "test",
        "src/main/java/QueueTest.java": "test",
        "src/test/java/Helper.java": "test",
        "benches/queue.rs": "test",
        "benchmarks/queue/run.py": "test",
        "src/workbench.py": "code",
        "web/queue.spec.ts": "test",
        "README": "docs",
        "LICENSE": "docs",
        "docs/guide.md": "docs",
        "docs/conf.py": "code",
        "CHANGELOG.rst": "docs",
        "pyproject.toml": "config",
        ".github/workflows/ci.yml": "config",
        "Dockerfile": "config",
        "Makefile": "config",
        "package.json": "config",
        "data/prices.csv": "data",
        "schema.json": "data",
        "examples/hello.py": "example",
        "src/contest.py": "code",
        "src/latest/a.py": "code",
    }.items():
        assert file_kind(path, detect_language(path)) == kind, path
        assert kind in FILE_KINDS


def test_useful_order_is_code_first(repository: GitRepository) -> None:
    for name in ("tests/test_a.py", "data.csv", "README.md", "a.py", "setup.cfg"):
        repository.write(name, "a = 1\n")
    with open_tree(repository.root) as tree:
        entries = most_useful_first(tree.list().entries)
    assert [entry.path for entry in entries] == ["a.py", "README.md", "setup.cfg", "tests/test_a.py", "data.csv"]


def test_processes_give_the_same_as_one(repository: GitRepository) -> None:
    source = (FIXTURES / "sample.py").read_bytes() * 100
    for number in range(120):
        repository.write(f"{number:03}.py", source + b"# %d\n" % number)
    repository.write("key.pem", "x\n")
    with open_tree(repository.root) as tree:
        entries = tree.list().entries
        (repository.root / "007.py").unlink()
        alone = list(index_tree(tree, entries))
        assert list(index_tree(tree, entries, processes=2)) == alone
    assert alone[7] == Skipped("007.py", "vanished before it was read")
    assert len(alone) == 120


class Killer(bytes):
    """Bytes that end the process which unpickles them, as a crashing grammar ends the one that parses."""

    def __reduce__(self) -> tuple[object, tuple[int, int]]:
        return _kill_worker, (os.getpid(), signal.SIGKILL)


def _kill_worker(parent: int, number: int) -> bytes:
    if os.getpid() != parent:
        os.kill(os.getpid(), number)
    return b""


def test_a_file_that_kills_its_process_costs_no_other() -> None:
    jobs = [Job(f"{number}.py", b"a = 1\n", False) for number in range(10)]
    jobs[4] = Job("4.py", Killer(b"a = 1\n"), False)
    outcomes = list(read_in_processes(jobs, processes=2, selection=DEFAULT_SELECTION, object_format="sha1"))
    assert [outcome.path for outcome in outcomes] == [job.path for job in jobs]
    assert [outcome for outcome in outcomes if isinstance(outcome, Skipped)] == [
        Skipped("4.py", "its grammar crashed while it was parsed")
    ]
