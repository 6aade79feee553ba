"""No recorded prompt pass serves what it was not recorded for, and where none can be made prompts are fed as ever."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Self, cast

import pytest
import torch
from msa4b_conversations import CLOSE, TEXTS, compare, converse, prompt, same
from msa4b_tape import Tape
from torch import Tensor

from codemem.kernels import route as routing
from codemem.model.events import Answer, Source
from codemem.model.memory import LayerCache
from codemem.model.msa4b import Conversation, Interleave, Limits, Msa4bMemory, Msa4bModel, Slot, bucketed, passes
from codemem.model.msa4b import engine as engines
from codemem.model.msa4b.bank import Msa4bBank
from codemem.model.msa4b.engine import Msa4bEngine
from codemem.model.msa4b.numbering import Numbering
from codemem.model.msa4b.passes import BucketedPasses
from codemem.model.msa4b.recording import spare_bytes
from codemem.model.parallel.engine import Worker
from codemem.model.parallel.group import Group
from codemem.model.store import Store
from codemem.model.tiers import Budget

NEW = [("new.py\n", "def where_the_store_is_opened(): return open_store('here')\n" * 3)]
QUESTIONS = ("where is the store opened?", "which function adds two?")


@pytest.fixture(autouse=True)
def buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucketed, "BUCKETS", (8, 16, 32, 64, 128, 256))
    # It reads a number from the device, on a processor alone.
    monkeypatch.setattr(routing, "_check_chunk_offsets", lambda *_: None)


@pytest.fixture
def memory(tiny: Msa4bModel) -> Msa4bMemory:
    memory = Msa4bMemory.of(tiny)
    memory.add(tiny, TEXTS)
    return memory


@pytest.fixture
def make_bank(tiny: Msa4bModel, tmp_path: Path) -> Callable[..., Msa4bBank]:
    """Indexes texts and places them, by the engine given; documents that the store has are not encoded again."""

    def make(engine: Msa4bEngine, texts: list[tuple[str, str]], budget: Budget | None = None) -> Msa4bBank:
        engine.budget = budget or Budget()
        documents = engine.tokenise(texts)
        keys = [engine.layout.key(document.ids) for document in documents]
        with Store.open(tmp_path / "store", engine.layout) as store:
            there = store.has(keys)
            new = [document for document, key in zip(documents, keys, strict=True) if key not in there]
            store.append(list(engine.encode(new, engine.layout)))
            return engine.bank(store.load(keys), engine.layout)

    return make


def engine_of(model: Msa4bModel, path: Path, *, recorded: bool) -> Msa4bEngine:
    engine = Msa4bEngine("tiny", model, Numbering(path / "numbers.sqlite"), prompt_buckets=False)
    if recorded:
        engine.slot = Slot(model, buckets=True, graphs=True, rows=1024)
    return engine


def agree(one: Msa4bEngine, bank: Msa4bBank, other: Msa4bEngine, same_bank: Msa4bBank) -> None:
    """Both rank and answer alike, several times: computed, recorded, replayed."""
    texts = dict(enumerate([*TEXTS, *NEW]))

    def read(index: int) -> Source:
        return Source(index, *texts[index])

    for _ in range(2):
        for question in QUESTIONS:
            found, expected = one.rank(question, bank), other.rank(question, same_bank)
            torch.testing.assert_close(torch.from_numpy(found.scores), torch.from_numpy(expected.scores), **CLOSE)
            mine = list(one.answer(question, bank, read, max_rounds=2, source_tokens=200, max_tokens=4))
            theirs = list(other.answer(question, same_bank, read, max_rounds=2, source_tokens=200, max_tokens=4))
            assert [type(event) for event in mine] == [type(event) for event in theirs]
            assert isinstance(mine[-1], Answer)
            assert isinstance(theirs[-1], Answer)
            assert mine[-1].text == theirs[-1].text
            assert mine[-1].read == theirs[-1].read


def replayed(slot: Slot | None) -> int:
    assert slot is not None
    assert slot.passes is not None
    assert slot.passes.refused == ""
    return slot.passes.replayed


class TestStale:
    def test_documents_indexed_between_questions(
        self,
        tiny: Msa4bModel,
        tmp_path: Path,
        make_bank: Callable[..., Msa4bBank],
        taped: list[Tape],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """As the daemon has it: the engine stays, every change makes a bank, budgets may differ."""
        monkeypatch.setattr(engines, "Limits", lambda **limits: Limits(retrieval_tokens=6, **limits))
        one, other = (engine_of(tiny, tmp_path, recorded=recorded) for recorded in (True, False))
        small = Budget(device_bytes=8000, host_bytes=0)
        for texts, budget in ((TEXTS, None), ([*TEXTS, *NEW], None), (TEXTS[:5], None), ([*TEXTS, *NEW], small)):
            agree(one, make_bank(one, texts, budget), other, make_bank(other, texts, budget))
            assert replayed(one.slot) > 4
        assert taped

    def test_banks_that_take_turns(
        self, tiny: Msa4bModel, tmp_path: Path, make_bank: Callable[..., Msa4bBank], taped: list[Tape]
    ) -> None:
        """Over one slot, and none of them told of it."""
        engine = engine_of(tiny, tmp_path, recorded=False)
        narrow = Budget(row_format="int8")
        banks = [make_bank(engine, TEXTS), make_bank(engine, [*TEXTS, *NEW]), make_bank(engine, TEXTS, narrow)]
        slot = Slot(tiny, buckets=True, graphs=True, rows=256)
        for bank in (*banks, *banks):
            for seed in (1, 2, 3):
                compare(tiny, bank, slot, seed, 12)
        assert replayed(slot) > 3
        assert taped

    def test_a_bank_made_while_a_conversation_goes_on(
        self, tiny: Msa4bModel, tmp_path: Path, make_bank: Callable[..., Msa4bBank], taped: list[Tape]
    ) -> None:
        engine = engine_of(tiny, tmp_path, recorded=True)
        bank = make_bank(engine, TEXTS)
        assert engine.slot is not None
        for _ in range(3):
            compare(tiny, bank, engine.slot, 3, 12)
        goes_on, beside = Conversation(tiny, bank, slot=engine.slot), Conversation(tiny, bank)
        mine, theirs = converse(goes_on, 3, 12), converse(beside, 3, 12)
        torch.testing.assert_close(next(mine), next(theirs), **CLOSE)
        newer = make_bank(engine, [*TEXTS, *NEW])
        compare(tiny, newer, engine.slot, 3, 12)
        for found, expected in zip(mine, theirs, strict=True):
            torch.testing.assert_close(found, expected, **CLOSE)
            same(goes_on, beside)
        compare(tiny, newer, engine.slot, 4, 12)
        assert taped

    def test_a_cache_of_another_length_at_the_same_place(
        self, tiny: Msa4bModel, memory: Msa4bMemory, taped: list[Tape]
    ) -> None:
        """Padding goes to a cache's last row, so its length counts as much as where it begins."""
        slot = Slot(tiny, buckets=True, graphs=True, rows=256)
        for _ in range(3):
            compare(tiny, memory, slot, 1, 12)
        assert slot.passes is not None
        before, ground = len(taped), slot.passes._ground
        for cache in slot.passes.context.layers:
            cache.k, cache.v = cache.k[:200], cache.v[:200]
        compare(tiny, memory, slot, 1, 12)
        assert slot.passes._ground is not ground
        compare(tiny, memory, slot, 1, 12)
        assert len(taped) > before

    def test_an_answer_that_nobody_waits_for_any_more(
        self, tiny: Msa4bModel, memory: Msa4bMemory, taped: list[Tape]
    ) -> None:
        limits = Limits(rounds=2, retrieval_tokens=6, answer_tokens=6, source_tokens=200)
        plain = Interleave(tiny, memory, limits=limits)
        slot = Slot(tiny, buckets=True, graphs=True, rows=1024)
        padded = Interleave(tiny, memory, limits=limits, slot=slot)
        for question in (*QUESTIONS, *QUESTIONS):
            left = padded.answer(QUESTIONS[0])
            next(left)
            left.close()
            mine, theirs = list(padded.answer(question))[-1], list(plain.answer(question))[-1]
            assert isinstance(mine, Answer)
            assert isinstance(theirs, Answer)
            assert (mine.text, mine.read) == (theirs.text, theirs.read)
        assert replayed(slot) > 4
        assert taped


class TestThreads:
    def test_questions_take_turns_step_by_step(self, tiny: Msa4bModel, memory: Msa4bMemory, taped: list[Tape]) -> None:
        """As the daemon lets them: one has the slot, the others buffers of their own, and none sees another's."""
        slot = Slot(tiny, buckets=True, graphs=True, rows=256)
        expected = {seed: list(converse(Conversation(tiny, memory), seed, 9 + seed)) for seed in range(6)}
        turn = threading.Lock()

        def ask(seed: int) -> list[Tensor]:
            with turn:
                conversation = Conversation(tiny, memory, slot=slot)
            found, course = [], converse(conversation, seed, 9 + seed)
            while True:
                with turn, torch.inference_mode():
                    step = next(course, None)
                if step is None:
                    break
                found.append(step)
            with turn:
                conversation.close()
            return found

        for _ in range(2):
            with ThreadPoolExecutor(3) as pool:
                outcomes = list(pool.map(ask, expected))
            for seed, found in enumerate(outcomes):
                for mine, theirs in zip(found, expected[seed], strict=True):
                    torch.testing.assert_close(mine, theirs, **CLOSE)
        for seed in expected:  # alone, so that something is replayed whatever the turns were
            compare(tiny, memory, slot, seed, 9 + seed)
        assert replayed(slot) > 0
        assert taped

    def test_one_of_many_gets_the_slot(
        self, tiny: Msa4bModel, memory: Msa4bMemory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slot = Slot(tiny, buckets=True, rows=64)
        barrier, made = threading.Barrier(8), Slot._made

        def slowly(self: Slot) -> Any:
            threading.Event().wait(0.05)
            return made(self)

        monkeypatch.setattr(Slot, "_made", slowly)
        holders = [threading.Event() for _ in range(8)]  # anything that can be referred to weakly

        def lend(holder: object) -> object:
            barrier.wait()
            return slot.lend(holder, tiny, memory, None)

        with ThreadPoolExecutor(8) as pool:
            lent = list(pool.map(lend, holders))
        assert sum(x is not None for x in lent) == 1


class _Stopped:
    """Stands in for a recorder: nothing that is launched within it happens, and memory ends after some layers."""

    def __init__(self, caches: list[LayerCache], layers: int) -> None:
        self._caches, self._left = caches, layers
        self.pieces: list[tuple[Any, bool]] = []

    def __enter__(self) -> Self:
        self._before = [(cache.k.clone(), cache.v.clone()) for cache in self._caches]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for cache, (k, v) in zip(self._caches, self._before, strict=True):
            cache.k.copy_(k)
            cache.v.copy_(v)

    def route(self, work: Callable[[], Any]) -> Any:
        self._left -= 1
        if self._left < 0:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return work()


class TestNoRoom:
    @pytest.mark.parametrize("layers", [0, 1])
    def test_memory_ends_within_a_recording(
        self, tiny: Msa4bModel, memory: Msa4bMemory, monkeypatch: pytest.MonkeyPatch, layers: int
    ) -> None:
        slot = Slot(tiny, buckets=True, graphs=True, rows=256)
        Conversation(tiny, memory, slot=slot)
        assert slot.passes is not None
        caches = slot.passes.context.layers
        monkeypatch.setattr(passes, "Recorder", lambda pool, stream: _Stopped(caches, layers))
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 1))
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 0)
        # Silent passes have no route to stop at: this double would count them as recorded.
        record = BucketedPasses._record
        monkeypatch.setattr(
            BucketedPasses, "_record", lambda self, form, *rest: record(self, form, *rest) if form.routes else None
        )
        slot.passes._stream = cast(Any, object())

        def compute(self: BucketedPasses, *about: Any) -> None:
            def timed(work: Callable[[], Any]) -> Any:
                assert self._clock is not None
                with self._clock.running():
                    return work()

            self._pass(*about, timed)

        monkeypatch.setattr(BucketedPasses, "_compute", compute)
        compare(tiny, memory, slot, 1, 12)
        with pytest.warns(RuntimeWarning, match="not recorded: OutOfMemoryError: CUDA out of memory"):
            compare(tiny, memory, slot, 2, 12)
        compare(tiny, memory, slot, 3, 12)  # without a second warning, which would be an error
        assert slot.passes.replayed == 0
        assert slot.passes.nbytes == 0

    @pytest.mark.parametrize("place", ["fields", "caches"])
    def test_memory_ends_before_a_pass(
        self, tiny: Msa4bModel, memory: Msa4bMemory, monkeypatch: pytest.MonkeyPatch, place: str
    ) -> None:
        """Between two rounds: what the first one left is continued as ever."""
        slot = Slot(tiny, buckets=True, rows=64)
        one, other = Conversation(tiny, memory, slot=slot), Conversation(tiny, memory)
        for fed in (one, other):
            fed.feed(prompt(1, 12, 5))
            fed.follow(3)

        def none(*_: object) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory")

        second = prompt(2, 30, 9)
        with monkeypatch.context() as patched:
            if place == "fields":
                patched.setattr(passes, "Fields", none)
            else:
                patched.setattr(BucketedPasses, "_prepare", none)
            with pytest.warns(RuntimeWarning, match="not recorded: OutOfMemoryError"):
                found = one.feed(second)
        torch.testing.assert_close(found, other.feed(second), **CLOSE)
        same(one, other)
        torch.testing.assert_close(one.feed(prompt(3, 6, 2)), other.feed(prompt(3, 6, 2)), **CLOSE)
        same(one, other)

    def test_room_is_what_torch_may_still_take(self, monkeypatch: pytest.MonkeyPatch) -> None:
        gpu, share = torch.device("cuda"), [1.0]
        for name, size in (("mem_get_info", (50, 100)), ("memory_reserved", 20), ("memory_allocated", 15)):
            monkeypatch.setattr(torch.cuda, name, lambda _, size=size: size)
        monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda index: share[0])
        assert spare_bytes(gpu) == 55
        share[0] = 0.4  # as where a smaller card is measured on a larger one
        assert spare_bytes(gpu) == 25
        assert spare_bytes(torch.device("cpu")) > 1 << 60


class TestDefaults:
    def test_a_gpu_has_them_and_a_processor_has_not(
        self, tiny: Msa4bModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        on_gpu = replace(tiny, device=torch.device("cuda"))  # nothing is put there
        assert Slot(on_gpu).buckets
        assert not Slot(on_gpu, buckets=False).buckets
        assert not Slot(tiny).buckets
        numbering = Numbering(tmp_path / "numbers.sqlite")
        assert Msa4bEngine("tiny", tiny, numbering).slot is None
        monkeypatch.setattr(engines, "Conversation", lambda *_: SimpleNamespace(template=tuple))
        slot = Msa4bEngine("tiny", on_gpu, numbering).slot
        assert slot is not None
        assert slot.buckets
        assert Msa4bEngine("tiny", on_gpu, numbering, prompt_buckets=False).slot is None

    def test_a_bank_on_a_device_that_was_named_without_its_number(
        self, tiny: Msa4bModel, tmp_path: Path, make_bank: Callable[..., Msa4bBank]
    ) -> None:
        """'cuda' is not equal to 'cuda:0', where the rows are: a bank's rows on the GPU were thought out of reach. Here
        the processor has a number that its tensors do not."""
        numbered = replace(tiny, device=torch.device("cpu:0"))
        assert torch.empty(0, device=numbered.device).device != numbered.device
        bank = make_bank(engine_of(numbered, tmp_path, recorded=False), TEXTS)
        assert set(bank.placement.tiers.values()) == {"device"}
        assert bank.takes_rows

    def test_rows_of_other_processes_are_fetched_as_before(
        self, tiny: Msa4bModel, tmp_path: Path, make_bank: Callable[..., Msa4bBank], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bank = make_bank(engine_of(tiny, tmp_path, recorded=False), TEXTS)
        monkeypatch.setattr(Msa4bBank, "takes_rows", False)  # as a shared bank says
        slot = Slot(tiny, buckets=True, rows=256)
        compare(tiny, bank, slot, 1, 12)
        assert slot.passes is not None
        assert not any(form.routes for form in slot.passes._known)

    def test_several_processes_have_none(self, tiny: Msa4bModel, tmp_path: Path) -> None:
        """No run over several GPUs has shown them beside collectives."""
        engine = engine_of(tiny, tmp_path, recorded=True)
        group = SimpleNamespace(gather_bytes=lambda own: [own], broadcast=lambda x: x, members=["one"])
        agree = engine.decoder.agree
        try:
            Worker(engine, cast(Group, group))
            assert engine.slot is None
        finally:
            engine.decoder.agree = agree
