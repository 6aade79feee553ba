"""Answering: rounds of Memory Interleave (arXiv:2603.23516, section 3) on our own models.

A round routes at every routed layer, lets the model name documents among those that routing offers, and shows it their
text. Then the model answers, says that the files do not hold the answer, or names more documents and begins another
round. Everything is one growing cache: a later round costs its own tokens. Control runs on token ids alone.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from codemem.model.bank import Bank
from codemem.model.choosing import Choosing
from codemem.model.citations import citations
from codemem.model.config import MemoryConfig
from codemem.model.decoder import Decoder
from codemem.model.events import Answer, AnswerEvent, LayerChoice, Read, Round, Source, TextPiece
from codemem.model.following import leads_to, routing_queries
from codemem.model.memory import TextContext
from codemem.model.naming import decode_names
from codemem.model.prompts import Prompts, question_position
from codemem.model.references import references
from codemem.model.restating import Restating
from codemem.model.routers import Routers
from codemem.model.tokenizer import IncrementalDetokeniser, Tokenizer

CANDIDATES = 24
"""Documents that the model may name from in a round."""
NAMES = 4
"""Documents that it may name in a round."""
NAMED_WEIGHT = 0.5
"""What being named adds to a document's prior, of which the best is 1: a small model names well what routing left in
doubt, and worse than routing where that is sure."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one answer."""

    rounds: int = 2
    source_tokens: int = 3000
    """Tokens of source read in all rounds."""
    answer_tokens: int = 400
    follows: int = 0
    """Documents that the text of the best one leads to, read beside it."""


@dataclass(slots=True)
class _Shown:
    """What has been read so far."""

    sources: list[Source] = field(default_factory=list)
    tokens: int = 0
    references: str = ""
    """Where the question's names stand in them."""

    def holds(self, document: int) -> bool:
        return any(source.document == document for source in self.sources)


class Conversation:
    """One question to one bank."""

    def __init__(
        self,
        decoder: Decoder,
        routers: Routers,
        memory: MemoryConfig,
        tokenizer: Tokenizer,
        bank: Bank,
        *,
        device: torch.device,
        dtype: torch.dtype,
        limits: Limits,
    ) -> None:
        self.decoder, self.tokenizer, self.bank, self.limits = decoder, tokenizer, bank, limits
        self.prompts = Prompts(tokenizer)
        self.memory, self.device = memory, device
        self.question = ""
        capacity = 1024 + limits.source_tokens + limits.answer_tokens
        self.context = TextContext(
            decoder.config,
            memory,
            routers,
            bank,
            capacity=capacity,
            device=device,
            dtype=dtype,
            attended=bank.layers,
        )
        self._position = 0

    # Feeding ------------------------------------------------------------------------------------------------------

    def feed(self, ids: Sequence[int], routing: Sequence[bool] | None = None, start: int | None = None) -> Tensor:
        """Runs tokens through the model; returns the logits [V] behind the last one."""
        if start is not None:
            self._position = start
        self.context.routing = None if routing is None else torch.tensor(routing, device=self.device)
        positions = torch.arange(self._position, self._position + len(ids), device=self.device)
        self._position += len(ids)
        hidden = self.decoder(torch.tensor(ids, device=self.device), positions, self.context)
        return self.decoder.logits(hidden[-1:])[0].float()

    # Rounds -------------------------------------------------------------------------------------------------------

    def open(self, question: str) -> Tensor:
        """Prompt pass of the first round: routes, and leaves the memory of the chosen documents attended."""
        self.question = question
        ids = self.prompts.question(question)
        self.feed(ids.template, start=0)
        flow = [*ids.routing, *ids.tail]
        routes = [True] * len(ids.routing) + [False] * len(ids.tail)
        return self.feed(flow, routes, start=question_position(self.memory))

    def layers(self) -> list[LayerChoice]:
        return [
            LayerChoice(layer, route.documents.tolist(), [round(s, 4) for s in route.scores.tolist()])
            for layer, route in sorted(self.context.routes.items())
        ]

    def follow(self, first: int, read: Callable[[int], Source], prior: npt.NDArray[np.float32]) -> Round:
        """A hop: what the text of the best document, read behind the question, routes to.

        A pass of its own, so that all that is shown later stands in the order of its worth.
        """
        source = read(first)
        ids = self.prompts.following(self.question, source.header, source.text)
        queries = routing_queries(
            self.decoder,
            self.context.routers,
            self.memory,
            silent=[*ids.template, *ids.question],
            routing=[*ids.source, self.prompts.turn_end],
            layers=self.bank.layers,
            device=self.device,
        )
        ordered, layers = leads_to(self.bank, queries)
        found = [document for document in ordered if document != first and np.isfinite(prior[document])]
        return Round(layers, found[: self.limits.follows], by_model=False)

    def candidates(self, prior: npt.NDArray[np.float32], shown: _Shown) -> list[int]:
        """Documents to name from: the best of the prior and the first of every layer, best prior first."""
        best = np.argsort(-prior, kind="stable")[:CANDIDATES].tolist()
        routed = [int(d) for route in self.context.routes.values() for d in route.documents[:2].tolist()]
        every = dict.fromkeys([*best, *routed])
        ordered = sorted(every, key=lambda d: -float(prior[d]))
        return [d for d in ordered if not shown.holds(d) and np.isfinite(prior[d])]

    def name(self, logits: Tensor, candidates: list[int], read: Callable[[int], Source], *, must: bool) -> list[int]:
        """Documents that the model names; of several parts under one header, the one that ranks highest.

        Nothing if it does not name well enough to be asked: routing's first document stands in its turn then, because
        every conversation that it was trained on has one there.
        """
        if not candidates:
            self.feed([self.prompts.turn_end])
            return []
        if not self.memory.names:
            self.feed(self.prompts.named([read(candidates[0]).header]))
            return []
        headers = [self.prompts.header(read(d).header) for d in candidates]
        chosen = decode_names(
            lambda token: self.feed([token]),
            logits,
            headers,
            opening=self.prompts.file,
            newline=self.prompts.newline[0],
            stop=self.prompts.turn_end,
            most=NAMES,
            must=must,
        )
        return [candidates[group[0]] for group in chosen]

    def show(self, documents: Sequence[int], read: Callable[[int], Source], shown: _Shown, budget: int) -> Tensor:
        """Feeds the texts of documents, best first, until `budget` tokens are spent; returns the logits behind them.

        The best is read last: a small model goes by what stands nearest to the question.
        """
        chosen: list[Source] = []
        for document in documents:
            source = read(document)
            cost = len(self.prompts.source(len(shown.sources) + 1, source.header, source.text))
            if chosen and shown.tokens + cost > budget:
                continue
            chosen.append(source)
            shown.tokens += cost
        first = len(shown.sources) + 1
        shown.sources += chosen[::-1]
        pieces = [self.prompts.source(first + i, source.header, source.text) for i, source in enumerate(chosen[::-1])]
        shown.references = references(self.question, shown.sources)
        return self.feed(self.prompts.sources(pieces, self.question, shown.references))


@torch.inference_mode()
def answer(
    conversation: Conversation,
    question: str,
    read: Callable[[int], Source],
    prior: npt.NDArray[np.float32],
    cancelled: Callable[[], bool],
) -> Iterator[AnswerEvent]:
    """Yields rounds, what is read, pieces of text, and at last the answer. `prior` [N] ranks the documents."""
    began = time.perf_counter()
    limits, prompts = conversation.limits, conversation.prompts
    logits = conversation.open(question)
    route_ms = (time.perf_counter() - began) * 1e3
    shown = _Shown()
    for number in range(1, limits.rounds + 1):
        candidates = conversation.candidates(prior, shown)
        named = conversation.name(logits, candidates, read, must=True)
        reading = named or candidates[:NAMES]
        yield Round(conversation.layers(), reading, by_model=bool(named))
        # Naming and routing decide together what is read first; the rest fills the round's share of the budget.
        before = len(shown.sources)
        budget = limits.source_tokens * number // limits.rounds if number < limits.rounds else limits.source_tokens
        order = sorted(candidates, key=lambda d: -(float(prior[d]) + NAMED_WEIGHT * (d in named)))
        if number == 1 and limits.follows and order:
            hop = conversation.follow(order[0], read, prior)
            yield hop
            order = list(dict.fromkeys([order[0], *hop.named, *order]))
        logits = conversation.show(order, read, shown, budget)
        for source in shown.sources[before:]:
            yield Read(source.document, 0, len(source.text.encode()))
        if cancelled() or int(logits.argmax()) != prompts.file:
            break
    yield from _write(conversation, logits, shown, route_ms=route_ms, began=began, cancelled=cancelled)


def _write(
    conversation: Conversation,
    logits: Tensor,
    shown: _Shown,
    *,
    route_ms: float,
    began: float,
    cancelled: Callable[[], bool],
) -> Iterator[AnswerEvent]:
    """Greedy decoding of the answer; `<|file_sep|>` and digits cite a source and are not text."""
    prompts, limits = conversation.prompts, conversation.limits
    detokeniser = IncrementalDetokeniser(conversation.tokenizer)
    ends = conversation.tokenizer.eos_ids | {prompts.turn_end}
    digits = {conversation.tokenizer.encode_text(str(d))[0]: d for d in range(10)}
    choosing = Choosing(conversation.tokenizer, conversation.question, shown.references, shown.sources)
    restating = Restating(conversation.question)
    text, cited, number = "", [], -1
    found, stopped, count = True, "length", 0
    first_token = 0.0
    while count < limits.answer_tokens:
        if cancelled():
            stopped = "cancelled"
            break
        logits[prompts.turn_start] = -torch.inf
        choosing.penalise(logits, text)
        if count == 0:
            # An answer begins with text or with the word that there is none; naming was offered before.
            logits[[prompts.file, *ends]] = -torch.inf
        token = choosing.choose(logits, text) if number < 0 else int(logits.argmax())
        count += 1
        if count == 1:
            first_token = (time.perf_counter() - began) * 1e3
        if number >= 0 and token in digits:
            number = number * 10 + digits[token]
        else:
            if number > 0:
                cited.append(number)
            number = 0 if token == prompts.file else -1
            if token in ends:
                stopped = "end"
                break
            if token == prompts.unanswerable:
                found = found and count > 1
            elif number < 0:
                choosing.wrote(token, text)
                piece = detokeniser.push(token)
                text += piece
                if adds := restating.push(piece):
                    yield TextPiece(adds)
        logits = conversation.feed([token])
    if adds := restating.push(detokeniser.finish()) + restating.finish():
        yield TextPiece(adds)
    text = restating.text
    seconds = time.perf_counter() - began - first_token / 1e3
    spans = citations(shown.sources, cited, text, conversation.question)
    yield Answer(
        text=text.strip(),
        found=found,
        cited=spans if found else [],
        read=[Read(s.document, 0, len(s.text.encode())) for s in shown.sources],
        route_ms=round(route_ms, 1),
        first_token_ms=round(first_token, 1),
        tokens=count,
        tokens_per_second=round((count - 1) / seconds, 1) if count > 1 and seconds > 0 else 0.0,
        stopped=stopped,
    )
