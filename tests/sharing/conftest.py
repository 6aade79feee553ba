"""Two users with a clone each of one repository, and a place between them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from app.conftest import git, repository
from app.fake_engine import FakeEngine

from codemem.config import Settings
from codemem.index import IndexOptions, index
from codemem.results import IndexResult
from codemem.sharing.export import ExportResult, export_memory
from codemem.sharing.fetching import trust_of
from codemem.sharing.importing import Importer, ImportResult
from codemem.sharing.keys import load_key, make_key
from codemem.sharing.place import Place
from codemem.workspace import open_workspace

__all__ = ["repository"]


@dataclass
class User:
    """Folders of one user, who has a clone of the repository."""

    root: Path
    home: Path
    engine: FakeEngine = field(default_factory=FakeEngine)

    @property
    def settings(self) -> Settings:
        return Settings.load({"CODEMEM_HOME": str(self.home)})

    def configure(self, text: str) -> None:
        self.home.mkdir(exist_ok=True)
        (self.home / "config.toml").write_text(text, encoding="utf-8")

    def index(self) -> IndexResult:
        with open_workspace(self.root, self.settings, whole=True) as workspace:
            result = index(workspace, self.settings, lambda _: self.engine, IndexOptions())
            self.notes = list(workspace.notes)
        return result

    def export(self, place: str, key: Path | None = None) -> ExportResult:
        with open_workspace(self.root, self.settings, whole=True) as workspace:
            signing = load_key(key) if key else None
            return export_memory([workspace], self.settings, Place.open(place), key=signing)

    def take(self, place: str, *keys: str, trust: bool = False, sample: int = 0) -> ImportResult:
        with open_workspace(self.root, self.settings, whole=True) as workspace:
            whom = trust_of(self.settings, keys, everyone=trust)
            return Importer(workspace, self.settings, self.engine, Place.open(place), whom).run(sample=sample)


@pytest.fixture
def ci(tmp_path: Path, repository: Path) -> User:
    """Who has indexed the repository."""
    user = User(repository, tmp_path / "ci-home")
    user.index()
    return user


@pytest.fixture
def clone(tmp_path: Path, repository: Path) -> User:
    """Who has not."""
    git(tmp_path, "clone", "-q", str(repository), str(tmp_path / "clone"))
    return User(tmp_path / "clone", tmp_path / "home")


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "shared memory")


@pytest.fixture
def key(tmp_path: Path) -> tuple[Path, str]:
    """A signing key's file and its public name."""
    path = tmp_path / "key.pem"
    return path, make_key(path)


@pytest.fixture
def files(place: str) -> Callable[[str], list[Path]]:
    """Files of the place by their ending."""
    return lambda ending: sorted(Path(place).rglob(f"*{ending}"))
