"""Where one conversation after another takes place: caches that stay where they are, and what was recorded over them.

A conversation's own caches would lie elsewhere each time, and what is recorded serves only where it was recorded.
"""

import threading
import weakref
from dataclasses import dataclass

import torch
from torch import Tensor

from codemem.model.memory import LayerMemory, TextContext
from codemem.model.msa4b.checkpoint import Msa4bModel
from codemem.model.msa4b.passes import ALLOWED_BYTES, BucketedPasses
from codemem.model.static import StaticDecode

Template = tuple[tuple[Tensor, Tensor], ...]
"""By layer, keys and values [3, G, D] of the template prefix, which all conversations share."""

ROWS = 2048
"""Rows of text and memory at first, in every layer: 0.3 GB of the 4B shape."""


@dataclass(frozen=True, slots=True)
class Lent:
    """What a conversation works with."""

    context: TextContext
    static: StaticDecode | None
    passes: BucketedPasses | None


class Slot:
    """Serves one conversation at a time; a second one that begins meanwhile has caches of its own."""

    def __init__(
        self,
        model: Msa4bModel,
        *,
        buckets: bool | None = None,
        graphs: bool | None = None,
        static: bool | None = None,
        rows: int = ROWS,
        allowed_bytes: int = ALLOWED_BYTES,
    ) -> None:
        """`buckets`: prompt passes of fixed shapes (`bucketed.py`). `graphs`: recorded ones. Both by default on a GPU.
        `static`: as in `Conversation`. `allowed_bytes`: for recordings, besides the caches."""
        on_gpu = model.device.type == "cuda"
        self.model, self.rows = model, rows
        self.buckets = on_gpu if buckets is None else buckets
        self._graphs, self._allowed_bytes = graphs, allowed_bytes
        self._static = on_gpu if static is None else static
        self._lent: Lent | None = None
        self._holder: weakref.ref[object] | None = None
        self._lock = threading.Lock()

    @property
    def passes(self) -> BucketedPasses | None:
        """What prompts are fed by, once there has been a conversation."""
        return None if self._lent is None else self._lent.passes

    @property
    def nbytes(self) -> int:
        """Of the device: caches, recorded passes and what these read. Recorded steps take some megabytes more."""
        if self._lent is None:
            return 0
        caches: int = sum(x.nbytes for cache in self._lent.context.layers for x in (cache.k, cache.v))
        return caches + (self._lent.passes.nbytes if self._lent.passes else 0)

    def clear(self) -> None:
        """Gives everything back. A conversation that goes on keeps what it has."""
        with self._lock:
            self._lent = self._holder = None

    def lend(self, to: object, model: Msa4bModel, bank: LayerMemory | None, template: Template | None) -> Lent | None:
        """Empty caches but for the template; None for another model, and while another conversation has them."""
        with self._lock:
            if model is not self.model or (self._holder is not None and self._holder() is not None):
                return None
            lent = self._lent = self._lent or self._made()
            self._holder = weakref.ref(to)
        lent.context.start_over(bank)
        if template is not None:
            self._restore(lent.context, template)
        return lent

    def give_back(self, by: object) -> None:
        """The next conversation may have it."""
        with self._lock:
            if self._holder is not None and self._holder() is by:
                self._holder = None

    def _made(self) -> Lent:
        model = self.model
        context = TextContext(
            model.config.decoder,
            model.config.memory,
            model.routers,
            None,
            capacity=self.rows,
            device=model.device,
            dtype=model.dtype,
        )
        passes = None
        if self.buckets:
            passes = BucketedPasses(model, context, graphs=self._graphs, allowed_bytes=self._allowed_bytes)
        return Lent(context, StaticDecode(model.decoder, context) if self._static else None, passes)

    @torch.inference_mode()
    def _restore(self, context: TextContext, template: Template) -> None:
        """In one launch or two instead of two a layer."""
        rows = len(template[0][0])
        buffers = [x[:rows] for cache in context.layers for x in (cache.k, cache.v)]
        torch._foreach_copy_(buffers, [x for pair in template for x in pair])
        for cache in context.layers:
            cache.text_rows = rows
