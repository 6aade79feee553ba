"""The manifest as a value and as bytes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemem.indexer import Document, FileStat, Skipped, SourceFile, Symbol
from codemem.manifest import DocumentKeys, LeftOut, Manifest
from codemem.manifest_build import next_manifest
from codemem.manifest_file import ManifestUnreadableError, from_bytes, read_manifest, to_bytes, write_manifest


def source_file(path: str, documents: int = 2, *, oid: str = "ab" * 20, language: str = "python") -> SourceFile:
    return SourceFile(
        path=path,
        oid=oid,
        size=10 * documents,
        language=language,
        kind="code",
        documents=tuple(
            Document(path, "Outer", language, "text\n", 10 * i, 10 * i + 10, i + 1, i + 1, None)
            for i in range(documents)
        ),
        symbols=(Symbol("function", "naïve", "Outer", 1, 2, 0, 20),),
    )


def manifest_of(*files: SourceFile) -> Manifest:
    return next_manifest(Manifest.empty(), {file.path: file for file in files})


def keys_of(manifest: Manifest) -> DocumentKeys:
    """Keys that tell which file and which document they belong to."""
    keys = DocumentKeys.unknown(manifest.documents)
    for row, path in enumerate(manifest.paths):
        for number, document in enumerate(manifest.document_range(row)):
            keys.keys[document] = np.frombuffer(f"{path}/{number}".encode().ljust(32, b"\0"), np.uint8)
            keys.tokens[document] = 7
    return keys


def test_files_come_back_as_they_went_in() -> None:
    manifest = manifest_of(source_file("b.py", 3), source_file("a/ü.py", 1, language="rust"))
    assert list(manifest.paths) == ["a/ü.py", "b.py"]
    record = manifest.file(1)
    assert (record.path, record.language, record.kind, record.oid) == ("b.py", "python", "code", "ab" * 20)
    assert [span.start_byte for span in record.documents] == [0, 10, 20]
    assert record.symbols[0].qualified_name == "Outer.naïve"
    assert record.first_document == 1
    assert [manifest.row_of_document(d) for d in range(4)] == [0, 1, 1, 1]
    assert manifest.document_at("b.py", 2) == 2
    assert manifest.document_at("b.py", 99) is None
    assert manifest.document_at("c.py", 1) is None


def test_bytes_and_back(tmp_path: Path) -> None:
    manifest = manifest_of(source_file("b.py"), source_file("a.py"))
    manifest = next_manifest(
        manifest,
        {"c.py": source_file("c.py")},
        skipped=[Skipped("x", "binary file")],
        left_out=[LeftOut("y", "cd" * 20, "minified")],
        reincluded=frozenset({"c.py"}),
        stat_cache={"a.py": FileStat(1, 2, 3, 2**63 + 5, "ab" * 20), "old.py": FileStat(-1, 2, 3, 4, "ab" * 20)},
    ).with_info(commit="f" * 40, model="small")
    manifest = manifest.with_keys({"fingerprint": keys_of(manifest)})
    path = tmp_path / "manifest"
    write_manifest(path, manifest)
    back = read_manifest(path)
    assert back is not None
    assert back.info == manifest.info
    assert list(back.files()) == list(manifest.files())
    assert [*back.skipped] == [*manifest.skipped]
    assert back.all_skipped == [Skipped("x", "binary file"), Skipped("y", "minified")]
    assert back.reincluded == {"c.py"}
    assert back.stat_cache == {"a.py": FileStat(1, 2, 3, 2**63 + 5, "ab" * 20)}, "times before 1970 are not cached"
    assert np.array_equal(back.keys_for("fingerprint").keys, manifest.keys_for("fingerprint").keys)
    assert [p.name for p in tmp_path.iterdir()] == ["manifest"]


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 4), max_size=6),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 4), max_size=6),
    st.sets(st.sampled_from("abcdefgh")),
)
def test_keys_stay_with_the_documents_of_unchanged_files(
    before: dict[str, int], changed: dict[str, int], removed: set[str]
) -> None:
    old = manifest_of(*(source_file(path, count) for path, count in before.items()))
    old = old.with_keys({"layout": keys_of(old)})
    new = next_manifest(old, {path: source_file(path, count) for path, count in changed.items()}, removed=removed)
    assert set(new.paths) == (before.keys() - removed) | changed.keys()
    expected, keys = keys_of(new), new.keys_for("layout")
    for row, path in enumerate(new.paths):
        for document in new.document_range(row):
            if path in changed:
                assert keys.tokens[document] == 0
            else:
                assert keys.keys[document].tobytes() == expected.keys[document].tobytes()


def test_any_flipped_byte_is_found() -> None:
    data = to_bytes(manifest_of(source_file("a.py")))
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        with pytest.raises(ManifestUnreadableError):
            from_bytes(bytes(damaged))


@pytest.mark.parametrize("data", [b"", b"cmmfst01", b"something else entirely" * 10])
def test_foreign_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ManifestUnreadableError):
        from_bytes(data)


@pytest.mark.parametrize("path", ["../outside.py", "/etc/passwd", "a/../../b"])
def test_a_manifest_that_leaves_its_folder_is_refused(path: str) -> None:
    with pytest.raises(ManifestUnreadableError, match="outside"):
        from_bytes(to_bytes(manifest_of(source_file(path))))


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "manifest"
    write_manifest(path, manifest_of(source_file("a.py")))

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write_manifest(path, manifest_of(source_file("b.py")))
    kept = read_manifest(path)
    assert kept is not None
    assert list(kept.paths) == ["a.py"]
    assert [p.name for p in tmp_path.iterdir()] == ["manifest"]


def test_keys_must_fit_the_documents() -> None:
    with pytest.raises(ValueError, match="3 keys for 2 documents"):
        manifest_of(source_file("a.py", 2)).with_keys({"layout": DocumentKeys.unknown(3)})
