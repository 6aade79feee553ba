"""The scale run at small size: what it keeps apart, what it ranks, and that it goes on where it was cut off."""

import json
import lzma
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from codemem.benchmarks.scaling import dense, ranking
from codemem.benchmarks.scaling.answers import Answering, Limits, read_answers, right, to_answer
from codemem.benchmarks.scaling.corpus import digest, read_corpus, write_parts
from codemem.benchmarks.scaling.entries import encode_part, load_encoded, spans
from codemem.benchmarks.scaling.lexical import WordCounts
from codemem.benchmarks.scaling.needles import needles
from codemem.benchmarks.scaling.options import Options
from codemem.benchmarks.scaling.packages import Package, forbidden_names, listed, plain, refuse
from codemem.benchmarks.scaling.pool import Memory, Pool, memories, read_pool_folder
from codemem.benchmarks.scaling.questions import Asked, Questions, Rivals
from codemem.benchmarks.scaling.ranks import Top, fused, rank_of
from codemem.benchmarks.scaling.run import as_plot, as_text, run
from codemem.errors import CodememError
from codemem.evals.bm25 import BM25
from codemem.evals.functions import measures
from codemem.model.events import Answer
from codemem.model.testing import tiny_engine
from codemem.training.data.exclusion import is_excluded, listed_projects

ROOT = Path(__file__).parent.parent.parent
TEXTS = [(f"a/f{i}.py\n", f"def f{i}(x):\n    # number {i} of many\n    return x + {i}\n") for i in range(60)]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def questions() -> Questions:
    """Two worlds of two documents each."""
    asked = [
        Asked("one", "facts", "what does f1 return", ((0,),), 0),
        Asked("two", "hops", "which number follows", ((0,), (1,)), 0),
        Asked("three", "single", "which number is odd", ((2, 3),), 1, values=("17",)),
    ]
    return Questions(TEXTS[:4], [0, 0, 1, 1], asked)


@pytest.fixture
def corpus(tmp_path: Path, questions: Questions) -> Path:
    folder = tmp_path / "corpus"
    write_parts(TEXTS[14:], folder, 10**9)
    (folder / "questions.json").write_text(questions.to_json())
    near = "".join(json.dumps(row) + "\n" for row in TEXTS[4:14])
    (folder / "near.jsonl.xz").write_bytes(lzma.compress(near.encode()))
    return folder


def test_no_package_is_used_by_an_evaluation_or_trained_on() -> None:
    names = [package.name for package in listed()]
    assert len(names) == len(set(names)) > 100
    lists = sorted((ROOT / "training" / "data" / "sources").glob("*.txt"))
    refuse(listed(), forbidden_names(None, lists))
    with pytest.raises(ValueError, match="attrs"):
        refuse([Package("pypi", "attrs")], forbidden_names(None, lists))
    assert plain("golang-github-spf13-cobra-dev") == "spf13-cobra"
    assert plain("@scope/Some_name.js") == "some-name"


def test_names_are_refused_as_training_refuses_them(tmp_path: Path) -> None:
    never = tmp_path / "never.txt"
    never.write_text("psf/requests\npackage:httpx\n")
    forbidden = forbidden_names(never, ())
    for name in ("requests", "python3-requests", "httpx"):
        assert is_excluded(name, listed_projects(never))
        assert plain(name) in forbidden


def test_parts_hold_every_text_once_in_the_order_of_their_digests(tmp_path: Path) -> None:
    copies = [*TEXTS, ("other.py\n", TEXTS[3][1].replace("  ", "\t"))]
    write_parts(copies, tmp_path, 10**9)
    found = read_corpus(tmp_path)
    assert sorted(found) == sorted(TEXTS)
    assert [digest(text) for _, text in found] == sorted(digest(text) for _, text in TEXTS)
    write_parts(TEXTS, tmp_path / "few", 300)
    assert 1 < len(read_corpus(tmp_path / "few")) < 20
    with pytest.raises(ValueError, match="no parts"):
        read_corpus(tmp_path / "nothing")


def test_what_could_answer_in_place_of_the_right_document_is_told() -> None:
    source = (
        "a.py\n",
        "class Reader:\n    def fetch_rows(self, limit=17):\n        return self.cursor.read_many(limit)\n",
    )
    rivals = Rivals(Questions([source], [0], [Asked("q", "facts", "?", ((0,),), 0, names=("Reader", "fetch_rows"))]))
    assert rivals.could_answer(("b.py\n", source[1].replace("    ", "\t")))
    assert rivals.could_answer(("b.py\n", "x = 1\n        return self.cursor.read_many(limit)\n"))
    assert rivals.could_answer(("b.go\n", "type Reader struct {}\nfunc (r *Reader) fetch_rows(limit int) {}\n"))
    assert not rivals.could_answer(("b.py\n", "reader.fetch_rows(3)\n"))  # uses it, defines nothing
    assert not rivals.could_answer(("b.py\n", "class Reader:\n    pass\n"))  # of another kind
    assert not rivals.could_answer(("b.py\n", "def other():\n    return 1\n"))


def test_needles_are_fixed_and_their_values_stand_in_their_documents() -> None:
    found = needles()
    assert found == needles()
    kinds = [needle.kind for needle in found]
    assert (kinds.count("single"), kinds.count("keys"), kinds.count("values")) == (12, 16, 8)
    values = [value for needle in found for value in needle.values]
    assert len(values) == len(set(values))
    for needle in found:
        assert len(needle.documents) == len(needle.values)
        for (_, text), value in zip(needle.documents, needle.values, strict=True):
            assert value in text
    keyed = [needle for needle in found if needle.kind == "keys"]
    assert all(sum(other.name == needle.name for other in keyed) == 4 for needle in keyed)


def test_memories_are_nested_and_each_world_has_its_own_while_not_all_fit(corpus: Path) -> None:
    pool = read_pool_folder(corpus)
    tokens = np.full(60, 10, np.int64)
    every = memories(pool, tokens, (200, 30, 100_000))
    assert [(m.size, m.world, int(m.chosen.sum())) for m in every] == [
        (30, 0, 3),
        (30, 1, 3),
        (200, None, 20),
        (100_000, None, 60),
    ]
    assert [np.flatnonzero(m.chosen).tolist() for m in every[:2]] == [[0, 1, 4], [2, 3, 4]]
    for small, large in pairwise(every):
        assert small.world != large.world or bool((large.chosen >= small.chosen).all())
    assert [every[1].asks(world) for world in (0, 1)] == [False, True]
    with pytest.raises(ValueError, match="begin larger"):
        memories(pool, tokens, (10,))
    # The memory of 45 that holds both worlds has room for less beside them than one world's of 39: that takes no more.
    worlds = [m for m in memories(pool, tokens, (39, 45)) if m.size == 39]
    assert [np.flatnonzero(m.chosen).tolist() for m in worlds] == [[0, 1], [2, 3]]


def test_words_are_weighted_as_bm25_does_whatever_part_of_the_pool_is_held() -> None:
    texts = [text for _, text in TEXTS] + ["", "number number many"]
    questions = ["which number is f7", "nothing of this stands anywhere", "return many many"]
    counts = WordCounts.of(texts, questions)
    chosen = np.ones(len(texts), np.bool_)
    for held in (chosen, np.arange(len(texts)) % 3 > 0):
        numbers = np.flatnonzero(held)
        reference = BM25([texts[i] for i in numbers])
        for index, question in enumerate(questions):
            np.testing.assert_allclose(counts.scores(index, held)[numbers], reference.scores(question), rtol=1e-5)


def test_the_rank_is_that_of_the_worst_step_and_other_gold_is_no_rival() -> None:
    scores = torch.tensor([5.0, 1.0, 4.0, 3.0, 2.0, 9.0])
    held = torch.tensor([True, True, True, True, True, False])
    two_steps = Asked("q", "hops", "?", ((0,), (1, 4)), 0)
    assert rank_of(scores, two_steps, held) == 3  # 4 and 3 are above 2; 5 is gold, 9 is not held
    assert rank_of(scores, Asked("q", "facts", "?", ((0,),), 0), held) == 1
    assert measures([3])["MRR"] == [1 / 3]


def test_equals_share_a_rank_when_rankings_are_fused() -> None:
    held = torch.tensor([True, True, True, False])
    total = fused([torch.tensor([2.0, 0.0, 0.0, 9.0]), torch.tensor([0.0, 0.0, 1.0, 9.0])], held)
    assert total.tolist() == pytest.approx([1 / 61 + 1 / 62, 1 / 62 + 1 / 62, 1 / 62 + 1 / 61, 0.0])


def test_entries_of_several_processes_are_put_together_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = tiny_engine(tmp_path / "engine")
    folder = tmp_path / "entries"
    monkeypatch.setattr("codemem.benchmarks.scaling.entries.BLOCK_TOKENS", 300)
    monkeypatch.setattr("codemem.benchmarks.scaling.entries.CALL_DOCUMENTS", 7)
    for part in range(3):
        encode_part(TEXTS, engine, engine.find_layout, folder, part=part, parts=3, tokens=10**9)
    assert len(list(folder.glob("0-of-3-*"))) > 1
    encoded = load_encoded(folder, engine.find_layout)
    expected = list(engine.encode(engine.tokenise(TEXTS), engine.find_layout))
    assert encoded.tokens.tolist() == [entry.tokens for entry in expected]
    loaded = encoded.part(np.arange(len(TEXTS)))
    for name, array in loaded.tensors.items():
        assert (array == np.concatenate([entry.tensors[name] for entry in expected])).all(), name
    some = encoded.part(np.array([1, 4, 59]))
    assert some.offsets.tolist() == np.cumsum([0, *(expected[i].chunks for i in (1, 4, 59))]).tolist()
    assert (some.chunk_ends == np.concatenate([expected[i].chunk_ends for i in (1, 4, 59)])).all()
    # Cut off: one file is gone, and only it is made again; what stands before the gap can be used meanwhile.
    last = sorted(folder.glob("1-of-3-*"))[-1]
    kept = last.read_bytes()
    last.unlink()
    assert 0 < len(load_encoded(folder, engine.find_layout).tokens) < len(TEXTS)
    encode_part(TEXTS, engine, engine.find_layout, folder, part=1, parts=3, tokens=10**9)
    assert last.read_bytes() == kept
    with pytest.raises(ValueError, match="another model"):
        load_encoded(folder, engine.layout)
    with pytest.raises(ValueError, match="another model"):
        encode_part(TEXTS, engine, engine.layout, folder, part=1, parts=3, tokens=10**9)
    last.write_bytes(kept[:100])
    with pytest.raises(ValueError, match="damaged"):
        load_encoded(folder, engine.find_layout)
    last.write_bytes(kept)
    for block in folder.glob("0-of-3-*"):
        block.unlink()
    with pytest.raises(ValueError, match="no entries"):
        load_encoded(folder, engine.find_layout)


def test_rows_of_spans() -> None:
    assert spans(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
    assert spans(np.zeros(0, np.int64), np.zeros(0, np.int64)).tolist() == []


def test_answers_are_judged_kept_and_not_asked_again(tmp_path: Path, corpus: Path) -> None:
    engine, pool = tiny_engine(tmp_path / "engine"), read_pool_folder(corpus)
    folder = tmp_path / "entries"
    encode_part(pool.documents, engine, engine.find_layout, folder, part=0, parts=1, tokens=10**9)
    encoded = load_encoded(folder, engine.find_layout)
    every = memories(pool, encoded.tokens, (10**6,))
    answering = Answering(pool, engine, engine.find_layout, encoded, Limits(64, 3))
    chosen = to_answer(pool.questions.asked, 1)
    assert chosen == [0, 1, 2]
    systems = ("as ask reads", "memory", "BM25")
    tops = {(10**6, q.identifier, s): Top([2, 0, 1], [1.2, 0.4, 0.1]) for q in pool.questions.asked for s in systems}
    out = tmp_path / "answers-0-of-1.jsonl"
    answering.run(every, chosen, tops, systems, out)
    first = out.read_text()
    assert len(read_answers(tmp_path)) == 9
    out.write_text(first[:-20])  # a kill cut the last line short
    answering.run(every, chosen, tops, systems, out)
    assert {json.dumps(row) for row in read_answers(tmp_path)} == {line for line in first.split("\n") if line}

    def said(text: str, found: bool = True) -> Answer:
        return Answer(text, found, [], [], 0.0, 0.0, 1, 0.0)

    needle = pool.questions.asked[2]
    assert [right(said(t), needle) for t in ("It is 17.", "It is 18.")] == [True, False]
    assert not right(said("17", found=False), needle)


def test_a_run_from_entries_to_plot(tmp_path: Path, corpus: Path) -> None:
    tiny_engine(tmp_path / "engine")
    options = Options(
        corpus=corpus,
        work=tmp_path / "work",
        checkpoint=tmp_path / "engine" / "checkpoint",
        adapter=tmp_path / "engine" / "adapter.safetensors",
        model="tiny",
        threads=1,
        sizes=(120, 100_000),
        encoders=2,
        answerers=1,
        answers=1,
        source_tokens=64,
        answer_tokens=2,
    )
    assert Options.from_json(options.to_json()) == options
    result = run(options)
    ranked = [row for row in result["rows"] if "MRR" in row]
    assert {row["system"] for row in ranked} == {
        "memory",
        "BM25",
        "memory + BM25",
        "memory and names",
        "as ask reads",
    }
    assert {row["memory_tokens"] for row in ranked} == {120, 100_000}
    assert {row["documents"] for row in ranked if row["memory_tokens"] == 100_000} == {60}
    for row in ranked:
        assert row["asked"] == 1
        assert 0 <= row["R@1"] <= row["R@10"] <= row["R@100"] <= 1
    answered = [row for row in result["rows"] if "right" in row]
    assert len(answered) == 2 * 2 * 3  # sizes, systems, kinds
    assert as_plot(result).count("<polyline") == 5
    assert "MRR" in as_text(result)
    before = (options.work / "answers-0-of-1.jsonl").read_bytes()
    again = run(options, phases=("encode", "rank", "answer", "report"))
    assert again["rows"] == result["rows"]
    assert (options.work / "answers-0-of-1.jsonl").read_bytes() == before


class ByLength:
    """Stands for MiniLM: two numbers a text, by its length."""

    read = 0

    def __init__(self, folder: Path, device: torch.device) -> None:
        del folder, device

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        ByLength.read += len(texts)
        return torch.tensor([[1.0, len(text) / 100] for text in texts]).view(-1, 2)


def test_vectors_made_beforehand_are_read_and_rank_the_same(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "DenseEncoder", ByLength)
    tiny_engine(tmp_path / "engine")
    folder, adapter = tmp_path / "engine" / "checkpoint", tmp_path / "engine" / "adapter.safetensors"
    results, reads = [], []
    for name in ("alone", "kept"):
        options = Options(
            corpus, tmp_path / name, folder, adapter, "tiny", threads=1, sizes=(120, 3000), bm25=False, minilm=tmp_path
        )
        if name == "kept":
            run(options, phases=("dense",))
        ByLength.read = 0
        results.append(run(options, phases=("encode", "rank", "report"))["rows"])
        reads.append(ByLength.read)
    assert results[0] == results[1]
    assert {row["system"] for row in results[0]} == {"memory", "memory and names", "as ask reads", "MiniLM"}
    assert (reads[1], reads[0] > reads[1]) == (3, True)  # the questions alone


def test_vectors_of_other_texts_are_not_taken(tmp_path: Path) -> None:
    path, vectors, device = tmp_path / "0000.safetensors", torch.rand(3, 2), torch.device("cpu")
    dense.save_vectors(path, vectors, ["a", "bc", "d"])
    for count in (2, 3):
        found = dense.load_vectors(path, ["a", "bc", "d"][:count], device)
        assert found is not None
        assert torch.equal(found, vectors[:count])
    for others in (["ab", "c", "d"], ["a", "bc", "d", "e"], ["d"]):
        assert dense.load_vectors(path, others, device) is None
    path.write_bytes(b"cut off")
    assert dense.load_vectors(path, ["a", "bc", "d"], device) is None
    assert dense.load_vectors(tmp_path / "none", ["a"], device) is None


def test_vectors_are_kept_in_blocks_and_a_stop_loses_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense, "BLOCK", 2)
    texts, read = ["a", "bb", "ccc", "dddd", "eeeee"], []

    def encode(block: Sequence[str], most: int = 99) -> torch.Tensor:
        if len(read) >= most:
            raise KeyboardInterrupt
        read.append(list(block))
        return torch.tensor([[float(len(text)), 1.0] for text in block])

    device = torch.device("cpu")
    with pytest.raises(KeyboardInterrupt):
        dense.vectors_of(texts, tmp_path, lambda block: encode(block, 2), device)
    found = dense.vectors_of(texts, tmp_path, encode, device)
    assert read == [["a", "bb"], ["ccc", "dddd"], ["eeeee"]]
    assert found.tolist() == [[float(n), 1.0] for n in (1, 2, 3, 4, 5)]
    changed = dense.vectors_of(["a", "bb", "c", "dddd"], tmp_path, encode, device)
    assert read[3:] == [["c", "dddd"]]
    assert changed.tolist() == [[1.0, 1.0], [2.0, 1.0], [1.0, 1.0], [4.0, 1.0]]


def test_a_stop_while_ranking_loses_one_system(tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_engine(tmp_path / "engine")
    folder, adapter = tmp_path / "engine" / "checkpoint", tmp_path / "engine" / "adapter.safetensors"
    options = Options(corpus, tmp_path / "work", folder, adapter, "tiny", threads=1, sizes=(120, 3000))
    ranked: list[object] = []
    real = ranking.rank_all

    def counting(*args: Any, wanted: Sequence[str], **kwargs: Any) -> list[dict[str, Any]]:
        ranked.append(tuple(wanted))
        return real(*args, wanted=wanted, **kwargs)

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ranking, "rank_all", counting)
    with monkeypatch.context() as patch:
        patch.setattr(ranking.WordCounts, "of", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(options, phases=("encode", "rank"))
    assert {row["system"] for row in json.loads((options.work / "ranks.json").read_text())} == {"memory"}
    resumed = run(options, phases=("rank", "report"))
    assert ranked == [("memory",), ("BM25", "memory + BM25"), ("memory and names",), ("as ask reads",)]
    run(options, phases=("rank",))
    assert len(ranked) == 4  # nothing is ranked twice
    other = replace(options, work=tmp_path / "other")
    assert run(other, phases=("encode", "rank", "report"))["rows"] == resumed["rows"]
    run(replace(options, sizes=(3000,)), phases=("rank",))
    assert ranked[8:] == ranked[:4]  # other memories: none of the rows serves


def test_a_part_that_fails_is_named(tmp_path: Path, corpus: Path) -> None:
    options = Options(corpus, tmp_path / "work", tmp_path / "no checkpoint", tmp_path / "no adapter", encoders=2)
    with pytest.raises(CodememError, match="encode: part"):
        run(options, phases=("encode",))


def test_a_memory_knows_who_is_asked() -> None:
    assert Memory(10, None, np.ones(1, np.bool_)).asks(5)
    assert Pool(Questions(), []).answering == 0
