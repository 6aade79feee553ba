"""Disks that are full or may not be written: said in a line; nothing that was written is lost, and questions go on."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from app.bench import Bench
from app.conftest import FILES, commit, git, write
from app.fake_engine import FakeEngine

from codemem.config import Settings
from codemem.errors import CodememError
from codemem.model.errors import StoreError
from codemem.model.store import StoreDirectory


class Disk:
    """A small file system; where this process may not mount one, folders that it may not write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
        self.mounted = os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0

    def fill(self, spare: int = 0) -> None:
        """Nothing can be written any more, but for so many bytes."""
        if not self.mounted:
            for path in (self.folder, *(p for p in self.folder.rglob("*") if p.is_dir())):
                path.chmod(0o500)
            return
        with contextlib.suppress(OSError), (self.folder / "ballast").open("wb", buffering=0) as file:
            while file.write(bytes(4096)) == 4096:
                pass
        size = (self.folder / "ballast").stat().st_size
        os.truncate(self.folder / "ballast", max(0, size - spare))

    def free(self) -> None:
        if not self.mounted:
            for path in (self.folder, *(p for p in self.folder.rglob("*") if p.is_dir())):
                path.chmod(0o700)
        (self.folder / "ballast").unlink(missing_ok=True)

    def close(self) -> None:
        self.free()
        if self.mounted:
            subprocess.run(["umount", str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "disk")
    yield made
    made.close()


def repository(root: Path, files: dict[str, str]) -> Path:
    root.mkdir(parents=True)
    git(root, "init", "-q")
    write(root, files)
    commit(root)
    return root


def stored(settings: Settings) -> int:
    with StoreDirectory.open(settings.places.store) as store:
        assert store.verify(full=True).ok
        return store.stats().entries


def test_index_says_that_the_disk_is_full_and_goes_on_later(tmp_path: Path, disk: Disk) -> None:
    bench = Bench(Settings.load({"CODEMEM_HOME": str(disk.folder / "home")}), FakeEngine())
    root = repository(tmp_path / "demo", {f"f{n}.py": f"def f{n}():\n    return {n}\n" for n in range(200)})
    small = repository(tmp_path / "small", FILES)
    bench.index(small)
    disk.fill(spare=100_000)
    with pytest.raises((StoreError, CodememError), match=r"no space|cannot be written"):
        bench.index(root)
    disk.free()
    before = stored(bench.settings)
    assert before >= len(FILES)
    result = bench.index(root)
    assert result.encoded == 200 + len(FILES) - before
    assert bench.index(root).encoded == bench.index(small).encoded == 0


def test_questions_are_answered_on_a_full_disk(disk: Disk) -> None:
    bench = Bench(Settings.load({"CODEMEM_HOME": str(disk.folder / "home")}), FakeEngine())
    root = repository(disk.folder / "demo", FILES)
    bench.index(root)
    changed = root / "src" / "cache.py"
    text = changed.read_text()
    disk.fill()
    changed.write_text(text[::-1][: len(text) // 2][::-1])  # shorter: it needs no new room
    found = bench.find(root, "retry the operation")
    assert found.results[0].path == "src/retry.py"
    assert (found.router, found.fresh, found.behind.changed) == ("both", False, 1)
    assert any("could not be" in note or "cannot be" in note for note in found.notes)
    disk.free()
    assert bench.find(root, "retry the operation").fresh
    assert bench.status(root, verify=True).problems == []
