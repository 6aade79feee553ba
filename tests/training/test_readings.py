"""A reader of retrieved text: shown what its rivals' harness shows, byte for byte, and it learns to read it."""

from pathlib import Path
from typing import Any

import pytest

from codemem.evals.answers.engines import without
from codemem.evals.answers.questions import Question
from codemem.evals.answers.reading import Limits
from codemem.evals.answers.systems import ReaderSystem, RetrievedPieces, checkout_of
from codemem.evals.baselines import CHUNK_LINES, Bm25Retriever
from codemem.model import answer as answering
from codemem.model.adapter import AdapterFile
from codemem.model.engine import Engine
from codemem.model.events import Source
from codemem.model.prompts import Prompts
from codemem.model.references import references
from codemem.model.testing import tiny_engine
from codemem.model.tokenizer import Tokenizer
from codemem.training import readings as module
from codemem.training.conversation import Conversation
from codemem.training.corpus import Corpus
from codemem.training.files import Files
from codemem.training.readings import Readings
from codemem.training.retrieved import main as rank
from codemem.training.retrieved import read_retrieved
from codemem.training.written import KIND

from .conftest import write_rows
from .test_training_run import run

FUNCTIONS = ("alpha", "bravo", "delta", "gamma", "omega", "sigma")
LINES = 30
"""Of each function: two of them and a bit are a piece of 50 lines."""


def function(name: str, value: int) -> str:
    return f"def {name}(port={value}):\n" + "".join(f"    {name}_step({n})\n" for n in range(LINES - 1))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two packages of two files of three long functions each; every port is asked for."""
    folder = tmp_path / "data"
    folder.mkdir()
    documents, answers = [], []
    for package in range(2):
        for place, stem in enumerate(FUNCTIONS):
            name = f"{stem}{package}"
            path = f"src/{'ab'[place // 3]}.py"
            documents.append(
                {"header": f"{path} {name}\n", "text": function(name, 8000 + place), "package": f"p{package}"}
            )
            own = 6 * package + place
            answers.append({
                "question": f"Which port has {name} by default?", "gold": [own], "answer": f"`{8000 + place}`.",
                "distractors": [6 * package + (place + 1) % 6], "evidence": f"port={8000 + place}", "kind": "default",
            })  # fmt: skip
    answers.append({**answers[0], "gold": [], "evidence": "", "answer": "No.", "kind": "unanswerable"})
    write_rows(folder / "documents.jsonl.zst", [{**row, "language": "python"} for row in documents])
    write_rows(folder / "pairs.jsonl.zst", [])
    write_rows(folder / "qa.jsonl.zst", [{**row, "language": "python"} for row in answers])
    return folder


@pytest.fixture
def corpus(data: Path, base: Path) -> Corpus:
    rank(["--data", str(data), "--processes", "1"])
    corpus = Corpus.load(data, Tokenizer.from_folder(base))
    corpus.ranked = read_retrieved(data, corpus.answers)
    return corpus


def readings(corpus: Corpus, *, tokens: int = 9000, missing: float = 0.0, seed: int = 1, **settings: Any) -> Readings:
    return Readings(corpus, Prompts(corpus.tokenizer), tokens=tokens, missing=missing, seed=seed, **settings)


def write_repository(corpus: Corpus, root: Path) -> None:
    """The files of the first package, as training puts them together."""
    files = Files(corpus)
    for path, document in files.names()[0]:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("\n".join(files.of(document).lines), encoding="utf-8")


@pytest.mark.parametrize("budget", [3000, 1400])
def test_a_conversation_is_what_the_rivals_harness_shows(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: int
) -> None:
    root = tmp_path / "p0"
    write_repository(corpus, root)
    engine = without(tiny_engine(tmp_path / "model"), attention=True, naming=True)
    pieces = RetrievedPieces(Bm25Retriever(with_path=True))
    system = ReaderSystem("bm25-chunks", pieces, engine, Limits(None, budget, 16))
    system.prepare(root)
    fed: list[int] = []
    feed = answering.Conversation.feed

    def noted(self: answering.Conversation, ids: list[int], *rest: Any, **more: Any) -> Any:
        fed.extend(ids)
        return feed(self, ids, *rest, **more)

    monkeypatch.setattr(answering.Conversation, "feed", noted)
    monkeypatch.setattr(module, "SOURCE_TOKENS", budget)
    compared = 0
    for index in range(6):
        fed.clear()
        record = corpus.answers[index]
        given = system.answer(
            Question("q", "p0", "python", "default", {"en": [record["question"]]}), record["question"]
        )
        found = readings(corpus).answered(index)
        assert found is not None
        if any(record["evidence"] in piece.text for piece in given.read):  # else training puts it there
            start = found.learn.index(True)
            assert fed[:start] == found.ids[:start]
            compared += 1
    assert compared >= 3


@pytest.mark.parametrize("further", [0, 2])
def test_what_is_told_of_names_is_what_the_rival_is_told(corpus: Corpus, tmp_path: Path, further: int) -> None:
    root = tmp_path / "p0"
    write_repository(corpus, root)
    for number, record in enumerate(corpus.answers[:12]):
        own, other = (f"{FUNCTIONS[n % 6]}{number // 6}" for n in (number, number + 1))
        record["question"] = f"Which port has what calls `{own}_step` and is no `{other}`?"
    pieces = RetrievedPieces(Bm25Retriever(with_path=True), defined=True)
    pieces.prepare(root)
    prompts, compared = Prompts(corpus.tokenizer), 0
    found = pieces.ranked(question_of("step"), " ".join(f"{name}0_step" for name in FUNCTIONS))
    known = {f"{piece.span.path}\n{piece.text}": piece for piece in found}
    drawn = readings(corpus, noted=1.0, further=further, seed=2)
    for conversation in (drawn.next() for _ in range(24)):
        shown = pieces_of(conversation, prompts, corpus)
        texts = [text.partition("] ")[2] for text in shown]
        held = [next((piece for key, piece in known.items() if text.startswith(key)), None) for text in texts]
        if None in held:
            continue  # of the other package
        sources = [Source(0, f"{piece.span.path}\n", piece.text, piece.definitions) for piece in held if piece]
        ends = [*(start for start, _ in conversation.further), len(conversation.ids)]
        for start, end in zip([conversation.fork, *ends[:-1]], ends, strict=True):
            told = corpus.tokenizer.decode(conversation.ids[start:end]).lstrip("\n")
            lines, asked = told.partition("Which port")[::2]
            expected = references("Which port" + asked.partition("\n")[0], sources)
            assert expected.startswith("`")
            assert lines == f"{expected}\n"
            compared += 1
    assert compared > 5 * (1 + further)
    untold = [readings(corpus, noted=0.0, seed=2).next(), readings(corpus, seed=2).next()]
    assert all("called by" not in corpus.tokenizer.decode(conversation.ids) for conversation in untold)
    assert untold[0] == untold[1]


def question_of(text: str) -> Question:
    return Question("q", "p0", "python", "default", {"en": [text]})


def test_what_is_learnt_is_the_answer_with_the_pieces_that_decide(corpus: Corpus) -> None:
    prompts = Prompts(corpus.tokenizer)
    for index in range(12):
        found = readings(corpus).answered(index)
        assert found is not None
        start = found.learn.index(True)
        assert all(found.learn[start:])
        record = corpus.answers[index]
        said = {n: prompts.answer([record["answer"], n], answerable=True) for n in range(1, 9)}
        (cited,) = [number for number, ids in said.items() if ids == found.ids[start:]]
        shown = pieces_of(found, prompts, corpus)
        assert record["evidence"] in shown[cited - 1]
        assert (found.documents, found.gold, found.choices, found.decisions) == ([], 0, {}, {start})


def pieces_of(conversation: Conversation, prompts: Prompts, corpus: Corpus) -> list[str]:
    """The sources that a conversation shows."""
    read = conversation.ids[: conversation.learn.index(True)]
    opened = [at for at, token in enumerate(read) if token == prompts.file][1:]  # the first opens what is named
    return [corpus.tokenizer.decode(read[a:b]) for a, b in zip(opened, [*opened[1:], len(read)], strict=True)]


def test_what_retrieval_misses_is_put_where_it_is_read(corpus: Corpus) -> None:
    last = {index: ranked[-1:] for index, ranked in corpus.ranked.items()}
    corpus.ranked = last
    found = [readings(corpus, seed=seed).answered(index) for index in range(12) for seed in range(3)]
    assert all(found)
    prompts = Prompts(corpus.tokenizer)
    for conversation in found:
        assert conversation is not None
        assert any("port=8" in piece for piece in pieces_of(conversation, prompts, corpus))


def test_a_share_is_refused_because_nothing_shown_decides(corpus: Corpus) -> None:
    prompts = Prompts(corpus.tokenizer)
    drawn = readings(corpus, missing=0.4)
    found = [drawn.next() for _ in range(200)]
    refused = [c for c in found if c.ids[c.learn.index(True)] == prompts.unanswerable]
    assert 50 < len(refused) < 110
    for conversation in refused:
        question = corpus.tokenizer.decode(conversation.ids[: conversation.ids.index(prompts.turn_end)])
        (record,) = [r for r in corpus.answers if r["gold"] and r["question"] in question]
        opening = f"def {corpus.headers[record['gold'][0]].split()[1]}("
        assert not any(opening in piece for piece in pieces_of(conversation, prompts, corpus))


def test_draws_are_the_same_again_and_what_cannot_be_answered_is_not_drawn(corpus: Corpus) -> None:
    first, again = readings(corpus, missing=0.3, seed=5), readings(corpus, missing=0.3, seed=5)
    drawn = [first.next() for _ in range(30)]
    assert drawn == [again.next() for _ in range(30)]
    assert drawn != [readings(corpus, missing=0.3, seed=6).next() for _ in range(30)]
    assert {c.kind for c in drawn} == {"default"}
    assert max(len(c.ids) for c in drawn) <= 9000
    assert max(len(readings(corpus, tokens=1600).next().ids) for _ in range(5)) <= 1600
    with pytest.raises(ValueError, match="no piece of"):
        readings(corpus, tokens=400).next()


def test_ranks_are_those_of_the_harness_over_the_same_files(corpus: Corpus, tmp_path: Path) -> None:
    write_repository(corpus, tmp_path / "p0")
    retriever = Bm25Retriever(with_path=True)
    retriever.prepare(checkout_of(tmp_path / "p0"))
    files = Files(corpus)
    for index in range(6):
        hits = [(hit.path, hit.start_line) for hit in retriever.rank(corpus.answers[index]["question"], 24)]
        ours = [(files.of(d).path, n * CHUNK_LINES + 1) for d, n in corpus.ranked[index]]
        assert ours == hits


LETTERS = "ABCD"


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """One question, whose answer is another one in every package: it can only be read."""
    folder = tmp_path / "planted"
    folder.mkdir()
    texts = [("q" * (i // 4), LETTERS[i % 4]) for i in range(32)]
    documents = [
        {"header": "a.py f\n", "text": f"{pad} port={letter}\n", "language": "python", "package": f"p{i}"}
        for i, (pad, letter) in enumerate(texts)
    ]
    kinds = {"question": "port?", "distractors": [], "kind": "default", "language": "python"}
    answers = [
        {**kinds, "gold": [i], "answer": letter, "evidence": f"port={letter}"} for i, (_, letter) in enumerate(texts)
    ]
    for name, rows in {"documents": documents, "pairs": [], "qa": answers}.items():
        write_rows(folder / f"{name}.jsonl.zst", rows)
    rank(["--data", str(folder), "--processes", "1"])
    return folder


def test_a_reader_learns_to_read_and_is_an_adapter_that_the_evaluation_takes(
    tmp_path: Path, base: Path, planted: Path
) -> None:
    out = tmp_path / "out"
    settings: dict[str, Any] = {"reads": "retrieved", "phases": [{"answers": 8}], "answer_tokens": 400, "rank": 8}
    settings |= {"missing": 0.0, "adapter_rate": 1.5e-2}
    log = run(base, planted, out, 110, **settings)
    assert set(log[0]["losses"]) == {"answer", f"{KIND}default", "total", "norm"}
    assert log[-1]["losses"]["answer"] < 0.3 * log[0]["losses"]["answer"]
    adapter = out / "codemem-adapter.safetensors"
    memory = AdapterFile(adapter).memory
    assert (memory.names, memory.attends) == (False, False)
    engine = Engine.open("tiny", base, adapter, device="cpu")
    system = ReaderSystem("bm25", RetrievedPieces(Bm25Retriever(with_path=True)), engine, Limits(None, 3000, 16))
    said = []
    for letter in LETTERS:
        (tmp_path / letter).mkdir()
        (tmp_path / letter / "a.py").write_text(f"{'q' * 9} port={letter}\n", encoding="utf-8")
        system.prepare(tmp_path / letter)
        said.append(system.answer(Question("q", "p", "python", "default", {"en": ["port?"]}), "port?"))
    assert sum(given.answer == letter for given, letter in zip(said, LETTERS, strict=True)) >= 3  # chance is 1
    assert run(base, planted, out, 111, "--resume", **settings)[-1]["step"] == 111


def test_what_a_reader_lacks_is_said(tmp_path: Path, base: Path, data: Path, corpus: Corpus) -> None:
    with pytest.raises(ValueError, match="learns from answers alone"):
        run(base, data, tmp_path / "out", 1, reads="retrieved", phases=[{"answers": 0}])
    with pytest.raises(ValueError, match="reads is"):
        run(base, data, tmp_path / "out", 1, reads="files")
    with pytest.raises(ValueError, match="make it again"):
        read_retrieved(data, corpus.answers[1:])
    (data / "retrieved.jsonl.zst").unlink()
    with pytest.raises(ValueError, match=r"codemem\.training\.retrieved"):
        run(base, data, tmp_path / "out", 1, reads="retrieved", phases=[{"answers": 2}])
