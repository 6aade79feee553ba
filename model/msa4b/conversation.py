"""One text that grows against a memory: the template, the question's prompt, and what is generated or appended."""

from collections.abc import Sequence

import torch
from torch import Tensor

from codemem.model.memory import LayerMemory, LayerRoute, TextContext
from codemem.model.msa4b.checkpoint import Msa4bModel
from codemem.model.msa4b.slot import Lent, Slot, Template
from codemem.model.msa4b.tokens import Prompt
from codemem.model.static import StaticDecode

__all__ = ["Conversation", "Template"]


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
        slot: Slot | None = None,
    ) -> None:
        """`bank=None`: there is no memory. `template`: of an earlier conversation. `capacity`: text rows at first.

        `static`: single tokens go through buffers that stay in place (`codemem.model.static`), by default on a GPU.
        `slot`: where it takes place if no other conversation does; `capacity` and `static` are the slot's then.
        """
        self.model = model
        self._slot = slot
        lent = None if slot is None else slot.lend(self, model, bank, template)
        if lent is None:
            lent = self._own(bank, template, capacity, static)
        self.context, self._static, self._passes = lent.context, lent.static, lent.passes
        self.position = 0
        if template is None:
            self.feed_silent(model.protocol.template)
        self.position = model.config.question_position

    def _own(self, bank: LayerMemory | None, template: Template | None, capacity: int, static: bool | None) -> Lent:
        model = self.model
        context = TextContext(
            model.config.decoder,
            model.config.memory,
            model.routers,
            bank,
            capacity=capacity,
            device=model.device,
            dtype=model.dtype,
        )
        for cache, (k, v) in zip(context.layers, template or (), strict=bool(template)):
            cache.append(k, v)
        on_gpu = model.device.type == "cuda"
        stepper = StaticDecode(model.decoder, context) if (on_gpu if static is None else static) else None
        return Lent(context, stepper, None)

    def close(self) -> None:
        """Lets the next conversation have this one's slot. It must not be fed any more."""
        if self._slot is not None:
            self._slot.give_back(self)

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
        # By index: choosing by a boolean makes the processor wait for a GPU, layer by layer.
        chosen = torch.tensor([i for i, keep in enumerate(kept) if keep], dtype=torch.int64, device=self.model.device)
        self.context.kept = {layer: folded[-len(kept) :][chosen] for layer, folded in self.context.queries.items()}

    @torch.inference_mode()
    def feed(self, prompt: Prompt, *, causal: bool = True, layers: int | None = None) -> Tensor:
        """Hidden states [T, E] of the tokens fed, after the final norm.

        If any token routes, every routed layer chooses its documents anew with those tokens (and kept queries).
        `causal=False` lets the tokens see each other in both directions: what the public engine does with an appended
        question. `layers`: stop after the routing of the last of that many layers; the text cannot be continued then.
        """
        if self._passes is not None and causal:
            fed = self._passes.feed(prompt, self.position, layers=layers)
            if fed is not None:
                self.position += len(fed)
                return fed
        model, context = self.model, self.context
        ids = torch.tensor(prompt.ids, dtype=torch.int64, device=model.device)
        positions = torch.arange(self.position, self.position + len(ids), device=model.device)
        routing = [i for i, routes in enumerate(prompt.routing) if routes]
        context.routing = torch.tensor(routing, device=model.device) if routing else None
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
