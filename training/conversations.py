"""Question-answer records to conversations as the product holds them (model/prompts.py, model/answer.py)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from codemem.model.config import MemoryConfig
from codemem.model.prompts import Prompts, question_position
from codemem.model.tokenizer import Tokenizer
from codemem.training.corpus import Corpus
from codemem.training.files import Files
from codemem.training.keywords import Wording
from codemem.training.naming_choices import naming_turn
from codemem.training.plain import PlainForm
from codemem.training.ranking import speaking, spelled_out
from codemem.training.records import Further, Records, without_telling_words

BEST_LAST = 0.7
"""Share of readings in which the document that decides is read last, as the product orders what it is sure of."""
FULL = 0.5
"""Share of readings that fill their room, as the product reads until its budget is spent; the others end anywhere."""
STILL_TO_COME = 600
"""Tokens kept for each hop that is still to be named and read."""
SHORT_DOCUMENT_TOKENS = 64
"""What a source costs at least, by and large: so many more documents are drawn as could be read."""


@dataclass(slots=True)
class Conversation:
    """One training text. Positions of the template are 0 to 2, then they go on from the question's position."""

    ids: list[int]
    learn: list[bool]
    """Tokens that the model itself must write."""
    routing: tuple[int, int]
    """Half-open range of the tokens that route."""
    documents: list[int]
    """Corpus indices of the documents in memory; the first `gold` of them are the ones to find."""
    gold: int
    kind: str = ""
    choices: dict[int, list[int]] = field(default_factory=dict)
    """Index of a learnt token -> the tokens that decoding offers there, where it does not offer all."""
    decisions: set[int] = field(default_factory=set)
    """Indices of learnt tokens that decide what happens next: name more, refuse, or answer."""
    fork: int = 0
    """Where what stands behind the sources begins, if more is asked about them."""
    further: list[tuple[int, int]] = field(default_factory=list)
    """Half-open ranges of further questions with their answers. Each sees what stands before `fork` and itself, at
    the positions of the first question's: several conversations that share their sources."""

    def ask(self, question: list[int], answer: list[int]) -> None:
        """Adds a further question and what is to be written."""
        start, written = len(self.ids), len(self.ids) + len(question)
        self.ids += [*question, *answer]
        self.learn += [False] * len(question) + [True] * len(answer)
        self.decisions.add(written)
        self.further.append((start, len(self.ids)))

    def branch_of_tokens(self) -> list[int]:
        """0 for tokens that all behind them see, else the number of the question that the token belongs to."""
        if not self.further:
            return [0] * len(self.ids)
        branches = [0] * self.fork + [1] * (self.further[0][0] - self.fork)
        for number, (start, end) in enumerate(self.further, start=2):
            branches += [number] * (end - start)
        return branches


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
    ) -> None:
        """`further`: questions that are asked besides about the same sources, at most. `keywords`: the share that is
        asked in key words. `by_hop`: the share of chains read hop by hop: name, read, name again.
        `as_ranked`: the share of the others that is read in the order in which the product ranks."""
        self.corpus, self.prompts, self.tokens = corpus, prompts, tokens
        self.memory_documents, self.plain = memory_documents, plain
        self.random = np.random.default_rng(seed)
        self._records = Records(corpus.answers, self.random, kinds)
        self._further = Further(corpus, self.random, kinds, count=further) if further else None
        self._wording = Wording(self.random, keywords)
        self._by_hop, self._as_ranked = by_hop, as_ranked
        self.files = Files(corpus) if plain else None
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
        writing = _Writing(self, record, gold, distractors, attended, form=form)
        by_hop = len(gold) > 1 and self.random.random() < self._by_hop
        hops = [[document] for document in gold] if by_hop else [gold]
        if self._further and gold and not by_hop and not form:
            drawn = self._further.drawn(record, lambda other: not self._decides_besides(other, record))
            writing.ask_besides([self._wording.of(other) for other in drawn])
        if self._as_ranked and not by_hop and not form and self.random.random() < self._as_ranked:
            writing.read_as_ranked(gold, distractors)
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


class _Writing:
    """A conversation in the making."""

    def __init__(
        self,
        drawn: Conversations,
        record: dict[str, Any],
        gold: list[int],
        distractors: list[int],
        attended: list[int],
        *,
        form: PlainForm | None,
    ) -> None:
        self.prompts, self.corpus, self.random = drawn.prompts, drawn.corpus, drawn.random
        self.record, self.gold, self.attended, self.tokens = record, gold, attended, drawn.tokens
        self.form = form
        own = [*gold, *distractors]
        self.left = [*distractors, *(drawn.of_package(record, own) if own else ())]
        self.candidates = list(dict.fromkeys([*attended, *distractors]))
        question = self.prompts.question(record["question"])
        self.ids = [*question.template, *question.routing, *question.tail]
        self.learn = [False] * len(self.ids)
        self.routing = (len(question.template), len(question.template) + len(question.routing))
        self.numbers: dict[int, int] = {}
        self.choices: dict[int, list[int]] = {}
        self.decisions: set[int] = set()
        self.fork = 0
        self.besides: list[dict[str, Any]] = []

    def ask_besides(self, records: Sequence[dict[str, Any]]) -> None:
        """Has the documents of further questions read first of what is read besides, and keeps room to ask them."""
        self.besides = list(records)
        wanted = [d for record in records for d in record["gold"] if d not in self.gold]
        self.left = list(dict.fromkeys([*wanted, *self.left]))

    def add(self, piece: list[int], *, learnt: bool) -> None:
        self.ids.extend(piece)
        self.learn.extend([learnt] * len(piece))

    def header(self, document: int) -> list[int]:
        return self.prompts.header(self.corpus.headers[document])

    def name(self, documents: list[int]) -> None:
        """The model's turn that names. Of what cannot be answered it names what looks closest, which is not learnt."""
        start = len(self.ids)
        if self.form:  # such text comes from no memory: what stands in the turn is not learnt
            first = [*documents, *self.candidates][:1]
            self.add(self.prompts.named([self.form.header(d) for d in first]), learnt=False)
            return
        if self.numbers:  # it goes on instead of answering
            self.decisions.add(start)
        named = [self.header(d) for d in documents or self.attended[:1] or self.candidates[:1]]
        candidates = [self.header(d) for d in self.candidates if d not in self.numbers]
        turn = naming_turn(
            named,
            [*named, *candidates],
            opening=self.prompts.file,
            newline=self.prompts.newline[0],
            stop=self.prompts.turn_end,
        )
        self.add(turn.ids, learnt=False)
        if not documents:
            return
        for position, offered in turn.choices.items():
            self.learn[start + position] = True
            self.choices[start + position] = offered
        if self.numbers:
            self.learn[start] = True

    def read_as_ranked(self, gold: list[int], distractors: Sequence[int]) -> None:
        """The turns of a model that names nothing: what the question spells out ranks first, and is read last."""
        last = spelled_out(self.corpus, self.record["question"], [*gold, *distractors])
        first = [*last[::-1], *gold, *self.candidates][:1]
        self.add(self.prompts.named([self.corpus.headers[document] for document in first]), learnt=False)
        self.left = list(dict.fromkeys([*last, *self.left]))
        self.read(gold, hops_left=0, as_ranked=True, last=last)

    def read(self, documents: list[int], *, hops_left: int, as_ranked: bool = False, last: Sequence[int] = ()) -> None:
        """The turn that shows sources: what was named among others, best last where routing would be sure of it.

        Others are left out, and not cut, where there is no room for them, as the product does. `as_ranked`: anything
        first, what speaks of the names that the question writes out behind it, `last` at the end.
        """
        turn = len(self.prompts.sources([], self.record["question"])) + len(self._answer(self.record))
        besides = [len(self._asked_and_answered(record)) for record in self.besides]
        turn += sum(besides) + max(besides, default=0)  # one may follow that nothing shown answers
        room = self.tokens - len(self.ids) - turn - hops_left * STILL_TO_COME
        fresh = [d for d in documents if d not in self.numbers]
        room -= sum(self._lengths(fresh))
        full = bool(self.besides) or self.random.random() < FULL
        others = self._others(room if full else int(room * self.random.random()))
        if self.besides:
            self.random.shuffle(others)
        shown = [*others, *fresh]
        if not documents or self.random.random() > BEST_LAST:
            self.random.shuffle(shown)
        if as_ranked:
            shown = self._as_ranked(shown, last)
        pieces = []
        for number, document in enumerate(shown, start=len(self.numbers) + 1):
            self.numbers[document] = number
            pieces.append(self._source(number, document))
        self.add(self.prompts.sources(pieces, self.record["question"]), learnt=False)
        self.fork = len(self.ids) - len(self.prompts.asked(self.record["question"]))

    def _as_ranked(self, shown: list[int], last: Sequence[int]) -> list[int]:
        self.random.shuffle(shown)
        speak = set(speaking(self.corpus, self.record["question"], shown)).difference(last)
        silent = [d for d in shown if d not in speak and d not in last]
        return [*silent, *(d for d in shown if d in speak), *(d for d in last if d in shown)]

    def _others(self, room: int) -> list[int]:
        """What is read besides, for so many tokens; of what cannot be answered two at least."""
        few = 0 if self.gold else 1 if self.form else 2
        taken: list[int] = []
        for document, length in zip(self.left, self._lengths(self.left), strict=True):
            if length <= room or len(taken) < few:
                taken.append(document)
                room -= length
        self.left = [d for d in self.left if d not in taken]
        return taken

    def _lengths(self, documents: Sequence[int]) -> list[int]:
        return source_lengths(self.corpus.tokenizer, [(10, *self._shown(document)) for document in documents])

    def _source(self, number: int, document: int) -> list[int]:
        return self.prompts.source(number, *self._shown(document))

    def _shown(self, document: int) -> tuple[str, str]:
        """Header and text."""
        if self.form:
            return self.form.header(document), self.form.text(document)
        return self.corpus.headers[document], self.corpus.texts[document]

    def answer(self) -> None:
        """The answer with its citations, or the word that there is none."""
        self.decisions.add(len(self.ids))
        self.add(self._answer(self.record), learnt=True)

    def ask_further(self, conversation: Conversation, further: Further) -> None:
        """Asks what besides was to be asked and whose documents were all read; now and then what nothing answers."""
        asked = [record for record in self.besides if set(record["gold"]) <= self.numbers.keys()]
        if asked and (unread := further.unread(self.record, list(self.numbers))):
            asked.append(unread)
        for record in asked:
            question, answer = self.prompts.asked(record["question"]), self._answer(record)
            if len(conversation.ids) + len(question) + len(answer) <= self.tokens:
                conversation.ask(question, answer)

    def _asked_and_answered(self, record: dict[str, Any]) -> list[int]:
        return [*self.prompts.asked(record["question"]), *self._answer(record)]

    def _answer(self, record: dict[str, Any]) -> list[int]:
        cited = sorted(self.numbers[d] for d in record["gold"] if d in self.numbers)
        pieces: list[str | int] = [record["answer"], *(cited if record["gold"] else ())]
        return self.prompts.answer(pieces, answerable=bool(record["gold"]))

    def done(self) -> Conversation:
        return Conversation(
            self.ids, self.learn, self.routing, self.attended, len(self.gold), self.record.get("kind", ""),
            self.choices, self.decisions, self.fork,
        )  # fmt: skip


def source_lengths(tokenizer: Tokenizer, sources: Sequence[tuple[int, str, str]]) -> list[int]:
    """Tokens of sources as `Prompts.source` makes them of number, header and text; all at once, on all cores."""
    return [1 + len(ids) for ids in tokenizer.encode_batch([f"[{n}] {header}{text}\n" for n, header, text in sources])]


def positions(conversation: Conversation, memory: MemoryConfig) -> list[int]:
    """Positions of a conversation's tokens; further questions stand where the first one does."""
    template, start = conversation.routing[0], question_position(memory)
    first = conversation.further[0][0] if conversation.further else len(conversation.ids)
    found = [*range(template), *range(start, start + first - template)]
    for begun, end in conversation.further:
        found += range(found[conversation.fork], found[conversation.fork] + end - begun)
    return found
