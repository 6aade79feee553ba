"""The commands over one user's folders, with a model that costs nothing."""

from pathlib import Path

from app.fake_engine import FakeEngine
from codemem.ask import ask
from codemem.config import Settings
from codemem.find import find
from codemem.index import IndexOptions, index
from codemem.results import FindResult, IndexResult, StatusResult
from codemem.search import Session, Target, open_session
from codemem.status import status_of
from codemem.workspace import open_workspace


class Bench:
    """The commands over one user's folders and one model."""

    def __init__(self, settings: Settings, engine: FakeEngine) -> None:
        self.settings = settings
        self.engine = engine

    def index(self, path: Path, **options: object) -> IndexResult:
        with open_workspace(path, self.settings, whole=False) as workspace:
            return index(workspace, self.settings, lambda _: self.engine, IndexOptions(**options))

    def session(self, *paths: Path, answering: bool = False, **target: object) -> Session:
        return open_session(Target(paths, **target), self.settings, lambda _: self.engine, answering=answering)

    def find(self, path: Path, query: str, *, k: int = 3, **target: object) -> FindResult:
        with self.session(path, **target) as session:
            return find(session, query, k=k)

    def ask(self, path: Path, question: str) -> list[object]:
        with self.session(path, answering=True) as session:
            return list(ask(session, question, session.config))

    def status(self, path: Path, *, verify: bool = False) -> StatusResult:
        with open_workspace(path, self.settings, whole=True) as workspace:
            return status_of(workspace, self.settings, verify=verify)
