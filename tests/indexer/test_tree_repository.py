"""What a repository's trees list, in each state that a repository can be in."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from git_repository import GitRepository

from codemem.indexer import (
    BareRepositoryError,
    RepositoryError,
    RevisionError,
    Skipped,
    SourceFile,
    TreeNotFoundError,
    blob_id,
    index_tree,
    open_tree,
)

MakeRepository = Callable[..., GitRepository]


def listed(path: Path, revision: str | None = None) -> list[str]:
    with open_tree(path, revision) as tree:
        return [entry.path for entry in tree.list().entries]


def left_out(path: Path, revision: str | None = None) -> dict[str, str]:
    with open_tree(path, revision) as tree:
        return {skipped.path: skipped.reason for skipped in tree.list().skipped}


def test_working_tree_has_tracked_and_untracked_but_not_ignored_files(repository: GitRepository) -> None:
    repository.write(".gitignore", "*.log\n/build/\n")
    repository.write("kept.log", "tracked although it matches\n")
    repository.git("add", "-f", "kept.log")
    repository.write("src/a.py", "a = 1\n")
    repository.write("gone.py", "gone = 1\n")
    repository.commit()
    (repository.root / "gone.py").unlink()
    repository.write("new.py", "new = 1\n")
    repository.write("debug.log", "noise\n")
    repository.write("build/out.py", "out = 1\n")
    assert listed(repository.root) == [".gitignore", "kept.log", "new.py", "src/a.py"]
    assert listed(repository.root, "HEAD") == [".gitignore", "gone.py", "kept.log", "src/a.py"]


def test_ids_are_those_of_the_bytes(repository: GitRepository) -> None:
    repository.write("a.py", "a = 1\n")
    repository.write("run.sh", "#!/bin/sh\n").chmod(0o755)
    commit = repository.commit()
    with open_tree(repository.root) as tree, open_tree(repository.root, "main") as committed:
        entries = tree.list().entries
        assert entries == committed.list().entries
        assert tree.commit == committed.commit == commit
        assert [entry.oid for entry in entries] == repository.git("rev-parse", "HEAD:a.py", "HEAD:run.sh").split()
        assert [entry.mode for entry in entries] == [0o100644, 0o100755]
        assert committed.read(entries[0]) == tree.read(entries[0]) == b"a = 1\n"


def test_ids_are_of_the_file_on_disk_even_if_git_would_convert_it(repository: GitRepository) -> None:
    repository.write(".gitattributes", "* text=auto eol=crlf\n")
    repository.write("a.txt", "one\ntwo\n")
    repository.commit()
    (repository.root / "a.txt").unlink()
    repository.git("checkout", "--", "a.txt")
    with open_tree(repository.root) as tree:
        entry = next(entry for entry in tree.list().entries if entry.path == "a.txt")
        assert tree.read(entry) == b"one\r\ntwo\r\n"
        assert entry.oid == blob_id(b"one\r\ntwo\r\n")


def test_sha256_repository(make_repository: MakeRepository) -> None:
    repository = make_repository("modern", "--object-format=sha256")
    repository.write("a.py", "a = 1\n")
    repository.commit()
    with open_tree(repository.root) as tree, open_tree(repository.root, "HEAD") as committed:
        assert tree.object_format == "sha256"
        assert tree.list().entries == committed.list().entries
        (file,) = index_tree(tree)
        assert isinstance(file, SourceFile)
        assert file.oid == repository.git("rev-parse", "HEAD:a.py").strip()


def test_sub_folder_keeps_paths_of_the_repository(repository: GitRepository) -> None:
    repository.write("top.py", "top = 1\n")
    repository.write("packages/[one]/a.py", "a = 1\n")
    repository.write("packages/o/b.py", "b = 1\n")
    repository.commit()
    repository.write("packages/[one]/new.py", "new = 1\n")
    folder = repository.root / "packages" / "[one]"
    assert listed(folder) == ["packages/[one]/a.py", "packages/[one]/new.py"]
    assert listed(folder, "HEAD") == ["packages/[one]/a.py"]


def test_an_ignored_folder_that_is_named_is_read_as_a_plain_one(repository: GitRepository) -> None:
    repository.write(".gitignore", "out/\n")
    repository.write("out/a.py", "a = 1\n")
    repository.commit()
    assert listed(repository.root) == [".gitignore"]
    assert listed(repository.root / "out") == ["a.py"]


def test_older_revision_and_unknown_one(repository: GitRepository) -> None:
    repository.write("old.py", "old = 1\n")
    first = repository.commit()
    repository.git("rm", "--quiet", "old.py")
    repository.write("new.py", "new = 1\n")
    repository.commit()
    assert listed(repository.root, first) == ["old.py"]
    assert listed(repository.root, "main~1") == ["old.py"]
    for unknown in ("nowhere", "--help", "HEAD:new.py"):
        with pytest.raises(RevisionError, match="no commit is named"):
            open_tree(repository.root, unknown)


def test_empty_repository(repository: GitRepository) -> None:
    with open_tree(repository.root) as tree:
        assert tree.commit is None
        assert tree.list().entries == []
    with pytest.raises(RevisionError):
        open_tree(repository.root, "HEAD")
    repository.commit()
    assert listed(repository.root) == []
    assert listed(repository.root, "HEAD") == []


def test_bare_repository_has_only_commits(repository: GitRepository, tmp_path: Path) -> None:
    repository.write("a.py", "a = 1\n")
    repository.commit()
    bare = tmp_path / "bare.git"
    repository.git("clone", "--quiet", "--bare", os.fspath(repository.root), os.fspath(bare))
    with pytest.raises(BareRepositoryError, match="name a commit"):
        open_tree(bare)
    assert listed(bare, "HEAD") == ["a.py"]


def test_inside_the_git_folder_there_is_no_working_tree(repository: GitRepository) -> None:
    with pytest.raises(BareRepositoryError):
        open_tree(repository.root / ".git")


def test_worktrees_share_their_common_folder(repository: GitRepository, tmp_path: Path) -> None:
    repository.write("a.py", "a = 1\n")
    repository.commit()
    repository.git("worktree", "add", "--quiet", os.fspath(tmp_path / "other"), "-b", "other")
    (tmp_path / "other" / "b.py").write_text("b = 1\n")
    with open_tree(tmp_path / "other") as tree, open_tree(repository.root) as main:
        assert tree.common_dir == main.common_dir == main.git_dir == repository.root / ".git"
        assert tree.git_dir != tree.common_dir
        assert [entry.path for entry in tree.list().entries] == ["a.py", "b.py"]


def test_shallow_clone(repository: GitRepository, tmp_path: Path) -> None:
    for number in range(3):
        repository.write("a.py", f"a = {number}\n")
        repository.commit()
    shallow = tmp_path / "shallow"
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.root}", os.fspath(shallow))
    assert listed(shallow) == listed(shallow, "HEAD") == ["a.py"]


def test_partial_clone_fetches_nothing(repository: GitRepository, tmp_path: Path) -> None:
    repository.write("a.py", "a = 1\n")
    repository.write("b.py", "b = 1\n")
    repository.commit()
    repository.git("config", "uploadpack.allowFilter", "true")
    partial = tmp_path / "partial"
    repository.git(
        "clone", "--quiet", "--filter=blob:none", "--no-checkout", f"file://{repository.root}", os.fspath(partial)
    )
    subprocess.run(["git", "-C", partial, "checkout", "--quiet", "HEAD", "--", "a.py"], check=True)
    assert listed(partial, "HEAD") == ["a.py"]
    assert left_out(partial, "HEAD") == {"b.py": "its content is not in this partial clone"}


def test_sparse_checkout_names_what_is_not_there(repository: GitRepository) -> None:
    for folder in ("kept", "away", "away/deep"):
        repository.write(f"{folder}/a.py", "a = 1\n")
    repository.commit()
    repository.git("sparse-checkout", "set", "--cone", "kept")
    assert listed(repository.root) == ["kept/a.py"]
    assert left_out(repository.root) == {"away/": "outside the sparse checkout (2 files)"}
    repository.git("config", "index.sparse", "true")
    repository.git("sparse-checkout", "reapply")
    assert listed(repository.root) == ["kept/a.py"]


def test_conflicted_file_is_listed_once_with_its_markers(repository: GitRepository) -> None:
    repository.write("a.py", "a = 0\n")
    repository.commit()
    repository.git("checkout", "--quiet", "-b", "side")
    repository.write("a.py", "a = 1\n")
    repository.commit()
    repository.git("checkout", "--quiet", "main")
    repository.write("a.py", "a = 2\n")
    repository.commit()
    with pytest.raises(subprocess.CalledProcessError):
        repository.git("merge", "side")
    with open_tree(repository.root) as tree:
        (entry,) = tree.list().entries
        assert b"<<<<<<<" in tree.read(entry)


def test_submodules_and_inner_repositories_are_named(
    repository: GitRepository, make_repository: MakeRepository
) -> None:
    library = make_repository("library")
    library.write("lib.py", "lib = 1\n")
    library.commit()
    repository.git(
        "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", os.fspath(library.root), "libs/library"
    )
    repository.commit()
    inner = GitRepository(repository.root / "inner")
    inner.root.mkdir()
    inner.git("init", "--quiet")
    inner.write("inner.py", "inner = 1\n")
    inner.commit()
    assert listed(repository.root) == [".gitmodules"]
    assert left_out(repository.root) == {
        "inner/": "a repository of its own: index it by its own path",
        "libs/library": "submodule: index it by its own path",
    }
    assert left_out(repository.root, "HEAD") == {"libs/library": "submodule: index it by its own path"}
    assert listed(repository.root / "libs" / "library") == ["lib.py"]


def test_symbolic_links_are_not_followed(repository: GitRepository, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.py").write_text("outside = 1\n")
    repository.write("folder/a.py", "a = 1\n")
    os.symlink(outside / "a.py", repository.root / "file.py")
    os.symlink(outside, repository.root / "linked")
    repository.commit()
    (repository.root / "folder" / "a.py").unlink()
    (repository.root / "folder").rmdir()
    os.symlink(outside, repository.root / "folder")
    reason = "symbolic link: not followed"
    assert listed(repository.root) == []
    assert left_out(repository.root) == {"file.py": reason, "folder": reason, "linked": reason}
    assert listed(repository.root, "HEAD") == ["folder/a.py"]


def test_a_folder_that_becomes_a_link_after_the_listing_is_not_followed(
    repository: GitRepository, tmp_path: Path
) -> None:
    repository.write("folder/a.py", "a = 1\n")
    repository.commit()
    (tmp_path / "a.py").write_text("outside = 1\n")
    with open_tree(repository.root) as tree:
        entries = tree.list().entries
        (repository.root / "folder").rename(tmp_path / "moved")
        os.symlink(tmp_path, repository.root / "folder")
        tree.list()  # forgets the folder's descriptor
        assert list(index_tree(tree, entries)) == [Skipped("folder/a.py", "cannot be read: Not a directory")]


def test_other_things_in_the_tree_are_named(repository: GitRepository) -> None:
    os.mkfifo(repository.root / "pipe.py")
    repository.write("a.py", "a = 1\n")
    repository.commit()
    with open_tree(repository.root) as tree:
        entries = tree.list().entries
        (repository.root / "a.py").unlink()
        os.mkfifo(repository.root / "a.py")
        assert list(index_tree(tree, entries)) == [Skipped("a.py", "not a regular file")]


def test_names_with_newlines_and_other_bytes(repository: GitRepository) -> None:
    names = [b"new\nline.py", b"caf\xe9.py", "日本.py".encode(), b"100%25.py", b" lead.py", b"tab\t.py", b'"quoted".py']
    for name in names:
        repository.write(name, b"a = 1\n")
    repository.commit()
    repository.write(b"un\ntracked\xff/x.py", b"x = 1\n")
    with open_tree(repository.root) as tree, open_tree(repository.root, "HEAD") as committed:
        for each, count in ((tree, 8), (committed, 7)):
            files = list(index_tree(each))
            assert len(files) == count
            assert all(isinstance(file, SourceFile) and file.documents for file in files)
    assert set(listed(repository.root)) == {
        "new%0Aline.py", "caf%E9.py", "日本.py", "100%2525.py", " lead.py", "tab%09.py", '"quoted".py',
        "un%0Atracked%FF/x.py",
    }  # fmt: skip
    assert listed(Path(os.fsdecode(os.path.join(os.fsencode(repository.root), b"un\ntracked\xff")))) == [
        "un%0Atracked%FF/x.py"
    ]


def test_missing_paths_and_files(tmp_path: Path) -> None:
    with pytest.raises(TreeNotFoundError, match="there is no folder"):
        open_tree(tmp_path / "nowhere")
    (tmp_path / "file").write_text("text")
    with pytest.raises(TreeNotFoundError, match="is not a folder"):
        open_tree(tmp_path / "file")
    with pytest.raises(RevisionError, match="not in a git repository"):
        open_tree(tmp_path, "HEAD")


def test_damaged_repository_is_an_error_and_not_a_plain_folder(repository: GitRepository) -> None:
    repository.write("a.py", "a = 1\n")
    repository.commit()
    (repository.root / ".git" / "index").write_bytes(b"DIRC broken")
    with open_tree(repository.root) as tree, pytest.raises(RepositoryError, match="ls-files failed"):
        tree.list()


def test_a_tree_that_is_removed_says_so(repository: GitRepository, tmp_path: Path) -> None:
    with open_tree(repository.root) as tree:
        repository.root.rename(tmp_path / "elsewhere")
        with pytest.raises(TreeNotFoundError, match="is gone"):
            tree.list()
