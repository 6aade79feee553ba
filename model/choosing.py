"""Greedy decoding of an answer's text: the likeliest token that neither loops nor says what was not read, nor of one
definition what another holds."""

from collections.abc import Sequence

import torch
from torch import Tensor

from codemem.model.claims import Claims
from codemem.model.events import Source
from codemem.model.quotes import Quotes
from codemem.model.tokenizer import Tokenizer
from codemem.model.wording import KnownWords

CHOICES = 64
"""Tokens looked at where the likeliest one would invent a name. Within a line that is quoted, and the name of what it
stands in, all are: one goes on."""
NAMED_CHOICES = 2048
"""Within the name of what holds a fact: one of these goes on unless the model thinks of something else altogether."""
MARGIN = 6.0
"""Nats that a token lies behind the likeliest at most where that says of a definition what it does not hold: what a
definition holds is told by rules of text, and what the model is sure of against them may be right."""
REPETITION_PENALTY = 1.1
"""Of tokens that the answer already holds (arXiv:1909.05858, section 4.1), as the base model's own settings have it:
without it greedy decoding of a small model falls into loops. A line that is quoted holds what it holds."""


class Choosing:
    """Chooses the tokens of one answer, which `wrote` tells it."""

    def __init__(self, tokenizer: Tokenizer, question: str, told: str, sources: Sequence[Source]) -> None:
        self._tokenizer = tokenizer
        self._known = KnownWords([question, told, *(f"{source.header} {source.text}" for source in sources)])
        quotable = [source for source in sources if source.quotable] or sources
        self._quotes = Quotes(((source.text, source.definitions) for source in quotable), question)
        self._claims = Claims(sources, question)
        self._written: set[int] = set()

    def penalise(self, logits: Tensor, text: str) -> None:
        """Lowers the logits [V] of tokens that the text so far holds, in place."""
        if self._quotes.open(text):
            return
        seen = torch.tensor(sorted(self._written), dtype=torch.long, device=logits.device)
        held = logits[seen]
        logits[seen] = torch.where(held > 0, held / REPETITION_PENALTY, held * REPETITION_PENALTY)

    def choose(self, logits: Tensor, text: str) -> int:
        """The likeliest token behind the text that invents nothing, and of a definition claims what it holds; the
        likeliest of all where many would invent, and of those that do not where none nearly as likely would do."""
        best = int(logits.argmax())
        if self._allowed(best, text) and self._held(best, text):
            return best
        if known := self._claims.to_come(text):
            return max((self._tokenizer.encode_text(said)[0] for said in known), key=lambda token: float(logits[token]))
        named = self._claims.by_name(text)
        quoted = self._quotes.on_a_line(text) or self._quotes.in_place(text)
        looked_at = len(logits) if quoted else NAMED_CHOICES if named else CHOICES
        likeliest = logits.topk(min(looked_at, len(logits))).indices.tolist()
        best = next((token for token in likeliest if self._allowed(token, text)), best)
        near = (token for token in likeliest if named or logits[token] >= logits[best] - MARGIN)
        return next((token for token in near if self._allowed(token, text) and self._held(token, text)), best)

    def wrote(self, token: int, text: str) -> None:
        """`token` goes on the text so far. What explains a line may repeat its words."""
        if not self._quotes.open(text):
            self._written.add(token)

    def _piece(self, token: int) -> str:
        return self._tokenizer.token_bytes(token).decode("utf-8", errors="replace")

    def _held(self, token: int, text: str) -> bool:
        return self._claims.allows(text, self._piece(token))

    def _allowed(self, token: int, text: str) -> bool:
        piece = self._piece(token)
        return self._quotes.allows(text, piece) and (self._quotes.in_place(text) or self._known.allows(text, piece))
