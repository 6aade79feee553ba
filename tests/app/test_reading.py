"""Reading files on several cores gives what reading them one by one gives, whatever happens to a process."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from app.bench import Bench
from app.conftest import FILES, git, write
from codemem import reading
from codemem.indexer import SourceFile, open_tree
from codemem.indexer.selection import DEFAULT_SELECTION
from codemem.manifest import LeftOut
from codemem.outline.records import record
from codemem.reading import Outcome, read_files


@pytest.fixture
def tree_root(tmp_path: Path) -> Path:
    write(tmp_path, FILES | {f"many/part{i}.py": f"def part{i}():\n    return {i}\n" for i in range(40)})
    (tmp_path / "data.txt").write_bytes(b"a\0b")
    git(tmp_path, "init", "-q")
    return tmp_path


def read_all(root: Path) -> list[Outcome]:
    with open_tree(root) as tree:
        return list(read_files(tree, tree.list().entries, DEFAULT_SELECTION))


def test_many_processes_give_what_one_gives(tree_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = read_all(tree_root)
    monkeypatch.setattr(reading, "PARALLEL_BYTES", 0)
    monkeypatch.setattr(reading, "BATCH_BYTES", 100)
    monkeypatch.setattr(reading, "_cores", lambda: 2)
    outcomes = read_all(tree_root)
    assert [outcome.path for outcome in outcomes] == [outcome.path for outcome in alone]
    for outcome, known in zip(outcomes, alone, strict=True):
        if isinstance(known, SourceFile):
            assert isinstance(outcome, reading.OutlinedFile)
            assert outcome.outline == record(known)
            assert outcome.symbols == known.symbols
            assert outcome.documents == tuple(replace(document, text="") for document in known.documents)
        else:
            assert outcome == known
    assert sum(isinstance(outcome, SourceFile) for outcome in alone) == 43
    assert [outcome.path for outcome in alone if isinstance(outcome, LeftOut)] == ["data.txt"]


def test_texts_that_stayed_in_another_process_are_read_when_they_are_encoded(
    bench: Bench, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PARALLEL_BYTES", 0)
    monkeypatch.setattr(reading, "_cores", lambda: 2)
    result = bench.index(repository)
    assert (result.encoded, bench.status(repository).fresh) == (3, True)
    # The fake model's tokens are words, those of the path included.
    assert sorted(bench.engine.encoded) == sorted(1 + len(text.split()) for text in FILES.values())


def _die_on_cache(batch: "list[reading._Job | object]") -> "list[Outcome]":
    if any(job.path == "src/cache.py" for job in batch):  # type: ignore[attr-defined]
        os._exit(11)
    return reading._run(batch)  # type: ignore[arg-type]


def test_a_file_that_kills_its_process_is_left_out_and_named(tree_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = read_all(tree_root)
    monkeypatch.setattr(reading, "PARALLEL_BYTES", 0)
    monkeypatch.setattr(reading, "BATCH_BYTES", 2000)
    monkeypatch.setattr(reading, "_cores", lambda: 2)
    monkeypatch.setattr(reading, "_run_in_process", _die_on_cache)
    outcomes = read_all(tree_root)
    (lost,) = [outcome for outcome in outcomes if outcome.path == "src/cache.py"]
    assert isinstance(lost, LeftOut)
    assert "crashed" in lost.reason
    assert [o for o in outcomes if o is not lost] == [o for o in alone if o.path != "src/cache.py"]


def test_where_no_process_can_be_started_no_file_is_blamed(tree_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = read_all(tree_root)
    monkeypatch.setattr(reading, "PARALLEL_BYTES", 0)
    monkeypatch.setattr(reading, "_cores", lambda: 2)
    monkeypatch.setattr(reading, "_run_in_process", _die)
    assert read_all(tree_root) == alone


def _die(batch: object) -> "list[Outcome]":
    os._exit(11)
