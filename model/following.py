"""A text by itself: the routing queries of a question, and those of what was read for it (docs/msa.md, "Hops").

Shapes: T tokens that route, W the keys' width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from codemem.model.bank import Bank
from codemem.model.config import MemoryConfig
from codemem.model.decoder import Decoder
from codemem.model.events import LayerChoice
from codemem.model.memory import QuestionContext
from codemem.model.prompts import TEMPLATE_TOKENS, question_position
from codemem.model.routers import Routers

DEPTH = 64
"""Documents of each layer that are compared: what is far down in all of them is not what a text leads to."""


def routing_queries(
    decoder: Decoder,
    routers: Routers,
    memory: MemoryConfig,
    *,
    silent: Sequence[int],
    routing: Sequence[int],
    layers: Sequence[int],
    device: torch.device,
) -> dict[int, Tensor]:
    """Folded routing queries [T, W] of the ids `routing`, which stand behind `silent`, at each of `layers`.

    `silent` begins with the template; what follows it takes the positions of a question.
    """
    tokens = torch.tensor([*silent, *routing], device=device)
    positions = torch.arange(len(tokens), device=device)
    asked = positions >= TEMPLATE_TOKENS
    positions = torch.where(asked, positions - TEMPLATE_TOKENS + question_position(memory), positions)
    routes = torch.arange(len(tokens), device=device) >= len(silent)
    context = QuestionContext(decoder.config, memory, routers, routes)
    decoder(tokens, positions, context, observe_only=layers[-1])
    return {layer: context.queries[layer] for layer in layers}


def leads_to(bank: Bank, queries: dict[int, Tensor]) -> tuple[list[int], list[LayerChoice]]:
    """Documents by the sum of their layers' scores, best first, and what each layer chose.

    From every layer's first `DEPTH` alone, so that a bank on several machines is asked no more than for an answer: a
    document that one of them does not name has the least of its scores there.
    """
    choices = []
    for layer in bank.layers:
        route = bank.route(layer, queries[layer], DEPTH)
        choices.append(LayerChoice(layer, route.documents.tolist(), [round(s, 4) for s in route.scores.tolist()]))
    named = dict.fromkeys(document for choice in choices for document in choice.documents)
    known = [dict(zip(choice.documents, choice.scores, strict=True)) for choice in choices]
    least = [min(choice.scores, default=0.0) for choice in choices]
    total = {d: sum(found.get(d, low) for found, low in zip(known, least, strict=True)) for d in named}
    return sorted(named, key=lambda document: -total[document]), choices
