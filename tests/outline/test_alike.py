"""Of a series of files the first few stand where they scored, and others give way to what scores nearly as much."""

import pytest

from codemem.outline.alike import ALIKE_SHARE, MOST_ALIKE, series, space_out


def test_a_series_is_told_by_folder_first_word_and_ending() -> None:
    assert series("sql/dialect_ansi.py") == series("sql/dialect_oracle.py") == ("sql", "dialect", "py")
    assert series("db/0001_initial.py") == series("db/0042_add_name.py")
    assert series("src/UserStore.ts") == series("src/UserList.ts") != series("src/UserList.test.ts")
    assert series("sql/dialect_ansi.py") != series("web/dialect_ansi.py")
    assert series("sql/base.py") is None, "one word"
    assert series("README") is None


def test_what_follows_the_first_of_a_series_gives_way_to_others() -> None:
    siblings = {f"sql/dialect_{name}.py": 1.0 - at / 100 for at, name in enumerate("abcdefgh")}
    spaced = space_out({**siblings, "sql/parser.py": 0.8, "docs/far.md": 0.1})
    assert list(spaced)[: MOST_ALIKE + 1] == [*list(siblings)[:MOST_ALIKE], "sql/parser.py"]
    assert list(spaced)[-1] == "docs/far.md", "they still say more than what hardly fits"
    assert [spaced[path] for path in siblings] == pytest.approx(
        [score * ALIKE_SHARE ** max(0, at - MOST_ALIKE + 1) for at, score in enumerate(siblings.values())]
    )
    assert list(spaced.values()) == sorted(spaced.values(), reverse=True)


def test_names_of_one_word_and_few_siblings_stay_as_they_are() -> None:
    files = {"a/one.py": 3.0, "a/two.py": 2.0, "a/test_x.py": 1.5, "a/test_y.py": 1.0, "a/three.py": 0.5}
    assert space_out(files) == files
    assert space_out({}) == {}
