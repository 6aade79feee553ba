"""What only says the question again behind a quotation is not shown.

Behind the statement that it quotes a small model may write the question as a sentence: "How many jobs may run at once
if no number is given?", "The limiter may run at once if no number is given." It reads like an answer and is none; the
quotation stands better alone (decision 0036).
"""

import re

from codemem.model.evidence import words
from codemem.model.quotes import OPENING, quotation_end

_ENDINGS = ("ing", "ed", "es", "s", "d", "e")
_SHORTEST_STEM = 3
_PLACE_BEGINS = re.compile(r"\s*(?:i|in|in `[^`]*)?$")


class Restating:
    """Passes an answer on piece by piece, as far as it may be shown."""

    def __init__(self, question: str) -> None:
        self._asked = {_stem(word) for word in words(f"{question} because")}
        self._text = ""
        self._shown = 0
        self._says = False

    @property
    def text(self) -> str:
        """What has been shown."""
        return self._text[: self._shown]

    def push(self, piece: str) -> str:
        """What may be shown now that the answer goes on with a piece."""
        self._text += piece
        if not self._says:
            end = self._quotation_end()
            if end is None:
                return self._show(len(self._text))
            # The last word may go on with the next piece.
            whole = re.sub(r"\w*$", "", self._text[end:])
            if _PLACE_BEGINS.match(self._text[end:]) or not self._says_something(whole):
                return self._show(max(self._shown, end))
            self._says = True
        return self._show(len(self._text))

    def finish(self) -> str:
        """What is shown besides, now that the answer has ended."""
        end = self._quotation_end()
        if end is None or self._says or self._says_something(self._text[end:]):
            return self._show(len(self._text))
        return ""

    def _quotation_end(self) -> int | None:
        return quotation_end(self._text) if self._text.startswith(OPENING) else None

    def _says_something(self, said: str) -> bool:
        return any(_stem(word) not in self._asked for word in words(said))

    def _show(self, until: int) -> str:
        shown, self._shown = self._shown, until
        return self._text[shown:until]


def _stem(word: str) -> str:
    ending = next((e for e in _ENDINGS if word.endswith(e) and len(word) - len(e) >= _SHORTEST_STEM), "")
    return _stem(word.removesuffix(ending)) if ending else word
