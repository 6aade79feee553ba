"""Definitions and lines of open trees: what an editor's symbol search and an agent's outline show."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from codemem.errors import UsageError
from codemem.indexer import Symbol
from codemem.passages import FileChangedError, Lines
from codemem.snapshot import Snapshot

MAX_LINES = 400
"""Of one span that is read."""


@dataclass(frozen=True, slots=True)
class SymbolPlace:
    """A definition and where it is."""

    repository: str
    path: str
    symbol: Symbol


@dataclass(frozen=True, slots=True)
class Span:
    """Lines of a file as they are now, 1-based and inclusive."""

    repository: str
    path: str
    start_line: int
    end_line: int
    total_lines: int
    text: str


def matching(snapshots: Sequence[Snapshot], query: str, limit: int) -> list[SymbolPlace]:
    """Definitions whose name holds the letters of the query in order, as editors match names; the closest first."""
    letters = query.replace(" ", "").lower()
    ranked: list[tuple[int, int, SymbolPlace]] = []
    for place in _all(snapshots):
        worth = _closeness(place.symbol.name, place.symbol.qualified_name, letters)
        if worth is not None:
            ranked.append((worth, len(ranked), place))
    return [place for *_, place in sorted(ranked, key=lambda item: item[:2])[:limit]]


def _all(snapshots: Sequence[Snapshot]) -> Iterator[SymbolPlace]:
    for snapshot in snapshots:
        for record in snapshot.manifest.files():
            for symbol in record.symbols:
                yield SymbolPlace(snapshot.workspace.name, record.path, symbol)


def _closeness(name: str, qualified: str, letters: str) -> int | None:
    """0 the name itself, 1 its beginning, 2 a part of it, 3 letters in order, 4 with its scope; None: no match."""
    name = name.lower()
    if name == letters:
        return 0
    if name.startswith(letters):
        return 1
    if letters in name:
        return 2
    if _in_order(letters, name):
        return 3
    return 4 if _in_order(letters, qualified.lower()) else None


def _in_order(letters: str, text: str) -> bool:
    rest = iter(text)
    return all(letter in rest for letter in letters)


def at_line(snapshot: Snapshot, path: str, line: int) -> Symbol | None:
    """The innermost definition around a line (1-based) of a file of the tree."""
    row = snapshot.manifest.index_of.get(path)
    symbols = snapshot.manifest.file(row).symbols if row is not None else ()
    around = [symbol for symbol in symbols if symbol.start_line <= line <= symbol.end_line]
    return min(around, key=lambda s: (s.end_line - s.start_line, -s.start_line), default=None)


def owner(snapshots: Sequence[Snapshot], repository: str | None) -> Snapshot:
    """The tree that a caller means: its absolute path or its folder's name. Raises UsageError."""
    if repository is None:
        return snapshots[0]
    for snapshot in snapshots:
        if repository in (snapshot.workspace.name, snapshot.workspace.root.name):
            return snapshot
    known = ", ".join(snapshot.workspace.name for snapshot in snapshots)
    raise UsageError(f"there is no repository {repository!r} here, there is {known}")


def file_outline(snapshot: Snapshot, path: str) -> Sequence[Symbol]:
    """Definitions of one file. Raises UsageError."""
    known = normal(snapshot, path)
    return snapshot.manifest.file(snapshot.manifest.index_of[known]).symbols


def listing(snapshot: Snapshot, folder: str) -> list[str]:
    """Paths of the tree below a folder; '' is the root. Raises UsageError if there are none."""
    start = _relative(snapshot, folder).rstrip("/")
    prefix = f"{start}/" if start not in ("", ".") else ""
    paths = [path for path in snapshot.manifest.paths if path.startswith(prefix)]
    if not paths:
        raise UsageError(f"{folder!r} is no file or folder of {snapshot.workspace.name}")
    return paths


def normal(snapshot: Snapshot, path: str) -> str:
    """The path as the tree lists it.

    Raises UsageError for whatever the tree does not list: paths out of it, through links, ignored files, secrets.
    Nothing is resolved against the file system, so there is nothing to escape through.
    """
    known = _relative(snapshot, path)
    if known in snapshot.manifest:
        return known
    close = difflib.get_close_matches(known, snapshot.manifest.paths, n=1)
    hint = f", did you mean {close[0]!r}?" if close else ""
    raise UsageError(f"{path!r} is no file that codemem reads in {snapshot.workspace.name}{hint}")


def _relative(snapshot: Snapshot, path: str) -> str:
    root = snapshot.workspace.name.rstrip("/")
    return (path.removeprefix(f"{root}/") if Path(path).is_absolute() else path).removeprefix("./")


def read_span(snapshot: Snapshot, path: str, start_line: int, end_line: int) -> Span:
    """Lines of a file, MAX_LINES at most, cut at its end. Raises UsageError."""
    known = normal(snapshot, path)
    if not 1 <= start_line <= end_line:
        raise UsageError(f"lines {start_line} to {end_line}: lines count from 1, and the last is not before the first")
    try:
        whole = snapshot.passages.lines(known, Lines(1, 1 << 40)).split("\n")
    except FileChangedError as error:
        raise UsageError(f"{error}: ask again") from error
    total = len(whole) - (len(whole) > 1 and not whole[-1])
    if start_line > total:
        raise UsageError(f"{known} has {total:,} lines")
    end_line = min(end_line, total, start_line + MAX_LINES - 1)
    text = "\n".join(whole[start_line - 1 : end_line])
    return Span(snapshot.workspace.name, known, start_line, end_line, total, text)
