"""The conversation that our own models hold, as token ids.

Text is data: it is encoded as ordinary pieces, so no document or question can spell a control token. What steers the
conversation are five control tokens of Qwen2.5-Coder, put there by us or chosen by the model:

- `<|im_start|>`, `<|im_end|>` frame turns;
- `<|file_sep|>` opens a file, as in the model's own pre-training on repositories: in front of a source's header and
  text; in the model's turn, before the header of a document that it wants to read (at the start of the turn), or
  before the number of a source that it cites (after text);
- `<|fim_pad|>` at the start of the model's turn says that the sources do not hold the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from codemem.model.config import MemoryConfig
from codemem.model.tokenizer import Tokenizer

TEMPLATE_TOKENS = 3
"""`<|im_start|>`, `user`, newline: shared by all questions, at positions 0, 1 and 2."""


def question_position(memory: MemoryConfig) -> int:
    """Position of the question's first token: one position is reserved a retrieved document, as in MSA-4B."""
    return TEMPLATE_TOKENS + memory.top_k


@dataclass(frozen=True, slots=True)
class QuestionIds:
    """A question opened in a conversation: the template prefix, the tokens that route, and the turn's end."""

    template: list[int]
    routing: list[int]
    tail: list[int]


@dataclass(frozen=True, slots=True)
class FollowingIds:
    """A question and the source that was read for it, by themselves: the tokens of the source route."""

    template: list[int]
    question: list[int]
    source: list[int]


class Prompts:
    """Builds the pieces of a conversation. Every method returns token ids."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        control = tokenizer.control
        self._encode = tokenizer.encode_text
        self.turn_start = control["<|im_start|>"]
        self.turn_end = control["<|im_end|>"]
        self.file = control["<|file_sep|>"]
        self.unanswerable = control["<|fim_pad|>"]
        self.newline = self._encode("\n")
        self._user = [self.turn_start, *self._encode("user\n")]
        self._assistant = [self.turn_start, *self._encode("assistant\n")]
        self._answer = self._encode("Answer from these files alone and cite them.")

    def question(self, question: str) -> QuestionIds:
        """The turn's end token routes too: it has seen the whole question."""
        routing = [*self._encode(question), self.turn_end]
        return QuestionIds(list(self._user), routing, [*self.newline, *self._assistant])

    def following(self, question: str, header: str, text: str) -> FollowingIds:
        """A question with what was read first behind it. A turn's end that stands behind the source routes too."""
        asked = [*self._encode(question), self.turn_end, *self.newline, *self._user]
        return FollowingIds(list(self._user), asked, self.source(1, header, text))

    def header(self, header: str) -> list[int]:
        """A document's header as the model spells it when it names the document: without the final newline."""
        return self._encode(header.rstrip("\n"))

    def named(self, headers: Sequence[str]) -> list[int]:
        """The model's turn that names documents, its end included."""
        ids: list[int] = []
        for header in headers:
            ids += [self.file, *self.header(header), *self.newline]
        return [*ids, self.turn_end]

    def source(self, number: int, header: str, text: str) -> list[int]:
        """A source that is read: number, header and text."""
        return [self.file, *self._encode(f"[{number}] {header}{text}\n")]

    def sources(self, sources: Sequence[list[int]], question: str, references: str = "") -> list[int]:
        """The turn that shows sources and asks for the answer, up to where the model writes.

        The question stands again behind the sources: a small model answers what it read last. Between them stands
        where its names are defined and used (model/references.py), if that is known.
        """
        ids = [*self.newline, *self._user]
        for source in sources:
            ids += source
        return [*ids, *self.asked(question, references)]

    def asked(self, question: str, references: str = "") -> list[int]:
        """What stands behind the sources: where names stand, the question, what is to be done, and up to where the
        model writes."""
        ids = [*self.newline, *self._encode(references)] if references else []
        ids += [*self.newline, *self._encode(question), *self.newline, *self._answer, self.turn_end]
        return [*ids, *self.newline, *self._assistant]

    def answer(self, pieces: Sequence[str | int], *, answerable: bool) -> list[int]:
        """The model's answer for training: text, and source numbers (int) where it cites; its end included."""
        ids = [] if answerable else [self.unanswerable]
        for piece in pieces:
            ids += [self.file, *self._encode(str(piece))] if isinstance(piece, int) else self._encode(piece)
        return [*ids, self.turn_end]
