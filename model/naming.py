"""Constrained decoding of document names: the model can write only headers of the candidates, or stop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(slots=True)
class Trie:
    """Token sequences of headers."""

    children: dict[int, "Trie"] = field(default_factory=dict)
    candidates: list[int] = field(default_factory=list)
    """Positions, in the list of candidates, of those whose header ends here."""

    @classmethod
    def of(cls, headers: Sequence[Sequence[int]], end: int) -> "Trie":
        """`end` is the token behind every header, so that a header may begin like another."""
        root = cls()
        for position, header in enumerate(headers):
            node = root
            for token in (*header, end):
                node = node.children.setdefault(token, cls())
            node.candidates.append(position)
        return root


def decode_names(
    step: Callable[[int], Tensor],
    logits_V: Tensor,
    headers: Sequence[Sequence[int]],
    *,
    opening: int,
    newline: int,
    stop: int,
    most: int,
    must: bool,
) -> list[list[int]]:
    """Greedy decoding of at most `most` names; each result lists the candidates that carry that header.

    `logits_V` are the logits at the start of the model's turn, `step(token)` feeds a token and returns the next ones.
    A name is `opening`, the header's tokens, `newline`. The model ends with `stop`; `must` forbids that before the
    first name. `stop` is fed too, so the caller goes on behind the finished turn.
    """
    named: list[list[int]] = []
    left = set(range(len(headers)))
    while len(named) < most and left:
        if (not must or named) and logits_V[stop] > logits_V[opening]:
            break
        logits_V = step(opening)
        node = Trie.of([h for i, h in enumerate(headers) if i in left], newline)
        positions = sorted(left)
        while node.children:
            token = max(node.children, key=lambda t: float(logits_V[t]))
            logits_V = step(token)
            node = node.children[token]
        chosen = [positions[i] for i in node.candidates]
        named.append(chosen)
        left -= set(chosen)
    step(stop)
    return named
