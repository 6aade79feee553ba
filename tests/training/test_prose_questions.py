"""Questions that a model writes: which will do, that the same are written again, and that a run reads what is kept."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from codemem.model.testing import write_tiny_adapter, write_tiny_checkpoint
from codemem.model.tokenizer import Tokenizer
from codemem.training import leading_back, prose_questions
from codemem.training.batching import RoutingBatches
from codemem.training.colleague import (
    BEFORE,
    KIND,
    OPENINGS,
    Asked,
    Names,
    content,
    fault,
    instruction,
    lines_of,
    ordinary_words,
)
from codemem.training.corpus import Corpus
from codemem.training.data.read import rows
from codemem.training.leading_back import Found
from codemem.training.prose_questions import Author, drawn, main, part_of, says_something

from .conftest import write_rows

CODE = (
    "    def evict_expired(self, now, hysteresis):\n"
    "        for key, entry in list(self.items.items()):\n"
    "            if entry.deadline < now - hysteresis:\n"
    "                self.drop(key)\n"
)
ORDINARY = {"expired", "entry", "key", "drop", "deadline", "now", "items", "list"}


@pytest.mark.parametrize(
    ("question", "wrong"),
    [
        ("where do we drop what is past its deadline?", None),
        ("How are entries that got too old thrown out?", None),
        ("which part cleans up after something has timed out?", None),
        ("what happens when an entry's deadline has passed?", None),
        ("where is evict_expired called?", "name"),
        ("what does evictExpired do with old entries?", "name"),
        ("where do we evict the entries that expired?", "name"),  # what is defined, word by word
        ("how does the lru cache remember old entries?", "name"),  # its class
        ("how much hysteresis do we allow?", "name"),  # spelled as in the source, and no ordinary word
        ("what does this function do with old entries?", "about anything"),
        ("where does the method remove old entries?", "about anything"),
        ("how is the data processed?", "about anything"),
        ("what happens when an error occurs?", "about anything"),
        ("where do we retry when the network fails?", "echo"),  # of an example
        ("which questions would a colleague ask about eviction?", "echo"),
        ("where then?", "length"),
        ("where do we look at all of the entries one by one and drop each one whose time has passed?", "length"),
        ("It drops what is past its deadline.", "form"),
        ("where do we drop entries: the old or the new?", "form"),
    ],
)
def test_a_question_will_do_or_not(question: str, wrong: str | None) -> None:
    assert fault(question, Names("store/items.py LruCache\n", CODE, ORDINARY)) == wrong


def test_a_name_that_is_an_ordinary_word_may_be_asked_for() -> None:
    retry = Names("net/client.go\n", "func retry(n int) error {\n", {"retry"})
    assert fault("where do we retry?", retry) is None
    assert fault("where do we retry?", Names("net/client.go\n", "func retry(n int) error {\n", set())) == "name"


def test_ordinary_is_what_many_packages_write() -> None:
    sentences = [("a", "Retries the request."), ("b", "The request is sent."), ("b", "Inferno inferno inferno.")]
    assert ordinary_words(sentences, often=2) == {"the", "request"}


def test_lines_are_taken_without_their_marks_and_a_line_cut_short_is_left_out() -> None:
    text = 'It drops old things.\n1. "where do we drop them?"\n- how old is too old?'
    assert lines_of(text, whole=True) == ["where do we drop them?", "how old is too old?"]
    assert lines_of(text, whole=False) == ["where do we drop them?"]
    assert lines_of("It drops old things.", whole=True) == []


def test_a_question_comes_once_in_a_course_and_much_alike_ones_once_in_a_package() -> None:
    asked = Asked()
    assert asked.is_new("where are the old cache entries dropped?", "p")
    assert not asked.is_new("How do we drop old entries of the cache?", "q")  # the same words
    assert asked.is_new("where are old cache entries written to disk?", "p")
    assert asked.is_new("where are new cache entries written to disk at once?", "q")
    assert not asked.is_new("where are old cache entries, when dropped, written to disk?", "p")
    assert content("where do we retry the retries?") == {"retry"}


def test_the_examples_are_such_questions_themselves() -> None:
    assert instruction().count(BEFORE) == instruction().count("One begins with '") >= 5
    assert all(
        f"begins with '{opening}'" in instruction() or f"one with '{opening}'" in instruction() for opening in OPENINGS
    )


def _code(name: str, lines: int = 8) -> str:
    return f"def {name}(alpha, beta):\n" + "".join(f"    alpha = beta + alpha * {i}  # {name}\n" for i in range(lines))


def _course(folder: Path) -> Path:
    """Four packages of five documents worth asking about, and what is not."""
    documents = []
    for package, language, suffix in (
        ("p0", "python", "py"),
        ("p1", "python", "py"),
        ("p2", "go", "go"),
        ("p3", "c", "c"),
    ):
        base = {"language": language, "package": package}
        for i in range(5):
            documents.append({"header": f"src/f{i}.{suffix}\n", "text": _code(f"{package}_name{i}"), **base})
        documents.append({"header": f"tests/test_f.{suffix}\n", "text": _code(f"{package}_test"), **base})
        documents.append({"header": f"src/short.{suffix}\n", "text": _code("short", 1), **base})
        documents += [{"header": f"src/copy{i}.{suffix}\n", "text": _code("copy"), **base} for i in range(2)]
        documents.append({"header": "README.md\n", "text": _code("readme"), **base, "language": "markdown"})
    folder.mkdir(exist_ok=True)
    write_rows(folder / "documents.jsonl.zst", documents)
    pair = {"q": "adds alpha to beta", "pos": [0], "neg": [], "kind": "documentation", "language": "python"}
    write_rows(folder / "pairs.jsonl.zst", [pair])
    return folder


def test_documents_are_drawn_by_seed_among_those_that_say_something(tmp_path: Path) -> None:
    course = _course(tmp_path / "course")
    first = drawn(course, packages=None, each=3, seed=0)
    assert first == drawn(course, packages=None, each=3, seed=0)
    assert list(first) != list(drawn(course, packages=None, each=3, seed=1))
    assert all(row["header"].startswith("src/f") for row in first.values())
    assert len(first) == 12
    assert all(row == list(rows(course / "documents.jsonl.zst"))[index] for index, row in first.items())
    few = drawn(course, packages=3, each=9, seed=0)
    assert len(few) == 15
    assert len({row["language"] for row in few.values()}) == 3  # the second of Python's two comes last
    assert not says_something({"header": "lib/a.min.js\n", "text": _code("a"), "language": "javascript"})


def test_parts_are_whole_packages_and_together_everything(tmp_path: Path) -> None:
    every = drawn(_course(tmp_path / "course"), packages=None, each=5, seed=0)
    parts = [part_of(every, part, 3) for part in range(3)]
    assert sorted(index for part in parts for index in part) == sorted(every)
    packages = [{row["package"] for row in part.values()} for part in parts]
    assert sum(map(len, packages)) == len(set.union(*packages)) == 4


def test_what_is_written_depends_on_the_seed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prose_questions, "WRITTEN_TOKENS", 8)
    base = write_tiny_checkpoint(tmp_path / "base")
    documents = drawn(_course(tmp_path / "course"), packages=2, each=1, seed=0)
    first = list(Author(base, seed=3).write(documents, together=4000))
    assert first == list(Author(base, seed=3).write(documents, together=4000))
    assert first != list(Author(base, seed=4).write(documents, together=4000))
    assert sorted(index for index, _, _ in first) == sorted(documents)


def test_the_instruction_is_read_once_and_the_same_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the whole prompt read at once, without padding; the likeliest token each time."""
    monkeypatch.setattr(prose_questions, "TEMPERATURE", 1e-4)
    base = write_tiny_checkpoint(tmp_path / "base")
    course = _course(tmp_path / "course")
    documents = {i: row for i, row in enumerate(rows(course / "documents.jsonl.zst")) if i in (0, 6)}  # long and short
    author = Author(base, seed=0, dtype=torch.float32)
    together = {index: text for index, text, _ in author.write(documents, together=10**6)}
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    tokenizer = Tokenizer.from_folder(base)
    control = {"<|im_start|>": 257, "<|im_end|>": 258}
    start: list[int] = []
    for piece in (instruction() + BEFORE).replace("<|im_", "\0<|im_").replace("|>", "|>\0").split("\0"):
        start += [control[piece]] if piece in control else tokenizer.encode_text(piece)
    for index, row in documents.items():
        prompt = torch.tensor([start + author.prompt(row)])
        whole = model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=prose_questions.WRITTEN_TOKENS,
            do_sample=False,
            eos_token_id=258,
            pad_token_id=256,
        )
        assert tokenizer.decode(whole[0, prompt.shape[1] :].tolist()) == together[index]


def test_questions_are_written_kept_and_read_by_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    course, base = _course(tmp_path / "course"), write_tiny_checkpoint(tmp_path / "base")
    adapter = write_tiny_adapter(tmp_path / "adapter.safetensors")

    def write(self: Author, documents: dict[int, Any], *, together: int) -> Iterator[tuple[int, str, bool]]:
        for index in documents:
            yield index, f"It counts.\nwhere do we count sheep number {index}?\nhow does this function work?", True

    monkeypatch.setattr(Author, "write", write)
    monkeypatch.setattr(leading_back, "OF_PACKAGE", 1)  # ten documents: any rank among them will do
    monkeypatch.setattr(leading_back, "EASY_KEPT", 1.0)
    where = ["--base", str(base), "--data", str(course)]
    for part in ("0", "1"):
        main(["write", *where, "--part", part, "--parts", "2"])
        counts = json.loads(capsys.readouterr().out)
        assert counts == {"documents": 10, "written": 10, "about anything": 10}
    found = [row for part in (0, 1) for row in rows(course / f"written-{part}.jsonl.zst")]
    assert {row["q"] for row in found} == {f"where do we count sheep number {row['pos'][0]}?" for row in found}
    ranked = 0
    for part in ("0", "1", "2"):
        main(["keep", *where, "--adapter", str(adapter), "--part", part, "--parts", "3", "--device", "cpu"])
        ranked += json.loads(capsys.readouterr().out)["ranked"]
    assert ranked == len(found) == 20

    corpus = Corpus.load(course, Tokenizer.from_folder(base))
    assert corpus.kinds == ["documentation", *[KIND] * 20]
    assert sorted(corpus.questions[1:]) == sorted(row["q"] for row in found)
    for query in range(1, 21):
        (source,) = corpus.positives[query]
        assert corpus.questions[query] == f"where do we count sheep number {source}?"
        assert {source}.isdisjoint(corpus.same[query])
        assert set(corpus.same[query]).isdisjoint(corpus.negatives[query])
        near = {*corpus.same[query], *corpus.negatives[query]}
        assert near
        assert {int(corpus.packages[d]) for d in near} == {int(corpus.packages[source])}
    assert Corpus.load(course, Tokenizer.from_folder(base), mined=False).kinds == ["documentation"]
    batches = RoutingBatches(corpus, size=8, group=8, hard=0, seed=0, asked={"documentation": 0.0, KIND: 1.0})
    assert 0 not in batches.next().queries


def test_a_question_must_reach_the_top_of_its_package() -> None:
    at = [Found(0, rank, [], [], easy=False) for rank in (1, 20, 21)]
    assert [found.leads_back(5000) for found in at] == [True, True, False]
    assert [found.leads_back(30) for found in (*at, Found(0, 3, [], [], easy=False))] == [True, False, False, True]
    assert Found(0, 1, [], [], easy=False).leads_back(2)
