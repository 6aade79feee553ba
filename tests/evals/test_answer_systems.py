"""The harness end to end with a tiny model: product and rivals answer, runs go on, reports say what happened."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codemem.config import Places, Settings, UserConfig
from codemem.evals.answers import engines, evaluate, spread
from codemem.evals.answers import swe_qa as open_questions
from codemem.evals.answers.engines import open_engine, without
from codemem.evals.answers.evaluate import Options, evaluate_answers, make_system, summary
from codemem.evals.answers.growth import grown_questions, read_growth
from codemem.evals.answers.judge import Span
from codemem.evals.answers.plots import bars
from codemem.evals.answers.questions import Line, Question
from codemem.evals.answers.reading import Given, Limits
from codemem.evals.answers.run import Asking, Records, run
from codemem.evals.answers.scoring import Record, failure
from codemem.evals.answers.systems import Texts
from codemem.evals.cases import Case, Repository
from codemem.evals.checkouts import Checkouts
from codemem.evals.errors import EvaluationError
from codemem.model.answer import Conversation
from codemem.model.engine import Engine
from codemem.model.events import Definition, Source
from codemem.model.references import references
from codemem.model.testing import tiny_engine

FILES = {
    "client/retry.py": "def retry_call(operation, attempts=7):\n    raise RetryError(operation)\n",
    "client/cache.py": "class Cache(Store):\n    def lookup(self, key):\n        return self.kept[key]\n",
    "README.md": "# Client\n\nCalls again what failed.\n",
}
LIMITS = Limits(rounds=2, source_tokens=300, answer_tokens=16)


def question(number: int, text: str, *expected: str, path: str = "client/retry.py", line: int = 1) -> Question:
    asked = {tongue: [text] for tongue in ("en", "de", "es", "zh")}
    evidence = ((Line(path, line),),) if expected else ()
    return Question(f"facts-demo-{number}", "demo", "python", "default", asked, expected, (), evidence)


REFERENCE = "By `retry_call`, which raises `RetryError`; no_such."
QUESTIONS = [
    question(1, "Which value does `attempts` take in `retry_call`?", "7"),
    question(2, "What is the parent of `Cache`?", "Store", path="client/cache.py"),
    question(3, "Which port does `Server` listen on?"),
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return tiny_engine(tmp_path_factory.mktemp("model"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    places = Places(tmp_path / "data", tmp_path / "cache", tmp_path / "config")
    return Settings(places, UserConfig(models={"tiny": tmp_path}))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "repositories" / "demo"
    for name, text in FILES.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text, encoding="utf-8")
    return place


@pytest.mark.parametrize(
    "name",
    [
        "memory",
        "memory-naming-off",
        "memory-attention-off",
        "memory-best-chunks",
        "memory-references-off",
        "memory-one-round",
        "memory-no-hops",
        "memory-premises-off",
        "bm25-chunks",
        "bm25-chunks-references",
        "bm25-files",
    ],
)
def test_systems_read_the_repository_and_judge_alike(
    name: str, engine: Engine, settings: Settings, root: Path, tmp_path: Path
) -> None:
    options = Options("facts", root.parent, tmp_path / "out", limits=LIMITS)
    system = make_system(name, engine, settings, options)
    system.prepare(root)
    given = system.answer(QUESTIONS[0], QUESTIONS[0].text())
    assert {piece.span.path for piece in given.ranked} <= set(FILES)
    assert given.read
    assert given.read[0].text.strip()[:20] in FILES[given.read[0].span.path]
    assert len(given.citations) <= 3
    assert given.found == bool(given.answer)
    # Preparing again finds what is in memory; asking again gives the same.
    system.prepare(root)
    assert system.answer(QUESTIONS[0], QUESTIONS[0].text()).answer == given.answer
    system.close()


def test_what_is_not_so_is_refused_unless_premises_are_off(
    engine: Engine, settings: Settings, root: Path, tmp_path: Path
) -> None:
    options = Options("premises", root.parent, tmp_path / "out", limits=LIMITS)
    asked = question(4, "What is the default of `operation` in `retry_call`?")
    found = []
    for name in ("memory", "memory-premises-off"):
        system = make_system(name, engine, settings, options)
        system.prepare(root)
        given = system.answer(asked, asked.text())
        found.append((given.found, bool(given.read)))
        system.close()
    assert found[0] == (False, False)
    assert found[1][1]  # the model read for it


def test_bm25_reads_what_was_asked_about_first(engine: Engine, settings: Settings, root: Path, tmp_path: Path) -> None:
    options = Options("facts", root.parent, tmp_path / "out", limits=LIMITS)
    for name in ("bm25-chunks", "bm25-files"):
        system = make_system(name, engine, settings, options)
        system.prepare(root)
        assert system.answer(QUESTIONS[0], QUESTIONS[0].text()).ranked[0].span.path == "client/retry.py"


@pytest.mark.parametrize("name", ["memory", "memory-references-off", "bm25-chunks", "bm25-chunks-references"])
def test_who_is_told_of_names_hears_the_definitions_of_what_it_reads(
    name: str, engine: Engine, settings: Settings, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = name in {"memory", "bm25-chunks-references"}
    heard: list[Source] = []
    show = Conversation.show

    def noting(self: Conversation, documents: Any, read: Any, shown: Any, budget: int) -> Any:
        logits = show(self, documents, read, shown, budget)
        heard.extend(shown.sources)
        assert shown.references == references(self.question, shown.sources)
        assert ("`retry_call`: defined as `retry_call` [" in shown.references) == told
        return logits

    monkeypatch.setattr(Conversation, "show", noting)
    limits = Limits(1, 3000, 16)
    system = make_system(name, engine, settings, Options("facts", root.parent, root.parent / "out", limits=limits))
    system.prepare(root)
    system.answer(QUESTIONS[0], QUESTIONS[0].text())
    system.close()
    found = {source.header.split()[0]: list(source.definitions) for source in heard}
    assert found["client/retry.py"] == ([Definition("retry_call", 0, 2)] if told else [])
    if "client/cache.py" in found:
        assert found["client/cache.py"] == (
            [Definition("Cache", 0, 3), Definition("Cache.lookup", 1, 3)] if told else []
        )


def test_pieces_of_a_file_have_the_definitions_of_their_lines(root: Path) -> None:
    text = "class Long:\n" + "    size = 1\n" * 60 + "    def late(self):\n        return 1\n"
    (root / "long.py").write_text(text, encoding="utf-8")
    texts = Texts(root, defined=True)
    first, second = texts.piece("long.py", 1, 50), texts.piece("long.py", 51, 100)
    for piece, start in ((first, 1), (second, 51)):
        assert Definition("Long", 1 - start, 64 - start) in piece.definitions
    assert [d for d in second.definitions if d.name == "Long.late"] == [Definition("Long.late", 11, 13)]
    assert "Long.late" not in {d.name for d in first.definitions}
    assert Texts(root).piece("long.py", 51, 100).definitions == ()


def test_gold_reads_the_deciding_lines_and_closed_book_reads_no_file(
    engine: Engine, settings: Settings, root: Path, tmp_path: Path
) -> None:
    options = Options("facts", root.parent, tmp_path / "out", limits=LIMITS)
    gold, closed = (make_system(name, engine, settings, options) for name in ("gold", "closed-book"))
    for system in (gold, closed):
        system.prepare(root)
    assert [piece.span for piece in gold.answer(QUESTIONS[0], "?").read] == [Span("client/retry.py", 1, 3)]
    assert {piece.span.path for piece in closed.answer(QUESTIONS[0], "?").read} == {""}


def test_ranking_alone_answers_nothing(engine: Engine, settings: Settings, root: Path, tmp_path: Path) -> None:
    options = Options("facts", root.parent, tmp_path / "out", limits=LIMITS, ranking_only=True)
    for name in ("memory", "bm25-chunks"):
        system = make_system(name, engine, settings, options)
        system.prepare(root)
        given = system.answer(QUESTIONS[0], QUESTIONS[0].text())
        assert (given.found, given.read) == (False, [])
        assert given.ranked
        system.close()


def test_parts_of_the_mechanism_can_be_off_on_the_same_entries(engine: Engine) -> None:
    changed = without(engine, attention=True, naming=True)
    assert (changed._memory.attends, changed._memory.names) == (False, False)
    assert (engine._memory.attends, engine._memory.names) == (True, True)
    assert changed.layout.fingerprint == engine.layout.fingerprint


def test_a_run_goes_on_where_it_was_stopped(engine: Engine, settings: Settings, root: Path, tmp_path: Path) -> None:
    options = Options("facts", root.parent, tmp_path / "out", limits=LIMITS)

    def records(**circumstances: object) -> Records:
        return Records(tmp_path / "records", "bm25-chunks", {"model": "tiny", **circumstances})

    def ask(questions: list[Question], kept: Records) -> list[Record]:
        system = make_system("bm25-chunks", engine, settings, options)
        return run(system, questions, {"demo": root}, kept, Asking(), count_tokens=engine.count_tokens)

    (first,) = ask(QUESTIONS[:1], records())
    with records().path.open("a", encoding="utf-8") as out:
        out.write('{"question": "facts-demo-2", "ki')  # killed while it wrote
    kept = records()
    assert list(kept.done) == ["facts-demo-1"]
    every = ask(QUESTIONS, kept)
    assert every[0] == first
    assert [record.question for record in every] == [question.identifier for question in QUESTIONS]
    assert list(records().done) == [question.identifier for question in QUESTIONS]
    assert records(size=1).done == {}


def test_a_report_holds_tables_failures_and_pictures(
    engine: Engine, settings: Settings, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "open_engine", lambda *_, **__: engine)
    monkeypatch.setattr(evaluate, "read_questions", lambda _: [replace(q, package="sqlparse") for q in QUESTIONS])
    root.rename(root.with_name("sqlparse"))
    options = Options("facts", root.parent, tmp_path / "out", systems=("memory", "bm25-chunks"), limits=LIMITS)
    outcome = evaluate_answers(options, settings)
    text = outcome.page.read_text(encoding="utf-8")
    assert "## Measures" in text
    assert "memory minus the other" in text
    assert f"]({outcome.page.with_suffix('.svg').name})" in text
    kinds = {kind for record in outcome.runs["memory"] if (kind := failure(record))}
    assert all(kind in text for kind in kinds)
    content = json.loads(outcome.page.with_suffix(".json").read_text(encoding="utf-8"))
    assert [row["question"] for row in content["records"]["memory"]] == [q.identifier for q in QUESTIONS]
    assert summary(outcome)["memory"]["right"] is not None
    assert "<svg" in outcome.page.with_suffix(".svg").read_text(encoding="utf-8")
    again = bars(outcome.runs, tmp_path / "again.svg", "facts, dev")
    assert again.read_bytes() == outcome.page.with_suffix(".svg").read_bytes()


def test_open_questions_count_the_names_of_the_reference(
    engine: Engine, settings: Settings, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "open_engine", lambda *_, **__: engine)
    asked = "How is what failed called again?"
    rows = {
        "cited.jsonl": {"repo": "demo", "commit": "abc1234", "idx": 0, "question": asked, "gold_files": ["retry.py"]},
        "references/demo.jsonl": {"question": asked, "answer": REFERENCE},
    }
    for name, row in rows.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(row) + "\n", encoding="utf-8")
    root.rename(root.with_name("demo@abc1234"))
    options = Options("facts", root.parent, tmp_path / "out", systems=("bm25-chunks", "closed-book"), limits=LIMITS)
    page, runs = open_questions.evaluate_swe_qa(
        options,
        settings,
        data=tmp_path / "cited.jsonl",
        references=tmp_path / "references",
        checkouts=Checkouts(root.parent),
    )
    assert "bm25-chunks minus the other" in page.read_text(encoding="utf-8")
    assert [len(found) for found in runs.values()] == [1, 1]
    case = Case("q", Repository("demo", "abc1234"), asked, "", ("retry.py",))
    known = {"retry_call", "RetryError", "other"}
    given = Given("`retry_call` and `helper_x`", True, [Span("client/retry.py", 1, 2)])
    record = open_questions.score_open(case, REFERENCE, known, given)
    assert (record.named, record.invented, record.cited) == (0.5, ("helper_x", "retry_call"), 1.0)


def test_a_grown_world_is_one_job_of_every_set_that_asks_there(tmp_path: Path) -> None:
    sizes = (16_000, 1_000_000)
    evaluations = [
        Options(name, tmp_path, tmp_path / "out", split="held-out", systems=("memory",), sizes=sizes, limits=LIMITS)
        for name in ("facts", "hops")
    ]
    jobs = spread.jobs_of(evaluations)
    worlds = read_growth("held-out")
    assert sorted(one.worlds for job in jobs for one in job.evaluations if one.name == "facts") == [
        (number,) for number in range(len(worlds))
    ]
    assert [job.cost for job in jobs] == sorted((len(world.questions) for world in worlds), reverse=True)
    for job in jobs:
        assert {one.worlds for one in job.evaluations} == {job.evaluations[0].worlds}
        (number,) = job.evaluations[0].worlds
        asked = {one.name for one in job.evaluations if grown_questions(one.name, one.split, worlds[number])}
        assert asked == {one.name for one in job.evaluations}


def test_processes_share_an_evaluation_and_their_records_are_put_together(
    engine: Engine, settings: Settings, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread, "read_questions", lambda _: QUESTIONS)
    options = Options("facts", root.parent, tmp_path / "out", systems=("memory", "bm25-chunks"), limits=LIMITS)
    assert [(job.evaluations[0].systems, job.cost) for job in spread.jobs_of([options])] == [
        (("memory",), 6),
        (("bm25-chunks",), 3),
    ]
    parts = []
    for number, asked in enumerate((QUESTIONS[:2], QUESTIONS[1:])):
        place = replace(options, out=options.work / "parts" / str(number))
        parts.append(place.records)
        records = Records(place.records, "bm25-chunks", {"model": "tiny"})
        system = make_system("bm25-chunks", engine, settings, place)
        run(system, asked, {"demo": root}, records, Asking(), count_tokens=engine.count_tokens)
    with records.path.open("a", encoding="utf-8") as out:
        out.write('{"question": "facts-demo-9", "ki')  # killed while it wrote
    assert spread.merge(parts, options.records) == 3
    assert spread.merge(parts, options.records) == 0
    kept = Records(options.records, "bm25-chunks", {"model": "tiny"})
    assert sorted(kept.done) == [q.identifier for q in QUESTIONS]


def test_what_cannot_be_done_is_said(settings: Settings, tmp_path: Path) -> None:
    options = Options("facts", tmp_path, tmp_path, systems=("oracle",))
    with pytest.raises(EvaluationError, match="no system oracle: there are memory"):
        evaluate_answers(options, settings)
    with pytest.raises(EvaluationError, match="no adapter in"):
        open_engine(settings, adapter=tmp_path / "missing.safetensors")
