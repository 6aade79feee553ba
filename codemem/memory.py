"""The memory of a tree: which entries its documents need, which are missing, and making those."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from codemem.engine_interface import MemoryEngine
from codemem.manifest import DocumentKeys, Manifest
from codemem.model.entry import EntryLayout, TensorSpec, TokenisedDocument
from codemem.model.store import Store
from codemem.passages import FileChangedError, Passages
from codemem.progress import Meter, Report, silent

KIND_ORDER = ("code", "docs", "config", "example", "test", "data", "generated", "vendored")
"""What is encoded first, after what changed and what the outline names."""
BATCH_DOCUMENTS = 256
"""Documents tokenised in one call."""
CALL_TOKENS = 65_536
"""Tokens given to the engine in one call: enough to pack documents of like lengths together."""
KEPT_TOKENS = 8_000_000
"""Token ids kept between tokenising and encoding, 4 bytes each; beyond, a document is tokenised a second time."""

Mask = npt.NDArray[np.bool_]


def layout_info(layout: EntryLayout) -> dict[str, Any]:
    """A layout as JSON, for a manifest."""
    return asdict(layout) | {"tensors": [asdict(spec) for spec in layout.tensors]}


def layout_of(manifest: Manifest) -> EntryLayout | None:
    """The layout of a manifest's memory; None before there is one."""
    info = manifest.info.layouts.get(manifest.info.purpose)
    if info is None:
        return None
    tensors = tuple(TensorSpec(**spec) for spec in info["tensors"])
    return EntryLayout(info["fingerprint"], info["chunk_tokens"], tensors)


@dataclass(slots=True)
class Plan:
    """What a manifest's memory needs under one layout."""

    manifest: Manifest
    """With the keys of all documents that could be read."""
    keys: DocumentKeys
    """Those keys."""
    present: Mask
    """[documents] whether the entry is in the store."""
    tokenised: dict[int, TokenisedDocument] = field(default_factory=dict)
    """Documents tokenised now, by index; some may have been let go."""

    def missing(self) -> list[int]:
        """Documents to encode, each key once."""
        seen: dict[bytes, int] = {}
        for document in np.flatnonzero(~self.present & self.keys.known).tolist():
            seen.setdefault(self.keys.keys[document].tobytes(), document)
        return list(seen.values())


@dataclass(frozen=True, slots=True)
class Encoded:
    """What `encode` did."""

    documents: int
    tokens: int
    seconds: float
    complete: bool
    """False if the time was up before all was done."""

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds if self.tokens else 0.0


@dataclass(frozen=True, slots=True)
class Memory:
    """A model, one of its layouts, and the store that holds entries of that layout."""

    engine: MemoryEngine
    layout: EntryLayout
    store: Store

    def plan(
        self,
        manifest: Manifest,
        passages: Passages,
        *,
        first: Sequence[int] = (),
        report: Report = silent,
        deadline: float | None = None,
    ) -> Plan:
        """Tokenises the documents whose keys are unknown, and looks up which entries there are.

        `first` are tokenised in any case, the others until the deadline.

        Key columns of other layouts are dropped. Documents of files that changed meanwhile keep unknown keys.
        """
        known = manifest.keys_for(self.layout.fingerprint)
        keys = DocumentKeys(known.keys.copy(), known.tokens.copy())
        tokenised: dict[int, TokenisedDocument] = {}
        early = [document for document in first if not keys.known[document]]
        late = np.setdiff1d(np.flatnonzero(~keys.known), early).tolist()
        unknown = [*early, *late]
        meter = Meter(report, "tokenising", len(unknown), "documents")
        kept = 0
        for documents in _batches(unknown, BATCH_DOCUMENTS):
            if deadline is not None and time.monotonic() > deadline and documents[0] not in early:
                break
            for document, done in self._tokenise(documents, passages):
                keys.keys[document] = np.frombuffer(self.layout.key(done.ids), np.uint8)
                keys.tokens[document] = len(done.ids)
                kept += len(done.ids)
                if kept <= KEPT_TOKENS:
                    tokenised[document] = done
            meter.advance(len(documents))
        return Plan(manifest.with_keys({self.layout.fingerprint: keys}), keys, present(keys, self.store), tokenised)

    def encode(
        self,
        work: Plan,
        order: Sequence[int],
        passages: Passages,
        *,
        report: Report = silent,
        deadline: float | None = None,
        call_tokens: int = CALL_TOKENS,
    ) -> Encoded:
        """Encodes documents in this order and stores their entries; what is done when it is interrupted is kept."""
        meter = Meter(report, "encoding", int(work.keys.tokens[list(order)].sum()), "tokens")
        started = time.monotonic()
        count, complete = 0, True
        try:
            for documents in _calls(order, work.keys.tokens, call_tokens):
                if deadline is not None and time.monotonic() > deadline:
                    complete = False
                    break
                for entry in self.engine.encode(self._ready(documents, work, passages), self.layout):
                    self.store.append([entry])
                    count += 1
                    meter.advance(entry.tokens)
        finally:
            work.manifest = work.manifest.with_keys({self.layout.fingerprint: work.keys})
            self.store.flush()
        work.present = present(work.keys, self.store)
        return Encoded(count, meter.done, time.monotonic() - started, complete)

    def _ready(self, documents: Sequence[int], work: Plan, passages: Passages) -> list[TokenisedDocument]:
        again = [document for document in documents if document not in work.tokenised]
        fresh = dict(self._tokenise(again, passages))
        for document, done in fresh.items():
            # Where an earlier version read the file, its key may be another: what is encoded now goes by its own.
            work.keys.keys[document] = np.frombuffer(self.layout.key(done.ids), np.uint8)
            work.keys.tokens[document] = len(done.ids)
        ready = (work.tokenised.pop(document, None) or fresh.get(document) for document in documents)
        return [document for document in ready if document is not None]

    def _tokenise(self, documents: Sequence[int], passages: Passages) -> Iterator[tuple[int, TokenisedDocument]]:
        """Documents that can still be read as the manifest has them."""
        texts = []
        for document in documents:
            try:
                text = passages.document(document)
            except FileChangedError:
                continue
            texts.append((document, (text.header, text.text)))
        passages.forget()
        done = self.engine.tokenise([pair for _, pair in texts])
        return zip([document for document, _ in texts], done, strict=True)


def present(keys: DocumentKeys, store: Store) -> Mask:
    """[documents] whether each document's entry is in the store."""
    listed = keys.key_list()
    stored = store.has(key for key, known in zip(listed, keys.known.tolist(), strict=True) if known)
    return np.array([key in stored for key in listed], np.bool_)


def encoding_order(manifest: Manifest, missing: Sequence[int], first: Sequence[int] = ()) -> list[int]:
    """`first` (those of it that are missing), then changed files, then by kind of file and path."""
    rank = {document: number for number, document in enumerate(first)}
    rows = np.searchsorted(manifest.columns.document_starts, missing, side="right") - 1

    def place(pair: tuple[int, int]) -> tuple[int, bool, int, int]:
        document, row = pair
        changed = bool(manifest.columns.remembered[row])
        return rank.get(document, len(rank)), not changed, KIND_ORDER.index(manifest.kind(row)), document

    return [document for document, _ in sorted(zip(missing, rows.tolist(), strict=True), key=place)]


def complete_files(manifest: Manifest, remembered: Mask) -> Mask:
    """[files] whether all documents of a file are among those remembered ([documents])."""
    counts = np.concatenate([[0], np.cumsum(~remembered)])
    starts = manifest.columns.document_starts
    return np.asarray(counts[starts[1:]] == counts[starts[:-1]])


def _batches(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (items[at : at + size] for at in range(0, len(items), size))


def _calls(order: Sequence[int], tokens: npt.NDArray[np.uint32], limit: int) -> Iterator[list[int]]:
    """Runs of documents of at most `limit` tokens, one document at least."""
    call: list[int] = []
    size = 0
    for document in order:
        if call and size + int(tokens[document]) > limit:
            yield call
            call, size = [], 0
        call.append(document)
        size += int(tokens[document])
    if call:
        yield call
