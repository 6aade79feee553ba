"""A plain folder, without git."""

import os
import time
from collections.abc import Iterator

from .disk_tree import DiskTree
from .ignore import CODEMEM_IGNORE, IgnoreRules
from .paths import encode_path
from .seen import by_folder
from .selection import DEFAULT_SELECTION, Selection, vendored_folder
from .tree import Chooser, Listing, StatCache

_NEVER = frozenset({b".git", b".hg", b".svn", b".jj", b".codemem"})


class FolderTree(DiskTree):
    """Every file of a folder but those that `.gitignore` and `.codememignore` files leave out."""

    def list(self, stat_cache: StatCache | None = None, *, selection: Selection = DEFAULT_SELECTION) -> Listing:
        self._refresh()
        now_ns = time.time_ns()
        git_rules, rules = IgnoreRules(), IgnoreRules()
        chooser = Chooser(rules, selection)
        listing = Listing()
        found = sorted(self._walk(git_rules, rules, chooser))
        states = self._look(by_folder(found))
        names = [(raw, encode_path(raw), state) for raw, state in zip(found, states, strict=True)]
        self._add_all(listing, chooser, names, stat_cache or {}, now_ns=now_ns, rows={})
        listing.skipped = chooser.all_skipped()
        return listing

    def _walk(self, git_rules: IgnoreRules, rules: IgnoreRules, chooser: Chooser) -> Iterator[bytes]:
        """Names of files, links and others, folder by folder; ignored and vendored folders are not entered."""
        root = os.fsencode(self.root)
        pending = [b""]
        while pending:
            folder = pending.pop()
            for name, ruled in ((b".gitignore", git_rules), (CODEMEM_IGNORE.encode(), rules)):
                text = self._ignore_text(folder + name)
                if text is not None:
                    ruled.add(encode_path(folder[:-1]), text)
            try:
                found = [*os.scandir(root + b"/" + folder)]
            except OSError as error:
                chooser.skip(encode_path(folder), f"cannot be read: {error.strerror}")
                continue
            for item in found:
                raw = folder + item.name
                if not item.is_dir(follow_symlinks=False):
                    if not self._ignored(git_rules, rules, encode_path(raw)):
                        yield raw
                elif item.name not in _NEVER and self._enters(git_rules, rules, chooser, encode_path(raw)):
                    pending.append(raw + b"/")

    @staticmethod
    def _ignored(git_rules: IgnoreRules, rules: IgnoreRules, path: str) -> bool:
        return bool(git_rules and git_rules.decide(path) and not (rules and rules.decide(path) is False))

    def _enters(self, git_rules: IgnoreRules, rules: IgnoreRules, chooser: Chooser, path: str) -> bool:
        """Whether a folder is walked. Where '!' patterns exist, one of them may reach below any folder."""
        if rules.reincluded:
            return True
        if self._ignored(git_rules, rules, f"{path}/"):
            return False
        if vendored_folder(path) is not None:
            chooser.skip(f"{path}/", "vendored code")
            return False
        return True
