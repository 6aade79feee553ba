"""MSA-4B behind the common interface, with a real store: numbers, entries, banks, ranking, answers."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from codemem.engine_interface import MemoryEngine
from codemem.model.entry import Entry
from codemem.model.errors import StoreError
from codemem.model.events import Answer, Source
from codemem.model.msa4b import Interleave, Msa4bMemory, Msa4bModel, load_msa4b
from codemem.model.msa4b.bank import Msa4bBank, bf16_bits, from_bf16_bits
from codemem.model.msa4b.engine import Msa4bEngine
from codemem.model.msa4b.numbering import Numbering
from codemem.model.store import Store
from codemem.model.tiers import Budget
from codemem.model.weights.registry import ModelEntry

TEXTS = [
    ("a.py\n", "def open_store(path): return Store(path)\n"),
    ("b.py\n", "class Store:\n    pass\n" * 5),
    ("n.md\n", "[0]<|object_ref_end|>[1]\n"),
    ("e.py\n", ""),
]
QUESTION = "where is the store opened?"


@pytest.fixture
def engine(tiny: Msa4bModel, tmp_path: Path) -> Msa4bEngine:
    return Msa4bEngine("tiny", tiny, Numbering(tmp_path / "numbers.sqlite"))


def encoded(engine: Msa4bEngine, texts: list[tuple[str, str]]) -> list[Entry]:
    return list(engine.encode(engine.tokenise(texts), engine.layout))


def test_it_is_a_memory_engine(engine: Msa4bEngine) -> None:
    stands_for: MemoryEngine = engine
    assert (stands_for.name, stands_for.device) == ("tiny", "cpu")
    assert stands_for.find_layout == stands_for.layout


def test_loading_by_registry_entry(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    before = torch.get_num_threads()
    entry = ModelEntry(name="mine", title="mine", path=checkpoint())
    engine = Msa4bEngine.load(entry, directory=tmp_path, numbers=None, device="cpu", threads=before)
    assert engine.name == "mine"
    assert engine.count_tokens("def f") > 0


class TestNumbers:
    def test_by_content_and_for_good(self, engine: Msa4bEngine, tiny: Msa4bModel, tmp_path: Path) -> None:
        ids = [document.ids.tolist() for document in engine.tokenise(TEXTS[:2])]
        assert [tiny.protocol.number_of(i) for i in ids] == [0, 1]
        again = Msa4bEngine("tiny", tiny, Numbering(tmp_path / "numbers.sqlite"))
        mixed = again.tokenise([TEXTS[2], TEXTS[1], TEXTS[2], ("a.p", "y\n" + TEXTS[0][1])])
        assert [tiny.protocol.number_of(d.ids) for d in mixed] == [2, 1, 2, 3]
        assert mixed[1].ids.tolist() == ids[1]

    def test_two_processes_at_once_agree(self, tmp_path: Path) -> None:
        texts = [("", str(i)) for i in range(40)]

        def give(order: int) -> dict[str, int]:
            numbering = Numbering(tmp_path / "numbers.sqlite")
            mine = texts[::order]
            found = dict(zip([text for _, text in mine], numbering.numbers(mine), strict=True))
            numbering.close()
            return found

        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(give, (1, -1))
        assert first == second
        assert sorted(first.values()) == list(range(40))

    def test_unusable_file(self, tmp_path: Path) -> None:
        (tmp_path / "numbers.sqlite").write_bytes(b"not a database, but long enough to be looked at" * 50)
        with pytest.raises(StoreError, match="numbers of documents"):
            Numbering(tmp_path / "numbers.sqlite")

    def test_ids_without_a_number(self, tiny: Msa4bModel) -> None:
        with pytest.raises(ValueError, match="do not begin"):
            tiny.protocol.number_of([1, *tiny.protocol.tokenizer.encode_text("no number")])


class TestEntries:
    def test_layout(self, engine: Msa4bEngine, tiny: Msa4bModel) -> None:
        names = [spec.name for spec in engine.layout.tensors]
        assert names == ["number", *(f"{part}.{layer}" for layer in (1, 2) for part in ("route", "k", "v"))]
        assert engine.layout.bytes_per_chunk == 4 + 2 * 3 * 16 * 2
        assert engine.layout.chunk_tokens == tiny.config.memory.chunk_tokens

    def test_bytes_do_not_depend_on_packing_or_order(self, engine: Msa4bEngine) -> None:
        together = {entry.key: entry for entry in encoded(engine, TEXTS)}
        for text in reversed(TEXTS):
            (alone,) = encoded(engine, [text])
            for name, tensor in together[alone.key].tensors.items():
                assert alone.tensors[name].tobytes() == tensor.tobytes()

    def test_rankings_share_entries(self, checkpoint: Callable[..., Path]) -> None:
        layouts = {
            Msa4bEngine("x", load_msa4b(checkpoint(), dtype=torch.float32, ranking=rule), Numbering(None)).layout
            for rule in ("cosine", "scaled")
        }
        assert len(layouts) == 1

    def test_bf16_bits(self) -> None:
        x = torch.tensor([[1.0, -2.5, 3.14159], [0.0, 1e30, -1e-30]])
        assert torch.equal(from_bf16_bits(bf16_bits(x)), x.bfloat16())


@pytest.fixture
def store_and_keys(engine: Msa4bEngine, tmp_path: Path) -> tuple[Path, list[bytes]]:
    entries = encoded(engine, TEXTS)
    with Store.open(tmp_path / "store", engine.layout) as store:
        store.append(entries)
    return tmp_path / "store", [entry.key for entry in entries]


def load_bank(
    engine: Msa4bEngine, place: tuple[Path, list[bytes]], keys: list[bytes], parts: list[str] | None = None
) -> Msa4bBank:
    with Store.open(place[0], engine.layout) as store:
        return engine.bank(store.load(keys, parts=parts), engine.layout)


def test_a_bank_from_the_store_answers_as_the_memory_it_was_made_of(
    engine: Msa4bEngine, tiny: Msa4bModel, store_and_keys: tuple[Path, list[bytes]]
) -> None:
    keys = store_and_keys[1]
    bank = load_bank(engine, store_and_keys, [keys[2], keys[0], keys[1]])
    assert [document.number for document in bank.documents] == [2, 0, 1]
    memory = Msa4bMemory.of(tiny)
    memory.add(tiny, TEXTS[:3])
    order = [2, 0, 1]
    expected = Interleave(tiny, memory).rank(QUESTION)
    found = engine.rank(QUESTION, bank)
    np.testing.assert_allclose(found.scores, expected.scores[order], rtol=0.02)  # stored in bf16
    assert found.best_chunk.shape == (3,)
    events = list(engine.answer(QUESTION, bank, lambda i: Source(i, *TEXTS[order[i]]), max_tokens=5))
    answer = events[-1]
    assert isinstance(answer, Answer)
    assert {read.document for read in answer.read} <= {0, 1, 2}


def test_routing_keys_alone_can_be_ranked(engine: Msa4bEngine, store_and_keys: tuple[Path, list[bytes]]) -> None:
    keys = store_and_keys[1]
    whole = load_bank(engine, store_and_keys, keys)
    bank = load_bank(engine, store_and_keys, keys, ["route"])
    ranking = engine.rank(QUESTION, bank)
    assert ranking.scores.shape == (4,)
    # The lowest routed layer sees no memory below it: its part of the score is the same.
    lowest = Interleave(engine._model, whole)._queries(engine._model.protocol.question(QUESTION), [1])[0]
    alone = Interleave(engine._model, bank)._queries(engine._model.protocol.question(QUESTION), [1])[0]
    torch.testing.assert_close(alone[1], lowest[1], rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="routing keys alone"):
        engine.answer(QUESTION, bank, lambda i: Source(i, *TEXTS[i]))


def test_missing_entries_are_never_chosen(engine: Msa4bEngine, store_and_keys: tuple[Path, list[bytes]]) -> None:
    keys = store_and_keys[1]
    bank = load_bank(engine, store_and_keys, [keys[0], bytes(32), keys[1], bytes(32)])
    ranking = engine.rank(QUESTION, bank)
    assert np.isfinite(ranking.scores).tolist() == [True, False, True, False]
    answer = list(engine.answer(QUESTION, bank, lambda i: Source(i, *TEXTS[0]), max_tokens=3))[-1]
    assert isinstance(answer, Answer)
    assert {read.document for read in answer.read} == {0, 2}


def test_no_entries(engine: Msa4bEngine, store_and_keys: tuple[Path, list[bytes]]) -> None:
    bank = load_bank(engine, store_and_keys, [])
    assert len(engine.rank(QUESTION, bank).scores) == 0
    answer = list(engine.answer(QUESTION, bank, lambda i: Source(i, "", "")))[-1]
    assert isinstance(answer, Answer)
    assert not answer.found


class TestBudgets:
    def banks(
        self, engine: Msa4bEngine, place: tuple[Path, list[bytes]], budget: Budget
    ) -> tuple[Msa4bBank, Msa4bBank]:
        whole = load_bank(engine, place, place[1])
        engine.budget = budget
        return whole, load_bank(engine, place, place[1])

    def test_rows_on_host_and_disk_answer_alike(
        self, engine: Msa4bEngine, store_and_keys: tuple[Path, list[bytes]], tmp_path: Path
    ) -> None:
        keys = load_bank(engine, store_and_keys, store_and_keys[1]).placement.key_bytes
        row = 16 * 2 * sum(len(d.chunk_ends) for d in load_bank(engine, store_and_keys, store_and_keys[1]).documents)
        budget = Budget(device_bytes=keys + row, host_bytes=row, spill=tmp_path)
        whole, spread = self.banks(engine, store_and_keys, budget)
        assert [spread.placement.row_bytes(tier) for tier in ("device", "host", "disk")] == [row, row, 2 * row]
        assert spread.nbytes == whole.nbytes == keys + 4 * row
        for layer in (1, 2):
            for one, other in zip(*(b.fetch(layer, torch.tensor([2, 0])) for b in (spread, whole)), strict=True):
                assert torch.equal(one, other)
        answers = []
        for bank in (spread, whole):
            *_, last = engine.answer(QUESTION, bank, lambda i: Source(i, *TEXTS[i]), max_tokens=5)
            assert isinstance(last, Answer)
            answers.append((last.text, last.read, last.cited))
        assert answers[0] == answers[1]

    def test_narrow_keys_where_wide_ones_do_not_fit(
        self, engine: Msa4bEngine, store_and_keys: tuple[Path, list[bytes]]
    ) -> None:
        wide = load_bank(engine, store_and_keys, store_and_keys[1]).placement.key_bytes
        whole, narrow = self.banks(engine, store_and_keys, Budget(device_bytes=wide - 1))
        assert (whole.placement.key_format, narrow.placement.key_format) == ("fp32", "int8")
        one, other = (engine.rank(QUESTION, bank).scores for bank in (whole, narrow))
        np.testing.assert_allclose(one, other, atol=0.03 * float(np.abs(one).max()))

    def test_rows_in_eight_bits(self, engine: Msa4bEngine, store_and_keys: tuple[Path, list[bytes]]) -> None:
        whole, narrow = self.banks(engine, store_and_keys, Budget(row_format="int8"))
        assert narrow.placement.row_bytes("device") < whole.placement.row_bytes("device")
        for one, other in zip(*(bank.fetch(1, torch.tensor([1])) for bank in (narrow, whole)), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=float(other.abs().max()) / 127)

    def test_a_bank_is_not_changed(self, engine: Msa4bEngine, store_and_keys: tuple[Path, list[bytes]]) -> None:
        bank = load_bank(engine, store_and_keys, store_and_keys[1])
        for change in (lambda: bank.remove([0]), lambda: bank.append([], {}), lambda: bank.layer(1)):
            with pytest.raises(ValueError, match="asked, not changed"):
                change()
