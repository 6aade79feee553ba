"""Index, find and ask on real git repositories, with a model that costs nothing."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from app.conftest import FILES, commit, git, write
from app.fake_engine import FakeEngine
from codemem.ask import Piece, RoundDone, ask
from codemem.config import Settings
from codemem.errors import CodememError, NotIndexedError, UsageError, WorkInterruptedError
from codemem.find import find
from codemem.index import IndexOptions, index
from codemem.results import AskResult, FindResult, IndexResult
from codemem.search import Session, Target, open_session
from codemem.snapshot import Behind
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

    def status(self, path: Path, *, verify: bool = False):
        with open_workspace(path, self.settings, whole=True) as workspace:
            return status_of(workspace, self.settings, verify=verify)


def damage_the_store(bench: Bench) -> None:
    """Flips a byte among the tensors of the only segment."""
    (segment,) = bench.settings.places.store.glob("segments/*")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.chmod(0o600)
    segment.write_bytes(data)


@pytest.fixture
def bench(settings: Settings, engine: FakeEngine) -> Bench:
    return Bench(settings, engine)


def test_a_second_index_encodes_nothing(bench: Bench, repository: Path) -> None:
    first = bench.index(repository)
    assert (first.documents, first.encoded, first.reused) == (3, 3, 0)
    assert first.tokens == sum(bench.engine.encoded)
    second = bench.index(repository)
    assert (second.encoded, second.reused, second.removed) == (0, 3, 0)
    assert len(bench.engine.encoded) == 3


def test_only_the_changed_file_is_tokenised_and_encoded(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    tokenised = bench.engine.tokenised
    write(repository, {"src/cache.py": FILES["src/cache.py"] + "\n\nLIMIT = 10\n"})
    result = bench.index(repository)
    assert (result.encoded, result.reused) == (1, 2)
    assert bench.engine.tokenised == tokenised + 1


def test_a_file_that_is_only_touched_is_not_encoded(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    (repository / "README.md").touch()
    assert bench.index(repository).encoded == 0
    assert bench.status(repository).fresh


def test_switching_branches_and_back_encodes_each_content_once(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    git(repository, "switch", "-q", "-c", "other")
    write(repository, {"src/cache.py": "def forget():\n    pass\n", "src/new.py": "def arrive():\n    pass\n"})
    (repository / "README.md").unlink()
    commit(repository)
    there = bench.index(repository)
    assert (there.encoded, there.removed) == (2, 1)
    git(repository, "switch", "-q", "main")
    back = bench.index(repository)
    assert (back.encoded, back.removed, back.documents) == (0, 1, 3)
    git(repository, "switch", "-q", "other")
    assert bench.index(repository).encoded == 0


def test_a_clone_and_a_worktree_encode_nothing(bench: Bench, repository: Path, tmp_path: Path) -> None:
    bench.index(repository)
    subprocess.run(["git", "clone", "-q", repository, tmp_path / "clone"], check=True)
    git(repository, "worktree", "add", "-q", str(tmp_path / "tree"))
    assert bench.index(tmp_path / "clone").encoded == 0
    tokenised = bench.engine.tokenised
    result = bench.index(tmp_path / "tree")
    assert (result.encoded, result.removed) == (0, 0)
    assert bench.engine.tokenised == tokenised, "a worktree starts from what its siblings know"
    assert bench.find(tmp_path / "tree", "evict oldest").results[0].repository == str(tmp_path / "tree")


def test_a_renamed_file_is_encoded_anew_because_its_path_is_read(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    git(repository, "mv", "src/cache.py", "src/store.py")
    result = bench.index(repository)
    assert (result.encoded, result.removed) == (1, 1)
    assert {r.path for r in bench.find(repository, "evict oldest").results} & {"src/store.py"}


def test_untracked_files_are_read_and_ignored_ones_are_not(bench: Bench, repository: Path) -> None:
    write(repository, {".gitignore": "hidden.py\n", "hidden.py": "def secret(): ...\n", "seen.py": "def seen(): ...\n"})
    bench.index(repository)
    paths = {r.path for r in bench.find(repository, "def seen secret", k=9).results}
    assert "seen.py" in paths
    assert "hidden.py" not in paths


def test_find_brings_a_changed_file_up_to_date_by_itself(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    write(repository, {"src/cache.py": "def purge_everything():\n    pass\n"})
    result = bench.find(repository, "purge_everything")
    assert result.fresh
    assert result.results[0].path == "src/cache.py"
    assert result.results[0].symbol == "purge_everything"
    assert bench.index(repository).encoded == 0


def test_without_time_find_answers_from_what_is_there_and_says_what_is_not(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    write(repository, {"src/cache.py": "def purge():\n    pass\n", "src/new.py": "def arrive():\n    pass\n"})
    (repository / "README.md").unlink()
    result = bench.find(repository, "retry operation", seconds=0.0)
    assert not result.fresh
    assert result.behind == Behind(added=1, changed=1)
    assert {r.path for r in result.results} == {"src/retry.py"}
    assert bench.index(repository).encoded == 2


def test_before_there_is_a_memory_the_outline_answers(bench: Bench, repository: Path) -> None:
    bench.index(repository, purpose="outline")
    result = bench.find(repository, "retry operation")
    assert result.router == "outline"
    assert result.model is None
    assert result.results[0].symbol == "retry"
    assert bench.engine.tokenised == 0


def test_ask_encodes_what_the_outline_names_before_the_rest(bench: Bench, repository: Path) -> None:
    bench.index(repository, purpose="outline")
    question = "how does the cache evict the oldest"
    bench.engine.answers[question] = "By deleting it."
    with bench.session(repository, answering=True, seconds=0.0, question=question) as session:
        *_, result = ask(session, question, session.config)
    assert isinstance(result, AskResult)
    assert [citation.path for citation in result.citations] == ["src/cache.py"]
    assert not result.fresh
    assert 1 <= len(bench.engine.encoded) < 3
    done = len(bench.engine.encoded)
    assert bench.index(repository).encoded == 3 - done
    assert bench.status(repository).fresh


def test_the_outline_is_ready_even_if_the_model_cannot_be_loaded(bench: Bench, repository: Path) -> None:
    def no_weights(name: str) -> FakeEngine:
        raise CodememError(f"no weights of {name}")

    with (
        open_workspace(repository, bench.settings, whole=False) as workspace,
        pytest.raises(CodememError, match="no weights of small"),
    ):
        index(workspace, bench.settings, no_weights, IndexOptions())
    assert bench.find(repository, "retry").results[0].path == "src/retry.py"


def test_find_before_any_index_says_what_to_run(bench: Bench, repository: Path) -> None:
    with pytest.raises(NotIndexedError, match="codemem index"):
        bench.find(repository, "retry")
    with pytest.raises(NotIndexedError, match="codemem index"):
        bench.status(repository)


def test_an_interrupted_index_keeps_what_is_done_and_serves_it(bench: Bench, repository: Path) -> None:
    bench.engine.interrupt_after = 2
    with pytest.raises(WorkInterruptedError, match="2 of 3 documents"):
        bench.index(repository)
    status = bench.status(repository)
    assert (status.in_memory, status.fresh, status.behind) == (2, False, Behind(added=1))
    bench.engine.interrupt_after = None
    partial = bench.find(repository, "retry", router="memory", seconds=0.0, k=9)
    assert len({r.path for r in partial.results}) == 2
    assert bench.index(repository).encoded == 1
    assert bench.status(repository).fresh


def test_an_entry_made_for_find_does_not_answer_and_index_makes_the_rest(bench: Bench, repository: Path) -> None:
    bench.index(repository, purpose="find")
    assert bench.find(repository, "retry operation", router="memory").results
    with pytest.raises(CodememError, match="--for ask"):
        bench.ask(repository, "What retries?")
    assert bench.index(repository).encoded == 0, "the purpose stays as it was"
    assert bench.index(repository, purpose="ask").encoded == 3


def test_a_new_version_of_the_model_encodes_only_when_asked(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    bench.engine.version = "2"
    assert bench.index(repository).encoded == 0
    write(repository, {"src/new.py": "def arrive():\n    pass\n"})
    with pytest.raises(CodememError, match="--upgrade"):
        bench.index(repository)
    found = bench.find(repository, "retry")
    assert found.router == "outline"
    assert "--upgrade" in found.notes[0]
    assert bench.index(repository, upgrade=True).encoded == 4
    assert bench.find(repository, "retry").router == "both"


def test_another_model_must_be_indexed_first(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    with pytest.raises(UsageError, match="codemem index --model other"):
        bench.find(repository, "retry", model="other")


def test_several_repositories_share_one_bank(bench: Bench, repository: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    write(plain, {"notes.txt": "Backups run at midnight.\n"})
    bench.index(repository)
    bench.index(plain)
    with bench.session(repository, plain, repository) as session:
        assert len(session.snapshots) == 2
        places = find(session, "backups midnight", k=9).results
    assert (places[0].repository, places[0].path) == (str(plain), "notes.txt")
    assert {p.repository for p in places} == {str(plain), str(repository)}


def test_a_plain_folder_keeps_its_manifest_out_of_sight(bench: Bench, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    write(plain, {"notes.txt": "Backups run at midnight.\n"})
    bench.index(plain)
    assert (plain / ".codemem" / ".gitignore").read_text() == "*\n"
    git(plain, "init", "-q")
    assert git(plain, "status", "--porcelain") == "?? notes.txt"


def test_indexing_leaves_the_repository_clean(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    bench.find(repository, "retry")
    assert git(repository, "status", "--porcelain", "--ignored") == ""


def test_a_sub_folder_is_a_memory_of_its_own(bench: Bench, repository: Path) -> None:
    result = bench.index(repository / "src")
    assert result.documents == 2
    assert bench.find(repository / "src", "retry").results[0].path == "src/retry.py"
    with pytest.raises(NotIndexedError):
        bench.find(repository, "retry")


def test_text_not_yet_saved_is_found_and_leaves_no_trace(bench: Bench, repository: Path, tmp_path: Path) -> None:
    bench.index(repository)
    (tmp_path / "buffer").write_text("def unsaved_wonder():\n    pass\n", encoding="utf-8")
    result = bench.find(repository, "unsaved_wonder", overlays=[f"{repository / 'src/cache.py'}={tmp_path / 'buffer'}"])
    assert result.results[0].path == "src/cache.py"
    assert result.results[0].text == "def unsaved_wonder():\n    pass"
    assert "unsaved_wonder" not in str(bench.find(repository, "unsaved_wonder").results)
    assert bench.index(repository).encoded == 0


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ("src/cache.py", "FILE=PATH"),
        ("src/cache.py=/nowhere/at/all", "cannot be read"),
        ("/etc/hosts=/etc/hosts", "none of"),
    ],
)
def test_a_wrong_overlay_is_explained(bench: Bench, repository: Path, overlay: str, message: str) -> None:
    bench.index(repository)
    with pytest.raises(UsageError, match=message):
        bench.find(repository, "x", overlays=[overlay])


def test_a_corrupted_entry_is_left_out_and_encoded_again(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    damage_the_store(bench)
    with bench.session(repository, answering=True, seconds=0.0) as session:
        assert session.recall
        assert len(session.recall) < 3
        assert session.behind
    assert bench.index(repository).encoded >= 1
    assert bench.find(repository, "retry", router="memory").fresh


def test_verify_names_damage_and_index_mends_it(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    assert bench.status(repository, verify=True).problems == []
    damage_the_store(bench)
    damaged = bench.status(repository, verify=True)
    assert damaged.problems
    assert not damaged.fresh
    assert damaged.behind.changed >= 1
    bench.index(repository)
    assert bench.status(repository, verify=True).fresh


def test_a_lost_store_is_encoded_again(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    shutil.rmtree(bench.settings.places.store)
    assert bench.status(repository).in_memory == 0
    assert bench.index(repository).encoded == 3


def test_an_answer_streams_and_cites_what_was_read(bench: Bench, repository: Path) -> None:
    question = "which function waits longer every time"
    bench.engine.answers[question] = "retry does."
    bench.index(repository)
    *events, result = bench.ask(repository, question)
    assert [type(event) for event in events] == [RoundDone, Piece]
    assert isinstance(result, AskResult)
    assert (result.answer, result.found, result.fresh) == ("retry does.", True, True)
    (citation,) = result.citations
    assert citation.path == "src/retry.py"
    assert result.rounds[0]["named"] == ["src/retry.py"]
    assert result.rounds[0]["layers"][0]["documents"][0]["path"] == "src/retry.py"


def test_without_an_answer_places_are_listed(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    result = bench.ask(repository, "what evicts the oldest")[-1]
    assert isinstance(result, AskResult)
    assert (result.answer, result.found, result.citations) == ("", False, [])
    assert "src/cache.py" in {place.path for place in result.places}


def test_what_changed_while_it_was_read_is_not_cited(bench: Bench, repository: Path) -> None:
    question = "which function waits longer every time"
    bench.engine.answers[question] = "retry does."
    bench.index(repository)
    with bench.session(repository, answering=True) as session:
        events = ask(session, question, session.config)
        first = next(events)
        assert isinstance(first, RoundDone)
        write(repository, {"src/retry.py": "changed = True\n"})
        *_, result = events
    assert isinstance(result, AskResult)
    assert result.citations == []
    assert "changed" in result.notes[-1]


def test_a_damaged_manifest_is_built_anew_with_a_note(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    path = repository / ".git" / "codemem" / "main" / "manifest"
    path.write_bytes(path.read_bytes()[:-3] + b"xyz")
    with open_workspace(repository, bench.settings, whole=False) as workspace:
        result = index(workspace, bench.settings, lambda _: bench.engine, IndexOptions())
        assert any("damaged" in note for note in workspace.notes)
    assert (result.encoded, result.documents) == (0, 3)


def test_a_damaged_outline_is_built_anew(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    (repository / ".git" / "codemem" / "main" / "outline.sqlite").write_bytes(b"not a database" * 100)
    assert bench.find(repository, "retry", router="outline").results[0].symbol == "retry"


def test_a_repository_that_cannot_be_written_keeps_its_manifest_with_the_user(
    bench: Bench, repository: Path, tmp_path: Path
) -> None:
    # A file in the way stands for a read-only folder, which root may write to all the same.
    (repository / ".git" / "codemem").write_text("in the way")
    bench.index(repository)
    assert len(list(bench.settings.places.manifests.glob("*/manifest"))) == 1
    assert bench.index(repository).encoded == 0
    assert bench.find(repository, "retry").results


def test_a_link_in_place_of_the_manifest_folder_is_not_followed(bench: Bench, tmp_path: Path) -> None:
    plain, elsewhere = tmp_path / "plain", tmp_path / "elsewhere"
    write(plain, {"notes.txt": "Backups run at midnight.\n"})
    elsewhere.mkdir()
    (plain / ".codemem").symlink_to(elsewhere)
    bench.index(plain)
    assert list(elsewhere.iterdir()) == []
    assert bench.find(plain, "midnight").results


def test_the_best_document_of_every_file_of_every_tree(bench: Bench, repository: Path, tmp_path: Path) -> None:
    long = "\n\n".join(f"def part{i}():\n" + f"    value{i} = {i}\n" * 40 for i in range(12))
    write(repository, {"src/long.py": long, "a.py": long})
    other = tmp_path / "other"
    write(other, {"a.py": long, "z.txt": "Backups run at midnight.\n"})
    bench.index(repository)
    bench.index(other)
    with bench.session(repository, other) as session:
        recall = session.recall
        assert recall
        scores = np.random.default_rng(0).permutation(len(recall)).astype(np.float32)
        expected: dict[str, int] = {}
        for index in range(len(recall)):
            tree, document = recall.where(index)
            manifest = tree.work.manifest
            key = f"{recall.trees.index(tree)}:{manifest.paths[manifest.row_of_document(document)]}"
            if key not in expected or scores[index] > scores[expected[key]]:
                expected[key] = index
        assert len(expected) == 7
        assert recall.best_of_files(scores) == expected
