"""Rivals with models of their own: readers trained for retrieved text, and a larger model, each asked by its name."""

from dataclasses import replace
from pathlib import Path

import pytest

from codemem.config import Places, Settings, UserConfig
from codemem.evals.answers import evaluate, spread
from codemem.evals.answers.engines import Engines, Models
from codemem.evals.answers.evaluate import Options, evaluate_answers
from codemem.evals.answers.names import SYSTEMS, Reader, bolted_on, offered, reader_of
from codemem.evals.answers.questions import Line, Question
from codemem.evals.answers.reading import Given, Limits
from codemem.evals.answers.recorded import read_recorded
from codemem.evals.answers.report import answers_report
from codemem.evals.answers.scoring import Record, score
from codemem.evals.errors import EvaluationError
from codemem.model.testing import write_tiny_adapter, write_tiny_checkpoint

TEXT = "def retry_call(operation, attempts=7):\n    raise RetryError(operation)\n"
EVIDENCE = ((Line("client/retry.py", 1),),)
ASKED = {"en": ["Which value does `attempts` take in `retry_call`?"]}
QUESTIONS = [Question("facts-demo-1", "sqlparse", "python", "default", ASKED, ("7",), (), EVIDENCE)]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Two models without adapters of their own, one of three layers and one of four."""
    models = {
        name: write_tiny_checkpoint(tmp_path / name, layers=layers) for name, layers in (("tiny", 3), ("wide", 4))
    }
    places = Places(tmp_path / "data", tmp_path / "cache", tmp_path / "config")
    return Settings(places, UserConfig(models=models, device="cpu"))


@pytest.fixture
def models(tmp_path: Path) -> Models:
    """All that an evaluation can be given."""
    return Models(
        "tiny",
        write_tiny_adapter(tmp_path / "memory.safetensors", seed=1),
        reader=write_tiny_adapter(tmp_path / "reader.safetensors", seed=2),
        rival_model="wide",
        rival_reader=write_tiny_adapter(tmp_path / "wide-reader.safetensors", layers=4, seed=3),
        device="cpu",
    )


@pytest.fixture
def options(tmp_path: Path, models: Models, monkeypatch: pytest.MonkeyPatch) -> Options:
    for module in (evaluate, spread):
        monkeypatch.setattr(module, "read_questions", lambda _: QUESTIONS)
    monkeypatch.setattr("codemem.evals.answers.recorded.read_questions", lambda _: QUESTIONS)
    place = tmp_path / "repositories/sqlparse/client"
    place.mkdir(parents=True)
    (place / "retry.py").write_text(TEXT, encoding="utf-8")
    systems = ("memory", "bm25-chunks", "bm25-chunks-tuned", "bm25-chunks-larger", "bm25-chunks-larger-tuned")
    limits = Limits(1, 300, 16)
    return Options("facts", place.parents[1], tmp_path / "out", systems=systems, limits=limits, models=models)


def test_a_name_says_what_is_read_and_who_reads() -> None:
    assert reader_of("memory-one-round") is None
    assert reader_of("fusion") == Reader("fusion")
    assert reader_of("bm25-files-tuned") == Reader("bm25-files", tuned=True)
    assert reader_of("closed-book-larger") == Reader("closed-book", larger=True)
    assert reader_of("gold-larger-tuned") == Reader("gold", larger=True, tuned=True)
    assert len(set(SYSTEMS)) == len(SYSTEMS) == 36
    assert set(offered(reader=True, rival=True, rival_reader=True)) == set(SYSTEMS)
    assert not any("tuned" in name or "larger" in name for name in offered())
    assert "minilm-larger" in offered(rival=True)
    assert bolted_on(SYSTEMS, larger=False) == [
        *("bm25-chunks", "bm25-files", "minilm", "fusion", "bm25-chunks-references"),
        *("bm25-chunks-tuned", "bm25-files-tuned", "minilm-tuned", "fusion-tuned", "bm25-chunks-references-tuned"),
    ]
    assert reader_of("bm25-chunks-references-tuned") == Reader("bm25-chunks-references", tuned=True)
    assert reader_of("memory-references-off") is None


def test_each_system_is_asked_of_its_own_model_and_reported(options: Options, settings: Settings) -> None:
    outcome = evaluate_answers(options, settings)
    assert {name: len(found) for name, found in outcome.runs.items()} == dict.fromkeys(options.systems, 1)
    assert {found[0].gold_read for found in outcome.runs.values()} == {1.0}
    text = outcome.page.read_text(encoding="utf-8")
    assert "`-tuned` with reader.safetensors, `-larger` is wide without an adapter, tuned with wide-reader" in text
    assert "memory minus the best bolted-on retrieval" in text
    # What one model said is never taken for another's, and what was said is found again.
    files = sorted(options.records.glob("*.jsonl"))
    assert len(files) == len({file.stem[-12:] for file in files}) == 5
    kept = {file: file.read_bytes() for file in files}
    evaluate_answers(options, settings)
    assert {file: file.read_bytes() for file in sorted(options.records.glob("*.jsonl"))} == kept
    recorded = read_recorded(options.records, "facts", "dev", options.systems)
    assert list(recorded.runs) == list(options.systems)


def test_engines_are_opened_once_each_and_only_when_asked(settings: Settings, models: Models) -> None:
    engines = Engines(settings, models)
    own, tuned = engines.of("memory"), engines.of("fusion-tuned")
    larger, both = engines.of("gold-larger"), engines.of("gold-larger-tuned")
    assert own is engines.of("bm25-chunks")
    assert tuned is engines.of("bm25-chunks-tuned")
    assert (own.name, tuned.name, larger.name, both.name) == ("tiny", "tiny", "wide", "wide")
    assert len({engine.layout.fingerprint for engine in (own, tuned, larger, both)}) == 4
    assert not larger._memory.attends
    assert larger.layout.fingerprint == Engines(settings, models).of("minilm-larger").layout.fingerprint
    lazy = Engines(settings, replace(models, rival_model="missing"))
    assert lazy.of("memory").name == "tiny"


@pytest.mark.parametrize(
    ("system", "given", "option"),
    [
        ("fusion-tuned", {"reader": None}, "--reader"),
        ("fusion-larger", {"rival_model": None}, "--rival-model"),
        ("fusion-larger-tuned", {"rival_reader": None}, "--rival-reader"),
    ],
)
def test_what_a_system_lacks_is_said_before_anything_is_asked(
    options: Options, settings: Settings, system: str, given: dict[str, None], option: str
) -> None:
    lacking = replace(options, systems=("memory", system), models=replace(options.models, **given))
    with pytest.raises(EvaluationError, match=f"{system}.*{option}"):
        evaluate_answers(lacking, settings)
    with pytest.raises(EvaluationError, match=option):
        spread.jobs_of([lacking])
    assert not options.records.exists()


def test_jobs_of_a_larger_model_come_first(options: Options) -> None:
    jobs = spread.jobs_of([options])
    assert [job.cost for job in jobs] == [3, 3, 2, 1, 1]
    assert {one.models for job in jobs for one in job.evaluations} == {options.models}


def record(question: int, *, right: bool) -> Record:
    asked = replace(QUESTIONS[0], identifier=f"facts-demo-{question}")
    return score(asked, "?", Given("7" if right else "8", found=True), len)


def test_the_claim_is_over_the_best_rival_of_each_model() -> None:
    runs = {
        "memory": [record(n, right=n < 8) for n in range(10)],
        "bm25-chunks": [record(n, right=n < 2) for n in range(10)],
        "fusion-tuned": [record(n, right=n < 5) for n in range(10)],
        "gold-tuned": [record(n, right=True) for n in range(10)],
        "minilm-larger": [record(n, right=n < 9) for n in range(10)],
    }
    report = answers_report("name", "title", "note", runs, {})
    (table,) = [rows for title, _, rows in report.tables if "best bolted-on" in title]
    assert [(row[0], row[2]) for row in table] == [
        ("the same model: fusion-tuned, of 2", "+60%"),
        ("the larger model: minilm-larger, of 1", "-11%"),
    ]
