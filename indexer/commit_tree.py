"""The files of one commit, read from git's objects; the working tree is not looked at."""

from .errors import UnreadableFileError
from .git import BlobReader, run_git
from .ignore import CODEMEM_IGNORE, IgnoreRules
from .paths import decode_path, encode_path
from .repository import Repository
from .selection import DEFAULT_SELECTION, Selection
from .tree import Chooser, FileEntry, Listing, StatCache, Tree

_Records = list[tuple[bytes, bytes, bytes]]
_Ids = list[bytes]
_ABSENT = "its content is not in this partial clone"


class CommitTree(Tree):
    """All files of a commit. Ids are git's own, so nothing is hashed and no stat cache is needed."""

    def __init__(self, repository: Repository, revision: str, prefix: str) -> None:
        self.root = repository.root
        self.prefix = prefix
        self.git_dir, self.common_dir = repository.git_dir, repository.common_dir
        self.object_format = repository.object_format
        self.commit = repository.resolve(revision)
        self._revision = self.commit
        self._blobs = BlobReader(self.root)

    def list(self, stat_cache: StatCache | None = None, *, selection: Selection = DEFAULT_SELECTION) -> Listing:
        records = self._records()
        present = self._sizes([oid for mode, oid, _ in records if mode.startswith(b"100")])
        rules = self._rules({raw: oid for _, oid, raw in records})
        chooser = Chooser(rules, selection)
        listing = Listing()
        for mode, oid, raw in records:
            path = encode_path(raw)
            size = present.get(oid)
            if mode == b"160000":
                chooser.skip(path, "submodule: index it by its own path")
            elif mode == b"120000":
                chooser.skip(path, "symbolic link: not followed")
            elif size is None:
                chooser.skip(path, _ABSENT)
            else:
                reincluded = chooser.choose(path, size)
                if reincluded is not None:
                    listing.entries.append(FileEntry(path, int(mode, 8), size, oid.decode("ascii"), reincluded))
        listing.skipped = chooser.all_skipped()
        return listing

    def _records(self) -> _Records:
        """(mode, id, name) of every file, sorted by name."""
        scope = [decode_path(self.prefix)] if self.prefix else []
        listed = run_git(self.root, "ls-tree", "-r", "-z", "--full-tree", self._revision)
        records = []
        for record in listed.split(b"\0"):
            head, tab, raw = record.partition(b"\t")
            if tab and (not scope or raw.startswith(scope[0] + b"/")):
                mode, _, oid = head.split(b" ")
                records.append((mode, oid, raw))
        return sorted(records, key=lambda record: record[2])

    def _sizes(self, oids: _Ids) -> dict[bytes, int]:
        """Bytes of each blob that is here. A partial clone is asked for all it has: naming a blob would fetch it."""
        form = "--batch-check=%(objectname) %(objectsize)"
        if self._partial():
            answer = run_git(self.root, "cat-file", form, "--batch-all-objects", "--unordered")
        else:
            answer = run_git(self.root, "cat-file", form, stdin=b"\n".join(oids) + b"\n") if oids else b""
        pairs = (line.split(b" ") for line in answer.splitlines())
        return {oid: int(size) for oid, size in pairs if size != b"missing"}

    def _partial(self) -> bool:
        names = run_git(self.root, "config", "--null", "--name-only", "--list").decode("utf-8", "replace").lower()
        return any(name == "extensions.partialclone" or name.endswith(".promisor") for name in names.split("\0"))

    def _rules(self, oids: dict[bytes, bytes]) -> IgnoreRules:
        rules = IgnoreRules()
        name = CODEMEM_IGNORE.encode()
        for raw, oid in oids.items():
            if raw == name or raw.endswith(b"/" + name):
                try:
                    data = self._blobs.read(oid.decode("ascii"))
                except UnreadableFileError:
                    continue
                rules.add(encode_path(raw.rpartition(b"/")[0]), data.decode("utf-8", "replace"))
        return rules

    def read(self, entry: FileEntry) -> bytes:
        return self._blobs.read(entry.oid)

    def close(self) -> None:
        self._blobs.close()
