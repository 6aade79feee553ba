"""What lies in a place, and taking entries from it: each checked in every respect before it goes into the store."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from codemem.model.entry import Entry, EntryLayout
from codemem.model.errors import StoreError
from codemem.model.store import Store
from codemem.model.store.parcel import unpack_entries
from codemem.sharing.place import Place, SharingError
from codemem.sharing.statement import ENDING, LONGEST, LONGEST_SEGMENT, Statement, folder_of, read_statement

ReadStatement = Callable[[str, str], bytes]
"""(folder, file) -> its bytes."""


@dataclass(slots=True)
class Listed:
    """The statements of one layout."""

    good: list[Statement] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    """A line each: what it is and why."""


def statements_in(place: Place, folder: str, trusted: Collection[str], *, read: ReadStatement | None = None) -> Listed:
    """All of them, with `signed_by` where a trusted key signed. Raises SharingError if the place cannot be reached."""
    listed = Listed()
    for file in place.files(folder, ENDING):
        try:
            data = read(folder, file) if read else place.read(folder, file, LONGEST)
            statement = read_statement(data, trusted)
            if statement.name != file:
                raise SharingError("it is about another segment than its name says")
        except SharingError as error:
            listed.unreadable.append(f"{file}: {error}")
        else:
            listed.good.append(statement)
    return listed


def entries_of(place: Place, layout: EntryLayout, statement: Statement) -> list[Entry]:
    """The entries that a statement names, wholly checked but for NaN, which the store does. Raises SharingError."""
    data = place.read(folder_of(layout), statement.segment, min(statement.size, LONGEST_SEGMENT))
    if not statement.matches(data):
        raise SharingError(f"{statement.segment} does not have the checksum that its statement names")
    try:
        entries = unpack_entries(layout, statement.segment, data)
    except StoreError as error:
        raise SharingError(str(error)) from error
    if [entry.key for entry in entries] != list(statement.keys):
        raise SharingError(f"{statement.segment} holds other entries than its statement names")
    return entries


def take(store: Store, entries: Sequence[Entry], wanted: Collection[bytes]) -> int:
    """Stores those entries that are wanted; how many. Raises SharingError for NaN and infinity."""
    chosen = [entry for entry in entries if entry.key in wanted]
    try:
        store.append(chosen)
    except StoreError as error:
        raise SharingError(str(error)) from error
    return len(chosen)
