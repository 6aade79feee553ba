"""`codemem memory import`: entries from elsewhere, into this user's store."""

import random
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from codemem.config import Settings
from codemem.engine_interface import MemoryEngine
from codemem.index import open_memory
from codemem.manifest import Manifest
from codemem.memory import Memory
from codemem.model.entry import Entry, EntryLayout
from codemem.progress import Meter, Report, silent
from codemem.sharing.deviation import deviation
from codemem.sharing.numbers import adopt_numbers
from codemem.sharing.place import Place, SharingError
from codemem.sharing.statement import Statement, folder_of
from codemem.sharing.takings import entries_of, statements_in, take
from codemem.snapshot import make_snapshot
from codemem.workspace import Workspace

MOST_DEVIATION = 0.2
"""Relative error up to which an entry counts as made by this model: other processors and numeric modes round otherwise,
by some hundredths; another text's entry is off by more than 1."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose entries are taken."""

    keys: Collection[str] = ()
    """Public keys."""
    everyone: bool = False
    """Also what is not signed, or by others."""


@dataclass(slots=True)
class ImportResult:
    place: str
    model: str
    entries: int = 0
    """Taken into the store."""
    reused: int = 0
    """That were there already."""
    sampled: int = 0
    """Encoded again and compared."""
    worst: float = 0.0
    """Largest relative error among these."""
    renumbered: int = 0
    """MSA-4B: documents that have another number here, so that their entries do not serve."""
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Importer:
    """Takes entries for one tree and model from one place."""

    workspace: Workspace
    settings: Settings
    engine: MemoryEngine
    place: Place
    trust: Trust
    report: Report = silent

    def run(self, *, sample: int = 0) -> ImportResult:
        """Takes what the store does not have and the model can use. With `sample`, so many of the tree's documents are
        encoded here and compared before anything is stored.

        Raises SharingError if nothing there is trusted or usable, or something is not what it should be.
        """
        result = ImportResult(self.place.name, self.engine.name)
        accepted = self._accepted(result)
        for statements in accepted.values():
            pairs = [pair for statement in statements for pair in statement.numbers]
            result.renumbered += adopt_numbers(pairs, self.settings.places)
        if sample:
            for layout, statements in accepted.items():
                self._verify(layout, statements, sample, result)
            if not result.sampled:
                raise SharingError(
                    f"no document of {self.workspace.root} is among the entries in {self.place.name}: there is nothing "
                    "to verify with"
                )
        for layout, statements in accepted.items():
            self._take_all(layout, statements, result)
        return result

    def _accepted(self, result: ImportResult) -> dict[EntryLayout, list[Statement]]:
        """Statements whose entries are of this very model and may be believed."""
        layouts = {layout.fingerprint: layout for layout in (self.engine.layout, self.engine.find_layout)}
        accepted: dict[EntryLayout, list[Statement]] = {}
        refused = 0
        for layout in layouts.values():
            listed = statements_in(self.place, folder_of(layout), self.trust.keys)
            result.notes += listed.unreadable
            good = [s for s in listed.good if s.fingerprint == layout.fingerprint]
            trusted = [s for s in good if self.trust.everyone or s.signed_by]
            refused += len(good) - len(trusted)
            if trusted:
                accepted[layout] = trusted
        if not accepted:
            raise SharingError(self._nothing(refused))
        if refused:
            result.notes.append(
                f"{refused} segments are not signed by a key that you trust: --trust takes them all the same, "
                "--trusted-key names a key"
            )
        return accepted

    def _nothing(self, refused: int) -> str:
        name = self.place.name
        if refused:
            return (
                f"{name}: nothing is signed by a key that you trust; --trusted-key KEY names one, --trust takes "
                "everything (a model answers from entries: take them from those whose code you would run)"
            )
        if self.place.folders():
            return f"{name} holds memories of other models or versions, none of {self.engine.name!r} as it is here"
        return f"{name} holds no memories: `codemem memory export` writes them"

    def _take_all(self, layout: EntryLayout, statements: Sequence[Statement], result: ImportResult) -> None:
        meter = Meter(self.report, "importing", sum(len(s.keys) for s in statements), "entries")
        with self._memory(layout).store as store:
            for statement in statements:
                wanted = set(statement.keys) - store.has(statement.keys)
                if wanted:
                    entries = entries_of(self.place, layout, statement)
                    result.entries += take(store, entries, wanted)
                result.reused += len(statement.keys) - len(wanted)
                meter.advance(len(statement.keys))

    def _memory(self, layout: EntryLayout) -> Memory:
        return open_memory(self.engine, "ask" if layout == self.engine.layout else "find", self.settings)

    def _verify(self, layout: EntryLayout, statements: Sequence[Statement], count: int, result: ImportResult) -> None:
        """Raises SharingError if an entry is not what this model makes of the document."""
        sources = {key: statement for statement in statements for key in statement.keys}
        ours: dict[str, list[Entry]] = {}
        for entry in self._encode_some(layout, sources.keys(), count):
            ours.setdefault(sources[entry.key].segment, []).append(entry)
        for statement in statements:
            if statement.segment not in ours:
                continue
            theirs = {entry.key: entry for entry in entries_of(self.place, layout, statement)}
            for entry in ours[statement.segment]:
                found = deviation(theirs[entry.key], entry)
                result.sampled, result.worst = result.sampled + 1, max(result.worst, round(found, 4))
                if not found <= MOST_DEVIATION:
                    raise SharingError(
                        f"{statement.segment}: an entry is not what model {self.engine.name!r} makes of its document "
                        f"(relative error {found:.2f}); nothing was imported"
                    )

    def _encode_some(self, layout: EntryLayout, offered: Collection[bytes], count: int) -> list[Entry]:
        """Entries of up to `count` documents of the tree that are offered, made here. Nothing is saved."""
        snapshot = make_snapshot(self.workspace, self.workspace.load() or Manifest.empty())
        memory = self._memory(layout)
        with memory.store:
            keys = memory.plan(snapshot.manifest, snapshot.passages).keys.key_list()
        wanted = set(offered)
        # A document of a text that occurs twice under one header is one entry.
        documents = list({key: document for document, key in enumerate(keys) if key in wanted}.values())
        # Not to be foreseen by whoever made the entries.
        chosen = random.SystemRandom().sample(documents, min(count, len(documents)))
        texts = [snapshot.passages.document(document) for document in chosen]
        tokenised = self.engine.tokenise([(text.header, text.text) for text in texts])
        return list(self.engine.encode(tokenised, layout))
