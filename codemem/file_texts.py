"""The bytes of a tree's files, for what neither outline nor memory holds: the words in between."""

import time
from collections.abc import Iterator

from codemem.indexer import UnreadableFileError
from codemem.snapshot import Snapshot

UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def file_texts(snapshot: Snapshot, deadline: float) -> Iterator[tuple[str, bytes | None]]:
    """(path, bytes) of all files but those left out, read into the outline or not yet; UTF-16 as UTF-8.

    None for a file that cannot be read and, as the last, when `deadline` (time.monotonic) has passed: what they hold is
    not known then.
    """
    left_out = {file.path for file in snapshot.manifest.left_out}
    for path, entry in snapshot.entries.items():
        if path in left_out:
            continue
        if time.monotonic() > deadline:
            yield path, None
            return
        try:
            data = snapshot.workspace.tree.read(entry)
        except UnreadableFileError:
            yield path, None
            continue
        yield path, data.decode("utf-16", "replace").encode() if data[:2] in UTF16_MARKS else data
