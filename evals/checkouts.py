"""Repositories at pinned revisions on disk, and their text files.

Evaluations read what a revision tracked and nothing else, so a checkout is an export without git's own folder.
"""

import re
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from codemem.evals.cases import Repository
from codemem.evals.errors import MissingCheckoutError
from codemem.workspace import PLAIN_FOLDER

_COMMIT = re.compile(r"[0-9a-f]{4,64}")
BINARY_PROBE = 8000
"""Bytes looked at for a NUL, which tells a binary file (as git does)."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """A repository at its revision, exported to a folder."""

    repository: Repository
    root: Path

    @property
    def searched(self) -> Path:
        """The folder that is indexed."""
        return self.root / self.repository.folder

    def texts(self) -> list[tuple[str, str]]:
        """(path from the root, text) of every text file that is searched, by path; links are not followed."""
        found = []
        for file in sorted(self.searched.rglob("*")):
            if file.is_symlink() or not file.is_file() or PLAIN_FOLDER in file.relative_to(self.root).parts:
                continue
            data = file.read_bytes()
            if b"\0" not in data[:BINARY_PROBE]:
                found.append((file.relative_to(self.root).as_posix(), data.decode("utf-8", "replace")))
        return found


class Checkouts:
    """A folder of exports named `owner+name@revision`, filled from clones `owner+name` when given."""

    def __init__(self, folder: Path, clones: Path | None = None) -> None:
        self._folder = folder
        self._clones = clones

    def find(self, repository: Repository) -> Checkout:
        """The export of a repository, made from a clone if need be; raises MissingCheckoutError."""
        plain = repository.name.replace("/", "+")
        place = self._folder / f"{plain}@{repository.revision[:7]}"
        if not place.is_dir():
            git_folder = self._clone(plain)
            if git_folder is None:
                raise MissingCheckoutError(repository.name, repository.revision, str(self._folder))
            self._export(repository, git_folder, place)
        return Checkout(repository, place)

    def _clone(self, plain: str) -> Path | None:
        """The clone's folder: bare, with a work tree, or a bare one in `repo`."""
        if self._clones is None:
            return None
        base = self._clones / plain
        return next((path for path in (base / "repo", base / ".git", base) if (path / "HEAD").is_file()), None)

    def _export(self, repository: Repository, git_folder: Path, place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as name:
            archive = Path(name) / "tree.tar"
            command = ["git", f"--git-dir={git_folder}", "archive", f"--output={archive}", repository.revision]
            named = _COMMIT.fullmatch(repository.revision)  # anything else could be read as an option
            if not named or subprocess.run(command, check=False, capture_output=True).returncode != 0:
                raise MissingCheckoutError(repository.name, repository.revision, str(git_folder))
            with tarfile.open(archive) as tar:
                files = [member for member in tar if member.isfile() or member.isdir()]
                # As the documentation of tarfile has it: Python 3.11.0 to 3.11.3 (Debian 12) have no filters.
                tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
                tar.extractall(Path(name) / "tree", files)  # noqa: S202 (git wrote it; filtered above)
            (Path(name) / "tree").rename(place)
