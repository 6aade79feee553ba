"""A loaded model: tokenises and encodes documents, ranks them for a query, answers questions from their memory."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from codemem.model.adapter import AdapterFile
from codemem.model.answer import Conversation, Limits, answer
from codemem.model.bank import Bank
from codemem.model.config import DecoderConfig, MemoryConfig
from codemem.model.decoder import Decoder
from codemem.model.device import Precision, choose_device, choose_precision
from codemem.model.encode import encode
from codemem.model.entry import Entry, EntryLayout, TokenisedDocument
from codemem.model.events import AnswerEvent, Ranking, Source
from codemem.model.following import routing_queries
from codemem.model.int8 import quantise_linears
from codemem.model.layouts import entry_layout
from codemem.model.load import load_decoder
from codemem.model.prepared import load_prepared, prepared_path, save_prepared
from codemem.model.prompts import Prompts
from codemem.model.routers import Routers
from codemem.model.store import LoadedEntries
from codemem.model.tiers import Budget
from codemem.model.tokenizer import Tokenizer
from codemem.model.weights import checkpoint_folder, load_checkpoint
from codemem.model.weights.adapters import adapter_path
from codemem.model.weights.download import locate
from codemem.model.weights.files import file_sha256
from codemem.model.weights.registry import ModelEntry


class Engine:
    """A model with its memory, on one device. Not for several threads at once."""

    def __init__(
        self,
        name: str,
        decoder: Decoder,
        routers: Routers,
        memory: MemoryConfig,
        tokenizer: Tokenizer,
        *,
        base: str,
        adapter: str,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        """`base` and `adapter` are the sha256 (hex) of the weights: they go into every entry's key."""
        self.name, self.device = name, device.type
        self._decoder, self._routers, self._memory = decoder, routers, memory
        self._tokenizer, self._prompts = tokenizer, Prompts(tokenizer)
        self._torch_device, self._dtype = device, dtype
        self.budget = Budget()
        """What the banks made from now on may take."""
        config = decoder.config
        self.layout = entry_layout(config, memory, memory.routed_layers, base=base, adapter=adapter)
        self.find_layout = entry_layout(config, memory, memory.ranking_layers, base=base, adapter=adapter)

    @classmethod
    def load(
        cls,
        model: ModelEntry,
        *,
        directory: Path,
        device: str = "auto",
        threads: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Self:
        """Loads a model whose base lies under `directory` (codemem.model.weights.pull brings it there).

        Raises `WeightsMissing` or `WeightsCorrupt`.
        """
        checkpoint = locate(model, directory)
        adapter = adapter_path(model, checkpoint)
        return cls.open(model.name, checkpoint, adapter, device=device, threads=threads, progress=progress)

    @classmethod
    def open(
        cls,
        name: str,
        checkpoint: Path,
        adapter: Path,
        *,
        cache: Path | None = None,
        device: str = "auto",
        threads: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Self:
        """Loads base weights (.gguf or a folder) and the adapter that carries the routers.

        Raises `WeightsMissing` or `WeightsCorrupt`. `threads` is the number of processor threads, all by default.
        """
        if threads:
            torch.set_num_threads(threads)
        place = choose_device(device)
        precision = choose_precision(place)
        folder = checkpoint_folder(checkpoint, cache=cache, progress=progress)
        file = AdapterFile(adapter)
        adapter_sha256 = file_sha256(adapter)
        loaded = _load_modules(folder, file, adapter_sha256, place, precision)
        return cls(
            name,
            *loaded,
            file.memory,
            Tokenizer.from_folder(folder),
            base=file.base,
            adapter=adapter_sha256,
            device=place,
            dtype=precision.dtype,
        )

    @property
    def decoder(self) -> Decoder:
        return self._decoder

    def tokenise(self, documents: Sequence[tuple[str, str]]) -> list[TokenisedDocument]:
        """Of (header, text) each."""
        return self._tokenizer.tokenise_documents(documents, self._memory.chunk_tokens)

    def count_tokens(self, text: str) -> int:
        return len(self._tokenizer.encode_text(text))

    def encode(self, documents: Sequence[TokenisedDocument], layout: EntryLayout) -> Iterator[Entry]:
        """Entries in the order of the documents, as they are done."""
        return encode(self._decoder, self._routers, self._memory, documents, layout, device=self._torch_device)

    def bank(self, entries: LoadedEntries, layout: EntryLayout) -> Bank:
        return Bank(entries, layout, device=self._torch_device, dtype=self._dtype, budget=self.budget)

    @torch.inference_mode()
    def rank(self, query: str, bank: Bank) -> Ranking:
        """Scores every document by the sum over the bank's layers of its best chunk's score."""
        began = time.perf_counter()
        scores, best = bank.rank(self.queries(query, bank.layers))
        return Ranking(scores, best, (time.perf_counter() - began) * 1e3)

    @torch.inference_mode()
    def queries(self, query: str, layers: Sequence[int]) -> dict[int, Tensor]:
        """The query by itself: its folded routing queries [T, W] at each of the routed layers given."""
        ids = self._prompts.question(query)
        return routing_queries(
            self._decoder,
            self._routers,
            self._memory,
            silent=ids.template,
            routing=ids.routing,
            layers=layers,
            device=self._torch_device,
        )

    def answer(
        self,
        question: str,
        bank: Bank,
        read: Callable[[int], Source],
        *,
        prior: npt.NDArray[np.float32] | None = None,
        max_rounds: int | None = None,
        source_tokens: int = 3000,
        max_tokens: int = 400,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[AnswerEvent]:
        """Answers from the bank; `prior` [N] ranks the documents, by default as `rank` does. `max_rounds`: by default
        as many as the model gains by, hops among them."""
        if prior is None:
            prior = self.rank(question, bank).scores
        # Who asks for one round gets one: what the question itself routes to.
        follows = 0 if max_rounds == 1 else self._memory.follows
        limits = Limits(max_rounds or self._memory.rounds, source_tokens, max_tokens, follows)
        conversation = Conversation(
            self._decoder,
            self._routers,
            self._memory,
            self._tokenizer,
            bank,
            device=self._torch_device,
            dtype=self._dtype,
            limits=limits,
        )
        return answer(conversation, question, read, prior, cancelled)


def _load_modules(
    folder: Path, adapter: AdapterFile, adapter_sha256: str, device: torch.device, precision: Precision
) -> tuple[Decoder, Routers]:
    """Decoder with the adapter merged, and routers; from the prepared file where 8 bits are used and there is one."""
    opened = load_checkpoint(folder)
    config, layers = DecoderConfig.from_huggingface(opened.config), adapter.memory.routed_layers
    prepared = prepared_path(folder, adapter.base, adapter_sha256)
    if precision.int8 and (ready := load_prepared(prepared, config, layers)) is not None:
        return ready
    decoder = load_decoder(config, opened.tensors, device=device, dtype=precision.dtype)
    adapter.merge_into(decoder)
    routers = Routers(config, layers).to(device, precision.dtype).requires_grad_(False).eval()
    adapter.load_routers(routers)
    if precision.int8:
        decoder.embed_tokens.half()  # as the prepared file keeps it, so that a second start computes the same bits
        quantise_linears(decoder)
        quantise_linears(routers)
        save_prepared(prepared, decoder, routers)
    return decoder, routers
