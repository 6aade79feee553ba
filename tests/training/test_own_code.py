"""Training data from a working tree: facts of every language that facts are read of."""

from pathlib import Path

from codemem.training.data.read import QA, rows
from codemem.training.own_code import write_data

GO = """package store

import "errors"

var ErrStale = errors.New("stale entry")

// CheckFreshness says whether an entry may still be used.
func CheckFreshness(age int) error {
\tif age > 60 {
\t\treturn ErrStale
\t}
\treturn nil
}

// EvictOldest throws out what was used longest ago.
func EvictOldest(limit int) int {
\tif limit < 1 {
\t\treturn 0
\t}
\treturn limit - 1
}

// RefreshEntries looks at all of them.
func RefreshEntries(age int) error {
\treturn CheckFreshness(age)
}
"""


def test_facts_of_other_languages_are_asked_about(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    root.mkdir()
    for name in ("freshness.go", "store.go", "cache.go", "queue.go"):  # some of them are for validation
        text = GO.replace("Freshness", f"Freshness{name[0].upper()}").replace("Stale", f"Stale{name[0].upper()}")
        (root / name).write_text(text.replace("Oldest", name[:2]).replace("RefreshEntries", f"Refresh{name[:3]}"))
    write_data([root], tmp_path / "data")
    asked = [row for row in rows(tmp_path / "data" / QA) if row["kind"] == "raises"]
    assert asked
    for row in asked:
        assert row["language"] == "go"
        assert "`ErrStale" in row["answer"]
        assert "return ErrStale" in row["evidence"]
