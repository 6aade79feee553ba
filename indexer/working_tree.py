"""A repository's working tree: tracked files as they lie on disk, and untracked ones that git does not ignore."""

import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter

from .disk_tree import DiskTree, Names
from .git import run_git
from .ignore import CODEMEM_IGNORE, IgnoreRules
from .paths import decode_path, encode_path
from .repository import Repository
from .seen import GITLINK, IndexNames, Seen, by_folder, is_ignore_file, recall, remember, settled, stamp
from .selection import DEFAULT_SELECTION, Selection
from .tree import Chooser, Listing, StatCache

_OTHERS = ("ls-files", "-z", "--others", "--exclude-standard")


class WorkingTree(DiskTree):
    """Tracked and untracked-but-not-ignored files of a repository with a working tree."""

    def __init__(self, repository: Repository, prefix: str) -> None:
        super().__init__(repository.root)
        self.prefix = prefix
        self.git_dir, self.common_dir = repository.git_dir, repository.common_dir
        self.object_format = repository.object_format
        self._repository, self._own_git_dir = repository, repository.git_dir
        self.commit = repository.head()

    def list(self, stat_cache: StatCache | None = None, *, selection: Selection = DEFAULT_SELECTION) -> Listing:
        self._refresh()
        now_ns = time.time_ns()
        seen = recall(self._own_git_dir, self.prefix)
        with ThreadPoolExecutor(1) as background:
            others = background.submit(run_git, self.root, *_OTHERS, *self._scope)
            index = self._index(seen, now_ns)
            names: Names = [*zip(index.heads, index.paths, self._look(index.folders), strict=True)]
            self.commit = self._repository.head()
            untracked = [raw for raw in others.result().split(b"\0") if raw and raw not in index.heads]
        rules = self._rules([*index.ignore_files, *filter(is_ignore_file, untracked)])
        untracked += self._reincluded(rules)
        chooser = Chooser(rules, selection)
        self._skip_foreign(index, names, untracked, chooser)
        if untracked:
            found = sorted(raw for raw in untracked if not raw.endswith(b"/"))
            states = self._look(by_folder(found))
            names += [(raw, encode_path(raw), state) for raw, state in zip(found, states, strict=True)]
            names.sort(key=itemgetter(0))
        listing = Listing()
        circumstances = (rules.texts, selection)
        rows = seen.rows if seen.circumstances == circumstances else {}
        kept = self._add_all(listing, chooser, names, stat_cache or {}, now_ns=now_ns, rows=rows)
        listing.skipped = chooser.all_skipped()
        remember(self._own_git_dir, self.prefix, Seen(seen.index, circumstances, kept))
        return listing

    @property
    def _scope(self) -> tuple[str, ...]:
        return ("--", f":(top,literal){os.fsdecode(decode_path(self.prefix))}") if self.prefix else ()

    def _index(self, seen: Seen, now_ns: int) -> IndexNames:
        """The names in git's index; git is asked only if its file is another than last time."""
        state = stamp(self._own_git_dir / "index")
        if seen.index is not None and seen.index[0] == state:
            return seen.index[1]
        names = IndexNames.parse(run_git(self.root, "ls-files", "-z", "--stage", "-t", *self._scope))
        seen.index = (state, names) if state is not None and settled(state, now_ns) else None
        return names

    @staticmethod
    def _skip_foreign(index: IndexNames, names: Names, untracked: Iterable[bytes], chooser: Chooser) -> None:
        """Names submodules, repositories inside this one, and what a sparse checkout leaves out."""
        for at in index.special:
            _, path, state = names[at]
            if index.heads[names[at][0]][2:8] == GITLINK:
                chooser.skip(path, "submodule: index it by its own path")
            elif state is None:
                folder, slash, _ = path.partition("/")
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
        for raw in sorted({*names, CODEMEM_IGNORE.encode()}):
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
