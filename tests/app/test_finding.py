"""What `find` finds: in memory, in the outline, in text not yet saved, over several trees."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from app.bench import Bench
from app.conftest import write
from codemem.errors import NotIndexedError, UsageError
from codemem.find import find
from codemem.manifest import Manifest
from codemem.snapshot import Behind, make_snapshot
from codemem.symbols import matching
from codemem.sync import FEW_ADDED
from codemem.word_places import words_of_documents
from codemem.workspace import open_workspace


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


def test_a_word_that_stands_in_a_body_alone_leads_to_it(bench: Bench, repository: Path, tmp_path: Path) -> None:
    """With a memory or without: nothing is defined or called so, in a file, a function or a path."""
    body = (
        "\n\n".join(f"def step{i}():\n    return {i}\n" for i in range(3))
        + "\n\ndef last():\n    return zygote_count\n"
    )
    write(repository, {"src/steps.py": body})
    bench.index(repository, purpose="outline")
    (found, *_) = bench.find(repository, "where is the zygote count?").results
    assert found.path == "src/steps.py"
    assert "zygote_count" in found.text
    bench.index(repository)
    with bench.session(repository) as session:
        (first, *_) = find(session, "zygote_count", k=9, router="outline").results
        assert first.path == "src/steps.py"
        assert session.recall
        scores = words_of_documents(session.recall, "zygote_count")
        tree, document = session.recall.where(int(scores.argmax()))
        assert tree.work.manifest.paths[tree.work.manifest.row_of_document(document)] == "src/steps.py"
        assert np.count_nonzero(scores) == 1
    # A tree of one file alone, whose words have nothing to be compared with.
    write(tmp_path / "one", {"notes.txt": "Backups run at midnight.\n"})
    bench.index(tmp_path / "one", purpose="outline")
    assert bench.find(tmp_path / "one", "midnight").results[0].path == "notes.txt"
    assert not bench.find(tmp_path / "one", "unheardof").results


def test_find_before_any_index_says_what_to_run(bench: Bench, repository: Path) -> None:
    with pytest.raises(NotIndexedError, match="codemem index"):
        bench.find(repository, "retry")
    with pytest.raises(NotIndexedError, match="codemem index"):
        bench.status(repository)


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


def test_before_anything_is_read_names_lead_to_definitions(bench: Bench, repository: Path) -> None:
    """As in the first second of `index` on a large tree, when only the names of its files are known."""
    with open_workspace(repository, bench.settings, whole=False) as workspace:
        snapshot = make_snapshot(workspace, Manifest.empty(), seconds=-1.0)
        snapshot.save()
    result = bench.find(repository, "where is the retry", seconds=-1.0)
    (best, *_) = result.results
    assert (best.path, best.symbol, best.start_line, best.end_line) == ("src/retry.py", "retry", 4, 10)
    assert best.text.startswith("def retry(operation, attempts):")
    assert result.behind == Behind(added=3)
    write(repository, {"src/retry.py": "changed = True\n"})
    with bench.session(repository, seconds=-1.0) as session:
        write(repository, {"src/retry.py": "changed_again = True\n"})
        assert "src/retry.py" not in {place.path for place in find(session, "retry", k=3).results}


def test_new_files_are_left_to_an_index_that_reads_the_tree(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    added = {f"src/queue_{number}.py": "class Queue:\n    pass\n" for number in range(FEW_ADDED + 1)}
    write(repository, added | {"src/cache.py": "class Store:\n    pass\n"})
    with open_workspace(repository, bench.settings, whole=False) as other, other.reading():
        before = other.load()
        assert before is not None
        result = bench.find(repository, "queue store", router="outline")
        after = other.load()
        assert after is not None
        assert (after.paths, after.oids()) == (before.paths, before.oids()), (
            "it saves what it reads: a second writer would undo that"
        )
    assert result.behind.added == len(added)
    found = {place.path for place in result.results}
    assert found & set(added), "by their names"
    assert "src/cache.py" in found, "by its text"
    assert not bench.find(repository, "queue store", router="outline").behind


def test_a_few_new_files_are_read_whoever_reads_the_tree(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    write(repository, {"src/queue.py": "class Queue:\n    pass\n"})
    with (
        open_workspace(repository, bench.settings, whole=False) as other,
        other.reading(),
        bench.session(repository) as session,
    ):
        assert not session.unread
        (place,) = matching(session.snapshots, "Queue", 2)
        assert place.path == "src/queue.py"


def test_an_index_that_was_killed_reads_no_more(bench: Bench, repository: Path) -> None:
    bench.index(repository)
    program = (
        "import sys, time; from pathlib import Path; from codemem.config import Settings; "
        "from codemem.workspace import open_workspace\n"
        "settings = Settings.load({'CODEMEM_HOME': sys.argv[2]})\n"
        "with open_workspace(Path(sys.argv[1]), settings, whole=False) as tree, tree.reading():\n"
        "    print('reading', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(repository), str(repository.parent / "home")]
    with open_workspace(repository, bench.settings, whole=False) as workspace:
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert workspace.read_elsewhere()
            process.kill()
        assert not workspace.read_elsewhere()
