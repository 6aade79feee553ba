"""The stat cache, and files that change or vanish while a tree is read."""

import os
import time
from pathlib import Path

import pytest
from git_repository import GitRepository

from codemem.indexer import FileEntry, Listing, Selection, Skipped, SourceFile, Tree, index_tree, open_tree
from codemem.indexer.disk import OpenFolder


def settle(root: Path) -> None:
    """Gives all files times that lie well in the past, as after a checkout of yesterday."""
    past = time.time_ns() - 10**12
    for folder, _, names in os.walk(root):
        for name in names:
            os.utime(os.path.join(folder, name), ns=(past, past), follow_symlinks=False)


def wait_until_settled(tree: Tree) -> Listing:
    """ctime cannot be set back: lists until the last change is old enough to be trusted."""
    listing = tree.list()
    while len(listing.stat_cache) < len(listing.entries):
        time.sleep(0.1)
        listing = tree.list(listing.stat_cache)
    return listing


def test_cache_spares_reading_and_changes_nothing(repository: GitRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        repository.write(f"{number}.py", f"a = {number}\n")
    repository.commit()
    settle(repository.root)
    with open_tree(repository.root) as tree:
        first = wait_until_settled(tree)
        reads: list[bytes] = []
        original = OpenFolder.read

        def counted(self: OpenFolder, raw: bytes, limit: int) -> tuple[bytes, os.stat_result]:
            reads.append(raw)
            return original(self, raw, limit)

        monkeypatch.setattr(OpenFolder, "read", counted)
        assert tree.list(first.stat_cache) == first
        assert reads == [b".codememignore"]


def test_every_change_is_seen_through_the_cache(repository: GitRepository) -> None:
    for name in ("content.py", "same_size.py", "mode.py", "removed.py", "replaced.py"):
        repository.write(name, "a = 1\n")
    repository.commit()
    settle(repository.root)
    with open_tree(repository.root) as tree:
        before = wait_until_settled(tree)
        state = (repository.root / "same_size.py").stat()
        repository.write("content.py", "a = 1000\n")
        repository.write("same_size.py", "a = 2\n")
        os.utime(repository.root / "same_size.py", ns=(state.st_atime_ns, state.st_mtime_ns))
        (repository.root / "mode.py").chmod(0o755)
        (repository.root / "removed.py").unlink()
        repository.write("new.py", "a = 3\n").rename(repository.root / "replaced.py")
        after = tree.list(before.stat_cache)
        assert after == tree.list()
        old = {entry.path: entry for entry in before.entries}
        new = {entry.path: entry for entry in after.entries}
        assert {path for path in new if new[path].oid != old[path].oid} == {"content.py", "same_size.py", "replaced.py"}
        assert "removed.py" not in new
        assert new["mode.py"].mode == 0o100755


def test_a_fresh_file_is_not_trusted_to_the_cache(repository: GitRepository) -> None:
    repository.write("a.py", "a = 1\n")
    with open_tree(repository.root) as tree:
        listing = tree.list()
        assert len(listing.entries) == 1
        assert listing.stat_cache == {}


def test_cache_does_not_outlive_the_rules(repository: GitRepository) -> None:
    repository.write("vendor/a.py", "a = 1\n")
    repository.write("b.py", "b = 1\n" * 100)
    repository.write(".codememignore", "!vendor/\n")
    repository.commit()
    settle(repository.root)
    with open_tree(repository.root) as tree:
        tree.list()
        time.sleep(2.2)
        listing = tree.list()
        assert [entry.path for entry in listing.entries] == [".codememignore", "b.py", "vendor/a.py"]
        (repository.root / ".codememignore").unlink()
        assert [entry.path for entry in tree.list(listing.stat_cache).entries] == ["b.py"]
        small = Selection(max_file_bytes=100)
        assert tree.list(listing.stat_cache, selection=small).entries == []
        repository.write(".codememignore", "b.py\n")
        assert [entry.path for entry in tree.list(listing.stat_cache).entries] == [".codememignore"]


def test_a_file_that_vanished_is_named(repository: GitRepository) -> None:
    repository.write("a.py", "a = 1\n")
    repository.write("deep/b.py", "b = 1\n")
    with open_tree(repository.root) as tree:
        entries = tree.list().entries
        (repository.root / "a.py").unlink()
        (repository.root / "deep" / "b.py").unlink()
        (repository.root / "deep").rmdir()
        reason = "vanished before it was read"
        assert list(index_tree(tree, entries)) == [Skipped("a.py", reason), Skipped("deep/b.py", reason)]


def test_a_file_that_changed_after_the_listing_is_read_as_it_is_now(repository: GitRepository) -> None:
    repository.write("a.py", "a = 1\n")
    with open_tree(repository.root) as tree:
        entries = tree.list().entries
        repository.write("a.py", "a = 1234\n")
        (file,) = index_tree(tree, entries)
        assert isinstance(file, SourceFile)
        assert file.documents[0].text == "a = 1234\n"
        assert file.oid == tree.list().entries[0].oid != entries[0].oid


def test_a_file_that_outgrew_its_listing_is_not_swallowed(repository: GitRepository) -> None:
    repository.write("a.py", "a = 1\n")
    with open_tree(repository.root) as tree:
        entries = tree.list().entries
        repository.write("a.py", b"x" * (3 << 20))
        assert list(index_tree(tree, entries)) == [Skipped("a.py", "grew beyond 1,048,576 bytes while it was read")]


def test_a_file_that_keeps_changing_is_read_once_more_and_then_named(
    repository: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written to between the reading and the second look at its state, as a log file would be."""
    path = repository.write("a.py", "a = 1\n")
    real = os.fstat
    looks = 0

    def fstat(descriptor: int) -> os.stat_result:
        nonlocal looks
        looks += 1
        if looks % 2 == 0 and looks <= 2 * changes:
            with open(path, "ab") as file:
                file.write(b"b = 1\n")
        return real(descriptor)

    with open_tree(repository.root) as tree:
        entry: FileEntry = tree.list().entries[0]
        monkeypatch.setattr(os, "fstat", fstat)
        changes, looks = 1, 0
        assert tree.read(entry) == b"a = 1\nb = 1\n"
        changes, looks = 2, 0
        assert list(index_tree(tree, [entry])) == [Skipped("a.py", "changed while it was read")]


def test_unreadable_folder_and_file(repository: GitRepository) -> None:
    repository.write("a.py", "a = 1\n").chmod(0)
    repository.write("b.py", "b = 1\n")
    with open_tree(repository.root) as tree:
        outcome = {item.path for item in index_tree(tree) if isinstance(item, SourceFile)}
        refused = {skipped.path: skipped.reason for skipped in tree.list().skipped}
    if os.geteuid() == 0:  # root reads everything
        assert outcome == {"a.py", "b.py"}
    else:
        assert outcome == {"b.py"}
        assert refused == {"a.py": "no permission to read it"}
