"""A conversation in the making, turn by turn, as the product holds it (model/prompts.py, model/answer.py)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from codemem.model.events import Source
from codemem.model.references import references
from codemem.model.tokenizer import Tokenizer
from codemem.training.conversation import Conversation
from codemem.training.naming_choices import naming_turn
from codemem.training.packed import IndexedFiles, Key, PackedForm, alone_key
from codemem.training.plain import PlainForm
from codemem.training.ranking import speaking, spelled_out
from codemem.training.records import Further

if TYPE_CHECKING:
    from codemem.training.conversations import Conversations

BEST_LAST = 0.7
"""Share of readings in which the document that decides is read last, as the product orders what it is sure of."""
FULL = 0.5
"""Share of readings that fill their room, as the product reads until its budget is spent; the others end anywhere."""
STILL_TO_COME = 600
"""Tokens kept for each hop that is still to be named and read."""
REFERENCES = 60
"""Tokens kept for where a question's names stand; where they do not suffice, it is left out."""


class Writing:
    """A conversation in the making."""

    def __init__(
        self,
        drawn: "Conversations",
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
        self.packed: PackedForm | None = None
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
        self.noted = drawn.indexed if drawn.indexed and not form and self.random.random() < drawn.noted else None
        self.shown: list[Source] = []

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

    def read_as_ranked(self, gold: list[int], distractors: Sequence[int], indexed: IndexedFiles | None) -> None:
        """The turns of a model that names nothing: what the question spells out ranks first, and is read last.

        With `indexed`, sources are shown as the indexer makes them; not where nothing answers, since what was taken
        away may stand next to anything.
        """
        if indexed and gold:
            asked = [self.record, *self.besides]
            evidence = {record["gold"][-1]: record.get("evidence", "") for record in reversed(asked)}
            self.packed = PackedForm(indexed, self.random, evidence, evidence.values())
        last = spelled_out(self.corpus, self.record["question"], [*gold, *distractors])
        first = [*last[::-1], *gold, *self.candidates][:1]
        self.add(self.prompts.named([self._shown(document)[0] for document in first]), learnt=False)
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
        turn += REFERENCES * (1 + len(besides)) if self.noted else 0
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
        for together in self._together(shown):
            number = 1 + max(self.numbers.values(), default=0)
            self.numbers |= dict.fromkeys(together, number)
            self.shown.append(self._as_source(together[-1]))
            pieces.append(self._source(number, together[-1]))
        question, noted = self.record["question"], self._references(self.record)
        if (
            len(self.ids) + len(self.prompts.sources(pieces, question, noted)) + len(self._answer(self.record))
            > self.tokens
        ):
            noted = ""
        self.add(self.prompts.sources(pieces, question, noted), learnt=False)
        self.fork = len(self.ids) - len(self.prompts.asked(question, noted))

    def _together(self, shown: Sequence[int]) -> list[list[int]]:
        """Documents that one source shows, each source where the last of them stands."""
        if self.packed is None:
            return [[document] for document in shown]
        found: dict[Key, list[int]] = {}
        for document in shown:
            key = self.packed.shown(document).key
            found[key] = [*found.pop(key, ()), document]
        for alone in [documents[0] for key, documents in found.items() if key == alone_key(documents[0])]:
            text = self._shown(alone)[1].strip()
            holder = next((d for d in found.values() if d[-1] != alone and text in self._shown(d[-1])[1]), None)
            if holder:  # what is shown by itself and in its file besides would stand there twice
                holder.insert(0, alone)
                del found[alone_key(alone)]
        return list(found.values())

    def _as_ranked(self, shown: list[int], last: Sequence[int]) -> list[int]:
        self.random.shuffle(shown)
        texts = {document: self._shown(document)[1] for document in shown}
        speak = speaking(self.record["question"], texts).difference(last)
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
        if self.packed:
            piece = self.packed.shown(document)
            return piece.header, piece.text
        if self.form:
            return self.form.header(document), self.form.text(document)
        return self.corpus.headers[document], self.corpus.texts[document]

    def _as_source(self, document: int) -> Source:
        if self.packed:
            definitions = self.packed.shown(document).definitions
        else:
            definitions = self.noted.alone(document).definitions if self.noted else ()
        return Source(document, *self._shown(document), definitions)

    def _references(self, record: dict[str, Any]) -> str:
        """Where the names of a question stand in what is shown, as the product tells."""
        return references(record["question"], self.shown) if self.noted else ""

    def answer(self) -> None:
        """The answer with its citations, or the word that there is none."""
        self.decisions.add(len(self.ids))
        self.add(self._answer(self.record), learnt=True)

    def ask_further(self, conversation: Conversation, further: Further) -> None:
        """Asks what besides was to be asked and whose documents were all read; now and then what nothing answers."""
        asked = [record for record in self.besides if self._answered(record)]
        texts = {document: "".join(self._shown(document)) for document in self.numbers}
        if asked and (unread := further.unread(self.record, texts)):
            asked.append(unread)
        for record in asked:
            question = self.prompts.asked(record["question"], self._references(record))
            answer = self._answer(record)
            if len(conversation.ids) + len(question) + len(answer) <= self.tokens:
                conversation.ask(question, answer, record.get("kind", ""))

    def _answered(self, record: dict[str, Any]) -> bool:
        """Whether what is shown answers a record."""
        gold = record["gold"]
        return set(gold) <= self.numbers.keys() and record.get("evidence", "") in self._shown(gold[-1])[1]

    def _asked_and_answered(self, record: dict[str, Any]) -> list[int]:
        return [*self.prompts.asked(record["question"]), *self._answer(record)]

    def _answer(self, record: dict[str, Any]) -> list[int]:
        cited = sorted({self.numbers[d] for d in record["gold"] if d in self.numbers})
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
