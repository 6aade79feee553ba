"""What the model's own tokens mean while it retrieves: document numbers, the end of a round, the end of retrieval.

Automata over the bytes of the generated ids: a marker may be cut into tokens in any way, two may share a token, and a
control token in between breaks one. They see nothing but what was generated in this round, so no text of a document
or a question can set them off.
"""

from dataclasses import dataclass, field
from enum import Enum

from codemem.model.msa4b.tokens import ANSWER_BEGIN, RETRIEVAL_END, Protocol

_LARGEST_NUMBER_DIGITS = 18


class ByteMarker:
    """Knuth, Morris and Pratt's automaton for one byte string (https://doi.org/10.1137/0206024)."""

    def __init__(self, marker: bytes) -> None:
        self._marker = marker
        self._fall_back = [0] * len(marker)
        k = 0
        for i in range(1, len(marker)):
            while k and marker[i] != marker[k]:
                k = self._fall_back[k - 1]
            k += marker[i] == marker[k]
            self._fall_back[i] = k
        self._matched = 0

    def push(self, byte: int) -> bool:
        """True if the marker ends with this byte."""
        while self._matched and byte != self._marker[self._matched]:
            self._matched = self._fall_back[self._matched - 1]
        self._matched += byte == self._marker[self._matched]
        if self._matched < len(self._marker):
            return False
        self._matched = self._fall_back[-1]
        return True

    def reset(self) -> None:
        self._matched = 0


class BracketedNumbers:
    """Collects every `[digits]` of ASCII digits."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        """In the order written, repetitions included."""
        self._digits: bytearray | None = None

    def push(self, byte: int) -> None:
        if byte == ord("["):
            self._digits = bytearray()
        elif self._digits is not None and ord("0") <= byte <= ord("9") and len(self._digits) < _LARGEST_NUMBER_DIGITS:
            self._digits.append(byte)
        else:
            if byte == ord("]") and self._digits:
                self.numbers.append(int(self._digits))
            self._digits = None

    def reset(self) -> None:
        self._digits = None


class Signal(Enum):
    """What a generated token completes."""

    NONE = "none"
    ROUND_END = "round end"
    RETRIEVAL_END = "retrieval end"
    ANSWER = "answer"
    """The model answers without having ended its retrieval."""
    STOP = "stop"


@dataclass(slots=True)
class RetrievalWatcher:
    """Watches the tokens that the model generates in one retrieval round."""

    protocol: Protocol
    _numbers: BracketedNumbers = field(default_factory=BracketedNumbers)
    _retrieval_end: ByteMarker = field(default_factory=lambda: ByteMarker(RETRIEVAL_END))
    _answer: ByteMarker = field(default_factory=lambda: ByteMarker(ANSWER_BEGIN))

    @property
    def numbers(self) -> list[int]:
        """Document numbers named so far, ascending, each once."""
        return sorted(set(self._numbers.numbers))

    def push(self, token: int) -> Signal:
        """The first signal that this token completes."""
        if token in self.protocol.stop:
            return Signal.STOP
        if token == self.protocol.marker:
            return Signal.ROUND_END
        if token == self.protocol.retrieval_end:
            return Signal.RETRIEVAL_END
        data = self.protocol.tokenizer.token_bytes(token)
        if not data and token in self.protocol.tokenizer.control.values():
            for automaton in (self._numbers, self._retrieval_end, self._answer):
                automaton.reset()
        signal = Signal.NONE
        for byte in data:
            self._numbers.push(byte)
            ended, answers = self._retrieval_end.push(byte), self._answer.push(byte)
            if signal is Signal.NONE and (ended or answers):
                signal = Signal.RETRIEVAL_END if ended else Signal.ANSWER
        return signal
