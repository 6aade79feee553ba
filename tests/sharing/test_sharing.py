"""Exported by one user and imported by another: nothing is encoded twice, and nothing false is taken."""

import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from app.conftest import commit, write

from codemem.errors import CodememError, NotIndexedError, UsageError
from codemem.manifest import Manifest
from codemem.memory import layout_of
from codemem.model.entry import Entry, EntryLayout, TensorSpec
from codemem.model.msa4b.numbering import Numbering
from codemem.model.store import LoadedEntries, Store
from codemem.sharing.deviation import deviation
from codemem.sharing.keys import default_key, load_key, make_key
from codemem.sharing.numbers import adopt_numbers, is_numbered, numbers_of
from codemem.sharing.place import Place, SharingError
from codemem.sharing.statement import read_statement, write_statement
from codemem.workspace import open_workspace
from sharing.conftest import User

Files = Callable[[str], list[Path]]


def loaded(user: User) -> LoadedEntries:
    """All entries of the user's tree, by the keys that the indexed one has."""
    with open_workspace(user.root, user.settings, whole=True) as workspace:
        manifest = workspace.load()
    assert isinstance(manifest, Manifest)
    layout = layout_of(manifest)
    assert layout is not None
    with Store.open(user.settings.places.store, layout) as store:
        return store.load(manifest.keys_for(layout.fingerprint).key_list())


def empty(user: User) -> bool:
    """Whether nothing was taken into the user's store."""
    if not user.settings.places.store.is_dir():
        return True
    with Store.open(user.settings.places.store, user.engine.layout) as store:
        return store.stats().entries == 0


def test_a_clone_encodes_nothing_after_an_import(ci: User, clone: User, place: str, key: tuple[Path, str]) -> None:
    exported = ci.export(place, key[0])
    assert (exported.entries, exported.reused, exported.missing, exported.signed_by) == (3, 0, 0, key[1])
    taken = clone.take(place, key[1])
    assert (taken.entries, taken.reused, taken.notes) == (3, 0, [])
    result = clone.index()
    assert (result.encoded, result.reused, clone.engine.encoded) == (0, 3, [])
    ours, theirs = loaded(ci), loaded(clone)
    assert all(np.array_equal(ours.tensors[name], theirs.tensors[name]) for name in ours.tensors)
    again = clone.take(place, key[1])
    assert (again.entries, again.reused) == (0, 3)


def test_only_what_is_new_is_exported_again(ci: User, clone: User, place: str, files: Files) -> None:
    ci.export(place)
    write(ci.root, {"src/new.py": "def arrive():\n    pass\n"})
    commit(ci.root)
    assert ci.index().encoded == 1
    exported = ci.export(place)
    assert (exported.entries, exported.reused) == (1, 3)
    assert len(files(".safetensors")) == len(files(".json")) == 2
    assert ci.export(place).bytes == 0
    assert clone.take(place, trust=True).entries == 4


def test_what_is_not_signed_by_a_trusted_key_is_refused(
    ci: User, clone: User, place: str, key: tuple[Path, str], tmp_path: Path
) -> None:
    ci.export(place)
    with pytest.raises(SharingError, match="--trust"):
        clone.take(place)
    other = tmp_path / "other.pem"
    make_key(other)
    ci.export(place, other)
    with pytest.raises(SharingError, match="--trusted-key"):
        clone.take(place, key[1])
    assert empty(clone)
    assert clone.take(place, trust=True).entries == 3


def test_ones_own_key_and_configured_keys_are_trusted(ci: User, clone: User, place: str, key: tuple[Path, str]) -> None:
    make_key(default_key(clone.settings.places))
    ci.export(place, default_key(clone.settings.places))
    assert clone.take(place).entries == 3
    shutil.rmtree(clone.settings.places.store)
    default_key(clone.settings.places).unlink()
    ci.export(place, key[0])
    clone.configure(f'trusted_keys = ["{key[1]}"]\n')
    taken = clone.take(place)
    assert taken.entries == 3
    assert "not signed by a key that you trust" in taken.notes[0]
    clone.configure('trusted_keys = ["ssh-rsa AAAA"]\n')
    with pytest.raises(UsageError, match="ed25519"):
        clone.take(place)


def test_an_unsigned_export_does_not_keep_a_signed_one_from_being_made(
    ci: User, place: str, key: tuple[Path, str]
) -> None:
    assert ci.export(place).entries == 3
    assert ci.export(place, key[0]).entries == 3
    assert ci.export(place, key[0]).entries == 0


def test_no_changed_byte_is_taken(ci: User, clone: User, place: str, files: Files, key: tuple[Path, str]) -> None:
    ci.export(place, key[0])
    for path in (*files(".safetensors"), *files(".json")):
        sound = path.read_bytes()
        for offset in np.random.default_rng(7).choice(len(sound), 20, replace=False).tolist():
            damaged = bytearray(sound)
            damaged[offset] ^= 0x04
            path.write_bytes(damaged)
            with pytest.raises(SharingError):
                clone.take(place, key[1])
        path.write_bytes(sound[: len(sound) // 2])
        with pytest.raises(SharingError):
            clone.take(place, key[1])
        assert empty(clone)
        path.write_bytes(sound)
    assert clone.take(place, key[1]).entries == 3


def restate(user: User, place: str, key: Path, change: Callable[[Entry], Entry]) -> None:
    """Exports entries that are not what a model made, in good order and well signed."""
    with open_workspace(user.root, user.settings, whole=True) as workspace:
        manifest = workspace.load()
    assert manifest is not None
    layout = layout_of(manifest)
    assert layout is not None
    entries = loaded(user)
    shutil.rmtree(user.settings.places.store)
    with Store.open(user.settings.places.store, layout) as store:
        for at, name in enumerate(entries.keys):
            rows = slice(int(entries.offsets[at]), int(entries.offsets[at + 1]))
            tensors = {tensor: values[rows].copy() for tensor, values in entries.tensors.items()}
            store.append([change(Entry(name, int(entries.tokens[at]), entries.chunk_ends[rows].copy(), tensors))])
    user.export(place, key)


def with_tensors(entry: Entry, factor: float, shift: float) -> Entry:
    tensors = {
        name: (np.roll(values, 1, axis=-1) * shift + values * factor).astype(values.dtype)
        for name, values in entry.tensors.items()
    }
    return Entry(entry.key, entry.tokens, entry.chunk_ends, tensors)


def test_a_sample_that_is_encoded_again_finds_what_the_model_did_not_make(
    ci: User, clone: User, place: str, key: tuple[Path, str], tmp_path: Path
) -> None:
    restate(ci, place, key[0], lambda entry: with_tensors(entry, 0.0, 1.0))
    with pytest.raises(SharingError, match="not what model 'fake' makes"):
        clone.take(place, key[1], sample=3)
    assert empty(clone)
    other = str(tmp_path / "near")
    ci.engine.encoded.clear()
    shutil.rmtree(ci.settings.places.store)
    ci.index()
    restate(ci, other, key[0], lambda entry: with_tensors(entry, 1.01, 0.0))
    taken = clone.take(other, key[1], sample=2)
    assert (taken.entries, taken.sampled) == (3, 2)
    assert 0.005 < taken.worst < 0.02


def test_a_sample_needs_documents_that_are_there(ci: User, clone: User, place: str) -> None:
    ci.export(place)
    for path in clone.root.rglob("*.*"):
        if path.suffix in (".py", ".md"):
            path.write_text("other text\n")
    with pytest.raises(SharingError, match="nothing to verify with"):
        clone.take(place, trust=True, sample=2)


def test_entries_of_another_model_are_named_and_left(ci: User, clone: User, place: str) -> None:
    ci.export(place)
    clone.engine.version = "2"
    with pytest.raises(SharingError, match="other models or versions"):
        clone.take(place, trust=True)
    with pytest.raises(SharingError, match="holds no memories"):
        clone.take(f"{place}/nowhere", trust=True)
    with pytest.raises(NotIndexedError, match="codemem index"):
        clone.export(place)


def test_index_reads_through_a_configured_place(
    ci: User, clone: User, place: str, key: tuple[Path, str], files: Files
) -> None:
    ci.export(place, key[0])
    clone.configure(f'share = "{place}"\n')
    assert clone.index().encoded == 3
    assert any("not signed by a key that you trust" in note for note in clone.notes)
    shutil.rmtree(clone.settings.places.store)
    clone.configure(f'share = "{place}"\ntrusted_keys = ["{key[1]}"]\n')
    result = clone.index()
    assert (result.encoded, result.reused, clone.notes) == (0, 3, [])
    shutil.rmtree(clone.settings.places.store)
    files(".safetensors")[0].write_bytes(b"nonsense")
    assert clone.index().encoded == 3
    assert any("left out" in note for note in clone.notes)
    shutil.rmtree(clone.settings.places.store)
    clone.configure('share = "nothing://here"\n')
    assert clone.index().encoded == 3
    assert any("nothing://here" in note for note in clone.notes)


def test_an_object_store_serves_as_a_folder_does(ci: User, clone: User) -> None:
    url = f"memory://{uuid.uuid4().hex}/team"
    ci.export(url)
    clone.configure(f'share = "{url}"\nshare_unsigned = true\n')
    assert clone.index().encoded == 0


def test_a_repository_cannot_name_the_place(clone: User) -> None:
    (clone.root / ".codemem.toml").write_text('share = "https://example.org"\n')
    with pytest.raises(CodememError, match="only your own"):
        clone.index()


def test_a_place_that_refuses_is_one_line(tmp_path: Path, ci: User) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SharingError, match="cannot be used"):
        ci.export(str(tmp_path / "file"))
    with pytest.raises(SharingError, match="no-such-protocol"):
        Place.open("no-such-protocol://x")


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"statement": "{}"}', b'{"statement": "1"}', b"[" * 100_000])
def test_what_is_no_statement_is_refused(data: bytes) -> None:
    with pytest.raises(SharingError):
        read_statement(data, ())


def test_a_statement_cannot_be_signed_in_anothers_name(ci: User, place: str, files: Files, tmp_path: Path) -> None:
    mine = make_key(tmp_path / "mine.pem")
    theirs = make_key(tmp_path / "theirs.pem")
    ci.export(place, tmp_path / "theirs.pem")
    file = json.loads(files(".json")[0].read_bytes())
    assert read_statement(json.dumps(file).encode(), (theirs,)).signed_by == theirs
    assert read_statement(json.dumps(file).encode(), (mine,)).signed_by is None
    assert read_statement(json.dumps(file | {"key": mine}).encode(), (mine, theirs)).signed_by is None
    statement = read_statement(json.dumps(file).encode(), ())
    assert read_statement(write_statement(statement, load_key(tmp_path / "mine.pem")), (mine,)).signed_by == mine


def test_keys_are_kept_to_oneself(tmp_path: Path) -> None:
    path = tmp_path / "new" / "key.pem"
    make_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(CodememError, match="exists"):
        make_key(path)
    path.write_text("nonsense")
    with pytest.raises(CodememError, match="PEM"):
        load_key(path)
    with pytest.raises(CodememError, match="cannot be read"):
        load_key(tmp_path / "absent")


def test_numbers_of_documents_travel_and_are_never_given_twice(ci: User, clone: User) -> None:
    """MSA-4B spells a number in each document, so that its entries serve only under the same numbers."""
    ours, theirs = Numbering(ci.settings.places.numbers), Numbering(clone.settings.places.numbers)
    assert ours.numbers([("a", "1"), ("b", "2"), ("c", "3")]) == [0, 1, 2]
    layout = EntryLayout("00" * 32, 64, (TensorSpec("number", "uint8", 4),))
    rows = np.array([[1, 0, 0, 0], [1, 0, 0, 0], [2, 0, 0, 0]], np.uint8)
    ends, offsets = np.array([5, 9, 4], np.uint32), np.array([0, 2, 3], np.int64)
    entries = LoadedEntries(
        (b"b" * 32, b"c" * 32), offsets, np.array([70, 9], np.uint32), ends, {"number": rows}, (), (), False
    )
    assert is_numbered(layout)
    pairs = numbers_of(entries, ci.settings.places)
    assert [number for _, number in pairs] == [1, 2]
    assert adopt_numbers(pairs, clone.settings.places) == 0
    assert theirs.numbers([("c", "3"), ("b", "2"), ("new", "4")]) == [2, 1, 3]
    assert ours.numbers([("own", "5")]) == [3]
    assert adopt_numbers(theirs.contents(), ci.settings.places) == 1
    assert ours.numbers([("own", "5"), ("c", "3")]) == [3, 2]
    ours.close()
    theirs.close()


def test_deviation_reads_scales_and_bfloat16() -> None:
    ends = np.array([3], np.uint32)

    def made(rows: list[int], scale: float, bits: int) -> Entry:
        return Entry(b"k" * 32, 5, ends, {
            "k.1": np.array([rows], np.int8),
            "k_scale.1": np.array([[scale, scale]], np.float16),
            "v.1": np.array([[bits]], np.uint16),
        })  # fmt: skip

    assert deviation(made([2, 4, 6, 8], 1.0, 0x3F80), made([2, 4, 6, 8], 1.0, 0x3F80)) == 0
    assert deviation(made([1, 2, 3, 4], 2.0, 0x3F80), made([2, 4, 6, 8], 1.0, 0x3F80)) == 1.0, "the scales differ"
    assert deviation(made([2, 4, 6, 8], 1.0, 0x4000), made([2, 4, 6, 8], 1.0, 0x3F80)) == 1.0
    longer = Entry(b"k" * 32, 5, np.array([4], np.uint32), made([2, 4, 6, 8], 1.0, 0).tensors)
    assert deviation(longer, made([2, 4, 6, 8], 1.0, 0)) == float("inf")
