"""Downloads are pinned by the manifest and checked against it; no test touches a network."""

import hashlib
import io
import json
import lzma
import re
import tarfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from codemem.training.data import download as downloads
from codemem.training.data.archive import members
from codemem.training.data.build import DEV_PACKAGES
from codemem.training.data.choosing import chosen
from codemem.training.data.download import (
    CORPORA,
    ECOSYSTEMS,
    PackageName,
    Pin,
    download,
    listed,
    manifest_of,
    mismatches,
    pinned,
)
from codemem.training.data.exclusion import is_excluded, listed_projects


def test_every_list_names_packages_once() -> None:
    for ecosystem in ECOSYSTEMS:
        names = [package.name for corpus in CORPORA for package in listed(ecosystem, corpus)]
        assert names
        assert len(names) == len(set(names))


def test_lists_hold_nothing_that_evaluations_use(tmp_path: Path) -> None:
    never = tmp_path / "never.txt"
    never.write_text("psf/requests\nserde-rs/serde\nexpressjs/express\nnlohmann/json\n")
    projects = listed_projects(never)
    assert [
        name.id
        for e in ECOSYSTEMS
        for corpus in CORPORA
        for name in listed(e, corpus)
        if is_excluded(name.name, projects)
    ] == []


def test_the_committed_manifest_pins_versions_and_hashes() -> None:
    pins = {name: pin for corpus in CORPORA for name, pin in pinned(manifest_of(corpus)).items()}
    known = {package.id for ecosystem in ECOSYSTEMS for corpus in CORPORA for package in listed(ecosystem, corpus)}
    assert set(pins) <= known
    assert all(pin.version and pin.sha256 for pin in pins.values())
    assert all(len(digest) == 64 for pin in pins.values() for digest in pin.sha256.values())


def test_other_bytes_than_the_manifests_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = PackageName("npm", "@scope/thing")
    folder = package.folder(tmp_path)
    assert folder == tmp_path / "npm" / "@scope__thing"
    monkeypatch.setattr(downloads, "_command", lambda *_: ["sh", "-c", "printf changed > scope-thing-1.0.tgz"])
    pin = Pin("1.0", {"scope-thing-1.0.tgz": "0" * 64})
    (failure,) = download([package], tmp_path, pins={package.id: pin})
    assert "differ from the manifest" in failure
    assert not (folder / ".complete").exists()
    assert mismatches(folder, pin) == ["scope-thing-1.0.tgz"]


def test_a_package_that_cannot_be_had_is_reported_and_the_rest_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(ecosystem: str, wanted: Sequence[tuple[str, str | None]]) -> list[str]:
        ((name, _),) = wanted
        return ["sh", "-c", "echo no such package >&2; exit 1" if name == "gone" else "echo x > x.tgz"]

    monkeypatch.setattr(downloads, "_command", command)
    names = [PackageName("npm", "gone"), PackageName("npm", "here")]
    assert download(names, tmp_path, pins={}) == ["npm:gone: no such package"]
    assert (tmp_path / "npm" / "here" / ".complete").exists()
    monkeypatch.setattr(downloads, "_command", lambda *_: ["false"])
    assert download(names[1:], tmp_path, pins={}) == []  # complete: not asked for again


def test_pinned_packages_are_fetched_together_and_a_missing_one_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []

    def command(ecosystem: str, wanted: Sequence[tuple[str, str | None]]) -> list[str]:
        calls.append([f"{name} {version}" for name, version in wanted])
        there = [name for name, _ in wanted if name != "gone"]
        return ["sh", "-c", "".join(f"printf {name} > {name}-1.0.tgz; " for name in there) + f"test {len(there)} -gt 0"]

    monkeypatch.setattr(downloads, "_command", command)
    names = [PackageName("npm", name) for name in ("one", "gone", "two")]
    pins = {
        name.id: Pin("1.0", {f"{name.name}-1.0.tgz": hashlib.sha256(name.name.encode()).hexdigest()}) for name in names
    }
    (failure,) = download(names, tmp_path, pins=pins)
    assert failure.startswith("npm:gone: ")
    assert (names[2].folder(tmp_path) / "two-1.0.tgz").read_text() == "two"
    assert calls == [["one 1.0", "gone 1.0", "two 1.0"], ["gone 1.0"]]


def test_a_smaller_choice_keeps_every_language_and_what_is_held_out() -> None:
    every = [name for ecosystem in ECOSYSTEMS for name in listed(ecosystem)]
    rows = {row["id"]: row["languages"] for row in json.loads(manifest_of("first").read_text())}
    some = chosen(every, 200, manifest_of("first"))
    assert some == chosen(every, 200, manifest_of("first"))
    assert len(some) == 200
    assert DEV_PACKAGES & {name.id for name in every} <= {name.id for name in some}
    main = [max(rows[name.id], key=rows[name.id].__getitem__) for name in some if name.id in rows]
    assert len(set(main)) >= 12
    assert 0.35 < main.count("python") / len(main) < 0.5


def test_what_the_answers_evaluation_is_made_of_is_recognised() -> None:
    pins = tomllib.loads((Path(__file__).parents[2] / "evals/answers/packages.toml").read_text(encoding="utf-8"))
    never = {name.id for ecosystem in ECOSYSTEMS for name in listed(ecosystem, "never")}
    source = {"debian": "debian-binary"}
    assert {f"{source.get(row['source'], row['source'])}:{name}" for name, row in pins.items()} <= never


def test_the_manifest_is_small() -> None:
    for path in map(manifest_of, CORPORA):
        rows = json.loads(path.read_text())
        assert rows
        assert path.stat().st_size < 260 * len(rows)


def test_debian_archives_are_read_without_dpkg(tmp_path: Path) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        info = tarfile.TarInfo("./usr/share/lua/5.1/pool.lua")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"x = 1"))
    parts = {"debian-binary": b"2.0\n", "control.tar.xz": b"abc", "data.tar.xz": lzma.compress(data.getvalue())}
    deb = b"!<arch>\n"
    for name, body in parts.items():
        deb += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(body):<10}`\n".encode() + body + b"\n" * (len(body) % 2)
    path = tmp_path / "lua-pool_1.0_all.deb"
    path.write_bytes(deb)
    (member,) = members(path, re.compile(r"\.lua$"))
    assert (member.path, member.data) == ("usr/share/lua/5.1/pool.lua", b"x = 1")
