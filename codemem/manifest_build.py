"""Makes the next manifest from the last one and the files that changed."""

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from codemem.indexer.document import FILE_KINDS, Skipped, SourceFile
from codemem.indexer.tree import StatCache
from codemem.manifest import Columns, DocumentKeys, LeftOut, Manifest

_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which rows come from where. `source[i]` is a row of the old manifest, or -1 for a changed file."""

    paths: list[str]
    source: npt.NDArray[np.int64]


def next_manifest(
    old: Manifest,
    changed: Mapping[str, SourceFile],
    *,
    removed: AbstractSet[str] = frozenset(),
    skipped: Sequence[Skipped] = (),
    left_out: Sequence[LeftOut] = (),
    reincluded: AbstractSet[str] = frozenset(),
    stat_cache: StatCache | None = None,
) -> Manifest:
    """`old` with `changed` files replaced or added and `removed` ones gone; the other arguments replace what was.

    Keys of unchanged files stay, those of changed ones are unknown.
    """
    old = replace(
        old,
        skipped=tuple(skipped),
        left_out=tuple(left_out),
        reincluded=frozenset(reincluded),
        stat_cache=stat_cache or {},
    )
    if not changed and not any(path in old for path in removed):
        return old
    plan = _plan(old, changed, removed)
    fresh = [changed[path] for path, source in zip(plan.paths, plan.source, strict=True) if source < 0]
    languages = list(old.language_names)
    languages += sorted({file.language for file in fresh} - set(languages))
    bodies, body_starts = _bodies(old, plan, fresh)
    columns = Columns(
        oids=_oids(old, plan, fresh),
        languages=_rows(old.columns.languages, plan, [languages.index(file.language) for file in fresh]),
        kinds=_rows(old.columns.kinds, plan, [FILE_KINDS.index(file.kind) for file in fresh]),
        remembered=_rows(old.columns.remembered, plan, _remembered(old, fresh)),
        document_starts=_starts(np.diff(old.columns.document_starts), plan, [len(f.documents) for f in fresh]),
        body_starts=body_starts,
        bodies=bodies,
    )
    keys = {layout: _move_keys(old, plan, keys, fresh) for layout, keys in old.keys.items()}
    return replace(old, paths=plan.paths, language_names=languages, columns=columns, keys=keys)


def _plan(old: Manifest, changed: Mapping[str, object], removed: AbstractSet[str]) -> _Plan:
    gone = removed | changed.keys()
    rows = {path: row for row, path in enumerate(old.paths) if path not in gone}
    paths = sorted([*rows, *changed])
    return _Plan(paths, np.array([rows.get(path, -1) for path in paths], np.int64))


def _rows(old: npt.NDArray[_Scalar], plan: _Plan, fresh: Sequence[object]) -> npt.NDArray[_Scalar]:
    """The old column's rows where they stay, the fresh ones in between."""
    column = np.zeros((len(plan.paths), *old.shape[1:]), old.dtype)
    kept = plan.source >= 0
    column[kept] = old[plan.source[kept]]
    if fresh:
        column[~kept] = np.array(fresh, old.dtype)
    return column


def _oids(old: Manifest, plan: _Plan, fresh: Sequence[SourceFile]) -> npt.NDArray[np.uint8]:
    width = len(fresh[0].oid) // 2 if fresh else old.columns.oids.shape[1]
    kept = old.columns.oids if len(old) else np.zeros((0, width), np.uint8)
    return _rows(kept, plan, [list(bytes.fromhex(file.oid)) for file in fresh])


def _remembered(old: Manifest, fresh: Sequence[SourceFile]) -> list[bool]:
    rows = [old.index_of.get(file.path) for file in fresh]
    return [row is not None and bool(old.columns.remembered[row]) for row in rows]


def _starts(old_counts: npt.NDArray[np.int64], plan: _Plan, fresh: Sequence[int]) -> npt.NDArray[np.int64]:
    starts = np.zeros(len(plan.paths) + 1, np.int64)
    np.cumsum(_rows(old_counts, plan, fresh), out=starts[1:])
    return starts


def _bodies(
    old: Manifest, plan: _Plan, fresh: Sequence[SourceFile]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    data, starts = old.columns.bodies.tobytes(), old.columns.body_starts
    new = iter([_body(file) for file in fresh])
    parts = [data[starts[row] : starts[row + 1]] if row >= 0 else next(new) for row in plan.source]
    bounds = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=bounds[1:])
    return np.frombuffer(b"".join(parts), np.uint8), bounds


def _body(file: SourceFile) -> bytes:
    documents = [[d.scope, d.start_byte, d.end_byte, d.start_line, d.end_line, d.symbol] for d in file.documents]
    symbols = [
        [s.kind, s.name, s.scope, s.start_line, s.end_line, s.start_byte, s.end_byte] for s in file.symbols
    ]  # the order of Symbol's fields
    # Escaped surrogates and non-ASCII survive any name that a broken encoding may have left behind.
    return json.dumps({"d": documents, "s": symbols}, separators=(",", ":")).encode()


def _move_keys(old: Manifest, plan: _Plan, keys: DocumentKeys, fresh: Sequence[SourceFile]) -> DocumentKeys:
    """Each old document's key to where the document now stands."""
    old_starts = old.columns.document_starts
    starts = _starts(np.diff(old_starts), plan, [len(file.documents) for file in fresh])
    moved = DocumentKeys.unknown(int(starts[-1]))
    kept = plan.source >= 0
    rows = plan.source[kept]
    lengths = old_starts[rows + 1] - old_starts[rows]
    within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    target = within + np.repeat(starts[:-1][kept], lengths)
    origin = within + np.repeat(old_starts[rows], lengths)
    moved.keys[target] = keys.keys[origin]
    moved.tokens[target] = keys.tokens[origin]
    return moved
