"""One training text: a question, what is read, the answer, and what else is asked about the same sources."""

from dataclasses import dataclass, field

from codemem.model.config import MemoryConfig
from codemem.model.prompts import question_position


@dataclass(slots=True)
class Conversation:
    """One training text. Positions of the template are 0 to 2, then they go on from the question's position."""

    ids: list[int]
    learn: list[bool]
    """Tokens that the model itself must write."""
    routing: tuple[int, int]
    """Half-open range of the tokens that route."""
    documents: list[int]
    """Corpus indices of the documents in memory; the first `gold` of them are the ones to find."""
    gold: int
    kind: str = ""
    choices: dict[int, list[int]] = field(default_factory=dict)
    """Index of a learnt token -> the tokens that decoding offers there, where it does not offer all."""
    decisions: set[int] = field(default_factory=set)
    """Indices of learnt tokens that decide what happens next: name more, refuse, or answer."""
    fork: int = 0
    """Where what stands behind the sources begins, if more is asked about them."""
    further: list[tuple[int, int]] = field(default_factory=list)
    """Half-open ranges of further questions with their answers. Each sees what stands before `fork` and itself, at
    the positions of the first question's: several conversations that share their sources."""
    further_kinds: list[str] = field(default_factory=list)

    def ask(self, question: list[int], answer: list[int], kind: str = "") -> None:
        """Adds a further question and what is to be written."""
        start, written = len(self.ids), len(self.ids) + len(question)
        self.ids += [*question, *answer]
        self.learn += [False] * len(question) + [True] * len(answer)
        self.decisions.add(written)
        self.further.append((start, len(self.ids)))
        self.further_kinds.append(kind)

    def branch_of_tokens(self) -> list[int]:
        """0 for tokens that all behind them see, else the number of the question that the token belongs to."""
        if not self.further:
            return [0] * len(self.ids)
        branches = [0] * self.fork + [1] * (self.further[0][0] - self.fork)
        for number, (start, end) in enumerate(self.further, start=2):
            branches += [number] * (end - start)
        return branches

    def learnt_kinds(self) -> list[str]:
        """The kind of question for which each learnt token is written."""
        kinds = [self.kind, self.kind, *self.further_kinds]  # by branch
        return [kinds[branch] for branch, learn in zip(self.branch_of_tokens(), self.learn, strict=True) if learn]


def positions(conversation: Conversation, memory: MemoryConfig) -> list[int]:
    """Positions of a conversation's tokens; further questions stand where the first one does."""
    template, start = conversation.routing[0], question_position(memory)
    first = conversation.further[0][0] if conversation.further else len(conversation.ids)
    found = [*range(template), *range(start, start + first - template)]
    for begun, end in conversation.further:
        found += range(found[conversation.fork], found[conversation.fork] + end - begun)
    return found
