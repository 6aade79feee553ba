"""The harness on a real git repository: cases, exports, systems, reports."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from codemem.evals.baselines import Bm25Retriever, DenseRetriever, FusionRetriever
from codemem.evals.cases import Repository, read_all, read_semble, read_swe_bench, read_swe_qa
from codemem.evals.checkouts import Checkouts
from codemem.evals.compare import compare, main
from codemem.evals.errors import BadCasesError, EvaluationError, MissingCheckoutError
from codemem.evals.retrieval import evaluate
from codemem.evals.systems import MemoryRetriever, MixedRetriever, OutlineRetriever

FILES = {
    "src/parser.py": "def parse_number(text):\n    return int(text)\n",
    "src/render.py": "class Renderer:\n    def draw(self, shape):\n        return shape.outline()\n",
    "src/long.py": "".join(f"def step_{n}():\n    return {n}\n\n\n" for n in range(60)),
    "outside.py": "def parse_number(text):\n    return None\n",
}


def git(folder: Path, *words: str) -> str:
    settings = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *settings, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A clone under `clones`, and cases in semble's form that name its commit."""
    clone = tmp_path / "clones" / "me+tool"
    for path, text in FILES.items():
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / path).write_text(text)
    (clone / "src/picture.bin").write_bytes(b"\x00\x01\x02")
    (clone / "src/link.py").symlink_to("/etc/passwd")
    git(clone, "init", "-q")
    git(clone, "add", ".")
    git(clone, "commit", "-q", "-m", "first")
    revision = git(clone, "rev-parse", "HEAD")
    (clone / "src/parser.py").write_text("changed after the pinned revision\n")
    folder = tmp_path / "data" / "semble-dev"
    folder.mkdir(parents=True)
    entry = {"name": "tool", "url": "https://github.com/me/tool.git", "revision": revision, "benchmark_root": "src"}
    (folder / "repos.json").write_text(json.dumps([entry]))
    rows = [
        {"query": "parse_number", "relevant": ["src/parser.py"], "secondary": [], "category": "symbol"},
        {"query": "drawing a shape", "relevant": [{"path": "src/render.py"}], "category": "semantic"},
    ]
    (folder / "tool.json").write_text(json.dumps(rows))
    return tmp_path


@pytest.fixture
def checkouts(data: Path) -> Checkouts:
    return Checkouts(data / "exports", data / "clones")


def test_semble_cases(data: Path) -> None:
    first, second = read_semble(data / "data/semble-dev").cases
    assert first.repository.name == "me/tool"
    assert first.repository.folder == "src"
    assert (second.files, second.category) == (("src/render.py",), "semantic")


def test_an_export_is_the_pinned_revision(data: Path, checkouts: Checkouts) -> None:
    repository = read_semble(data / "data/semble-dev").repositories[0]
    checkout = checkouts.find(repository)
    texts = dict(checkout.texts())
    assert sorted(texts) == ["src/long.py", "src/parser.py", "src/render.py"]
    assert texts["src/parser.py"] == FILES["src/parser.py"]
    assert Checkouts(data / "exports").find(repository).root == checkout.root


@pytest.mark.parametrize("revision", ["0" * 40, "--output=evil", "HEAD; touch evil"])
def test_a_revision_that_is_not_there_is_named(data: Path, checkouts: Checkouts, revision: str) -> None:
    with pytest.raises(MissingCheckoutError, match="me/tool"):
        checkouts.find(Repository("me/tool", revision))
    assert not list(data.rglob("evil*"))


class Letters:
    """Counts of letters as a vector: an encoder whose results can be foreseen."""

    name = "letters"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        counts = np.array([[text.lower().count(chr(97 + i)) for i in range(26)] for text in texts], dtype=np.float32)
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)


def test_every_system_finds_what_is_spelled_out(data: Path, checkouts: Checkouts) -> None:
    case_set = read_semble(data / "data/semble-dev")
    dense = DenseRetriever("letters", Letters(), with_path=True)
    systems = [Bm25Retriever(), Bm25Retriever(None), OutlineRetriever(), MixedRetriever(OutlineRetriever(), dense)]
    for system in systems:
        run = evaluate(system, case_set, checkouts)
        assert run.outcomes[0].files[0] == "src/parser.py"
        assert run.values("NDCG@10")[0] == 1.0
        assert run.outcomes[0].case.identifier == "tool-00"


def test_ranks_stay_inside_the_searched_folder(data: Path, checkouts: Checkouts) -> None:
    run = evaluate(OutlineRetriever(), read_semble(data / "data/semble-dev"), checkouts)
    assert all(path.startswith("src/") for outcome in run.outcomes for path in outcome.files)


def test_pieces_of_one_file_have_their_lines(data: Path, checkouts: Checkouts) -> None:
    system = Bm25Retriever()
    system.prepare(checkouts.find(read_semble(data / "data/semble-dev").repositories[0]))
    hit = system.rank("step_30", 5)[0]
    assert (hit.path, hit.start_line, hit.end_line) == ("src/long.py", 101, 150)


def test_a_memory_is_ranked_by_its_scores(data: Path, checkouts: Checkouts) -> None:
    dense = DenseRetriever("letters", Letters())
    memory = MemoryRetriever(dense)
    memory.prepare(checkouts.find(read_semble(data / "data/semble-dev").repositories[0]))
    hits = memory.rank(FILES["src/render.py"], 2)
    assert hits[0].path == "src/render.py"
    assert [hit.score for hit in hits] == sorted(
        (float(s) for s in dense.scores(FILES["src/render.py"])), reverse=True
    )[:2]


def test_fusion_prefers_what_both_find(data: Path, checkouts: Checkouts) -> None:
    fused = FusionRetriever(Bm25Retriever(), DenseRetriever("letters", Letters()))
    fused.prepare(checkouts.find(read_semble(data / "data/semble-dev").repositories[0]))
    assert fused.rank("parse_number text", 3)[0].path == "src/parser.py"


def test_a_report_holds_tables_machine_and_every_case(data: Path, checkouts: Checkouts) -> None:
    pages = compare(
        [Bm25Retriever(), OutlineRetriever()],
        ["semble"],
        data=data / "data",
        checkouts=checkouts,
        out=data / "out",
        reference="outline",
    )
    text = pages[0].read_text()
    assert "| BM25 chunks | 1.000" in text
    assert "outline minus the other" in text
    content = json.loads(pages[0].with_suffix(".json").read_text())
    assert [run["system"] for run in content["runs"]] == ["BM25 chunks", "outline"]
    assert [case["case"] for case in content["runs"][0]["cases"]] == ["tool-00", "tool-01"]
    assert {"machine", "versions", "command", "date"} <= content.keys()
    assert str(data) not in text


def test_the_command_line_compares_and_explains(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--data", str(data / "data"), "--clones", str(data / "clones"), "--out", str(data / "out")]
    assert main([*common, "--checkouts", str(data / "exports"), "--system", "bm25-files", "outline"]) == 0
    assert "| outline |" in capsys.readouterr().out
    assert main([*common, "--checkouts", str(data / "exports"), "--set", "nothing"]) == 1
    assert "there are semble" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*common, "--checkouts", str(data / "exports"), "--system", "nothing"])


def test_other_sets_are_read(tmp_path: Path) -> None:
    question = {"repo": "requests", "commit": "abc", "idx": 3, "question": "why?", "gold_files": ["a.py"]}
    (tmp_path / "qa").mkdir()
    (tmp_path / "qa/cited_files.jsonl").write_text(json.dumps(question) + "\n")
    hunk = {"path": "a.py", "start_line": 3, "end_line": 9}
    issue = {
        "instance_id": "x-1",
        "repo": "me/x",
        "base_commit": "f00",
        "problem_statement": "broken",
        "gold_files": ["a.py"],
    }
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench/localization.jsonl").write_text(json.dumps({**issue, "gold_hunks": [hunk]}) + "\n")
    readers = read_all(tmp_path)
    assert set(readers) == {"swe-qa", "swe-bench-lite"}
    assert readers["swe-qa"]().cases == read_swe_qa(tmp_path / "qa/cited_files.jsonl").cases
    assert readers["swe-qa"]().cases[0].repository == Repository("psf/requests", "abc")
    assert read_swe_bench(tmp_path / "bench/localization.jsonl").cases[0].spans[0].end_line == 9


def test_bad_data_is_named(tmp_path: Path) -> None:
    (tmp_path / "cited_files.jsonl").write_text("{not json\n")
    with pytest.raises(BadCasesError, match=r"cited_files\.jsonl"):
        read_swe_qa(tmp_path / "cited_files.jsonl")
    with pytest.raises(EvaluationError, match="no evaluation sets"):
        read_all(tmp_path / "missing")
