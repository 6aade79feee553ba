"""A model that costs nothing: entries are hashed bags of words. It keeps the engine's contract, not its quality."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from codemem.model.entry import Entry, EntryLayout, TensorSpec, TokenisedDocument
from codemem.model.events import Answer, AnswerEvent, LayerChoice, Ranking, Read, Round, Source, TextPiece
from codemem.model.store import LoadedEntries

CHUNK = 64
WIDTH = 64


def _layout(version: str, *names: str) -> EntryLayout:
    fingerprint = zlib.crc32(f"{version} {names}".encode()).to_bytes(4, "big").hex() * 8
    return EntryLayout(fingerprint, CHUNK, tuple(TensorSpec(name, "float32", WIDTH) for name in names))


@dataclass
class FakeEngine:
    """Words are tokens; a chunk's routing key counts its words."""

    name: str = "fake"
    device: str = "cpu"
    version: str = "1"
    encoded: list[int] = field(default_factory=list)
    """Tokens of every document encoded, in order."""
    tokenised: int = 0
    interrupt_after: int | None = None
    """Raise KeyboardInterrupt after so many documents."""
    answers: dict[str, str] = field(default_factory=dict)

    @property
    def layout(self) -> EntryLayout:
        return _layout(self.version, "route.0", "k.0", "v.0")

    @property
    def find_layout(self) -> EntryLayout:
        return _layout(self.version, "route.0")

    def tokenise(self, documents: Sequence[tuple[str, str]]) -> list[TokenisedDocument]:
        self.tokenised += len(documents)
        return [self._tokenised(header, text) for header, text in documents]

    def _tokenised(self, header: str, text: str) -> TokenisedDocument:
        ids = [zlib.crc32(word.encode("utf-8", "replace")) for word in header.split()]
        ends = [0] * len(ids)
        position = 0
        for line in text.splitlines(keepends=True):
            for word in line.split():
                ids.append(zlib.crc32(word.strip("():,.\"'").lower().encode("utf-8", "replace")))
                ends.append(position + len(line.encode("utf-8", "replace")))
            position += len(line.encode("utf-8", "replace"))
        last = [min(at + CHUNK, len(ids)) - 1 for at in range(0, len(ids), CHUNK)]
        return TokenisedDocument(np.array(ids, np.uint32), np.array([ends[at] for at in last], np.uint32))

    def encode(self, documents: Sequence[TokenisedDocument], layout: EntryLayout) -> Iterator[Entry]:
        for document in documents:
            if self.interrupt_after is not None and len(self.encoded) >= self.interrupt_after:
                raise KeyboardInterrupt
            self.encoded.append(len(document.ids))
            rows = np.stack([_bag(document.ids[at : at + CHUNK]) for at in range(0, len(document.ids), CHUNK)])
            tensors = {spec.name: rows for spec in layout.tensors}
            yield Entry(layout.key(document.ids), len(document.ids), document.chunk_ends, tensors)

    def bank(self, entries: LoadedEntries, layout: EntryLayout) -> LoadedEntries:
        assert "route.0" in entries.tensors
        return entries

    def rank(self, query: str, bank: LoadedEntries) -> Ranking:
        words = np.array([zlib.crc32(word.lower().encode()) for word in query.split()], np.uint32)
        per_chunk = np.asarray(bank.tensors["route.0"], np.float32) @ _bag(words)
        scores, best = [], []
        for first, last in zip(bank.offsets, bank.offsets[1:], strict=False):
            best.append(int(np.argmax(per_chunk[first:last])))
            scores.append(float(per_chunk[first:last].max()))
        return Ranking(np.array(scores, np.float32), np.array(best, np.int32), 0.1)

    def answer(
        self,
        question: str,
        bank: LoadedEntries,
        read: Callable[[int], Source],
        *,
        prior: npt.NDArray[np.float32] | None = None,
        max_rounds: int | None,
        source_tokens: int,
        max_tokens: int,
        cancelled: Callable[[], bool],
    ) -> Iterator[AnswerEvent]:
        scores = self.rank(question, bank).scores + (0 if prior is None else prior * 1e-3)
        best = np.argsort(-scores, kind="stable")[:3].tolist()
        yield Round([LayerChoice(0, best, [float(scores[i]) for i in best])], best[:1], False)
        source = read(best[0])
        span = Read(best[0], 0, len(source.text.encode()))
        yield span
        text = self.answers.get(question, "")
        if text:
            yield TextPiece(text)
        yield Answer(text, bool(text), [span] if text else [], [span], 0.1, 1.0, len(text.split()), 10.0)


def _bag(ids: npt.NDArray[np.uint32]) -> npt.NDArray[np.float32]:
    bag = np.bincount(np.asarray(ids, np.int64) % WIDTH, minlength=WIDTH).astype(np.float32)
    return bag / np.float32(np.linalg.norm(bag) or 1)
