"""A repository's working tree: tracked files as they lie on disk, and untracked ones that git does not ignore."""

import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from .disk_tree import DiskTree
from .git import run_git
from .ignore import CODEMEM_IGNORE, IgnoreRules
from .paths import decode_path, encode_path
from .repository import Repository
from .selection import DEFAULT_SELECTION, Selection
from .tree import Chooser, Listing, StatCache

_GITLINK = b"160000"
_SPARSE = b"S"
_OTHERS = ("ls-files", "-z", "--others", "--exclude-standard")


class WorkingTree(DiskTree):
    """Tracked and untracked-but-not-ignored files of a repository with a working tree."""

    def __init__(self, repository: Repository, prefix: str) -> None:
        super().__init__(repository.root)
        self.prefix = prefix
        self.git_dir, self.common_dir = repository.git_dir, repository.common_dir
        self.object_format = repository.object_format
        self._repository = repository
        self.commit = repository.head()

    def list(self, stat_cache: StatCache | None = None, *, selection: Selection = DEFAULT_SELECTION) -> Listing:
        self._refresh()
        now_ns = time.time_ns()
        scope = ("--", f":(top,literal){os.fsdecode(decode_path(self.prefix))}") if self.prefix else ()
        with ThreadPoolExecutor(2) as background:
            others = background.submit(run_git, self.root, *_OTHERS, *scope)
            head = background.submit(self._repository.head)
            index = _index(run_git(self.root, "ls-files", "-z", "--stage", "-t", *scope))
            states = self._states(index)
            untracked = [raw for raw in others.result().split(b"\0") if raw and raw not in index]
            self.commit = head.result()
        rules = self._rules([*index, *untracked])
        untracked += self._reincluded(rules)
        chooser = Chooser(rules, selection)
        self._skip_foreign(index, states, untracked, chooser)
        if untracked:
            states += self._states(raw for raw in sorted(untracked) if not raw.endswith(b"/"))
            states.sort(key=lambda named: named[0])
        listing = Listing()
        self._add_all(listing, chooser, states, stat_cache or {}, now_ns=now_ns)
        listing.skipped = chooser.all_skipped()
        return listing

    @staticmethod
    def _skip_foreign(
        index: dict[bytes, bytes], states: Iterable[tuple[bytes, object]], untracked: Iterable[bytes], chooser: Chooser
    ) -> None:
        """Names submodules, repositories inside this one, and what a sparse checkout leaves out."""
        for raw, state in states:
            head = index[raw]
            if head[2:8] == _GITLINK:
                chooser.skip(encode_path(raw), "submodule: index it by its own path")
            elif state is None and head[:1] == _SPARSE:
                folder, slash, _ = encode_path(raw).partition("/")
                if slash:
                    chooser.skip_folder(folder, "outside the sparse checkout")
                else:
                    chooser.skip(folder, "outside the sparse checkout")
        for raw in untracked:
            if raw.endswith(b"/"):
                chooser.skip(encode_path(raw), "a repository of its own: index it by its own path")

    def _rules(self, names: Iterable[bytes]) -> IgnoreRules:
        """`.codememignore` of the root, even if git ignores it, and of every folder that has one."""
        rules = IgnoreRules()
        ending = f"/{CODEMEM_IGNORE}".encode()
        found = {raw for raw in names if raw.endswith(ending)} | {CODEMEM_IGNORE.encode()}
        for raw in sorted(found):
            text = self._ignore_text(raw)
            if text is not None:
                rules.add(encode_path(raw.rpartition(b"/")[0]), text)
        return rules

    def _reincluded(self, rules: IgnoreRules) -> Iterator[bytes]:
        """Files that git ignores and a '!' pattern takes."""
        pathspecs = [*rules.reincluded_pathspecs()]
        if not pathspecs:
            return
        listed = run_git(self.root, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--", *pathspecs)
        inside = decode_path(self.prefix) + b"/" if self.prefix else b""
        for raw in listed.split(b"\0"):
            if raw and raw.startswith(inside) and rules.decide(encode_path(raw)) is False:
                yield raw


def _index(listed: bytes) -> dict[bytes, bytes]:
    """Name -> tag, mode, id, stage, of `git ls-files --stage -t`. A path in conflict has several stages: one counts."""
    return {raw: head for head, _, raw in (record.partition(b"\t") for record in listed.split(b"\0")) if raw}
