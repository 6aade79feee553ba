"""Two courses as one: every row still names the documents that it named."""

from pathlib import Path
from typing import Any

import pytest

from codemem.training.data.join import join, main
from codemem.training.data.read import DOCUMENTS, PAIRS, QA, Writer, rows


def course(folder: Path, package: str, texts: list[str], **files: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    with Writer(folder / DOCUMENTS) as writer:
        for text in texts:
            writer.write({"header": f"{package}.py\n", "text": text, "language": "python", "package": package})
    for name, found in files.items():
        with Writer(folder / f"{name}.jsonl.zst") as writer:
            for row in found:
                writer.write(row)
    return folder


def test_rows_name_the_documents_that_they_named(tmp_path: Path) -> None:
    pair = {"q": "second?", "pos": [1], "neg": [0], "same": [0], "kind": "prose"}
    asked = {"question": "first?", "gold": [0], "distractors": [1], "answer": "a", "evidence": "one"}
    one = course(tmp_path / "one", "one", ["one", "two"], pairs=[pair], qa=[asked])
    other = course(tmp_path / "other", "other", ["three", "four"], pairs=[pair], how=[asked])
    main([str(one), str(other), "--out", str(tmp_path / "both")])
    both = tmp_path / "both"
    texts = [row["text"] for row in rows(both / DOCUMENTS)]
    assert texts == ["one", "two", "three", "four"]
    found = list(rows(both / PAIRS))
    assert [[texts[place] for place in row["pos"]] for row in found] == [["two"], ["four"]]
    assert [texts[place] for place in found[1]["neg"] + found[1]["same"]] == ["three", "three"]
    assert found[1]["q"] == "second?"
    assert [texts[row["gold"][0]] for row in rows(both / QA)] == ["one"], "who has no such file adds nothing to it"
    assert [texts[row["distractors"][0]] for row in rows(both / "how.jsonl.zst")] == ["four"]


def test_a_package_twice_or_a_course_as_its_own_result_is_refused(tmp_path: Path) -> None:
    one = course(tmp_path / "one", "one", ["one"])
    again = course(tmp_path / "again", "one", ["one"])
    with pytest.raises(ValueError, match="another course has: one"):
        join([one, again], tmp_path / "both")
    with pytest.raises(ValueError, match="name another folder"):
        join([one, again], tmp_path / "one")
    assert [row["text"] for row in rows(one / DOCUMENTS)] == ["one"]
