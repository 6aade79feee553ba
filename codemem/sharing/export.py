"""`codemem memory export`: the entries of trees, written to a place as segments with statements beside them."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from codemem.config import Settings
from codemem.errors import NotIndexedError
from codemem.manifest import DocumentKeys
from codemem.memory import layout_of, present
from codemem.model.entry import EntryLayout
from codemem.model.store import Store
from codemem.model.store.parcel import pack_entries
from codemem.progress import Meter, Report, silent
from codemem.sharing.numbers import numbers_of
from codemem.sharing.place import Place
from codemem.sharing.statement import Statement, folder_of, write_statement
from codemem.sharing.takings import statements_in
from codemem.workspace import Workspace

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SEGMENT_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class ExportResult:
    place: str
    model: str
    entries: int
    """Written now."""
    reused: int
    """That lay there already."""
    missing: int
    """Documents that are not in memory: `codemem index` first."""
    bytes: int
    signed_by: str | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def export_memory(
    workspaces: Sequence[Workspace],
    settings: Settings,
    place: Place,
    *,
    key: "Ed25519PrivateKey | None" = None,
    report: Report = silent,
) -> ExportResult:
    """Writes what the place does not have. Raises NotIndexedError, SharingError or StoreError.

    With a key, only what that key signed counts as there: nobody else can keep an export from being made.
    """
    signer = _public(key)
    wanted: dict[EntryLayout, dict[bytes, int]] = {}
    model, missing = "", 0
    for workspace in workspaces:
        manifest = workspace.load()
        layout = layout_of(manifest) if manifest else None
        if manifest is None or layout is None:
            raise NotIndexedError(f"{workspace.root} has no memory to export: run `codemem index`")
        model = manifest.info.model or model
        keys = manifest.keys_for(layout.fingerprint)
        there, lacking = _in_store(keys, layout, settings)
        missing += lacking
        wanted.setdefault(layout, {}).update(there)
    entries = reused = size = 0
    for layout, tokens in wanted.items():
        known = _known(place, layout, signer)
        new = {found: count for found, count in tokens.items() if found not in known}
        written = _write(place, settings, layout, model, new, key=key, report=report)
        entries, reused, size = entries + len(new), reused + len(tokens) - len(new), size + written
    return ExportResult(place.name, model, entries, reused, missing, size, signer)


def _public(key: "Ed25519PrivateKey | None") -> str | None:
    if key is None:
        return None
    from codemem.sharing.keys import public_name

    return public_name(key)


def _in_store(keys: DocumentKeys, layout: EntryLayout, settings: Settings) -> tuple[dict[bytes, int], int]:
    """Key -> tokens of what is in memory, and how many documents are not."""
    with Store.open(settings.places.store, layout) as store:
        there = present(keys, store)
    listed, tokens = keys.key_list(), keys.tokens.tolist()
    return {listed[row]: tokens[row] for row in np.flatnonzero(there).tolist()}, int((~there).sum())


def _known(place: Place, layout: EntryLayout, signer: str | None) -> set[bytes]:
    trusted = () if signer is None else (signer,)
    listed = statements_in(place, folder_of(layout), trusted).good
    return {key for s in listed if signer in (None, s.signed_by) for key in s.keys}


def _write(
    place: Place,
    settings: Settings,
    layout: EntryLayout,
    model: str,
    tokens: dict[bytes, int],
    *,
    key: "Ed25519PrivateKey | None",
    report: Report,
) -> int:
    """Bytes written. The segment comes first: a statement never names what is not there."""
    meter = Meter(report, "exporting", len(tokens), "entries")
    size = 0
    with Store.open(settings.places.store, layout) as store:
        for batch in _batches(tokens, layout):
            loaded = store.load(batch)
            name, data = pack_entries(layout, loaded)
            gone = set(loaded.missing)
            statement = Statement(
                model=model,
                fingerprint=layout.fingerprint,
                segment=name,
                size=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
                keys=[found for found in batch if found not in gone],
                numbers=numbers_of(loaded, settings.places),
            )
            place.write(folder_of(layout), name, data)
            place.write(folder_of(layout), statement.name, write_statement(statement, key))
            size += len(data)
            meter.advance(len(batch))
    return size


def _batches(tokens: dict[bytes, int], layout: EntryLayout) -> Iterator[list[bytes]]:
    """Keys whose entries make a segment of about SEGMENT_BYTES."""
    batch: list[bytes] = []
    size = 0
    for key, count in tokens.items():
        if batch and size >= SEGMENT_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(key)
        size += -(-count // layout.chunk_tokens) * layout.bytes_per_chunk
    if batch:
        yield batch
