"""What belongs to the public MSA engine and not to the method: prompts parsed from strings, and batches in lockstep.

The product has neither: it keeps token ids and structure, and runs one question at a time. These rules exist here so
that vectors recorded from the engine can be replayed, including where it parses text that it has itself assembled.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tokenizers
import torch
from torch import Tensor

from codemem.model.msa4b.conversation import Conversation
from codemem.model.msa4b.markers import RetrievalWatcher, Signal
from codemem.model.msa4b.tokens import Prompt, Protocol

_AGAIN = "<regenerate>"
_MARKER = "<|object_ref_end|>"
_OPENING = "historical document information\n\n"
BEGIN = "\nPlease answer the question based on the above "
_ANCHOR = "Please return all documents related to the question"

ROUTES, SILENT, TAIL = 0, -1, -2
"""The engine's classes of tokens."""


@dataclass(frozen=True, slots=True)
class EnginePrompt:
    """One prompt of a call as the engine builds it."""

    ids: list[int]
    classes: list[int]
    question: str

    @property
    def routing(self) -> list[bool]:
        return [c == ROUTES for c in self.classes]

    @property
    def prompt(self) -> Prompt:
        return Prompt(self.ids, self.routing)


class EngineTokenizer:
    """The checkpoint's tokenizer as it stands: control tokens spelled in a text become control tokens."""

    def __init__(self, folder: Path) -> None:
        specification = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        specification.update(post_processor=None, truncation=None, padding=None)
        self._backend = tokenizers.Tokenizer.from_str(json.dumps(specification))
        self.padding: int | None = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("pad_token_id")

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._backend.encode(text, add_special_tokens=False).ids
        return ids

    def document(self, document: dict[str, Any]) -> list[int]:
        number, text = document["id"], document["text"]
        return self.encode(f"<|im_start|>[{number}]. {text}[{number}]<|im_end|>")

    def prompt(self, submitted: str, protocol: Protocol) -> EnginePrompt:
        """A question, or a transcript handed back for another round."""
        if _AGAIN in submitted:
            return self._continuation(submitted.split(_AGAIN)[1])
        ids = self.encode(f"{BEGIN}{_OPENING}{submitted}\n{_ANCHOR}\n")
        tail = [protocol.turn_end, *self.encode("\n")]
        classes = [ROUTES] * len(ids) + [TAIL] * len(tail) + [SILENT]
        return EnginePrompt([*ids, *tail, protocol.turn_start], classes, submitted)

    def _continuation(self, transcript: str) -> EnginePrompt:
        """Routing: all up to the instruction's end, and what lies between the last `]marker[` and the next marker."""
        ids = self.encode(transcript)
        classes = [SILENT] * len(ids)

        def route(start: int, end: int) -> None:
            first = len(self.encode(transcript[:start]))
            for i in range(first, min(first + len(self.encode(transcript[start:end])), len(ids))):
                classes[i] = ROUTES

        opening = transcript.rfind(f"]{_MARKER}[")
        if opening >= 0:
            start = opening + len(f"]{_MARKER}")
            end = transcript.find(_MARKER, start)
            if end >= 0:
                route(start, end)
        anchor = transcript.find(_ANCHOR)
        if anchor >= 0:
            route(0, anchor + len(_ANCHOR))
        question = transcript.rsplit(_OPENING, maxsplit=1)[-1].split(f"\n{_ANCHOR}", maxsplit=1)[0]
        return EnginePrompt(ids, classes, question)


@dataclass
class Sample:
    """One prompt of a batch while a call runs."""

    prompt: EnginePrompt
    conversation: Conversation
    watcher: RetrievalWatcher
    forced: list[int]
    logits: Tensor
    """[V]: what follows the last token fed."""
    fed: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    valid: list[bool] = field(default_factory=list)
    """False: fed under mask 0, seen by nobody."""
    hidden: list[Tensor] = field(default_factory=list)
    appended: list[int] = field(default_factory=list)
    """Put after the text when the round ended; not fed."""
    round_ended: bool = False
    retrieval_ended: bool = False
    finished: bool = False

    def transcript(self) -> str:
        """What the engine hands back, from the instruction on; bytes that are no UTF-8 replaced."""
        said = [token for token, valid in zip(self.fed, self.valid, strict=True) if valid]
        return self.watcher.protocol.tokenizer.decode([*self.prompt.ids, *said, *self.appended], control=True)

    def feed(self, ids: list[int], *, causal: bool = True) -> None:
        hidden = self.conversation.feed_silent(ids, causal=causal)
        self.logits = self.conversation.logits(hidden)
        start = self.conversation.position - len(ids)
        self._note(ids, list(range(start, start + len(ids))), hidden, valid=True)

    def wait(self, token: int) -> None:
        """Fed, but masked: the position stands still."""
        width = self.conversation.model.config.decoder.hidden_size
        self._note([token], [self.conversation.position - 1], torch.zeros(1, width), valid=False)

    def pad(self, padding: int, count: int, upcoming: int) -> None:
        """Left padding before an appended text of `upcoming` tokens."""
        if count:
            width = self.conversation.model.config.decoder.hidden_size
            first = self.conversation.position + upcoming - (count + upcoming)
            self._note([padding] * count, list(range(first, first + count)), torch.zeros(count, width), valid=False)

    def _note(self, ids: list[int], positions: list[int], hidden: Tensor, *, valid: bool) -> None:
        self.fed += ids
        self.positions += positions
        self.valid += [valid] * len(ids)
        self.hidden.append(hidden.cpu())


class Batch:
    """The prompts of one call: opened one by one, then decoded in lockstep."""

    def __init__(
        self, tokenizer: EngineTokenizer, protocol: Protocol, call: dict[str, Any], texts: dict[int, str]
    ) -> None:
        """`texts`: what may be appended after a round, by document number."""
        self.protocol, self._call, self.texts = protocol, call, texts
        self.padding = protocol.padding if tokenizer.padding is None else tokenizer.padding
        self._encode = tokenizer.encode
        self.prompts = [tokenizer.prompt(text, protocol) for text in call["submitted"]]
        self.width = max(len(prompt.ids) for prompt in self.prompts)
        self.samples: list[Sample] = []
        self.logits: list[Tensor] = []
        """[B, V] after the prompt and after each pass."""
        self.splits: list[int] = []

    def open(self, conversation: Conversation, hidden: Tensor) -> None:
        """Adds the next sample, whose prompt has been fed."""
        row = len(self.samples)
        forced = (self._call.get("forced_output_ids") or [None] * len(self.prompts))[row] or []
        watcher = RetrievalWatcher(self.protocol)
        logits = conversation.logits(hidden)
        self.samples.append(Sample(self.prompts[row], conversation, watcher, list(forced), logits))

    def decode(self, passes: int) -> None:
        """Passes until the call returns, or `passes` of them: the budget."""
        self._keep_logits()
        retrieving = True
        while len(self.splits) < passes and not all(sample.finished for sample in self.samples):
            tokens = [self._choose(sample) for sample in self.samples]
            if all(sample.finished for sample in self.samples):
                return
            self._feed(tokens, masked=retrieving)
            if not retrieving:
                continue
            going = [sample for sample in self.samples if not sample.finished]
            if all(sample.retrieval_ended for sample in going):
                if len(self.splits) < passes:
                    self._request_answers()
                retrieving = False
            elif all(sample.round_ended or sample.retrieval_ended for sample in going):
                for sample in self.samples:
                    sample.appended = self._appended(sample)
                return

    def _keep_logits(self) -> None:
        self.logits.append(torch.stack([sample.logits for sample in self.samples]))

    def _choose(self, sample: Sample) -> int:
        """Forced, or greedy; a finished sample goes on with padding."""
        if sample.finished:
            return self.padding
        step = len(self.logits) - 1
        token = sample.forced[step] if step < len(sample.forced) else int(sample.logits.argmax())
        sample.finished = token in self.protocol.stop
        return token

    def _feed(self, tokens: list[int], *, masked: bool) -> None:
        """One token a sample. Whoever has closed its round waits; what it would have chosen is thrown away."""
        for sample, token in zip(self.samples, tokens, strict=True):
            if masked and (sample.round_ended or sample.retrieval_ended):
                sample.wait(next(t for t, valid in zip(sample.fed[::-1], sample.valid[::-1], strict=True) if valid))
                continue
            sample.feed([token])
            signal = sample.watcher.push(token) if masked else Signal.NONE
            sample.round_ended |= signal is Signal.ROUND_END
            sample.retrieval_ended |= signal is Signal.RETRIEVAL_END
        self.splits.append(1)
        self._keep_logits()

    def _request_answers(self) -> None:
        requests = [
            [] if sample.finished else self._encode(_answer_request(sample.prompt.question)) for sample in self.samples
        ]
        width = max(len(request) for request in requests)
        for sample, request in zip(self.samples, requests, strict=True):
            sample.pad(self.padding, width - len(request), len(request))
            if request:
                sample.feed(request, causal=False)
        self.splits.append(width)
        self._keep_logits()

    def _appended(self, sample: Sample) -> list[int]:
        if sample.retrieval_ended:
            return self._encode(_answer_request(sample.prompt.question))
        known = [number for number in sample.watcher.numbers if number in self.texts]
        return self._encode("".join(f"[{n}]. {self.texts[n]}\n" for n in known) + _MARKER)


def _answer_request(question: str) -> str:
    return f"<|im_start|>The user's question is: {question}\n{_MARKER}"
