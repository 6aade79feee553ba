"""The naming turn as the product decodes it (model/naming.py): at each token only what continues a candidate's header.

What the model learns there is each choice between candidates, not how paths are spelled: tokens without a choice have
no loss, and at the others the loss is over the tokens that decoding offers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from codemem.model.answer import NAMES
from codemem.model.naming import Trie


@dataclass(frozen=True, slots=True)
class NamingTurn:
    """Tokens of the turn, and by position in it the tokens that decoding would offer there, if more than one."""

    ids: list[int]
    choices: dict[int, list[int]]


def naming_turn(
    named: Sequence[Sequence[int]],
    candidates: Sequence[Sequence[int]],
    *,
    opening: int,
    newline: int,
    stop: int,
    must: bool = True,
) -> NamingTurn:
    """`named` and `candidates`: header tokens; all that is named is a candidate too. With `must` the first name is
    forced, as in a round."""
    ids: list[int] = []
    choices: dict[int, list[int]] = {}
    left = [tuple(header) for header in dict.fromkeys(map(tuple, candidates))]

    def write(token: int, offered: Sequence[int]) -> None:
        if len(offered) > 1:
            choices[len(ids)] = sorted(offered)
        ids.append(token)

    for number, header in enumerate(dict.fromkeys(map(tuple, named))):
        if number == NAMES:
            break
        write(opening, [opening] if must and not number else [opening, stop])
        node = Trie.of(left, newline)
        for token in (*header, newline):
            write(token, list(node.children))
            node = node.children[token]
        left.remove(header)
    again = 0 < len(dict.fromkeys(map(tuple, named))) < NAMES and bool(left)
    write(stop, [opening, stop] if again else [stop])
    return NamingTurn(ids, choices)
