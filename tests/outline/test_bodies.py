"""Words of bodies: against an independent BM25, in files that name nothing of what is asked, and on disk."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import SHOP, read_tree

from codemem.evals.bm25 import BM25
from codemem.outline import Outline, OutlineFormatError
from codemem.outline.bodies import LONGEST, MOST_COUNTED, NO_WORDS, QUESTION_WORDS, Bodies, file_words, words_of
from codemem.outline.records import record

NAMES = [
    f"{first}{second}" for first in ("alpha", "beta", "gamma", "delta") for second in ("Node", "_tree", "Leaf", "")
]


def texts(count: int) -> list[str]:
    random = np.random.default_rng(7)
    return [" ".join(random.choice(NAMES, int(size))) for size in random.integers(1, 60, count)]


def test_scores_are_those_of_an_independent_bm25() -> None:
    documents = texts(40)
    bodies = Bodies.of([file_words(documents[:5]), NO_WORDS, file_words(documents[5:6]), file_words(documents[6:])])
    assert bodies.starts.tolist() == [0, 5, 5, 6, 40]
    reference = BM25(documents)
    for question in ("alphaNode", "gamma leaf", "delta_tree betaLeaf unheard", "unheard"):
        assert bodies.scores(question) == pytest.approx(reference.scores(question), rel=1e-5, abs=1e-6)


def test_an_identifier_is_itself_and_its_parts_and_stop_words_are_none() -> None:
    assert words_of("getHTTPResponse() of the http") == {"gethttpresponse": 1, "get": 1, "http": 2, "response": 1}


def test_what_is_no_identifier_of_a_person_is_left_out() -> None:
    assert words_of("x" * (LONGEST + 1) + " short") == {"short": 1}
    assert file_words(["w " * (MOST_COUNTED + 9)]).counts == bytes([MOST_COUNTED])


def test_a_report_is_ranked_by_its_rarest_words() -> None:
    rare = [f"rare{number}x" for number in range(QUESTION_WORDS)]
    bodies = Bodies.of([file_words([" ".join(["common", word]) for word in rare])])
    assert not bodies.scores("common " + " ".join(rare))[0] > bodies.scores(" ".join(rare))[0]
    assert bodies.scores("common")[0] > 0


@pytest.mark.parametrize("change", [{"counts": b"\x01"}, {"words": ("alpha",)}, {"sizes": b"\x09\0\0\0"}])
def test_columns_that_do_not_belong_together_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    """Where they are used, and where an outline is loaded, which is then built anew instead."""
    words = file_words(["alpha beta"])._replace(**change)
    with pytest.raises(ValueError, match="do not belong together"):
        Bodies.of([words])
    (file,) = read_tree(tmp_path / "tree", {"a.py": "def alpha():\n    return beta\n"})
    Outline([replace(record(file), words=words)]).save(tmp_path / "outline.db")
    with pytest.raises(OutlineFormatError, match="damaged"):
        Outline.load(tmp_path / "outline.db")


def test_no_files_and_no_documents_are_no_error() -> None:
    assert Bodies.of([]).scores("x").tolist() == []
    assert Outline().words("x").best_of_files(()) == {}
    assert Bodies.of([NO_WORDS, file_words([""])]).scores("x").tolist() == [0.0]


def test_the_best_document_of_each_file_and_a_test_behind_what_it_tests(tmp_path: Path) -> None:
    outline = Outline.build(read_tree(tmp_path, SHOP), names=["shop"])
    assert not outline.search("append"), "nothing is defined that is called so"
    best = outline.words("append").best_of_files(())
    assert max(best, key=lambda path: best[path]) == "shop/cart.py"
    assert set(best) == set(SHOP)
    cart = {path: score for path, (score, _) in outline.words("Cart add_item").best_of_files(()).items()}
    assert cart["tests/test_cart.py"] < cart["shop/cart.py"]


def test_words_are_loaded_as_they_were_saved_and_follow_changes(tmp_path: Path) -> None:
    outline = Outline.build(read_tree(tmp_path / "tree", SHOP))
    outline.save(tmp_path / "outline.db")
    loaded = Outline.load(tmp_path / "outline.db")
    for query in ("append", "PaymentError number", "path"):
        assert loaded.words(query).scores.tolist() == outline.words(query).scores.tolist()
    assert loaded.words("append").best_of_files(())["shop/cart.py"][0] > 0
    (changed,) = read_tree(tmp_path / "other", {"shop/cart.py": "def nothing():\n    pass\n"})
    loaded.update(changed)
    assert loaded.words("append").best_of_files(())["shop/cart.py"][0] == 0
    loaded.remove("shop/cart.py")
    assert "shop/cart.py" not in loaded.words("append").best_of_files(())
