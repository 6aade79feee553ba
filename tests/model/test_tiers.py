"""Tiers of a bank on the processor, which stands for the GPU: the same answers wherever the rows lie."""

import itertools
import resource
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codemem.model.bank import Bank
from codemem.model.engine import Engine
from codemem.model.errors import OutOfMemory
from codemem.model.events import Answer, Source
from codemem.model.store import LoadedEntries, Store
from codemem.model.testing import tiny_engine
from codemem.model.tiers import TIERS, Budget, Limits, TieredRows, place, quantised

TEXTS = [(f"f{i}.py\n", f"def f{i}(x):\n    return x + {i}\n" * (i + 1)) for i in range(7)]
QUESTION = "what does f3 return"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return tiny_engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture
def entries(engine: Engine, tmp_path: Path) -> LoadedEntries:
    with Store.open(tmp_path / "store", engine.layout) as store:
        made = list(engine.encode(engine.tokenise(TEXTS), engine.layout))
        store.append(made)
        return store.load([entry.key for entry in made])


def bank_of(engine: Engine, entries: LoadedEntries, budget: Budget) -> Bank:
    return Bank(entries, engine.layout, device=torch.device("cpu"), dtype=torch.float32, budget=budget)


sizes = st.integers(min_value=0, max_value=1000)


@given(st.lists(sizes, max_size=6), st.integers(0, 2000), st.one_of(st.none(), sizes), st.integers(1, 500))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_no_tier_takes_more_than_it_may(rows: list[int], device: int, host: int | None, keys: int) -> None:
    named = {f"k.{i}": size for i, size in enumerate(rows)}
    formats = {"bf16": 2 * keys, "int8": keys}
    if keys > device:
        with pytest.raises(OutOfMemory, match="--gpu-memory"):
            place(formats, named, Limits(device, host))
        return
    placed = place(formats, named, Limits(device, host))
    assert placed.key_format == ("bf16" if 2 * keys <= device else "int8")
    assert placed.key_bytes + placed.row_bytes("device") <= device
    assert host is None or placed.row_bytes("host") <= host
    assert sum(placed.row_bytes(tier) for tier in TIERS) == sum(rows)
    # Nothing lies lower than it must: whatever is on disk would fit neither the device nor the host.
    for name, tier in placed.tiers.items():
        if tier == "disk":
            assert host is not None
            assert named[name] > host - placed.row_bytes("host")


def test_without_limits_all_is_on_the_device(engine: Engine, entries: LoadedEntries) -> None:
    bank = bank_of(engine, entries, Budget())
    report = bank.placement.as_json()
    total = sum(array.nbytes for array in entries.tensors.values())
    assert report["device_bytes"] == total
    assert (report["host_bytes"], report["disk_bytes"]) == (0, 0)


@pytest.mark.parametrize("spread", ["host", "disk", "all three"])
def test_every_placement_gives_the_same_documents_rows_and_answer(
    engine: Engine, entries: LoadedEntries, tmp_path: Path, spread: str
) -> None:
    whole = bank_of(engine, entries, Budget())
    keys = whole.placement.key_bytes
    row = max(whole.placement.sizes.values())
    budget = {
        "host": Budget(device_bytes=keys),
        "disk": Budget(device_bytes=keys, host_bytes=0, spill=tmp_path),
        "all three": Budget(device_bytes=keys + row, host_bytes=row, spill=tmp_path),
    }[spread]
    bank = bank_of(engine, entries, budget)
    used = {tier for tier in TIERS if bank.placement.row_bytes(tier)}
    assert used == ({"device", "host", "disk"} if spread == "all three" else {spread})
    for layer, chosen in itertools.product(bank.layers, ([3, 0, 6], [5], [])):
        documents = torch.tensor(chosen, dtype=torch.int64)
        for one, other in zip(bank.fetch(layer, documents), whole.fetch(layer, documents), strict=True):
            assert torch.equal(one, other)
    assert list(engine.rank(QUESTION, bank).scores) == list(engine.rank(QUESTION, whole).scores)

    def answer(of: Bank) -> Answer:
        *_, last = engine.answer(QUESTION, of, lambda i: Source(i, *TEXTS[i]), max_tokens=6)
        assert isinstance(last, Answer)
        return last

    one, other = answer(bank), answer(whole)
    assert (one.text, one.read, one.cited) == (other.text, other.read, other.cited)


def test_what_is_spilled_leaves_no_file_behind(tmp_path: Path) -> None:
    rows = torch.randn(5, 2, 4)
    placed = TieredRows(
        rows, None, "disk", device=torch.device("cpu"), dtype=torch.float32, spill=tmp_path, mapped=False
    )
    assert list(tmp_path.iterdir()) == []
    assert torch.equal(placed.fetch([(1, 3), (4, 5)]), rows[[1, 2, 4]])
    empty = TieredRows(rows[:0], None, "disk", device=torch.device("cpu"), dtype=torch.float32, spill=tmp_path)
    assert empty.fetch([]).shape == (0, 2, 4)


def test_no_room_anywhere_is_an_error(engine: Engine, entries: LoadedEntries, tmp_path: Path) -> None:
    whole = bank_of(engine, entries, Budget())
    with pytest.raises(OutOfMemory, match="routing keys take"):
        bank_of(engine, entries, Budget(device_bytes=whole.placement.key_bytes - 1))
    nowhere = Budget(device_bytes=whole.placement.key_bytes, host_bytes=0, spill=tmp_path / "missing")
    copied = LoadedEntries(**{name: getattr(entries, name) for name in entries.__slots__} | {"mapped": False})
    with pytest.raises(OutOfMemory, match="--host-memory"):
        bank_of(engine, copied, nowhere)
    with pytest.raises(ValueError, match="negative"):
        Budget(device_bytes=-1)


def test_a_bank_larger_than_the_disk_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    """The system refuses the file's growth, as a full disk does."""
    rows = torch.zeros(4096, 2, 64)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (rows.nbytes // 2, before[1]))
    try:
        with pytest.raises(OutOfMemory, match="nor the disk"):
            TieredRows(rows, None, "disk", device=torch.device("cpu"), dtype=torch.float32, spill=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_placing_that_is_cancelled_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        assert list(tmp_path.iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "from_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        TieredRows(torch.zeros(9, 2, 4), None, "disk", device=torch.device("cpu"), dtype=torch.float32, spill=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_full_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program took what was free when the bank was planned."""

    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.Tensor, "to", full)
    with pytest.raises(OutOfMemory, match="lower --gpu-memory"):
        TieredRows(torch.zeros(9, 2, 4), None, "device", device=torch.device("cpu"), dtype=torch.float32)


def test_rows_in_eight_bits_lose_less_than_half_a_step() -> None:
    x = torch.randn(9, 2, 16, generator=torch.Generator().manual_seed(3))
    values, scales = quantised(x)
    placed = TieredRows(values, scales, "host", device=torch.device("cpu"), dtype=torch.float32)
    error = (placed.fetch([(0, 9)]) - x).abs()
    # Half a step, and what rounding the scale to float16 cuts off the largest value of a group.
    assert bool((error <= x.abs().amax(-1, keepdim=True) * (0.5 / 127 + 2**-10)).all())


def test_words_say_what_lies_where(engine: Engine, entries: LoadedEntries) -> None:
    words = bank_of(engine, entries, Budget()).placement.words()
    assert "on the device (int8 keys)" in words
    assert "on disk" in words


def test_ranking_is_the_sum_of_best_chunks_and_names_the_first_of_equals(
    engine: Engine, entries: LoadedEntries
) -> None:
    bank = bank_of(engine, entries, Budget())
    queries = engine.queries(QUESTION, bank.layers)
    scores, best = bank.rank(queries)
    chunks = {layer: bank.chunk_scores(layer, queries[layer]).tolist() for layer in bank.layers}
    for document, (start, end) in enumerate(itertools.pairwise(bank.offsets.tolist())):
        assert scores[document] == pytest.approx(sum(max(chunks[layer][start:end]) for layer in bank.layers), rel=1e-5)
        summed = torch.tensor([sum(chunks[layer][row] for layer in bank.layers) for row in range(start, end)])
        assert summed[int(best[document])] == pytest.approx(float(summed.max()), rel=1e-5)
    batch = bank.score_batch([queries, engine.queries("which adds five", bank.layers)])
    assert batch[0].tolist() == pytest.approx(scores.tolist(), rel=1e-5)
    # Two documents with the same chunk twice: the first of them is the best one.
    alike = {layer: torch.zeros_like(query) for layer, query in queries.items()}
    assert bank.rank(alike)[1].tolist() == [0] * len(bank)
