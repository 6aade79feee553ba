"""One text that grows against a memory: the template, the question's prompt, and what is generated or appended."""

from collections.abc import Sequence

import torch
from torch import Tensor

from codemem.model.memory import LayerMemory, TextContext
from codemem.model.msa4b.checkpoint import Msa4bModel
from codemem.model.msa4b.tokens import Prompt


class Conversation:
    """A decoder, its caches and the next position. The template has been fed when it opens."""

    def __init__(self, model: Msa4bModel, bank: LayerMemory | None, *, capacity: int = 1024) -> None:
        """`bank=None`: there is no memory. `capacity`: rows of text to make room for at first."""
        self.model = model
        self.context = TextContext(
            model.config.decoder,
            model.config.memory,
            model.routers,
            bank,
            capacity=capacity,
            device=model.device,
            dtype=model.dtype,
        )
        self.position = 0
        self.feed(Prompt.silent(model.protocol.template))
        self.position = model.config.question_position

    @torch.inference_mode()
    def feed(self, prompt: Prompt, *, causal: bool = True) -> Tensor:
        """Hidden states [T, E] of the tokens fed, after the final norm.

        If any token routes, every routed layer chooses its documents anew with those tokens. `causal=False` lets the
        tokens see each other in both directions: what the public engine does with an appended question.
        """
        model, context = self.model, self.context
        ids = torch.tensor(prompt.ids, dtype=torch.int64, device=model.device)
        positions = torch.arange(self.position, self.position + len(ids), device=model.device)
        routes = any(prompt.routing)
        context.routing = torch.tensor(prompt.routing, device=model.device) if routes else None
        context.causal = causal
        hidden: Tensor = model.decoder(ids, positions, context)
        self.position += len(ids)
        return hidden

    def feed_silent(self, ids: Sequence[int], *, causal: bool = True) -> Tensor:
        """`feed` of tokens that do not route."""
        return self.feed(Prompt.silent(ids), causal=causal)

    @torch.inference_mode()
    def logits(self, hidden_TE: Tensor) -> Tensor:
        """[V] float32: what follows the last of these tokens."""
        return self.model.decoder.logits(hidden_TE[-1:])[0].float()
