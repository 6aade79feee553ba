"""Function retrieval: ranks with ties, measures, and the pool's form."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from codemem.evals.errors import BadCasesError
from codemem.evals.functions import (
    Bm25Functions,
    DenseFunctions,
    FunctionPool,
    FusedFunctions,
    WordedFunctions,
    main,
    measures,
    ranks,
    read_pool,
    report,
)


class Fixed:
    """Gives the scores that the query spells out."""

    name = "fixed"

    def prepare(self, documents: Sequence[str]) -> None:
        self.prepared = list(documents)

    def scores(self, query: str) -> np.ndarray:
        return np.array([float(word) for word in query.split()])


def test_a_rank_counts_what_is_strictly_higher() -> None:
    pool = FunctionPool(("a", "b", "c"), ("3 2 1", "1 1 1", "0 5 9"), (1, 2, 0))
    scorer = Fixed()
    assert ranks(scorer, pool) == [2, 1, 3]
    assert scorer.prepared == ["a", "b", "c"]


def test_measures_by_hand() -> None:
    values = {name: sum(column) / 3 for name, column in measures([1, 10, 101]).items()}
    assert values == pytest.approx({"R@1": 1 / 3, "R@10": 2 / 3, "R@100": 2 / 3, "MRR": (1 + 0.1 + 1 / 101) / 3})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    documents = [
        {"path": "a.py", "header": "a.py\n", "text": "def open_file(path): ..."},
        {"path": "b.py", "header": "b.py\n", "text": "def close_socket(sock): ..."},
    ]
    queries = [{"query": "Close the socket", "gold": 1, "same": []}, {"query": "open a file", "gold": 0, "same": []}]
    (tmp_path / "documents.jsonl").write_text("\n".join(map(json.dumps, documents)) + "\n")
    (tmp_path / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)) + "\n")
    return tmp_path


def test_bm25_finds_functions_by_the_words_in_their_names(folder: Path) -> None:
    assert ranks(Bm25Functions(), read_pool(folder)) == [1, 1]


class Counting:
    """An encoder: unit vectors over three letters."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.array([[text.count(letter) + 1e-3 for letter in "aeo"] for text in texts], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_dense_and_fused_scorers_are_ranked_and_compared(folder: Path) -> None:
    pool = read_pool(folder)
    dense = DenseFunctions("letters", Counting())
    dense.prepare(pool.documents)
    assert int(np.argmax(dense.scores(pool.documents[1]))) == 1
    fused = FusedFunctions(Bm25Functions(), dense)
    found = {scorer.name: ranks(scorer, pool) for scorer in (Bm25Functions(), fused)}
    assert found[fused.name][0] >= 1
    tables = report(found, pool).tables
    assert tables[1][0] == "BM25 on split identifiers minus the other, paired"
    assert tables[1][2][0][0] == fused.name


class Told:
    """A scorer that says what it was told."""

    name = "told"

    def __init__(self, *scores: float) -> None:
        self._scores = np.array(scores)

    def prepare(self, documents: Sequence[str]) -> None:
        pass

    def scores(self, query: str) -> np.ndarray:
        return self._scores


def test_words_decide_where_the_memory_cannot_and_not_where_it_is_sure() -> None:
    documents = [
        "a.py\ndef read(path): ...",
        "b.py\ndef drop(oldest): ...",
        "c.py\ndef keep(oldest): ...",
        "d.py\nx = 1",
    ]
    unsure, sure = WordedFunctions(Told(0.1, 0.8, 0.81, 0.1)), WordedFunctions(Told(0.1, 0.2, 0.9, 0.1))
    for scorer in (unsure, sure):
        scorer.prepare(documents)
    assert int(np.argmax(unsure.scores("drop the oldest"))) == 1
    assert int(np.argmax(sure.scores("drop it"))) == 2
    assert unsure.scores("nothing known").argmax() == 2  # without a word the memory's order is kept
    # By hand: the median of the memory's scores is its floor, 0 that of the words; shares .85 and .15 for one word.
    words = unsure._bodies.scores("drop")
    assert words[1] > 0
    assert np.count_nonzero(words) == 1
    found = unsure.scores("drop")
    assert found.tolist() == pytest.approx([0, 0.85 * (0.8 - 0.45) / (0.81 - 0.45) + 0.15, 0.85, 0])


def test_the_command_writes_a_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--pool", str(folder), "--out", str(folder / "out")])
    assert "| BM25 on split identifiers | 1.000" in capsys.readouterr().out
    assert len(list((folder / "out").iterdir())) == 2


def test_a_missing_or_wrong_pool_is_named(folder: Path) -> None:
    with pytest.raises(BadCasesError, match="functions_pool"):
        read_pool(folder / "nowhere")
    (folder / "queries.jsonl").write_text(json.dumps({"query": "x", "gold": 7}) + "\n")
    with pytest.raises(BadCasesError, match="does not hold"):
        read_pool(folder)
