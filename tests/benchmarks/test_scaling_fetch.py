"""Fetching the scale run's packages, without a network: the registries' clients are replaced."""

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from codemem.benchmarks.scaling.packages import Package, fetch

DATA = b"an archive"


def client(monkeypatch: pytest.MonkeyPatch, *, brings: bool) -> list[Path]:
    """A client that fails as apt does where a signature is gone; the configurations it was given."""
    given: list[Path] = []

    def run(command: Any, **options: Any) -> subprocess.CompletedProcess[str]:
        if command[1] == "update":
            return subprocess.CompletedProcess(command, 0, "", "")
        given.append(Path(options["env"]["APT_CONFIG"]))
        if brings:
            (options["cwd"] / "a_1.orig.tar.gz").write_bytes(DATA)
        return subprocess.CompletedProcess(command, 100, "", "E: Failed to fetch some archives.\n")

    monkeypatch.setattr(subprocess, "run", run)
    return given


def pinned() -> Package:
    return Package("debian-source", "a", "1", (("a_1.orig.tar.gz", hashlib.sha256(DATA).hexdigest()),))


def test_the_configuration_is_found_from_every_package_s_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = client(monkeypatch, brings=True)
    monkeypatch.chdir(tmp_path)
    fetch([pinned()], Path("raw"))
    assert given == [tmp_path.resolve() / "raw/apt/apt.conf"]
    places = [line.split('"')[1] for line in given[0].read_text().splitlines()]
    assert all(os.path.isabs(place) for place in places)


def test_pinned_archives_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client(monkeypatch, brings=True)
    assert fetch([pinned()], tmp_path) == {}
    assert (tmp_path / "debian-source/a/.complete").exists()


@pytest.mark.parametrize("package", [pinned(), Package("debian-source", "a", "1", ())])
def test_what_did_not_come_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: Package) -> None:
    client(monkeypatch, brings=package.sha256 == ())
    assert fetch([package], tmp_path) == {package: "E: Failed to fetch some archives."}
