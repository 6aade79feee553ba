"""Question-answer records to conversations as the product holds them (model/prompts.py, model/answer.py)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from codemem.model.prompts import Prompts
from codemem.training.conversation import Conversation
from codemem.training.corpus import Corpus
from codemem.training.files import Files
from codemem.training.keywords import Wording
from codemem.training.packed import IndexedFiles
from codemem.training.plain import PlainForm
from codemem.training.records import Further, Records, without_telling_words
from codemem.training.writing import Writing

SHORT_DOCUMENT_TOKENS = 64
"""What a source costs at least, by and large: so many more documents are drawn as could be read."""


class Conversations:
    """Draws conversations; deterministic by seed."""

    def __init__(
        self,
        corpus: Corpus,
        prompts: Prompts,
        *,
        tokens: int,
        memory_documents: int,
        seed: int,
        kinds: Mapping[str, float] | None = None,
        plain: float = 0.0,
        further: int = 0,
        keywords: float = 0.0,
        by_hop: float = 0.5,
        as_ranked: float = 0.0,
        packed: float = 0.0,
        noted: float = 0.0,
    ) -> None:
        """`further`: questions that are asked besides about the same sources, at most. `keywords`: the share that is
        asked in key words. `by_hop`: the share of chains read hop by hop: name, read, name again.
        `as_ranked`: the share of the others that is read in the order in which the product ranks; `packed`: the share
        of these that shows sources as the indexer makes them. `noted`: the share that is told where the names of a
        question stand in its sources."""
        self.corpus, self.prompts, self.tokens = corpus, prompts, tokens
        self.memory_documents, self.plain = memory_documents, plain
        self.random = np.random.default_rng(seed)
        self._records = Records(corpus.answers, self.random, kinds)
        self._further = Further(corpus, self.random, kinds, count=further) if further else None
        self._wording = Wording(self.random, keywords)
        self._by_hop, self._as_ranked = by_hop, as_ranked
        self.files = Files(corpus) if plain or packed or noted else None
        self._packed, self.noted = packed, noted
        self.indexed = IndexedFiles(corpus, self.files) if (packed or noted) and self.files else None
        self._order = np.argsort(corpus.packages, kind="stable")
        self._sorted = corpus.packages[self._order]

    def next(self, extra: Sequence[int] = ()) -> Conversation:
        """The conversation about the next record. `extra`: documents of the step that memory may hold besides."""
        return self.build(self._wording.of(self.corpus.answers[self._records.next()]), extra)

    def build(self, record: dict[str, Any], extra: Sequence[int] = ()) -> Conversation:
        """The conversation about one record."""
        gold = list(dict.fromkeys(record["gold"]))
        distractors = [d for d in dict.fromkeys(record["distractors"]) if d not in gold]
        self.random.shuffle(distractors)
        attended = [*gold, *distractors]
        attended += [d for d in self._drawn(extra) if d not in attended and not self._decides(d, record)]
        attended = attended[: max(self.memory_documents, len(gold))]
        plain = self.files is not None and self.random.random() < self.plain
        form = PlainForm(self.corpus, self.files, self.random, record) if plain and self.files else None
        writing = Writing(self, record, gold, distractors, attended, form=form)
        by_hop = len(gold) > 1 and self.random.random() < self._by_hop
        hops = [[document] for document in gold] if by_hop else [gold]
        if self._further and gold and not by_hop and not form:
            drawn = self._further.drawn(record, lambda other: not self._decides_besides(other, record))
            writing.ask_besides([self._wording.of(other) for other in drawn])
        if self._as_ranked and not by_hop and not form and self.random.random() < self._as_ranked:
            packed = self.indexed if self.random.random() < self._packed else None
            writing.read_as_ranked(gold, distractors, packed)
            hops = []
        for number, documents in enumerate(hops):
            writing.name(documents)
            writing.read(documents, hops_left=len(hops) - 1 - number)
        writing.answer()
        conversation = writing.done()
        if self._further:
            writing.ask_further(conversation, self._further)
        return conversation

    def _drawn(self, extra: Sequence[int]) -> list[int]:
        room = min(len(extra), self.memory_documents)
        return list(map(int, self.random.choice(extra, room, replace=False))) if room else []

    def of_package(self, record: dict[str, Any], own: Sequence[int]) -> list[int]:
        """Documents of the record's package besides its `own`, as many as could be read: what routing ranks next.

        Where nothing holds the answer, nothing that a telling word of the question stands in either: what was taken
        away is still in the corpus.
        """
        package = self.corpus.packages[own[0]]
        first, last = np.searchsorted(self._sorted, package), np.searchsorted(self._sorted, package, "right")
        count = min(int(last - first), self.tokens // SHORT_DOCUMENT_TOKENS)
        drawn = [int(d) for d in self.random.choice(self._order[first:last], count, replace=False) if d not in own]
        if record["gold"]:
            return [d for d in drawn if not self._decides(d, record)]
        return without_telling_words(self.corpus, record["question"], drawn)

    def _decides_besides(self, other: dict[str, Any], record: dict[str, Any]) -> bool:
        """Whether a document of another record holds what `record` asks for, and is none of its own."""
        return any(self._decides(d, record) for d in other["gold"] if d not in record["gold"])

    def _decides(self, document: int, record: dict[str, Any]) -> bool:
        """Whether a document drawn at random happens to hold what the record asks for."""
        evidence = record.get("evidence", "")
        text = self.corpus.texts[document]
        return bool(evidence and evidence in text) or any(
            self.corpus.copies[document] == self.corpus.copies[g] for g in record["gold"]
        )
