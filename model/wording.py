"""Names in an answer are names that were read: a small model completes a name that it half remembers with a likely one.

While text is written, a word that is code must be one of the question or of the sources, or the beginning of one. Code
is what stands in backticks, and a word with an underscore or an inner capital anywhere.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS_AND_QUOTES = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|`")
_CODE = re.compile(r"_|[a-z0-9][A-Z]")
LITERALS = frozenset({"true", "false", "none", "null", "nil", "undefined", "self", "this"})
"""May be said of any program, in any case."""


class KnownWords:
    """The words that may be written as code."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._words = {word for text in texts for word in _WORD.findall(text)}
        self._sorted = sorted(self._words)

    def allows(self, text: str, piece: str) -> bool:
        """Whether the text so far may go on with a piece. Only the word that it ends in, and later ones, are judged.

        No piece: whether it may end here, or a citation follow, which the middle of a name does not.
        """
        if not piece:
            word = _trailing_word(text)
            code = text.count("`") % 2 == 1 or _CODE.search(word)
            return not code or not _WORD.fullmatch(word) or self._knows(word)
        if not piece.isascii():
            return piece[0].isascii() or self.allows(text, "")  # letters of another script end a name, like a blank
        whole = text + piece
        quoted = text.count("`") % 2 == 1
        start = len(text) - len(_trailing_word(text))
        for match in _WORDS_AND_QUOTES.finditer(whole, start):
            word = match[0]
            if word == "`":
                quoted = not quoted
            elif match.end() >= len(text) and (quoted or _CODE.search(word)):
                ends = match.end() < len(whole)
                if not (self._knows(word) if ends else self._begins(word)):
                    return False
        return True

    def _knows(self, word: str) -> bool:
        return word in self._words or word.lower() in LITERALS

    def _begins(self, word: str) -> bool:
        place = bisect_left(self._sorted, word)
        begun = place < len(self._sorted) and self._sorted[place].startswith(word)
        return begun or any(literal.startswith(word.lower()) for literal in LITERALS)


def _trailing_word(text: str) -> str:
    """The word that the text ends in, which a piece may go on with."""
    end = len(text)
    while end and (text[end - 1].isalnum() or text[end - 1] == "_") and text[end - 1].isascii():
        end -= 1
    return text[end:]
