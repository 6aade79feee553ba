"""Which question-answer records are asked: by kind, and several about one package's documents."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from codemem.training.corpus import Corpus
from codemem.training.data.answers import NOT_FOUND

TELLING = 0.25
"""A question's word tells where the answer is, if so small a share of the documents have it."""
UNREAD = 0.5
"""Of conversations that ask more, the share that also asks what nothing they show answers."""
LOOKED_AT = 4
"""How many times as many records are looked at as are wanted."""
TRIES = 8
_WORD = re.compile(r"[a-z]{4,}")

Record = dict[str, Any]


def kind_weights(counts: Mapping[str, int], kinds: Mapping[str, float] | None) -> dict[str, float]:
    """The shares of the kinds: by the square root of their counts, times what `kinds` says; their sum is 1.

    Raises ValueError if none is left.
    """
    weights = {kind: float(np.sqrt(count)) * (kinds or {}).get(kind, 1.0) for kind, count in counts.items()}
    total = sum(weights.values())
    if weights and total <= 0:
        raise ValueError("the recipe's `kinds` leave no answer to learn: give one that the data have a weight above 0")
    return {kind: weight / total for kind, weight in weights.items()}


class Records:
    """Draws answer records: a kind by the square root of its count (times the recipe's `kinds`), so that few common
    kinds do not make up most of what is learnt; of that kind, each record once before any comes again."""

    def __init__(
        self,
        answers: Sequence[Record],
        random: np.random.Generator,
        kinds: Mapping[str, float] | None = None,
        *,
        among: Iterable[int] | None = None,
    ) -> None:
        """`among`: indices of those to draw from, all by default."""
        self._random = random
        self._by_kind: dict[str, list[int]] = {}
        for index in range(len(answers)) if among is None else among:
            self._by_kind.setdefault(answers[index]["kind"], []).append(index)
        self._kinds = sorted(self._by_kind)
        weights = kind_weights({kind: len(self._by_kind[kind]) for kind in self._kinds}, kinds)
        self._weights = [weights[kind] for kind in self._kinds]
        self._order: dict[str, list[int]] = {kind: [] for kind in self._kinds}

    def next(self) -> int:
        """The index of a record."""
        kind = self._kinds[int(self._random.choice(len(self._kinds), p=self._weights))]
        if not self._order[kind]:
            self._order[kind] = list(map(int, self._random.permutation(self._by_kind[kind])))
        return self._order[kind].pop()


class Further:
    """Draws further questions about a record's package, so that one reading of sources teaches several answers."""

    def __init__(
        self,
        corpus: Corpus,
        random: np.random.Generator,
        kinds: Mapping[str, float] | None,
        *,
        count: int,
        among: Iterable[int] | None = None,
    ) -> None:
        """`count`: questions besides the first, at most. `among`: indices of those to draw from, all by default."""
        self._corpus, self._random, self._count = corpus, random, count
        self._of_package: dict[int, list[int]] = {}
        counts: dict[str, int] = {}
        for index in range(len(corpus.answers)) if among is None else among:
            record = corpus.answers[index]
            if record["gold"]:
                self._of_package.setdefault(int(corpus.packages[record["gold"][0]]), []).append(index)
                counts[record["kind"]] = counts.get(record["kind"], 0) + 1
        self._share = kind_weights(counts, kinds)
        for package, indices in self._of_package.items():  # a kind of weight 0 is never asked
            self._of_package[package] = [i for i in indices if self._share[corpus.answers[i]["kind"]] > 0]

    def drawn(self, record: Record, fits: Callable[[Record], bool]) -> list[Record]:
        """Answerable records of the package of `record`, other than it, that `fits` takes. Kinds come as often as in
        `Records`, if the package has them."""
        others = self._of_package.get(int(self._corpus.packages[record["gold"][0]]), [])
        if not others:
            return []
        kinds = [self._corpus.answers[index]["kind"] for index in others]
        own = {kind: kinds.count(kind) for kind in set(kinds)}
        weights = np.asarray([self._share[kind] / own[kind] for kind in kinds])
        size = min(len(others), LOOKED_AT * self._count)
        order = self._random.choice(len(others), size, replace=False, p=weights / weights.sum())
        asked = {record.get("sentence", record["question"])}
        found: list[Record] = []
        for other in (self._corpus.answers[others[int(at)]] for at in order):
            if len(found) < self._count and other["question"] not in asked and fits(other):
                asked.add(other["question"])
                found.append(other)
        return found

    def unread(self, record: Record, shown: Mapping[int, str]) -> Record | None:
        """Now and then a question of the package that nothing of `shown` (document -> header and text) answers, as a
        record without documents."""
        if self._random.random() >= UNREAD:
            return None
        others = self._of_package[int(self._corpus.packages[record["gold"][0]])]
        for _ in range(TRIES):
            other = self._corpus.answers[others[int(self._random.integers(len(others)))]]
            evidence = other.get("evidence", "")
            if set(other["gold"]) & shown.keys() or any(evidence in text for text in shown.values()):
                continue  # without evidence nothing can be ruled out: "" stands everywhere
            if len(untelling(other["question"], shown)) == len(shown):
                answer = NOT_FOUND[int(self._random.integers(len(NOT_FOUND)))]
                return other | {"gold": [], "answer": answer}
        return None


def without_telling_words(corpus: Corpus, question: str, documents: Sequence[int]) -> list[int]:
    """Those of `documents` in which no word of the question stands that few of them have."""
    return untelling(question, {d: f"{corpus.headers[d]}{corpus.texts[d]}" for d in documents})


def untelling(question: str, texts: Mapping[int, str]) -> list[int]:
    """Those of the documents (document -> header and text) in which no word of the question stands that few of them
    have."""
    lower = {document: text.lower() for document, text in texts.items()}
    words = set(_WORD.findall(question.lower()))
    telling = [w for w in words if sum(w in text for text in lower.values()) <= TELLING * len(lower)]
    return [document for document, text in lower.items() if not any(word in text for word in telling)]
