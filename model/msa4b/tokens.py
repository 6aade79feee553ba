"""The texts of the MSA-4B protocol as token ids (msa-protocol sections 3, 4 and 7).

Everything is built from ids. Text of documents and questions goes through `encode_text`, which cannot produce a control
token, so nothing that a file or a user writes changes what is a turn, a marker or a document's end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from codemem.model.errors import WeightsCorrupt
from codemem.model.tokenizer import Tokenizer

RETRIEVAL_END = b"<End-of-Retrieve>"
"""What the model writes when it has read enough; ordinary text, or one token where the tokenizer has added it."""

ANSWER_BEGIN = b"The answer to the question is:"

_INSTRUCTION = "\nPlease answer the question based on the above historical document information\n\n"
_REQUEST = "\nPlease return all documents related to the question"
_QUESTION_AGAIN = "The user's question is: "


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids fed in one pass, and which of them route."""

    ids: list[int]
    routing: list[bool]

    def __add__(self, other: "Prompt") -> "Prompt":
        return Prompt(self.ids + other.ids, self.routing + other.routing)

    @classmethod
    def silent(cls, ids: Sequence[int]) -> "Prompt":
        """Tokens none of which routes."""
        return cls(list(ids), [False] * len(ids))


@dataclass(frozen=True, slots=True)
class NumberedDocument:
    """A document as MSA-4B reads it: its number is spelled in its text, so it is part of what an entry holds."""

    number: int
    ids: npt.NDArray[np.uint32]
    chunk_ends: npt.NDArray[np.uint32]
    """[chunks] where each chunk's text ends: UTF-8 bytes of the document's text, 0 while still in the header."""


class Protocol:
    """Builds the pieces of an MSA-4B conversation."""

    def __init__(self, tokenizer: Tokenizer, chunk_tokens: int) -> None:
        """Raises `WeightsCorrupt` if the tokenizer lacks one of the protocol's control tokens."""
        self.tokenizer = tokenizer
        self.chunk_tokens = chunk_tokens
        self.turn_start = self._control("<|im_start|>")
        self.turn_end = self._control("<|im_end|>")
        self.marker = self._control("<|object_ref_end|>")
        """Closes a round's document numbers, and the documents' text."""
        self.padding = self._control("<|endoftext|>")
        self.retrieval_end: int | None = tokenizer.control.get(RETRIEVAL_END.decode())
        self.stop = frozenset(tokenizer.eos_ids) or frozenset((self.turn_end,))
        encode = tokenizer.encode_text
        self.template = [self.turn_start, *encode("user\n")]
        self._tail = [self.turn_end, *encode("\n"), self.turn_start]

    def _control(self, spelling: str) -> int:
        if spelling not in self.tokenizer.control:
            raise WeightsCorrupt(f"tokenizer.json lacks the control token {spelling}")
        return self.tokenizer.control[spelling]

    def document(self, number: int, header: str, text: str) -> NumberedDocument:
        """`<|im_start|>[number]. header text[number]<|im_end|>`, nothing between header and text."""
        return self.documents([(number, header, text)])[0]

    def documents(self, numbered: Sequence[tuple[int, str, str]]) -> list[NumberedDocument]:
        """`document` of each (number, header, text), tokenised on all cores."""
        framed = [f"[{number}]. {header}{text}[{number}]" for number, header, text in numbered]
        done = []
        pairs = zip(numbered, self.tokenizer.encode_batch_with_offsets(framed), strict=True)
        for (number, header, text), (inner, ends) in pairs:
            ids = np.concatenate(([self.turn_start], inner, [self.turn_end])).astype(np.uint32)
            before, size = len(f"[{number}]. ") + _utf8_bytes(header), _utf8_bytes(text)
            all_ends = np.concatenate(([0], np.clip(ends.astype(np.int64) - before, 0, size), [size]))
            last = np.minimum(np.arange(self.chunk_tokens, len(ids) + self.chunk_tokens, self.chunk_tokens), len(ids))
            done.append(NumberedDocument(number, ids, all_ends[last - 1].astype(np.uint32)))
        return done

    def number_of(self, ids: Sequence[int] | npt.NDArray[np.uint32]) -> int:
        """The number of a document, from the ids that `document` made."""
        data = b""
        for token in ids[1:]:
            data += self.tokenizer.token_bytes(int(token))
            if b"]" in data:
                return int(data[1 : data.index(b"]")])
        raise ValueError("these ids do not begin with a document's number")

    def document_text(self, number: int, ids: Sequence[int] | npt.NDArray[np.uint32]) -> bytes:
        """Header and text of a document, from the ids that `document` made (normalised as the tokenizer does)."""
        inner = b"".join(self.tokenizer.token_bytes(int(i)) for i in ids[1:-1])
        return inner[len(f"[{number}]. ") : len(inner) - len(f"[{number}]")]

    def question(self, question: str) -> Prompt:
        """The first round's prompt, after the template: instruction and question route, what follows does not."""
        ids = self.tokenizer.encode_text(f"{_INSTRUCTION}{question}{_REQUEST}\n")
        return Prompt(ids, [True] * len(ids)) + Prompt.silent(self._tail)

    def question_again(self, question: str) -> Prompt:
        """`question` as it stands in a later round: of the instruction's last line, its newline no longer routes."""
        prompt = self.question(question)
        routing = len(self.tokenizer.encode_text(f"{_INSTRUCTION}{question}{_REQUEST}"))
        return Prompt(prompt.ids, [i < routing for i in range(len(prompt.ids))])

    def source(self, number: int, text: str) -> list[int]:
        """One document, header and text, as it is appended after a round."""
        return self.tokenizer.encode_text(f"[{number}]. {text}\n")

    def sources(self, sources: Sequence[Sequence[int]]) -> Prompt:
        """What is appended after a round: the documents route in the next one, the closing marker does not."""
        ids = [token for source in sources for token in source]
        return Prompt(ids, [True] * len(ids)) + Prompt.silent([self.marker])

    def answer_request(self, question: str) -> list[int]:
        """What is appended after retrieval has ended: the model then writes the answer."""
        return [self.turn_start, *self.tokenizer.encode_text(f"{_QUESTION_AGAIN}{question}\n"), self.marker]

    def retrieval_end_ids(self) -> list[int]:
        """The retrieval end as the model would write it, for ending a retrieval that does not end by itself."""
        if self.retrieval_end is not None:
            return [self.retrieval_end]
        return self.tokenizer.encode_text(RETRIEVAL_END.decode())


def _utf8_bytes(text: str) -> int:
    """Lone surrogates count as the three bytes of U+FFFD, which the tokenizer reads in their place."""
    return len(text.encode("utf-8", errors="surrogatepass"))


@dataclass(slots=True)
class Transcript:
    """A conversation so far, as needed to feed all of it again: question, then rounds."""

    question: Prompt
    """As `Protocol.question_again` gives it."""
    rounds: list[tuple[list[int], Prompt]] = field(default_factory=list)
    """Per closed round: generated ids, its marker included; what was appended."""

    def prompt(self) -> Prompt:
        """All of it, with the classes of a later round: of the documents only those appended last route."""
        last = max((i for i, (_, appended) in enumerate(self.rounds) if any(appended.routing)), default=-1)
        prompt = self.question
        for i, (generated, appended) in enumerate(self.rounds):
            prompt += Prompt.silent(generated)
            prompt += appended if i == last else Prompt.silent(appended.ids)
        return prompt
