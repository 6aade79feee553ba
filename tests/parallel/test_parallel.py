"""Memory Parallel with 2, 4 and 8 processes over gloo: the same as one process, and errors that name who failed."""

import json
import os
import shutil
import subprocess
import sys
from itertools import accumulate
from pathlib import Path
from typing import Any

import parallel_workers as workers
import pytest
from conftest import Run
from hypothesis import given, settings
from hypothesis import strategies as st

from codemem.config import parallel_rank
from codemem.model.testing import tiny_engine

sys.path.insert(0, str(Path(__file__).parent.parent / "msa4b"))
from msa4b_tiny import Shape, write_checkpoint


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny model of our own, and a tiny checkpoint in the MSA layout."""
    own = tmp_path_factory.mktemp("own")
    tiny_engine(own)
    return {"own": own, "msa": write_checkpoint(tmp_path_factory.mktemp("msa"), Shape())}


def test_every_collective(processes: Run) -> None:
    found = processes(workers.exchange, 3)
    for rank, seen in enumerate(found):
        assert isinstance(seen, dict), seen
        assert seen["gather"] == [[0, 0], [1, 10], [2, 20]]
        assert seen["nothing"] == [3, 0, 3]
        assert seen["broadcast"] == [5]
        assert seen["bytes"] == "00ff78"
        assert seen["gathered"] == ["", "a", "aa"]
        assert seen["collected"] == (["bb", "b", "bb"] if rank == 0 else [])
        assert seen["empty"] == ([b"", b"", b""] if rank == 0 else [])
        assert len(set(seen["members"])) == 3
        first = sum(range(1, rank + 1)) * 2
        assert [number for row in seen["scattered"] for number in row] == list(range(first, first + 2 * (rank + 1)))


def test_top_documents_are_merged_exactly(processes: Run) -> None:
    for seen in processes(workers.merge, 4):
        ties, few, several, known = seen
        assert ties == ([0, 3, 6], [1.0, 1.0, 1.0])  # equal scores: the lower index first, whoever holds it
        assert few == ([1, 3], [0.25, 0.25])
        assert known == ([0, 1, 2], [0.5, 0.5, 0.5])
        assert several == ([[3, 2], [0, 1]], [[3.0, 2.0], [0.0, -1.0]])


@pytest.mark.parametrize(
    ("size", "kind"),
    [
        (4, "own"),
        (2, "msa"),
        pytest.param(8, "own", marks=pytest.mark.slow),
        pytest.param(4, "msa", marks=pytest.mark.slow),
    ],
)
def test_several_processes_are_as_one(processes: Run, folders: dict[str, Path], size: int, kind: str) -> None:
    first, *others = processes(workers.same_as_one, size, folders[kind])
    assert isinstance(first, dict), first
    assert first["entries"]
    assert first["none"] == []
    for count in (9, 1):
        assert first[f"ranking {count}"]
        assert first[f"answers {count}"]
    assert first["refused"] == ["changed meanwhile", "1"]
    assert [banks for banks, _ in others] == [[3]] * (size - 1)  # one bank is kept, and everyone came to the end
    for _, heard in others:
        assert heard
        assert heard == [workers.read(source.document) for source in heard], "with their definitions"


@pytest.mark.parametrize(
    ("how", "words"),
    [("ends", "worker 1 (process {pid} on "), ("hangs", "did not come to a collective"), ("gives up", "no room left")],
)
def test_a_process_that_fails_is_named(processes: Run, how: str, words: str) -> None:
    found = processes(workers.dies, 3, 1, how)
    for rank in (0, 2):
        message, seconds, pid = found[rank]
        assert message.startswith(f"worker 1 (process {pid} on "), message
        assert words.format(pid=pid) in message
        assert seconds < 30  # not a measurement: without the watch it would be the patience of a minute, or for ever


@pytest.mark.slow
def test_of_eight_the_one_that_ends_is_named_by_all_others(processes: Run) -> None:
    found = processes(workers.dies, 8, 5, "ends")
    for rank in set(range(8)) - {5}:
        message, seconds, pid = found[rank]
        assert message.startswith(f"worker 5 (process {pid} on "), message
        assert seconds < 30


def test_a_process_with_another_model_is_named_by_all(processes: Run, folders: dict[str, Path]) -> None:
    for message in processes(workers.another_model, 3, folders["own"], 2):
        assert message.startswith("worker 2 (process "), message
        assert "loaded another model or format than worker 0" in message


def test_the_others_end_when_the_first_does(processes: Run) -> None:
    assert [str(message)[:9] for message in processes(workers.waits_for_a_dead_first, 2)[1:]] == ["worker 0 "]


counts = st.lists(st.integers(0, 9), min_size=1, max_size=12)


@given(counts, st.integers(1, 6))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_shares_cover_the_memory_and_are_as_equal_as_documents_allow(chunks: list[int], size: int) -> None:
    offsets = [0, *accumulate(chunks)]
    shares: list[Any] = workers.shares(offsets, size)
    every = [document for share in shares for document in range(*share.documents.indices(len(chunks)))]
    assert every == list(range(len(chunks)))
    rows = [row for share in shares for row in range(share.rows.start, share.rows.stop)]
    assert rows == list(range(offsets[-1]))
    for share in shares:
        assert share.chunks <= offsets[-1] / size + max(chunks)
        assert share.offsets().tolist()[-1] == share.chunks
        assert all(share.owner(document) == share.rank for document in range(*share.documents.indices(len(chunks))))


@pytest.mark.slow
def test_a_command_under_torchrun(folders: dict[str, Path], tmp_path: Path) -> None:
    """One process reads the tree and prints; the other encodes its part."""
    home, tree = tmp_path / "home", tmp_path / "tree"
    home.mkdir()
    tree.mkdir()
    for i in range(4):
        (tree / f"f{i}.py").write_text(f"def f{i}(x):\n    return x + {i}\n")
    weights = folders["own"] / "checkpoint"
    shutil.copyfile(folders["own"] / "adapter.safetensors", weights / "codemem-adapter.safetensors")
    (home / "config.toml").write_text(f'model = "tiny"\nthreads = 1\ndevice = "cpu"\n[models]\ntiny = "{weights}"\n')
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, "-m", "codemem", "index", str(tree), "--json"],
        capture_output=True,
        text=True,
        env=os.environ | {"CODEMEM_HOME": str(home), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert (json.loads(line)["encoded"], json.loads(line)["model"]) == (4, "tiny")


def test_a_process_knows_its_number_only_under_torchrun() -> None:
    several = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "RANK": "3"}
    assert parallel_rank(several) == 3
    assert parallel_rank(several | {"WORLD_SIZE": "1"}) is None
    assert parallel_rank({"RANK": "3", "WORLD_SIZE": "4"}) is None  # set by something else
