"""A release with another adapter: what the old one made serves, and grows, until someone asks for the new one."""

import shutil
from pathlib import Path

import pytest

from app.conftest import repository, write
from codemem.adapters import KEPT, keep_adapter, kept_adapter, split_version
from codemem.config import Settings
from codemem.engines import loader
from codemem.errors import CodememError
from codemem.find import find
from codemem.index import IndexOptions, index
from codemem.model.testing import write_tiny_adapter, write_tiny_checkpoint
from codemem.results import FindResult, IndexResult
from codemem.search import Target, open_session
from codemem.workspace import open_workspace

__all__ = ["repository"]


class User:
    """With a model of their own, whose adapter changes."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.weights, self.root = folder / "tiny", repository
        write_tiny_checkpoint(self.weights)
        self.release(1)
        (folder / "home").mkdir()
        (folder / "home" / "config.toml").write_text(
            f'model = "tiny"\nthreads = 1\ndevice = "cpu"\n[models]\ntiny = "{self.weights}"\n', encoding="utf-8"
        )
        self.settings = Settings.load({"CODEMEM_HOME": str(folder / "home")})

    def release(self, seed: int) -> None:
        write_tiny_adapter(self.weights / "codemem-adapter.safetensors", seed=seed)

    def index(self, *, upgrade: bool = False) -> IndexResult:
        with open_workspace(self.root, self.settings, whole=True) as workspace:
            return index(workspace, self.settings, loader(self.settings), IndexOptions(upgrade=upgrade))

    def find(self) -> FindResult:
        with open_session(Target([self.root]), self.settings, loader(self.settings)) as session:
            return find(session, "retry an operation", k=3)


@pytest.fixture
def user(tmp_path: Path, repository: Path) -> User:
    return User(tmp_path, repository)


def test_a_memory_stays_with_its_adapter_until_an_upgrade_is_asked_for(user: User) -> None:
    assert user.index().encoded == 3
    before = user.find()
    assert (before.router, before.notes) == ("both", [])
    user.release(2)
    after = user.find()
    assert [place.score for place in after.results] == [place.score for place in before.results]
    assert "--upgrade" in after.notes[0]
    write(user.root, {"src/new.py": "def arrive():\n    pass\n"})
    assert (user.index().encoded, user.find().fresh) == (1, True)
    assert user.index(upgrade=True).encoded == 4
    assert user.find().notes == []


def test_without_the_old_adapter_the_outline_answers_and_nothing_is_encoded(user: User) -> None:
    user.index()
    user.release(2)
    shutil.rmtree(user.settings.places.data / "adapters")
    found = user.find()
    assert found.router == "outline"
    assert "--upgrade" in found.notes[0]
    write(user.root, {"src/new.py": "def arrive():\n    pass\n"})
    with pytest.raises(CodememError, match="--upgrade"):
        user.index()


def test_names_of_versions() -> None:
    assert split_version("small") == ("small", None)
    assert split_version(f"small@{'0a' * 16}") == ("small", "0a" * 16)
    assert split_version(f"/at@home/model@{'0a' * 16}") == ("/at@home/model", "0a" * 16)
    assert split_version("/at@home/model") == ("/at@home/model", None)


def test_only_so_many_adapters_are_kept(user: User) -> None:
    engine = loader(user.settings)("tiny")
    folder = user.settings.places.data / "adapters"
    for number in range(KEPT + 2):
        (folder / f"{number:032x}.safetensors").write_bytes(b"old")
    (folder / f"{engine.layout.fingerprint[:32]}.safetensors").unlink()
    keep_adapter(user.settings, engine, user.weights / "codemem-adapter.safetensors")
    assert len(list(folder.iterdir())) == KEPT
    assert kept_adapter(user.settings, engine.layout.fingerprint[:32]).stat().st_size > 3
