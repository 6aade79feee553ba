"""Prompt passes over a conversation's caches by buckets, on a GPU as recorded graphs.

A form of pass is computed launch by launch the first time, which also lets kernels be compiled and libraries choose;
the second time it is recorded, and replayed from then on: a question asked once costs no recording.
"""

import warnings
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from codemem.model.memory import LayerRoute, TextContext
from codemem.model.msa4b.bucketed import MOST_MEMORY_ROWS, BucketedContext, Fields, Form, Ground, bucket_of
from codemem.model.msa4b.checkpoint import Msa4bModel
from codemem.model.msa4b.clock import RoutingClock
from codemem.model.msa4b.memory import Msa4bMemory
from codemem.model.msa4b.recording import Recorder, Route, replay, spare_bytes
from codemem.model.msa4b.tokens import Prompt

ALLOWED_BYTES = 1 << 30
"""What recordings may take by default: half of what a bank leaves free on a GPU (`tiers.SPARE_DEVICE_BYTES`)."""
MARGIN_BYTES = 256 << 20
"""Free besides what a recording is reckoned to take."""
LEAST_MOVED = 64
LEAST_TOKENS = 2

_Choice = tuple[Tensor, Tensor]


class _NoRoom(RuntimeError):
    """A recording would take more than there is."""


@dataclass(slots=True)
class _Known:
    """A form that has been computed."""

    fields: Fields
    pieces: list[tuple[torch.cuda.CUDAGraph, bool]] | None = None


class BucketedPasses:
    """Feeds prompts behind what a `TextContext` holds, or says that it cannot."""

    def __init__(
        self, model: Msa4bModel, context: TextContext, *, graphs: bool | None = None, allowed_bytes: int = ALLOWED_BYTES
    ) -> None:
        """`graphs`: record them; by default where there is a GPU. `allowed_bytes`: for graphs and what they read."""
        self.model, self.context = model, context
        self.graphs = model.device.type == "cuda" if graphs is None else graphs
        self.allowed_bytes = allowed_bytes
        self.graph_bytes = 0
        self.replayed = 0
        """Passes that were replayed."""
        self.refused = ""
        """Why nothing is recorded any more."""
        self._known: dict[Form, _Known] = {}
        self._ground: Ground | None = None
        self._ground_key: tuple[object, ...] = ()
        self._pool: Any = None
        self._stream = torch.cuda.Stream(model.device) if model.device.type == "cuda" else None  # type: ignore[no-untyped-call]

    @property
    def nbytes(self) -> int:
        """Of the device, besides the caches."""
        return self.graph_bytes + sum(known.fields.nbytes for known in self._known.values())

    def clear(self) -> None:
        """Gives back all that was recorded."""
        self._known.clear()
        self._ground, self._ground_key, self._pool, self.graph_bytes = None, (), None, 0

    @torch.inference_mode()
    def feed(self, prompt: Prompt, position: int, *, layers: int | None = None) -> Tensor | None:
        """Hidden states [T, E] of the tokens fed, as `Conversation.feed` gives them; None: it has to be fed otherwise,
        and nothing has changed."""
        form = self._form(prompt, layers)
        if form is None:
            return None
        try:
            ground, known, new = self._placed(form, len(prompt.ids))
        except Exception as error:  # for want of memory above all; nothing is computed yet, and room does no harm
            self._refuse(error)
            return None
        routed = self._routed(form)
        kept = [self.context.kept[layer] for layer in routed] if form.kept else []
        routing = [i for i, routes in enumerate(prompt.routing) if routes] if form.routes else []
        caches = self.context.layers
        known.fields.fill(
            prompt.ids,
            first_position=position,
            routing=routing,
            kept=kept,
            memory_rows=[cache.memory_rows for cache in caches],
            text_rows=caches[0].text_rows,
        )
        if new or not self.graphs:
            self._compute(form, known.fields, ground)
        else:
            known.pieces = known.pieces or self._record(form, known.fields, ground)
            if known.pieces is None:
                return None
            replay(known.pieces, self._clock)
            self.replayed += 1
        return self._settle(form, known.fields, len(prompt.ids), len(routing), len(kept[0]) if kept else 0)

    def _placed(self, form: Form, tokens: int) -> tuple[Ground, _Known, bool]:
        """Ground and fields of a form, and whether it is new. Raises where there is no room."""
        ground = self._prepare(form, tokens)
        needed = recording_bytes(form, ground, self.model)
        if form not in self._known and needed <= self.allowed_bytes < self.nbytes + needed:
            self.clear()  # what is asked now counts for more than what was
            ground = self._prepare(form, tokens)
        new = form not in self._known
        if new:
            # Before anything is computed: a pass that ends half way would leave caches that nothing continues.
            if self.graphs and (problem := self._no_room(form, ground)):
                raise _NoRoom(problem)
            self._known[form] = _Known(Fields(form, self.model, ground.chosen))
        return ground, self._known[form], new

    def _form(self, prompt: Prompt, layers: int | None) -> Form | None:
        tokens = bucket_of(len(prompt.ids))
        # A single token is what steps are for; who observes layers wants to see no padding.
        single = len(prompt.ids) < LEAST_TOKENS
        if tokens is None or single or self.refused or self.model.decoder.observer is not None:
            return None
        if not any(prompt.routing) or self.context.bank is None:
            return Form(tokens, routes=False, layers=layers)
        memory, config = self._memory, self.model.config.memory
        if memory is None or not len(memory) or not memory.takes_rows or not config.attends:
            return None
        if not 0 < memory.most_rows(config.top_k) <= MOST_MEMORY_ROWS:
            return None
        kept = max((len(folded) for folded in self.context.kept.values()), default=0)
        kept_bucket = bucket_of(kept) if kept else 0
        if kept_bucket is None:
            return None
        text = max(LEAST_MOVED, self.context.layers[0].text_rows)
        return Form(tokens, True, kept_bucket, 1 << (text - 1).bit_length(), layers)

    def _routed(self, form: Form) -> list[int]:
        """The layers that route in a pass."""
        if not form.routes:
            return []
        layers = self.model.config.memory.routed_layers
        return [layer for layer in layers if form.layers is None or layer < form.layers]

    @property
    def _memory(self) -> Msa4bMemory | None:
        bank = self.context.bank
        memory = bank.memory if isinstance(bank, RoutingClock) else bank
        return memory if isinstance(memory, Msa4bMemory) else None

    @property
    def _clock(self) -> RoutingClock | None:
        return self.context.bank if isinstance(self.context.bank, RoutingClock) else None

    def _prepare(self, form: Form, tokens: int) -> Ground:
        """Room in every cache, one row that nothing reads included. What was recorded is dropped if anything moved."""
        memory, config = self._memory, self.model.config.memory
        most = memory.most_rows(config.top_k) if form.routes and memory else 0
        for layer, cache in enumerate(self.context.layers):
            behind = max(most, cache.memory_rows) if layer in config.routed_layers else cache.memory_rows
            cache.reserve(behind + cache.text_rows + tokens + 1)
        caches = self.context.layers
        buffers = (place for c in caches for place in (c.k.data_ptr(), c.v.data_ptr(), len(c.k)))
        held = self._ground_key[0]() if self._ground_key else None  # type: ignore[operator]
        version = None if memory is None else memory.version
        key = (version, *buffers)
        if self._ground is None or held is not memory or self._ground_key[1:] != key:
            self.clear()
            self._ground = Ground(self.context.layers, memory, config.top_k, self.model.device)
            # Weakly: a memory that is no longer asked must not stay on the GPU for this.
            self._ground_key = ((lambda: None) if memory is None else weakref.ref(memory), *key)
        return self._ground

    # Computing ----------------------------------------------------------------------------------------------------

    def _pass(self, form: Form, fields: Fields, ground: Ground, route: Route[_Choice]) -> None:
        context = BucketedContext(
            form,
            fields,
            ground,
            model=self.model,
            caches=self.context.layers,
            memory=self._memory,
            route=route,
        )
        stop = None if form.layers is None else form.layers - 1
        fields.hidden = self.model.decoder(fields.ids, fields.positions, context, observe_only=stop)

    def _compute(self, form: Form, fields: Fields, ground: Ground) -> None:
        """Launch by launch; on a GPU on the stream that records, so that libraries have their memory there."""
        clock = self._clock

        def timed(work: Callable[[], _Choice]) -> _Choice:
            if clock is None:
                return work()
            with clock.running():
                return work()

        if self._stream is None:
            self._pass(form, fields, ground, timed)
            return
        current = torch.cuda.current_stream(self.model.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            self._pass(form, fields, ground, timed)
        current.wait_stream(self._stream)

    def _record(self, form: Form, fields: Fields, ground: Ground) -> list[tuple[torch.cuda.CUDAGraph, bool]] | None:
        """Graphs of the pass, which compute nothing yet; None, and a warning once, if there can be none."""
        try:
            if problem := self._no_room(form, ground):
                raise _NoRoom(problem)
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            assert self._stream is not None
            before = torch.cuda.memory_reserved(self.model.device)
            with Recorder(self._pool, self._stream) as recorder:
                self._pass(form, fields, ground, recorder.route)
            self.graph_bytes += max(0, torch.cuda.memory_reserved(self.model.device) - before)
        except Exception as error:  # drivers and libraries raise what they like
            self._refuse(error)
            return None
        return recorder.pieces

    def _refuse(self, error: Exception) -> None:
        """From now on prompts are fed otherwise."""
        kind = "" if isinstance(error, _NoRoom) else f"{type(error).__name__}: "
        self.refused = f"{kind}{error}"[:400]
        self.clear()
        message = f"prompt passes are not recorded: {self.refused}; they are launched one by one"
        warnings.warn(message, RuntimeWarning, stacklevel=2)

    def _no_room(self, form: Form, ground: Ground) -> str:
        """Why a recording would take too much; empty if it does not."""
        needed = recording_bytes(form, ground, self.model)
        if self.nbytes + needed > self.allowed_bytes:
            return f"{(self.nbytes + needed) >> 20} MiB would be needed and {self.allowed_bytes >> 20} are allowed"
        spare = spare_bytes(self.model.device)
        return "" if spare >= needed + MARGIN_BYTES else f"{needed >> 20} MiB are needed and {spare >> 20} are free"

    def _settle(self, form: Form, fields: Fields, tokens: int, routing: int, kept: int) -> Tensor:
        """What the context is to know of the pass. Fields are copied: the next pass writes over them."""
        context, memory = self.context, self._memory
        last = len(context.layers) if form.layers is None else form.layers - 1
        if form.routes and memory is not None:
            queries = torch.cat((fields.kept_queries[:, :kept], fields.queries[:, :routing]), 1)
            documents, scores = fields.documents.clone(), fields.scores.clone()
            rows = fields.memory_rows.tolist()  # the one time that the processor waits
            for place, layer in enumerate(self._routed(form)):
                context.queries[layer] = queries[place]
                context.routes[layer] = memory.there(LayerRoute(documents[place], scores[place]))
                if layer < last:
                    context.layers[layer].memory_rows = rows[place]
        for cache in context.layers[:last]:
            cache.text_rows += tokens
        assert fields.hidden is not None
        return fields.hidden[:tokens].clone()


def recording_bytes(form: Form, ground: Ground, model: Msa4bModel) -> int:
    """About what a recording of a pass takes: what its tokens need between layers, and what is fetched and moved."""
    config, size = model.config.decoder, model.dtype.itemsize
    row = config.kv_heads * config.head_dim
    inner = 4 * config.hidden_size + 2 * (2 * config.heads + 2 * config.kv_heads) * config.head_dim
    between = form.tokens * (inner + 3 * config.intermediate_size) * size
    float32 = 4 * form.tokens * config.heads * config.head_dim * 4
    rows = 4 * row * size * (ground.memory_rows + form.moved + form.tokens) if form.routes else 0
    return between + float32 + rows + 4 * int(ground.unread.numel()) * form.tokens + (32 << 20)
