"""Reading a whole tree: every listed file becomes documents, or a reason why not."""

from collections.abc import Iterable, Iterator

from .document import Skipped, SourceFile
from .errors import UnreadableFileError
from .kinds import file_kind
from .languages import detect_language
from .parallel import BATCH_BYTES, Job, read_in_processes
from .reading import read_file
from .selection import DEFAULT_SELECTION, Selection
from .tree import FileEntry, StatCache, Tree

_WORTH_PROCESSES = 8 * BATCH_BYTES
"""Below this many bytes, starting processes costs more than it saves."""
_FIRST = ("code", "docs", "config", "example", "test", "data")
"""Kinds in the order in which a new memory is most useful."""


def index_tree(
    tree: Tree,
    entries: Iterable[FileEntry] | None = None,
    *,
    stat_cache: StatCache | None = None,
    selection: Selection = DEFAULT_SELECTION,
    processes: int = 1,
) -> Iterator[SourceFile | Skipped]:
    """Reads `entries`, or all that the tree lists, in order; what the listing left out comes first.

    With `processes` above 1 and enough to read, files are parsed in that many spawned processes: call it only from
    programs that guard their entry (`if __name__ == "__main__"`).
    """
    if entries is None:
        listing = tree.list(stat_cache, selection=selection)
        yield from listing.skipped
        entries = listing.entries
    entries = list(entries)
    jobs = _jobs(tree, entries)
    if processes > 1 and sum(entry.size for entry in entries) > _WORTH_PROCESSES:
        yield from read_in_processes(jobs, processes=processes, selection=selection, object_format=tree.object_format)
        return
    for job in jobs:
        if isinstance(job, Skipped):
            yield job
        else:
            yield read_file(
                job.path,
                job.data,
                reincluded=job.reincluded,
                selection=selection,
                object_format=tree.object_format,
            )


def most_useful_first(entries: Iterable[FileEntry]) -> list[FileEntry]:
    """The order in which the outline of a new tree answers soonest: code before documentation, tests and data."""
    rank = {kind: index for index, kind in enumerate(_FIRST)}
    return sorted(entries, key=lambda entry: rank.get(file_kind(entry.path, detect_language(entry.path)), len(rank)))


def _jobs(tree: Tree, entries: Iterable[FileEntry]) -> Iterator[Job | Skipped]:
    for entry in entries:
        try:
            yield Job(entry.path, tree.read(entry), entry.reincluded)
        except UnreadableFileError as error:
            yield Skipped(entry.path, str(error))
