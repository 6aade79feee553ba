"""Which written questions lead back to their source: the second half of `codemem.training.prose_questions`."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codemem.model.tokenizer import Tokenizer
from codemem.training.colleague import Asked
from codemem.training.corpus import Corpus, Documents
from codemem.training.data.questions import chance
from codemem.training.data.read import rows
from codemem.training.mine import EASY_KEPT, SURELY_WRONG, Mining, judge, parts_of

Row = dict[str, Any]

LEADS_BACK = 20
"""Rank of its source, within its package, that a question must reach."""
OF_PACKAGE = 10
"""And within the best one in so many of the package's documents, where those are few."""


@dataclass(frozen=True, slots=True)
class Found:
    """Where a question leads."""

    question: int
    rank: int
    """Of the source, within its package."""
    negatives: list[int]
    others: list[int]
    """Documents that may answer it too: they score at least SURELY_WRONG of what the source does."""
    easy: bool
    """First and far ahead."""

    def leads_back(self, documents: int) -> bool:
        """Whether the source is near enough to the top of so many documents."""
        return self.rank <= min(LEADS_BACK, max(1, documents // OF_PACKAGE))


def written(data: Path) -> list[Row]:
    """The questions of all parts, without those that another part has asked before."""
    packages, asked, found = Documents.load(data).packages, Asked(), []
    for path in sorted(data.glob("written-*.jsonl.zst")):
        found += [row for row in rows(path) if asked.is_new(row["q"], str(packages[row["pos"][0]]))]
    return found


def questions_alone(data: Path, tokenizer: Tokenizer, questions: Sequence[Row]) -> Corpus:
    """A course's documents with these questions."""
    documents = Documents.load(data)
    asked, leads_to = [row["q"] for row in questions], [row["pos"] for row in questions]
    return Corpus(tokenizer, documents.headers, documents.texts, documents.packages, asked, leads_to, [], [])


class Ranking(Mining):
    """Ranks as mining does, and says which documents may answer a question too."""

    def found(self, documents: list[int], queries: list[int]) -> Iterator[Found]:
        """Where each question leads among the documents of its package, in order."""
        for query, scores, own, out in self.scores(documents, queries):
            rank, negatives, easy = judge(scores, own, out)
            close = (scores >= SURELY_WRONG * scores[own].max()) & ~out
            others = [documents[i] for i in close.nonzero()[:, 0].tolist()]
            yield Found(query, rank, [documents[i] for i in negatives], others, easy)


def leading_back(ranking: Ranking, part: int, parts: int) -> Iterator[tuple[Found, bool]]:
    """Where the questions of one part's packages lead, and whether each is worth asking.

    It is if it leads back; of the easy ones, which teach little, a share of EASY_KEPT is.
    """
    corpus = ranking.corpus
    members: dict[int, list[int]] = defaultdict(list)
    for document, package in enumerate(corpus.packages.tolist()):
        members[package].append(document)
    asked: dict[int, list[int]] = defaultdict(list)
    for query, positives in enumerate(corpus.positives):
        asked[int(corpus.packages[positives[0]])].append(query)
    for package in sorted(parts_of({p: len(members[p]) for p in asked}, parts)[part]):
        for found in ranking.found(members[package], asked[package]):
            chosen = not found.easy or chance(corpus.questions[found.question]) < EASY_KEPT
            yield found, chosen and found.leads_back(len(members[package]))
