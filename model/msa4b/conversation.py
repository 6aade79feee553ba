"""One text that grows against a memory: the template, the question's prompt, and what is generated or appended."""

from collections.abc import Sequence

import torch
from torch import Tensor

from codemem.model.memory import LayerMemory, LayerRoute, TextContext
from codemem.model.msa4b.checkpoint import Msa4bModel
from codemem.model.msa4b.tokens import Prompt
from codemem.model.static import StaticDecode

Template = tuple[tuple[Tensor, Tensor], ...]
"""By layer, keys and values [3, G, D] of the template prefix, which all conversations share."""


class Conversation:
    """A decoder, its caches and the next position. The template has been read when it opens."""

    def __init__(
        self,
        model: Msa4bModel,
        bank: LayerMemory | None,
        *,
        template: Template | None = None,
        capacity: int = 1024,
        static: bool | None = None,
    ) -> None:
        """`bank=None`: there is no memory. `template`: of an earlier conversation. `capacity`: text rows at first.

        `static`: single tokens go through buffers that stay in place (`codemem.model.static`), by default on a GPU.
        """
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
        on_gpu = model.device.type == "cuda"
        self._static = StaticDecode(model.decoder, self.context) if (on_gpu if static is None else static) else None
        self.position = 0
        if template is None:
            self.feed_silent(model.protocol.template)
        else:
            for cache, (k, v) in zip(self.context.layers, template, strict=True):
                cache.append(k, v)
        self.position = model.config.question_position

    def template(self) -> Template:
        """Keys and values of the template, for further conversations. To be called before anything routes."""
        rows = len(self.model.protocol.template)
        return tuple((cache.k[:rows].clone(), cache.v[:rows].clone()) for cache in self.context.layers)

    @property
    def routes(self) -> dict[int, LayerRoute]:
        """By routed layer, the documents chosen last."""
        return self.context.routes

    def keep_queries(self, prompt: Prompt, tokens: Sequence[bool]) -> None:
        """Lets these of the tokens that routed with `prompt`, which was fed last, route in later passes too."""
        kept = [keep for keep, routed in zip(tokens, prompt.routing, strict=True) if routed]
        mask = torch.tensor(kept, device=self.model.device)
        self.context.kept = {layer: folded[-len(kept) :][mask] for layer, folded in self.context.queries.items()}

    @torch.inference_mode()
    def feed(self, prompt: Prompt, *, causal: bool = True, layers: int | None = None) -> Tensor:
        """Hidden states [T, E] of the tokens fed, after the final norm.

        If any token routes, every routed layer chooses its documents anew with those tokens (and kept queries).
        `causal=False` lets the tokens see each other in both directions: what the public engine does with an appended
        question. `layers`: stop after the routing of the last of that many layers; the text cannot be continued then.
        """
        model, context = self.model, self.context
        ids = torch.tensor(prompt.ids, dtype=torch.int64, device=model.device)
        positions = torch.arange(self.position, self.position + len(ids), device=model.device)
        context.routing = torch.tensor(prompt.routing, device=model.device) if any(prompt.routing) else None
        context.causal = causal
        hidden: Tensor = model.decoder(ids, positions, context, observe_only=None if layers is None else layers - 1)
        self.position += len(ids)
        return hidden

    def feed_silent(self, ids: Sequence[int], *, causal: bool = True) -> Tensor:
        """`feed` of tokens that do not route."""
        return self.feed(Prompt.silent(ids), causal=causal)

    def follow(self, token: int) -> Tensor:
        """[V] float32: what follows this token, which does not route."""
        if self._static is None:
            return self.logits(self.feed_silent([token]))
        self.position += 1
        return self._static.step(token, self.position - 1)

    @torch.inference_mode()
    def logits(self, hidden_TE: Tensor) -> Tensor:
        """[V] float32: what follows the last of these tokens."""
        return self.model.decoder.logits(hidden_TE[-1:])[0].float()
