"""Memory Interleave: route, let the model name documents, append their text, route again, answer.

Control flow runs on the ids that the model generates (`markers`) and on structures; no text steers it. What the public
engine lacks: limits on rounds and tokens, an end for a round that names nothing new, and a first round that the routing
decides if the model names nothing (docs/decisions/0010-msa-4b-protocol.md).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from codemem.model.events import Answer, AnswerEvent, LayerChoice, Ranking, Read, Round, Source, TextPiece
from codemem.model.memory import QuestionContext
from codemem.model.msa4b.answer_text import AnswerText
from codemem.model.msa4b.checkpoint import Msa4bModel
from codemem.model.msa4b.clock import RoutingClock, route_ms
from codemem.model.msa4b.conversation import Conversation, Template
from codemem.model.msa4b.evidence import Evidence, weigh
from codemem.model.msa4b.excerpt import Excerpt, excerpt
from codemem.model.msa4b.markers import RetrievalWatcher, Signal
from codemem.model.msa4b.memory import Msa4bMemory
from codemem.model.msa4b.slot import Slot
from codemem.model.msa4b.tokens import Prompt, Transcript

RoundMode = Literal["extend", "replay"]
"""A further round feeds its new text alone, or the whole transcript again as the public engine does."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a conversation is ended for the model."""

    rounds: int = 4
    """Rounds of reading; then it must answer."""
    retrieval_tokens: int = 256
    """Generated tokens a round."""
    source_tokens: int = 6144
    """Tokens of documents appended in all, shared by those named in a round; longer ones are cut around a chunk."""
    answer_tokens: int = 1024
    named_by_routing: int = 4
    """Documents read if the model names none in the first round."""
    cited: int = 3

    def __post_init__(self) -> None:
        if min(self.rounds, self.retrieval_tokens, self.source_tokens, self.answer_tokens) < 1:
            raise ValueError("limits of a conversation must be positive")


class Interleave:
    """Asks questions of one memory with one model."""

    def __init__(
        self,
        model: Msa4bModel,
        memory: Msa4bMemory,
        *,
        limits: Limits | None = None,
        rounds: RoundMode = "extend",
        template: Template | None = None,
        slot: Slot | None = None,
    ) -> None:
        """`template`: of an earlier conversation with this model, if there was one. `slot`: where conversations take
        place one after another; without one each makes buffers of its own."""
        if memory.fingerprint != model.fingerprint:
            raise ValueError("this memory was made by another model: index again")
        self.model, self.memory, self.limits, self.rounds = model, memory, limits or Limits(), rounds
        self._template, self._slot = template, slot

    def open(self) -> Conversation:
        """A conversation with the memory; the template is read once for all."""
        bank = RoutingClock(self.memory) if len(self.memory) else None
        conversation = Conversation(self.model, bank, template=self._template, slot=self._slot)
        if self._template is None:
            self._template = conversation.template()
        return conversation

    def rank(self, question: str) -> Ranking:
        """Scores all documents for a question; runs no layer above the last one that ranks."""
        if not len(self.memory):
            return Ranking(np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int32), 0.0)
        layers = self.model.config.memory.ranking_layers
        queries, routing = self._queries(self.model.protocol.question(question), layers)
        started = time.perf_counter()
        found = weigh(self.memory, queries)
        scores, best = found.documents.cpu().numpy(), found.best_chunk.to(torch.int32).cpu().numpy()
        weighing = 1000 * (time.perf_counter() - started)
        return Ranking(scores, best, weighing + routing)

    def _queries(self, prompt: Prompt, layers: Sequence[int]) -> tuple[dict[int, Tensor], float]:
        """Folded queries by layer, and the milliseconds of routing between them.

        From a memory of routing keys alone the question is read by itself. The lowest routed layer then ranks as in a
        conversation; those above do not see what was chosen below them.
        """
        model = self.model
        if self.memory.attendable:
            conversation = self.open()
            conversation.feed(prompt, layers=layers[-1] + 1)
            found = {layer: conversation.context.queries[layer] for layer in layers}
            conversation.close()
            return found, route_ms(conversation.context.bank)
        template = Prompt.silent(model.protocol.template)
        ids, first = (template + prompt).ids, len(template.ids)
        routing = torch.tensor(
            [i for i, routes in enumerate((template + prompt).routing) if routes], device=model.device
        )
        start = model.config.question_position
        positions = torch.tensor([*range(first), *range(start, start + len(prompt.ids))], device=model.device)
        context = QuestionContext(model.config.decoder, model.config.memory, model.routers, routing)
        with torch.inference_mode():
            model.decoder(torch.tensor(ids, device=model.device), positions, context, observe_only=layers[-1])
        return {layer: context.queries[layer] for layer in layers}, 0.0

    def answer(
        self,
        question: str,
        read: Callable[[int], Source] | None = None,
        *,
        prior: npt.NDArray[np.float32] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[AnswerEvent]:
        """Yields rounds, what was read, pieces of text, and at last the answer.

        `read` gives a document's header and text by its index (default: from the memory itself). `prior` [N] ranks the
        documents, by default the routing does, where the model names none. `cancelled` is asked before every token.
        """
        if len(self.memory) and not self.memory.attendable:
            raise ValueError("this memory holds routing keys alone: it can be ranked, not asked")
        return _Asking(self, question, read or self._read, prior, cancelled).events()

    def _read(self, index: int) -> Source:
        """From the tokens; where the tokenizer has normalised the text, its bytes are the normalised ones."""
        document = self.memory.documents[index]
        data = self.model.protocol.document_text(document.number, document.ids)
        header = max(0, len(data) - int(document.chunk_ends[-1]))
        before, behind = (part.decode("utf-8", errors="replace") for part in (data[:header], data[header:]))
        return Source(index, before, behind)


class _Asking:
    """One question being answered."""

    def __init__(
        self,
        asker: Interleave,
        question: str,
        read: Callable[[int], Source],
        prior: npt.NDArray[np.float32] | None,
        cancelled: Callable[[], bool],
    ) -> None:
        self.asker, self.question, self.read_source, self.prior = asker, question, read, prior
        self.cancelled = cancelled
        self.model, self.memory, self.limits = asker.model, asker.memory, asker.limits
        self.protocol = asker.model.protocol
        self.started = time.perf_counter()
        self.transcript = Transcript(self.protocol.question_again(question))
        self.route_ms = 0.0
        self.read: dict[int, Read] = {}
        self.source_tokens_left = self.limits.source_tokens
        self.stopped = "end"

    def events(self) -> Iterator[AnswerEvent]:
        if not len(self.memory):
            yield self._end("", 0, 0.0, 0.0)
            return
        self._open()
        try:
            yield from self._rounds()
        finally:
            self.conversation.close()

    def _rounds(self) -> Iterator[AnswerEvent]:
        signal = Signal.NONE
        for _ in range(self.limits.rounds):
            generated, numbers, signal = self._retrieve()
            if signal in (Signal.RETRIEVAL_END, Signal.ANSWER) or self.cancelled():
                break
            named, by_model = self._named(numbers)
            if not named:
                break
            yield Round(self._choices(), named, by_model)
            excerpts = self._excerpts(named)
            yield from (e.read for e in excerpts)
            self._go_on(generated, excerpts)
        yield from self._answer(signal)

    def _open(self) -> None:
        """The first prompt pass."""
        prompt = self.protocol.question(self.question)
        self.conversation = self.asker.open()
        self._feed(prompt)
        self.queries = dict(self.conversation.context.queries)
        if self.asker.rounds == "extend":
            self.conversation.keep_queries(prompt, self.transcript.question.routing)

    @cached_property
    def evidence(self) -> Evidence:
        """How the documents answer the question by itself. Weighed when first needed, so that no token waits for it."""
        return weigh(self.memory, self.queries)

    def _feed(self, prompt: Prompt) -> None:
        self.logits = self.conversation.logits(self.conversation.feed(prompt))

    def _retrieve(self) -> tuple[list[int], list[int], Signal]:
        """One round of the model's own tokens: those fed, the numbers in them, and what ended it (NONE: a limit)."""
        watcher = RetrievalWatcher(self.protocol)
        generated: list[int] = []
        signal = Signal.NONE
        while signal is Signal.NONE and len(generated) < self.limits.retrieval_tokens and not self.cancelled():
            token = int(self.logits.argmax())
            signal = watcher.push(token)
            if signal is not Signal.STOP:
                generated.append(token)
                self.logits = self.conversation.follow(token)
        return generated, watcher.numbers, signal

    def _named(self, numbers: Sequence[int]) -> tuple[list[int], bool]:
        """Indices of documents to read next, and whether the model named them. Each is read once."""
        found = [index for number in numbers if (index := self.memory.index_of(number)) is not None]
        named = [index for index in found if index not in self.read]
        if named or self.read:
            return named, True
        routed = self.evidence.documents.cpu()
        there = torch.isfinite(routed)  # the others have no entry
        scores = torch.where(there, routed if self.prior is None else torch.from_numpy(self.prior), -torch.inf)
        best = scores.topk(min(self.limits.named_by_routing, int(there.sum()))).indices
        return sorted(best.tolist()), False

    def _choices(self) -> list[LayerChoice]:
        routes = self.conversation.routes
        return [LayerChoice(layer, r.documents.tolist(), r.scores.tolist()) for layer, r in sorted(routes.items())]

    def _excerpts(self, named: Sequence[int]) -> list[Excerpt]:
        """What is appended of each document: all of it, or what fits around its best chunk."""
        excerpts = []
        for done, index in enumerate(named):
            best = int(self.evidence.best_chunk[index])
            share = self.source_tokens_left // (len(named) - done)
            taken = excerpt(self.protocol, self.memory.documents[index], self.read_source(index), best, share)
            self.read[index] = taken.read
            excerpts.append(taken)
            self.source_tokens_left = max(0, self.source_tokens_left - len(taken.ids))
        return excerpts

    def _go_on(self, generated: list[int], excerpts: Sequence[Excerpt]) -> None:
        """Closes the round, appends what was read and routes again."""
        marker = self.protocol.marker
        closed = bool(generated) and generated[-1] == marker
        appended = self.protocol.sources([e.ids for e in excerpts])
        self.transcript.rounds.append((generated if closed else [*generated, marker], appended))
        if self.asker.rounds == "extend":
            self._feed(appended if closed else Prompt.silent([marker]) + appended)
            return
        self.route_ms += route_ms(self.conversation.context.bank)
        self.conversation.close()
        self.conversation = self.asker.open()
        self._feed(self.transcript.prompt())

    def _answer(self, signal: Signal) -> Iterator[AnswerEvent]:
        text = AnswerText(self.protocol.tokenizer, prefixed=signal is not Signal.ANSWER)
        if signal is not Signal.ANSWER and not self.cancelled():
            end = [] if signal is Signal.RETRIEVAL_END else self.protocol.retrieval_end_ids()
            self._feed(Prompt.silent([*end, *self.protocol.answer_request(self.question)]))
        pieces, tokens, first = [], 0, 0.0
        self.stopped = "length"
        while tokens < self.limits.answer_tokens:
            if self.cancelled():
                self.stopped = "cancelled"
                break
            token = int(self.logits.argmax())
            if token in self.protocol.stop:
                self.stopped = "end"
                break
            first = first or time.perf_counter()
            tokens += 1
            if piece := text.push(token):
                pieces.append(piece)
                yield TextPiece(piece)
            self.logits = self.conversation.follow(token)
        if piece := text.finish():
            pieces.append(piece)
            yield TextPiece(piece)
        seconds = time.perf_counter() - first if first else 0.0
        yield self._end("".join(pieces).strip(), tokens, first, seconds)

    def _end(self, text: str, tokens: int, first: float, seconds: float) -> Answer:
        if len(self.memory):
            self.route_ms += route_ms(self.conversation.context.bank)
        return Answer(
            text=text,
            found=bool(self.read) and bool(text),
            cited=self._cited(),
            read=list(self.read.values()),
            route_ms=self.route_ms,
            first_token_ms=1000 * (first - self.started) if first else 0.0,
            tokens=tokens,
            tokens_per_second=tokens / seconds if seconds else 0.0,
            stopped=self.stopped,
        )

    def _cited(self) -> list[Read]:
        """Of the documents read, the best ones' best chunks, as far as they were read."""
        if not self.read:
            return []
        scores = self.evidence.documents
        best = sorted(self.read, key=lambda index: -float(scores[index]))[: self.limits.cited]
        cited = []
        for index in best:
            chunk, ends = int(self.evidence.best_chunk[index]), self.memory.documents[index].chunk_ends
            start, end = int(ends[chunk - 1]) if chunk else 0, int(ends[chunk])
            read = self.read[index]
            start, end = max(start, read.start_byte), min(end, read.end_byte)
            cited.append(Read(index, start, end) if start < end else read)
        return cited
