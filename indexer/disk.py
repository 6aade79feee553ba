"""Reading below a folder without ever leaving it: no symbolic link is followed, for a file or a folder above it."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from .errors import UnreadableFileError

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class OpenFolder:
    """Descriptors of the folder last used and those above it: neighbours in sorted order cost one system call each.

    Not safe for several threads at once.
    """

    def __init__(self, root: Path) -> None:
        self._path = root
        self._root = os.open(root, _FOLDER_FLAGS & ~os.O_NOFOLLOW)
        self._names: list[bytes] = []
        self._descriptors: list[int] = []
        self._folder = b""

    def _enter(self, folder: bytes) -> int:
        """The descriptor of a folder below the root, b'' for the root. Raises OSError where one above it is a link."""
        if folder != self._folder:
            names = folder.split(b"/") if folder else []
            shared = 0
            while shared < min(len(names), len(self._names)) and names[shared] == self._names[shared]:
                shared += 1
            self._leave(shared)
            for name in names[shared:]:
                parent = self._descriptors[-1] if self._descriptors else self._root
                self._descriptors.append(os.open(name, _FOLDER_FLAGS, dir_fd=parent))
                self._names.append(name)
                self._folder = b"/".join(self._names)
        return self._descriptors[-1] if self._descriptors else self._root

    def _leave(self, depth: int) -> None:
        for descriptor in self._descriptors[depth:]:
            os.close(descriptor)
        del self._descriptors[depth:], self._names[depth:]
        self._folder = b"/".join(self._names)

    def stats(self, folder: bytes, names: Iterable[bytes]) -> list[os.stat_result | None]:
        """As os.lstat of each name; None where nothing is there, or only below a link."""
        states: list[os.stat_result | None] = []
        try:
            within = self._enter(folder)
        except OSError:
            return [None for _ in names]
        look, keep = os.stat, states.append
        for name in names:
            try:
                keep(look(name, dir_fd=within, follow_symlinks=False))
            except OSError:
                keep(None)
        return states

    def read(self, raw: bytes, limit: int) -> tuple[bytes, os.stat_result]:
        """A regular file's bytes and its state. A file that changes meanwhile is read once more.

        Raises UnreadableFileError if it is gone, is no regular file, keeps changing, or has outgrown `limit` bytes.
        """
        folder, _, name = raw.rpartition(b"/")
        for _attempt in range(2):
            try:
                descriptor = os.open(name, _FILE_FLAGS, dir_fd=self._enter(folder))
            except OSError as error:
                raise UnreadableFileError(_reason(error)) from error
            with open(descriptor, "rb", buffering=0) as file:
                before = os.fstat(descriptor)
                if not stat.S_ISREG(before.st_mode):
                    raise UnreadableFileError("not a regular file")
                data = _read_at_most(file.fileno(), limit, before.st_size)
                if len(data) > limit:
                    raise UnreadableFileError(f"grew beyond {limit:,} bytes while it was read")
                after = os.fstat(descriptor)
            if _signature(before) == _signature(after) and len(data) == after.st_size:
                return data, after
        raise UnreadableFileError("changed while it was read")

    def reopen(self) -> None:
        """Forgets descriptors: folders may have been moved or replaced. Raises OSError if the root is gone."""
        self.close()
        self._root = os.open(self._path, _FOLDER_FLAGS & ~os.O_NOFOLLOW)

    def close(self) -> None:
        self._leave(0)
        if self._root >= 0:
            os.close(self._root)
        self._root = -1


def _read_at_most(descriptor: int, limit: int, expected: int) -> bytes:
    """All bytes up to one more than `limit`.

    A buffer far larger than what is `expected` would be cut down, and the memory around what is kept be lost.
    """
    parts = []
    left, size = limit + 1, expected + 1
    while left and (part := os.read(descriptor, min(left, size))):
        parts.append(part)
        left, size = left - len(part), 1 << 16
    return b"".join(parts)


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "vanished before it was read"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    return f"cannot be read: {error.strerror}"


def _signature(state: os.stat_result) -> tuple[int, int, int, int]:
    """What differs once a file was written to."""
    return state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino
