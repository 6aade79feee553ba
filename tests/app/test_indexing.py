"""What `index` encodes and what it need not, on real git repositories and with a model that costs nothing."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.bench import Bench
from app.conftest import FILES, commit, git, write
from app.fake_engine import FakeEngine
from codemem import passages
from codemem.errors import CodememError, NotIndexedError, WorkInterruptedError
from codemem.index import IndexOptions, index
from codemem.snapshot import Behind
from codemem.workspace import open_workspace


def test_a_second_index_encodes_nothing(bench: Bench, repository: Path) -> None:
    first = bench.index(repository)
    assert (first.documents, first.encoded, first.reused) == (3, 3, 0)
    assert first.tokens == sum(bench.engine.encoded)
    second = bench.index(repository)
    assert (second.encoded, second.reused, second.removed) == (0, 3, 0)
    assert len(bench.engine.encoded) == 3


def test_only_the_changed_file_is_tokenised_and_encoded(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    tokenised = bench.engine.tokenised
    write(repository, {"src/cache.py": FILES["src/cache.py"] + "\n\nLIMIT = 10\n"})
    result = bench.index(repository)
    assert (result.encoded, result.reused) == (1, 2)
    assert bench.engine.tokenised == tokenised + 1


def test_a_file_that_is_only_touched_is_not_encoded(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    (repository / "README.md").touch()
    assert bench.index(repository).encoded == 0
    assert bench.status(repository).fresh


def test_switching_branches_and_back_encodes_each_content_once(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    git(repository, "switch", "-q", "-c", "other")
    write(repository, {"src/cache.py": "def forget():\n    pass\n", "src/new.py": "def arrive():\n    pass\n"})
    (repository / "README.md").unlink()
    commit(repository)
    there = bench.index(repository)
    assert (there.encoded, there.removed) == (2, 1)
    git(repository, "switch", "-q", "main")
    back = bench.index(repository)
    assert (back.encoded, back.removed, back.documents) == (0, 1, 3)
    git(repository, "switch", "-q", "other")
    assert bench.index(repository).encoded == 0


def test_a_clone_and_a_worktree_encode_nothing(bench: Bench, repository: Path, tmp_path: Path) -> None:
    bench.index(repository)
    subprocess.run(["git", "clone", "-q", repository, tmp_path / "clone"], check=True)
    git(repository, "worktree", "add", "-q", str(tmp_path / "tree"))
    assert bench.index(tmp_path / "clone").encoded == 0
    tokenised = bench.engine.tokenised
    result = bench.index(tmp_path / "tree")
    assert (result.encoded, result.removed) == (0, 0)
    assert bench.engine.tokenised == tokenised, "a worktree starts from what its siblings know"
    assert bench.find(tmp_path / "tree", "evict oldest").results[0].repository == str(tmp_path / "tree")


def test_a_renamed_file_is_encoded_anew_because_its_path_is_read(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    git(repository, "mv", "src/cache.py", "src/store.py")
    result = bench.index(repository)
    assert (result.encoded, result.removed) == (1, 1)
    assert {r.path for r in bench.find(repository, "evict oldest").results} & {"src/store.py"}


def test_the_outline_is_ready_even_if_the_model_cannot_be_loaded(bench: Bench, repository: Path) -> None:
    def no_weights(name: str) -> FakeEngine:
        raise CodememError(f"no weights of {name}")

    with (
        open_workspace(repository, bench.settings, whole=False) as workspace,
        pytest.raises(CodememError, match="no weights of small"),
    ):
        index(workspace, bench.settings, no_weights, IndexOptions())
    assert bench.find(repository, "retry").results[0].path == "src/retry.py"


def test_an_interrupted_index_keeps_what_is_done_and_serves_it(bench: Bench, repository: Path) -> None:
    bench.engine.interrupt_after = 2
    with pytest.raises(WorkInterruptedError, match="2 of 3 documents"):
        bench.index(repository)
    status = bench.status(repository)
    assert (status.in_memory, status.fresh, status.behind) == (2, False, Behind(added=1))
    bench.engine.interrupt_after = None
    partial = bench.find(repository, "retry", router="memory", seconds=0.0, k=9)
    assert len({r.path for r in partial.results}) == 2
    assert bench.index(repository).encoded == 1
    assert bench.status(repository).fresh


def test_a_new_version_of_the_model_encodes_only_when_asked(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    bench.engine.version = "2"
    assert bench.index(repository).encoded == 0
    write(repository, {"src/new.py": "def arrive():\n    pass\n"})
    with pytest.raises(CodememError, match="--upgrade"):
        bench.index(repository)
    found = bench.find(repository, "retry")
    assert found.router == "outline"
    assert "--upgrade" in found.notes[0]
    assert bench.index(repository, upgrade=True).encoded == 4
    assert bench.find(repository, "retry").router == "both"


def test_what_another_version_read_and_the_store_lost_is_encoded_as_it_is_read_now(
    bench: Bench, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = bench.index(repository).documents
    shutil.rmtree(bench.settings.places.store)
    read = passages.read_file

    def with_other_headers(*arguments: Any, **options: Any) -> Any:
        file = read(*arguments, **options)
        documents = tuple(replace(each, scope="Renamed") for each in file.documents)
        return replace(file, documents=documents)

    monkeypatch.setattr(passages, "read_file", with_other_headers)
    bench.engine.interrupt_after = len(bench.engine.encoded) + 1
    with pytest.raises(WorkInterruptedError, match=f"1 of {count} documents"):
        bench.index(repository)
    bench.engine.interrupt_after = None
    lost = bench.index(repository)
    assert (lost.encoded, lost.reused) == (count - 1, 1)
    again = bench.index(repository)
    assert (again.encoded, again.reused) == (0, count)


def test_a_plain_folder_keeps_its_manifest_out_of_sight(bench: Bench, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    write(plain, {"notes.txt": "Backups run at midnight.\n"})
    bench.index(plain)
    assert (plain / ".codemem" / ".gitignore").read_text() == "*\n"
    git(plain, "init", "-q")
    assert git(plain, "status", "--porcelain") == "?? notes.txt"


def test_indexing_leaves_the_repository_clean(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    bench.find(repository, "retry")
    assert git(repository, "status", "--porcelain", "--ignored") == ""


def test_a_sub_folder_is_a_memory_of_its_own(bench: Bench, repository: Path) -> None:
    result = bench.index(repository / "src")
    assert result.documents == 2
    assert bench.find(repository / "src", "retry").results[0].path == "src/retry.py"
    with pytest.raises(NotIndexedError):
        bench.find(repository, "retry")
