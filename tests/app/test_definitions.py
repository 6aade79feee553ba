"""What the model is told of the definitions in the documents that it reads: which they are, and in which lines."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.bench import Bench
from app.conftest import write
from app.fake_engine import FakeEngine
from codemem.ask import ask
from codemem.definitions import definitions_between, definitions_of_piece
from codemem.indexer import Symbol
from codemem.model.events import Definition, Source

STEPS = 120
LONG = (
    "class Journal:\n    def replay(self, value):\n"
    + "".join(f"        self.step_{n}(value + {n})\n" for n in range(STEPS))
    + "        return send(value)\n\n    def close(self):\n        return None\n"
)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[Source]:
    """Every document as the model would read it, once a question was asked."""
    found: list[Source] = []
    answer = FakeEngine.answer

    def reading(engine: FakeEngine, question: str, bank: Any, read: Any, *, prior: Any, **rest: Any) -> Iterator[Any]:
        found.extend(read(index) for index in range(len(prior)))
        yield from answer(engine, question, bank, read, prior=prior, **rest)

    monkeypatch.setattr(FakeEngine, "answer", reading)
    return found


def of_path(heard: list[Source], path: str) -> list[Source]:
    return [source for source in heard if source.header.split()[0] == path]


def texts(source: Source) -> dict[str, str]:
    """What stands in the lines of each definition, as far as the source shows them."""
    lines = source.text.split("\n")
    return {d.name: "\n".join(lines[max(0, d.start_line) : d.end_line]).rstrip() for d in source.definitions}


def test_documents_come_with_the_definitions_of_their_lines(
    bench: Bench, repository: Path, heard: list[Source]
) -> None:
    bench.index(repository)
    bench.ask(repository, "How is the operation called again?")
    (cache,) = of_path(heard, "src/cache.py")
    assert texts(cache) == {
        "Cache": cache.text.rstrip(),
        "Cache.lookup": "    def lookup(self, key):\n        return self.entries.get(key)",
        "Cache.evict": "    def evict(self, oldest):\n        del self.entries[oldest]",
    }
    (retry,) = of_path(heard, "src/retry.py")
    assert texts(retry)["sleep"] == "def sleep(seconds):\n    raise NotImplementedError"
    (readme,) = of_path(heard, "README.md")
    assert readme.definitions == ()  # a section is nothing that anything could be used in


def test_every_part_of_a_long_function_is_known_to_be_a_part_of_it(
    bench: Bench, repository: Path, heard: list[Source]
) -> None:
    write(repository, {"src/journal.py": LONG})
    bench.index(repository)
    bench.ask(repository, "Who calls `send`?")
    parts = of_path(heard, "src/journal.py")
    assert len(parts) > 2
    lines, at = LONG.split("\n"), 0
    for part in parts:
        at = lines.index(part.text.split("\n")[0], at)
        replay = [found for found in part.definitions if found.name == "Journal.replay"]
        if "self.step_" in part.text or "send(" in part.text:
            assert replay == [Definition("Journal.replay", 1 - at, 3 + STEPS - at)]
        journal = next(found for found in part.definitions if found.name == "Journal")
        assert journal.start_line == -at
    (called,) = [part for part in parts if "send(value)" in part.text]
    assert called.text.split("\n")[replay_of(called).end_line - 1] == "        return send(value)"


def replay_of(source: Source) -> Definition:
    return next(found for found in source.definitions if found.name == "Journal.replay")


def test_of_a_notebook_no_lines_are_told(bench: Bench, repository: Path, heard: list[Source]) -> None:
    cells = [
        {"cell_type": "code", "metadata": {}, "outputs": [], "source": ["def plotted(rows):\n", "    return rows\n"]}
    ]
    write(repository, {"shown.ipynb": json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})})
    bench.index(repository)
    bench.ask(repository, "Who calls `plotted`?")
    (notebook,) = of_path(heard, "shown.ipynb")
    assert "def plotted" in notebook.text
    assert notebook.definitions == ()


def test_a_file_that_changed_since_reads_as_empty(bench: Bench, repository: Path, heard: list[Source]) -> None:
    bench.index(repository)
    with bench.session(repository, answering=True) as session:
        write(repository, {"src/cache.py": "changed = True\n"})
        list(ask(session, "How is the operation called again?", session.config))
    (cache,) = of_path(heard, "src/cache.py")
    assert (cache.header, cache.text, cache.definitions) == ("src/cache.py\n", "", ())
    assert of_path(heard, "src/retry.py")[0].definitions


def symbol(kind: str, name: str, first: int, last: int) -> Symbol:
    return Symbol(kind, name, "Store" if kind == "method" else "", first, last, 0, 0)


def test_lines_are_counted_from_the_first_and_what_only_touches_is_there() -> None:
    symbols = [
        symbol("class", "Store", 1, 90), symbol("method", "get", 3, 9), symbol("method", "put", 10, 20),
        symbol("method", "drop", 21, 30), symbol("section", "Usage", 1, 90), symbol("module", "store", 1, 90),
    ]  # fmt: skip
    assert list(definitions_between(symbols, 9, 20)) == [
        Definition("Store", -8, 82),
        Definition("Store.get", -6, 1),
        Definition("Store.put", 1, 12),
    ]
    assert list(definitions_between(symbols, 91, 99)) == []


@pytest.mark.parametrize(
    ("header", "text", "expected"),
    [
        (
            "src/cache.py Cache\n",
            "    def lookup(self, key):\n        return self.entries.get(key)\n\n    def evict(self):\n        pass\n",
            {"Cache": (-1, 6), "Cache.lookup": (0, 2), "Cache.evict": (3, 5)},
        ),
        ("lib/pool.go\n", "func drop(n int) {\n\tfree(n)\n}\n", {"drop": (0, 3)}),
        # The middle of a function: all of it lies in the scope that the header tells.
        ("lib/pool.go drop\n", "\tfor n > 0 {\n\t\tn--\n\t}", {"drop": (-1, 3)}),
        ("notes.bin Box\n", "\0\1", {"Box": (-1, 1)}),
        ("README.md\n", "# Pool\n\nDrops.\n", {}),
    ],
)
def test_a_piece_shows_its_definitions_without_its_file(
    header: str, text: str, expected: dict[str, tuple[int, int]]
) -> None:
    assert {d.name: (d.start_line, d.end_line) for d in definitions_of_piece(header, text)} == expected
