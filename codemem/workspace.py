"""A tree that is indexed: its files, its configuration, and where its manifest lies."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import filelock

from codemem.config import Places, RepositoryConfig, Settings, load_repository_config
from codemem.errors import CodememError, RepositoryError
from codemem.indexer import IndexerError, Selection, Tree, open_tree
from codemem.manifest import Manifest
from codemem.manifest_file import ManifestUnreadableError, read_manifest, write_manifest

FOLDER = "codemem"
PLAIN_FOLDER = ".codemem"
MOMENT_S = 1.0
"""Longer than it takes another process to see whether a lock is free."""
_REGISTERED = "place"
_WRITTEN = (
    "manifest",
    "manifest-*",
    "manifest*.lock",
    "outline.sqlite*",
    "outline-*.sqlite*",
    ".manifest-*",
    "sync.dirty",
    "sync.pid",
    "sync.lock",
    _REGISTERED,
)


@dataclass(slots=True)
class Workspace:
    """One indexed tree. Close it, or use it in `with`."""

    tree: Tree
    config: RepositoryConfig
    places: tuple[Path, ...]
    """Folders for the manifest, the preferred one first; the last is the user's own and can always be written."""
    file_name: str
    notes: list[str] = field(default_factory=list)
    """What the user should know, one line each."""

    @property
    def root(self) -> Path:
        return self.tree.root

    @property
    def name(self) -> str:
        """What results call this repository: its absolute path."""
        return os.fspath(self.tree.root)

    @property
    def selection(self) -> Selection:
        limit = self.config.max_file_bytes
        return Selection() if limit is None else Selection(max_file_bytes=limit)

    def load(self) -> Manifest | None:
        """The manifest last saved; None if there is none, or none that can be read (a note then says so)."""
        for place in self._readable:
            try:
                manifest = read_manifest(place / self.file_name)
            except ManifestUnreadableError as error:
                self.notes.append(f"the manifest in {place} is built anew: {error}")
                continue
            except OSError as error:
                self.notes.append(f"the manifest in {place} cannot be read: {error.strerror}")
                continue
            if manifest is not None:
                return manifest
        return None

    @property
    def _readable(self) -> list[Path]:
        """Places that are no link: a repository must not lend another's manifest."""
        return [place for place in self.places if not place.is_symlink() and not place.parent.is_symlink()]

    def _writable(self) -> Path:
        """The first place that can be written. Raises CodememError if there is none."""
        for place in self.places:
            try:
                _prepare(place, self.root)
            except OSError:
                continue
            if os.access(place, os.W_OK):
                return place
        raise CodememError(f"no folder for the manifest of {self.root} can be written: check {self.places[-1]}")

    def load_relative(self) -> Manifest | None:
        """A manifest of another worktree of the same repository, to start from: most files are the same."""
        if self.tree.common_dir is None:
            return None
        for path in sorted((self.tree.common_dir / FOLDER).glob(f"*/{self.file_name}")):
            try:
                return read_manifest(path)
            except (ManifestUnreadableError, OSError):
                continue
        return None

    def save(self, manifest: Manifest) -> None:
        """Writes the manifest. Raises CodememError if it cannot be."""
        place = self._writable()
        try:
            write_manifest(place / self.file_name, manifest)
        except OSError as error:
            raise CodememError(f"the manifest cannot be written to {place}: {error.strerror or error}") from error
        if place != self.places[-1]:
            _register(self.places[-1], place)

    def outline_paths(self) -> list[Path]:
        """Where an outline may lie: this tree's own places, then other worktrees'."""
        name = self._outline_name
        own = [place / name for place in self._readable]
        shared = sorted((self.tree.common_dir / FOLDER).glob(f"*/{name}")) if self.tree.common_dir else []
        return [path for path in dict.fromkeys(own + shared) if not path.is_symlink()]

    def outline_path(self) -> Path:
        """Where the outline is written: beside the manifest. Raises CodememError if nothing can be."""
        path = self._writable() / self._outline_name
        if path.is_symlink():
            path.unlink()
        return path

    @property
    def _outline_name(self) -> str:
        return f"{self.file_name.replace('manifest', 'outline')}.sqlite"

    def saved_bytes(self) -> int:
        """Size of the manifest and the outline on disk."""
        names = (self.file_name, self._outline_name)
        paths = [place / name for place in self.places for name in names]
        return sum(path.stat().st_size for path in paths if path.is_file())

    @contextmanager
    def writing(self, *, wait: bool) -> Iterator[bool]:
        """Holds the lock of those who encode for this tree; yields False if another process does and `wait` is off."""
        lock = filelock.FileLock(self._writable() / f"{self.file_name}.lock", mode=0o600)
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except filelock.Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Tells other processes, as long as it lasts, that this one reads the whole tree and saves what it has read."""
        lock = filelock.FileLock(self._writable() / self._reading_name, mode=0o600)
        with ExitStack() as stack:
            # Another process says so already, or nothing can be written: `save` finds a better word for that.
            with contextlib.suppress(filelock.Timeout, OSError):
                lock.acquire(timeout=MOMENT_S)
                stack.callback(lock.release)
            yield

    def read_elsewhere(self) -> bool:
        """Whether another process, or thread, is `reading`."""
        paths = (place / self._reading_name for place in self._readable)
        for path in (path for path in paths if path.exists()):
            lock = filelock.FileLock(path, mode=0o600)
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                return True
            except OSError:  # a place that cannot be written is none where somebody saves
                continue
            lock.release()
        return False

    @property
    def _reading_name(self) -> str:
        return f"{self.file_name}.reading.lock"

    def close(self) -> None:
        self.tree.close()

    def __enter__(self) -> "Workspace":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_workspace(path: Path, settings: Settings, *, whole: bool) -> Workspace:
    """The tree at `path`; with `whole`, the repository around it unless that very folder was indexed by itself.

    Raises RepositoryError if there is no such folder or git refuses it, ConfigurationError for its configuration.
    """
    try:
        tree = open_tree(path)
    except IndexerError as error:
        raise RepositoryError(str(error)) from error
    workspace = _workspace(tree, settings)
    if whole and tree.prefix and not any((place / workspace.file_name).is_file() for place in workspace.places):
        tree.close()
        return open_workspace(tree.root, settings, whole=False)
    return workspace


def _workspace(tree: Tree, settings: Settings) -> Workspace:
    prefix = hashlib.sha256(tree.prefix.encode()).hexdigest()[:12] if tree.prefix else ""
    file_name = f"manifest-{prefix}" if prefix else "manifest"
    identity = hashlib.sha256(os.fsencode(tree.root)).hexdigest()[:24]
    fallback = settings.places.manifests / identity
    if tree.common_dir is None or tree.git_dir is None:
        own = tree.root / PLAIN_FOLDER
    else:
        worktree = "main" if tree.git_dir == tree.common_dir else f"worktree-{tree.git_dir.name}"
        own = tree.common_dir / FOLDER / worktree
    return Workspace(tree, load_repository_config(tree.root), (own, fallback), file_name)


def _prepare(place: Path, root: Path) -> None:
    """Makes the folder. Raises OSError if it, or one made with it, is a link: a repository must not redirect it."""
    for folder in (place.parent, place) if place.parent.name == FOLDER else (place,):
        if folder.is_symlink():
            raise OSError(f"{folder} is a symbolic link")
    place.mkdir(parents=True, exist_ok=True)
    ignore = place / ".gitignore"
    if place.name == PLAIN_FOLDER and place.parent == root and not ignore.exists():
        ignore.write_text("*\n", encoding="ascii")


def _register(own: Path, place: Path) -> None:
    """Remembers, in the user's own folder for this tree, where its manifest lies, so that `clean` finds it again."""
    note = own / _REGISTERED
    if not note.exists():
        with contextlib.suppress(OSError):  # a user's folder that cannot be written costs `clean` one place
            own.mkdir(parents=True, exist_ok=True)
            note.write_bytes(os.fsencode(place))


def registered_places(places: Places) -> list[Path]:
    """Every folder that holds, or may hold, a manifest of this user."""
    notes = sorted(places.manifests.glob(f"*/{_REGISTERED}"))
    return [Path(os.fsdecode(note.read_bytes())) for note in notes] + sorted(places.manifests.glob("*"))


def clean_place(place: Path) -> list[Path]:
    """Removes what codemem wrote into a folder for manifests, and the folder if nothing else is in it."""
    if place.is_symlink() or place.parent.is_symlink() or not place.is_dir():
        return []
    patterns = [*_WRITTEN, ".gitignore"] if place.name == PLAIN_FOLDER else _WRITTEN
    removed = [path for pattern in patterns for path in sorted(place.glob(pattern)) if not path.is_dir()]
    for path in removed:
        path.unlink()
    _remove_if_empty(place)
    if place.parent.name == FOLDER:
        _remove_if_empty(place.parent)
    return removed


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:  # not empty, or not there
        return
