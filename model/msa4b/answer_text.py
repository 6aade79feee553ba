"""The text of an answer, as it is generated."""

from codemem.model.msa4b.tokens import ANSWER_BEGIN
from codemem.model.tokenizer import IncrementalDetokeniser, Tokenizer

_BEGIN = ANSWER_BEGIN.decode()


class AnswerText:
    """Valid text token by token, without the phrase that answers begin with."""

    def __init__(self, tokenizer: Tokenizer, *, prefixed: bool) -> None:
        """`prefixed`: the phrase may still come; False if it has been seen."""
        self._detokeniser = IncrementalDetokeniser(tokenizer)
        self._held: str | None = "" if prefixed else None
        self._begun = False

    def push(self, token: int) -> str:
        """Text that is now certain to belong to the answer; leading white space is dropped."""
        return self._release(self._detokeniser.push(token), final=False)

    def finish(self) -> str:
        """What was held back."""
        return self._release(self._detokeniser.finish(), final=True)

    def _release(self, piece: str, *, final: bool) -> str:
        if self._held is not None:
            held = (self._held + piece).lstrip()
            if not final and _BEGIN.startswith(held):
                self._held = held
                return ""
            self._held, piece = None, held.removeprefix(_BEGIN)
        if not self._begun:
            piece = piece.lstrip()
            self._begun = bool(piece)
        return piece
