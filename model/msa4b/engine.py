"""MSA-4B behind the interface that the layers above ask of any model: entries in the store, banks, ranking, answers."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from codemem.model.ahead import Fetched, one_ahead
from codemem.model.decoder import Decoder
from codemem.model.device import choose_device, choose_precision
from codemem.model.entry import Entry, EntryLayout, TensorSpec, TokenisedDocument
from codemem.model.events import AnswerEvent, Ranking, Source
from codemem.model.msa4b.bank import Msa4bBank, bf16_bits, numbers_of
from codemem.model.msa4b.checkpoint import Msa4bModel, load_msa4b
from codemem.model.msa4b.config import Ranking as RankingRule
from codemem.model.msa4b.conversation import Conversation
from codemem.model.msa4b.interleave import Interleave, Limits
from codemem.model.msa4b.memory import Msa4bMemory, encode, packs
from codemem.model.msa4b.numbering import Numbering
from codemem.model.msa4b.ranking import recorded_ranking, with_ranking
from codemem.model.msa4b.slot import Slot
from codemem.model.msa4b.tokens import NumberedDocument
from codemem.model.store import LoadedEntries
from codemem.model.tiers import Budget
from codemem.model.weights.download import locate
from codemem.model.weights.registry import ModelEntry

FORMAT = 1
"""Raised when the same checkpoint and tokens would give other bytes."""
_PARTS = ("route", "k", "v")
NUMBER = "number"
_NUMBER = TensorSpec(NUMBER, "uint8", 4)
"""A document's number, little endian, in each of its rows."""


class Msa4bEngine:
    """A loaded checkpoint. Not for several threads at once."""

    def __init__(
        self, name: str, model: Msa4bModel, numbering: Numbering, *, prompt_buckets: bool | None = None
    ) -> None:
        """`prompt_buckets`: prompts are fed in passes of fixed shapes, which a GPU records (decision 0032); by default
        on a CUDA GPU, since padding and moving text cost a processor more than launching."""
        self.name, self.device = name, model.device.type
        self._model, self._numbering = model, numbering
        self._template = Conversation(model, None).template()
        wanted = model.device.type == "cuda" if prompt_buckets is None else prompt_buckets
        self.slot = Slot(model, buckets=True) if wanted else None
        """Where questions are asked, one after another."""
        self.budget = Budget()
        """What the banks made from now on may take."""
        self.layout = entry_layout(model)
        self.find_layout = self.layout

    @classmethod
    def load(
        cls,
        entry: ModelEntry,
        *,
        directory: Path,
        numbers: Path | None,
        device: str = "auto",
        threads: int | None = None,
        ranking: RankingRule | None = None,
        rankings: Path | None = None,
        prompt_buckets: bool | None = None,
    ) -> Self:
        """Loads a checkpoint that lies under `directory`; `numbers` is the file of the store's document numbers.

        `ranking=None` asks by what `model check` noted in the file `rankings`, else as the public engine would.
        Raises `WeightsMissing`, `WeightsCorrupt` or `StoreError`.
        """
        if threads:
            torch.set_num_threads(threads)
        place = choose_device(device)
        dtype = choose_precision(place).dtype
        model = load_msa4b(locate(entry, directory), device=place, dtype=dtype, weights=entry.weights)
        noted = recorded_ranking(rankings, model.checkpoint) if rankings else None
        ranked = with_ranking(model, ranking or noted or "engine")
        return cls(entry.called, ranked, Numbering(numbers), prompt_buckets=prompt_buckets)

    @property
    def decoder(self) -> Decoder:
        return self._model.decoder

    def tokenise(self, documents: Sequence[tuple[str, str]]) -> list[TokenisedDocument]:
        """Of (header, text) each; documents that the store has not seen get their number now."""
        numbers = self._numbering.numbers(documents)
        numbered = [(number, *document) for number, document in zip(numbers, documents, strict=True)]
        return [TokenisedDocument(d.ids, d.chunk_ends) for d in self._model.protocol.documents(numbered)]

    def count_tokens(self, text: str) -> int:
        return len(self._model.protocol.tokenizer.encode_text(text))

    def encode(self, documents: Sequence[TokenisedDocument], layout: EntryLayout) -> Iterator[Entry]:
        """Entries in the order of the documents, as they are done."""
        protocol = self._model.protocol
        numbered = [NumberedDocument(protocol.number_of(d.ids), d.ids, d.chunk_ends) for d in documents]

        def begin(pack: list[NumberedDocument]) -> tuple[list[NumberedDocument], Fetched]:
            pooled = encode(self._model, pack)
            return pack, Fetched(
                {
                    f"{part}.{layer}": getattr(rows, part).flatten(1).to(torch.bfloat16).contiguous()
                    for layer, rows in pooled.items()
                    for part in _PARTS
                }
            )

        def finish(encoded: tuple[list[NumberedDocument], Fetched]) -> Iterator[Entry]:
            pack, rows_of = encoded
            columns = {name: bf16_bits(column) for name, column in rows_of.wait().items()}
            start = 0
            for document in pack:
                rows = slice(start, start + len(document.chunk_ends))
                start = rows.stop
                tensors = {name: column[rows].copy() for name, column in columns.items()}
                tensors[_NUMBER.name] = np.tile(
                    np.array([document.number], dtype="<u4").view(np.uint8), (len(document.chunk_ends), 1)
                )
                yield Entry(layout.key(document.ids), len(document.ids), document.chunk_ends, tensors)

        # While entries are taken and stored, a GPU reads the next pack.
        yield from one_ahead(packs(numbered), begin, finish, ahead=self.device == "cuda")

    def bank(self, entries: LoadedEntries, layout: EntryLayout) -> Msa4bBank:
        """The entries placed within `budget`. Entries loaded without keys and values can be ranked, not asked."""
        if self.slot is not None:
            self.slot.clear()  # the bank may have its memory: what was recorded over another one serves no more
        return Msa4bBank.from_entries(self._model, entries, numbers_of(entries, _NUMBER.name), self.budget)

    def rank(self, query: str, bank: Msa4bMemory) -> Ranking:
        """Scores every document by the sum over the routed layers of its best chunk's score."""
        return self._asker(bank).rank(query)

    def answer(
        self,
        question: str,
        bank: Msa4bMemory,
        read: Callable[[int], Source],
        *,
        prior: npt.NDArray[np.float32] | None = None,
        max_rounds: int | None = None,
        source_tokens: int = 6144,
        max_tokens: int = 1024,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[AnswerEvent]:
        """Answers from the bank; `prior` [N] ranks the documents where the model names none, by default the routing."""
        rounds = Limits().rounds if max_rounds is None else max_rounds
        limits = Limits(rounds=rounds, source_tokens=source_tokens, answer_tokens=max_tokens)
        return self._asker(bank, limits).answer(question, read, prior=prior, cancelled=cancelled)

    def _asker(self, bank: Msa4bMemory, limits: Limits | None = None) -> Interleave:
        return Interleave(self._model, bank, limits=limits, template=self._template, slot=self.slot)


def entry_layout(model: Msa4bModel) -> EntryLayout:
    """bf16 rows, as bits in uint16: 3 * G * D * 2 bytes a chunk and layer.

    Routing keys are kept as they were pooled, so entries serve both ranking rules.
    """
    decoder, memory = model.config.decoder, model.config.memory
    width = decoder.kv_heads * decoder.head_dim
    tensors = [TensorSpec(f"{part}.{layer}", "uint16", width) for layer in memory.routed_layers for part in _PARTS]
    identity = {
        "format": f"msa4b-{FORMAT}",
        "weights": model.fingerprint,
        "layers": memory.routed_layers,
        "chunk_tokens": memory.chunk_tokens,
    }
    fingerprint = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return EntryLayout(fingerprint, memory.chunk_tokens, (_NUMBER, *tensors))
