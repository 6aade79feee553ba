"""Conversations that are compared: texts, prompts, rounds, and what two of them must have in common."""

from collections.abc import Iterator

import torch
from torch import Tensor

from codemem.model.msa4b import Conversation, Msa4bMemory, Msa4bModel, Slot
from codemem.model.msa4b.clock import RoutingClock
from codemem.model.msa4b.tokens import Prompt

TEXTS = [
    ("a.py\n", "def open_store(path): return Store(path)\n"),
    ("b.py\n", "class Store:\n    pass\n"),
    ("e.py\n", ""),
]
TEXTS += [(f"{i}.py\n", f"def f{i}(x):\n    return x + {i}\n" * (i % 5)) for i in range(9)]
CLOSE = {"rtol": 2e-4, "atol": 2e-5}


def prompt(seed: int, count: int, routed: int) -> Prompt:
    """Random ids, of which the first ones and the last one route if any do."""
    ids = torch.randint(0, 256, (count,), generator=torch.Generator().manual_seed(seed)).tolist()
    return Prompt(ids, [i < routed or (routed > 0 and i == count - 1) for i in range(count)])


def same(found: Conversation, expected: Conversation) -> None:
    """Caches, routes and queries of two conversations."""
    one, other = found.context, expected.context
    assert found.position == expected.position
    for mine, theirs in zip(one.layers, other.layers, strict=True):
        assert (mine.memory_rows, mine.text_rows) == (theirs.memory_rows, theirs.text_rows)
        end = mine.memory_rows + mine.text_rows
        torch.testing.assert_close(mine.k[:end], theirs.k[:end], **CLOSE)
        torch.testing.assert_close(mine.v[:end], theirs.v[:end], **CLOSE)
    assert one.routes.keys() == other.routes.keys() == one.queries.keys() == other.queries.keys()
    for layer, choice in one.routes.items():
        assert torch.equal(choice.documents, other.routes[layer].documents)
        torch.testing.assert_close(choice.scores, other.routes[layer].scores, **CLOSE)
        torch.testing.assert_close(one.queries[layer], other.queries[layer], **CLOSE)


def converse(conversation: Conversation, seed: int, count: int) -> Iterator[Tensor]:
    """Two rounds, written tokens between them, a silent request behind: what each gives."""
    first, second = prompt(seed, count, count // 2), prompt(seed + 1, 9 + seed % 3, 7)
    yield conversation.feed(first)
    conversation.keep_queries(first, [routes and i % 3 != 1 for i, routes in enumerate(first.routing)])
    for token in (3, 250, 17):
        yield conversation.follow(token)
    yield conversation.feed(second)
    yield conversation.follow(8)
    yield conversation.feed(prompt(seed + 2, 5, 0))
    yield conversation.feed(prompt(seed + 3, 40, 0))  # beyond the last bucket
    yield conversation.feed(prompt(seed + 4, 6, 0), causal=False)


def compare(model: Msa4bModel, memory: Msa4bMemory, slot: Slot, seed: int, count: int) -> None:
    bank = RoutingClock(memory)
    one, other = Conversation(model, bank, slot=slot), Conversation(model, memory)
    for found, expected in zip(converse(one, seed, count), converse(other, seed, count), strict=True):
        torch.testing.assert_close(found, expected, **CLOSE)
        same(one, other)
    assert int(one.logits(found).argmax()) == int(other.logits(expected).argmax())
    assert bank.milliseconds > 0
