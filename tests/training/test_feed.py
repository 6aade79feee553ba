"""What a step draws: which kinds of questions, and which headers its documents are read with."""

from pathlib import Path

import pytest

from codemem.model.config import MemoryConfig
from codemem.model.prompts import Prompts
from codemem.model.tokenizer import Tokenizer
from codemem.training.batching import RoutingBatches
from codemem.training.corpus import Corpus, path_alone
from codemem.training.feed import Feed
from codemem.training.recipe import Phase, Recipe

MEMORY = MemoryConfig((1, 2), find_layers=1)


def test_kinds_of_questions_are_drawn_by_their_shares(base: Path, data: Path) -> None:
    corpus = Corpus.load(data, Tokenizer.from_folder(base))
    corpus.kinds = ["usage" if query % 2 else "documentation" for query in range(len(corpus.questions))]
    batches = RoutingBatches(corpus, size=8, group=4, hard=0, seed=3, asked={"usage": 0.0})
    drawn = {query for _ in range(20) for query in batches.next().queries}
    assert drawn == set(range(0, len(corpus.questions), 2))
    alone = RoutingBatches(corpus, size=8, group=4, hard=0, seed=3, asked={"usage": 1.0, "": 0.0})
    assert {query % 2 for _ in range(5) for query in alone.next().queries} == {1}
    with pytest.raises(ValueError, match="no question is of a kind"):
        RoutingBatches(corpus, size=8, group=4, hard=0, seed=3, asked={"": 0.0})


def test_a_share_is_drawn_anew_each_time_around(base: Path, data: Path) -> None:
    corpus = Corpus.load(data, Tokenizer.from_folder(base))
    batches = RoutingBatches(corpus, size=len(corpus.questions) // 4, group=2, hard=0, seed=3, asked={"": 0.5})
    first = set(batches.next().queries)
    assert {query for _ in range(40) for query in batches.next().queries} > first


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_the_documents_is_read_without_its_scope(base: Path, data: Path, share: float) -> None:
    tokenizer = Tokenizer.from_folder(base)
    corpus = Corpus.load(data, tokenizer)
    corpus.headers = [f"a/b.py Scope{i}\n" for i in range(len(corpus.headers))]
    recipe = Recipe(memory=MEMORY, without_scope=share)
    with Feed(corpus, Prompts(tokenizer), recipe, Phase(questions=8, answers=0), seed=1) as steps:
        step = next(steps)
    whole = corpus.document_ids(step.indices, 512)
    scoped = [len(read) == len(all_of_it) for read, all_of_it in zip(step.documents, whole, strict=True)]
    assert (any(scoped), all(scoped)) == {0.0: (True, True), 0.5: (True, False), 1.0: (False, False)}[share]


@pytest.mark.parametrize(
    ("header", "alone"),
    [("a/b.py C.D\n", "a/b.py\n"), ("a/b.py\n", "a/b.py\n"), ("src/m.rs *mut T\n", "src/m.rs\n")],
)
def test_a_header_without_its_scope_is_its_path(header: str, alone: str) -> None:
    assert path_alone(header) == alone


def test_processes_draw_the_same_steps_every_time_and_others_than_each_other(base: Path, data: Path) -> None:
    tokenizer = Tokenizer.from_folder(base)
    corpus = Corpus.load(data, tokenizer)
    recipe = Recipe(memory=MEMORY, feeds=2)

    def drawn() -> list[list[int]]:
        with Feed(corpus, Prompts(tokenizer), recipe, Phase(questions=8, answers=2), seed=1) as steps:
            return [next(steps).queries for _ in range(4)]

    first = drawn()
    assert first == drawn()
    assert first[0] != first[1]


def test_what_fails_in_a_process_that_draws_is_said(base: Path, data: Path) -> None:
    tokenizer = Tokenizer.from_folder(base)
    corpus = Corpus.load(data, tokenizer)
    feed = Feed(corpus, Prompts(tokenizer), Recipe(memory=MEMORY, feeds=2), Phase(questions=8), seed=1)
    corpus.questions.clear()
    with pytest.raises(IndexError), feed as steps:
        next(steps)
