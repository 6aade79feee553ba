"""The outline on disk: equal after loading, written in part, and never read from what is no outline."""

import sqlite3
from pathlib import Path

import pytest
from helpers import SHOP, read_tree

from codemem.outline import Outline, OutlineFormatError
from codemem.outline.storage import read

QUERIES = ("cart", "authorize card", "Session.get", "how are requests dispatched?")


def test_loading_gives_the_same_hits(tmp_path: Path) -> None:
    outline = Outline.build(read_tree(tmp_path / "tree", SHOP), names=["shop"])
    outline.save(tmp_path / "deep" / "outline.db")
    loaded = Outline.load(tmp_path / "deep" / "outline.db", names=["shop"])
    assert loaded.oids == outline.oids
    for query in QUERIES:
        assert loaded.search(query) == outline.search(query)


def test_only_changed_rows_are_written(tmp_path: Path) -> None:
    files = read_tree(tmp_path / "tree", SHOP)
    path = tmp_path / "outline.db"
    Outline.build(files).save(path)
    outline = Outline.load(path)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE files SET oid = 'untouched' WHERE path = 'shop/cache.py'")
    database.close()
    outline.remove("shop/session.py")
    outline.update(next(file for file in files if file.path == "shop/cart.py"))
    outline.save(path)
    oids = Outline.load(path).oids
    assert oids["shop/cache.py"] == "untouched"
    assert "shop/session.py" not in oids
    assert oids["shop/cart.py"] == outline.oids["shop/cart.py"]


def test_saving_elsewhere_writes_everything(tmp_path: Path) -> None:
    outline = Outline.build(read_tree(tmp_path / "tree", SHOP))
    outline.save(tmp_path / "one.db")
    outline.save(tmp_path / "two.db")
    assert Outline.load(tmp_path / "two.db").oids == outline.oids


def test_an_old_outline_is_replaced_not_merged(tmp_path: Path) -> None:
    path = tmp_path / "outline.db"
    Outline.build(read_tree(tmp_path / "tree", SHOP)).save(path)
    Outline.build(read_tree(tmp_path / "other", {"only.py": "def one():\n    pass\n"})).save(path)
    assert list(Outline.load(path).oids) == ["only.py"]


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Outline.load(tmp_path / "nothing.db")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "outline.db"
    path.write_bytes(b"not a database at all, " * 100)
    with pytest.raises(OutlineFormatError):
        Outline.load(path)


def test_a_foreign_database_is_neither_read_nor_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "outline.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE mine (x)")
    database.close()
    with pytest.raises(OutlineFormatError):
        Outline.load(path)
    with pytest.raises(OutlineFormatError):
        Outline.build(read_tree(tmp_path / "tree", SHOP)).save(path)


@pytest.mark.parametrize("damage", [b"", b"\x00\x01garbage", b"x\x9c\x03\x00\x00\x00\x00\x01"])
def test_damaged_rows_are_refused(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "outline.db"
    Outline.build(read_tree(tmp_path / "tree", SHOP)).save(path)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE files SET record = ? WHERE path = 'shop/cart.py'", (damage,))
    database.close()
    with pytest.raises(OutlineFormatError):
        Outline.load(path)


def test_a_word_of_many_files_is_kept_once(tmp_path: Path) -> None:
    files = {f"file_{n}.py": f"def only_{n}():\n    return shared_marvellous_word\n" for n in range(3)}
    Outline.build(read_tree(tmp_path / "tree", files)).save(tmp_path / "outline.db")
    found = [word for record in read(tmp_path / "outline.db") for word in record.words.words if word == "marvellous"]
    assert len(found) == 3
    assert len({id(word) for word in found}) == 1
