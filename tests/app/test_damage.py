"""Damaged and lost files of ours, and places that cannot be written: named, and mended by the next `index`."""

import shutil
from pathlib import Path

from app.bench import Bench
from app.conftest import write
from codemem.index import IndexOptions, index
from codemem.workspace import open_workspace


def damage_the_store(bench: Bench) -> None:
    """Flips a byte among the tensors of the only segment."""
    (segment,) = bench.settings.places.store.glob("segments/*")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.chmod(0o600)
    segment.write_bytes(data)


def test_a_corrupted_entry_is_left_out_and_encoded_again(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    damage_the_store(bench)
    with bench.session(repository, answering=True, seconds=0.0) as session:
        assert session.recall
        assert len(session.recall) < 3
        assert session.behind
    assert bench.index(repository).encoded >= 1
    assert bench.find(repository, "retry", router="memory").fresh


def test_verify_names_damage_and_index_mends_it(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    assert bench.status(repository, verify=True).problems == []
    damage_the_store(bench)
    damaged = bench.status(repository, verify=True)
    assert damaged.problems
    assert not damaged.fresh
    assert damaged.behind.changed >= 1
    bench.index(repository)
    assert bench.status(repository, verify=True).fresh


def test_a_lost_store_is_encoded_again(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    shutil.rmtree(bench.settings.places.store)
    assert bench.status(repository).in_memory == 0
    assert bench.index(repository).encoded == 3


def test_a_damaged_manifest_is_built_anew_with_a_note(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    path = repository / ".git" / "codemem" / "main" / "manifest"
    path.write_bytes(path.read_bytes()[:-3] + b"xyz")
    with open_workspace(repository, bench.settings, whole=False) as workspace:
        result = index(workspace, bench.settings, lambda _: bench.engine, IndexOptions())
        assert any("damaged" in note for note in workspace.notes)
    assert (result.encoded, result.documents) == (0, 3)


def test_a_damaged_outline_is_built_anew(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    (repository / ".git" / "codemem" / "main" / "outline.sqlite").write_bytes(b"not a database" * 100)
    assert bench.find(repository, "retry", router="outline").results[0].symbol == "retry"


def test_a_repository_that_cannot_be_written_keeps_its_manifest_with_the_user(
    bench: Bench, repository: Path, tmp_path: Path
) -> None:
    # A file in the way stands for a read-only folder, which root may write to all the same.
    (repository / ".git" / "codemem").write_text("in the way")
    bench.index(repository)
    assert len(list(bench.settings.places.manifests.glob("*/manifest"))) == 1
    assert bench.index(repository).encoded == 0
    assert bench.find(repository, "retry").results


def test_a_link_in_place_of_the_manifest_folder_is_not_followed(bench: Bench, tmp_path: Path) -> None:
    plain, elsewhere = tmp_path / "plain", tmp_path / "elsewhere"
    write(plain, {"notes.txt": "Backups run at midnight.\n"})
    elsewhere.mkdir()
    (plain / ".codemem").symlink_to(elsewhere)
    bench.index(plain)
    assert list(elsewhere.iterdir()) == []
    assert bench.find(plain, "midnight").results
