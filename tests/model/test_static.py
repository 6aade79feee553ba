"""Decoding over buffers that stay in place, and packed attention, against the ordinary passes."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from codemem.model import packed, static
from codemem.model.config import DecoderConfig, MemoryConfig
from codemem.model.decoder import Decoder
from codemem.model.memory import TextContext
from codemem.model.packed import attend_runs, attend_within, can_pack
from codemem.model.routers import Routers
from codemem.model.single import can_run_single, run_single
from codemem.model.static import StaticContext, StaticDecode

CONFIG = DecoderConfig(40, 32, 3, 4, 2, 8, 48, 1e4, 1e-6, qkv_bias=False, qk_norm=True, tied=False)
MEMORY = MemoryConfig((1, 2))


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    torch.manual_seed(5)
    return Decoder(CONFIG).requires_grad_(False).eval()


def context(capacity: int) -> TextContext:
    made = TextContext(
        CONFIG,
        MEMORY,
        Routers(CONFIG, MEMORY.routed_layers),
        None,
        capacity=capacity,
        device=torch.device("cpu"),
        dtype=torch.float32,
    )
    rows = torch.randn(2, 5, CONFIG.kv_heads, CONFIG.head_dim, generator=torch.Generator().manual_seed(1))
    for layer in MEMORY.routed_layers:  # routed layers hold memory, the others do not: they end at different rows
        made.layers[layer].set_memory(rows[0], rows[1])
    return made


def feed(decoder: Decoder, to: TextContext, ids: list[int], start: int) -> torch.Tensor:
    positions = torch.arange(start, start + len(ids))
    with torch.inference_mode():
        return decoder.logits(decoder(torch.tensor(ids), positions, to)[-1:])[0]


@pytest.mark.parametrize("capacity", [8, 64])
def test_steps_and_passes_may_alternate(decoder: Decoder, monkeypatch: pytest.MonkeyPatch, capacity: int) -> None:
    monkeypatch.setattr(static, "BLOCK", 4)  # several blocks, and with little capacity several reallocations
    ordinary, stepped = context(capacity), context(capacity)
    step = StaticDecode(decoder, stepped)
    assert not step.graph
    for one in (ordinary, stepped):
        feed(decoder, one, [1, 2, 3], 9)
    position = 12
    for token in (7, 11, 3, 3, 20, 1, 38, 2, 5):
        expected = feed(decoder, ordinary, [token], position)
        torch.testing.assert_close(step.step(token, position), expected, rtol=1e-4, atol=1e-5)
        position += 1
        if token == 20:  # a pass of several tokens between steps
            expected = feed(decoder, ordinary, [4, 5], position)
            torch.testing.assert_close(feed(decoder, stepped, [4, 5], position), expected, rtol=1e-4, atol=1e-5)
            position += 2
    assert [cache.text_rows for cache in stepped.layers] == [14, 14, 14]


def test_unwritten_rows_are_never_seen(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = StaticDecode(decoder, context(8)).step(3, 9)
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *a, **k: empty(*a, **k).fill_(torch.nan))
    monkeypatch.setattr(torch.Tensor, "new_empty", lambda x, *a, **k: empty(*a, **k).fill_(torch.nan))
    assert torch.equal(StaticDecode(decoder, context(8)).step(3, 9), expected)


@pytest.mark.parametrize("biased", [False, True])
def test_one_token_by_single_products_is_what_a_step_computes(biased: bool) -> None:
    """The order that a GPU's kernels run in, here by torch."""
    torch.manual_seed(6)
    config = replace(CONFIG, qkv_bias=biased, qk_norm=not biased)
    decoder = Decoder(config).requires_grad_(False).eval()
    for name, parameter in decoder.named_parameters():
        if "norm" in name or name.endswith("bias"):
            parameter.data.normal_(1.0, 0.3)
    assert not can_run_single(decoder)  # no kernel serves a processor
    one, other = context(8), context(8)
    expected = StaticDecode(decoder, one).step(3, 9)
    ends = torch.tensor([cache.memory_rows for cache in other.layers])
    with torch.inference_mode():
        seen = StaticContext(other, ends, tuple(len(cache.k) for cache in other.layers))
        found = run_single(decoder, torch.tensor([3]), torch.tensor([9]), seen)
    torch.testing.assert_close(found[0], expected, rtol=1e-4, atol=1e-5)
    for mine, theirs in zip(other.layers, one.layers, strict=True):
        torch.testing.assert_close(mine.k[: mine.memory_rows + 1], theirs.k[: mine.memory_rows + 1])


def test_rows_behind_the_end_are_never_seen(decoder: Decoder) -> None:
    clean, dirty = context(64), context(64)
    for one in (clean, dirty):
        for cache in one.layers:
            used = cache.memory_rows
            cache.k[used:], cache.v[used:] = (0.0, 0.0) if one is clean else (1e4, -1e4)
    found = [StaticDecode(decoder, one).step(3, 9) for one in (clean, dirty)]
    assert torch.equal(found[0], found[1])


def test_packed_sequences_see_only_themselves() -> None:
    generator = torch.Generator().manual_seed(2)
    lengths = [1, 7, 0, 12]
    q = torch.randn(20, 4, 8, generator=generator)
    k, v = torch.randn(2, 20, 2, 8, generator=generator)
    together = attend_within(q, k, v, lengths)
    ends = [0, 1, 8, 8, 20]
    for start, end in pairwise(ends):
        rows = slice(start, end)
        alone = attend_within(q[rows], k[rows], v[rows], [end - start] if end > start else [])
        assert torch.equal(together[rows], alone)
    assert not can_pack(q)  # a processor takes them one by one


@pytest.mark.parametrize(
    ("lengths", "alone_rows", "runs_expected"),
    [
        ([3, 1, 6, 9, 0, 4], [8, 12], [[3, 1], [0, 4]]),
        ([8, 8], [8, 8], []),
        ([2, 2], [], [[2, 2]]),
        ([9, 6, 1], [12, 8], [[1]]),  # the second has too few rows behind it
    ],
)
def test_long_sequences_are_taken_alone(
    monkeypatch: pytest.MonkeyPatch, lengths: list[int], alone_rows: list[int], runs_expected: list[list[int]]
) -> None:
    """A long one is handed over with rows behind it up to a multiple, and nothing of those comes back."""
    monkeypatch.setattr(packed, "LONG", 6)
    monkeypatch.setattr(packed, "PLANNED", 4)
    generator = torch.Generator().manual_seed(2)
    q = torch.randn(sum(lengths), 4, 8, generator=generator)
    k, v = torch.randn(2, sum(lengths), 2, 8, generator=generator)
    sizes, runs = [], []

    def alone(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        sizes.append(len(q))
        return attend_within(q, k, v, [len(q)], how="each")

    def together(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        runs.append(list(lengths))
        return attend_within(q, k, v, lengths, how="each")

    found = attend_runs(q, k, v, lengths, alone=alone, together=together)
    torch.testing.assert_close(found, attend_within(q, k, v, lengths), rtol=1e-5, atol=1e-6)
    assert (sizes, runs) == (alone_rows, runs_expected)


def test_what_cannot_be_recorded_is_run(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no GPU here, so recording fails as it may fail there."""
    plain, recording = context(64), context(64)
    step = StaticDecode(decoder, recording, graph=True)

    def fail(self: StaticDecode, way: str, rows: tuple[int, ...]) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(StaticDecode, "_record", fail)
    assert torch.equal(step.step(3, 9), StaticDecode(decoder, plain).step(3, 9))
    assert not step.graph


@pytest.mark.parametrize(("took", "chosen"), [({"gemv": 2.0, "matmul": 1.0}, "matmul"), ({"matmul": 1.0}, "matmul"),
                                              ({"gemv": 1.0, "matmul": 2.0}, "gemv")])  # fmt: skip
def test_the_fastest_way_that_can_be_recorded_is_taken_and_remembered(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch, took: dict[str, float], chosen: str
) -> None:
    """Graphs are stood in for by what they would replay: there is no GPU here."""
    recorded = []

    class Replay:
        def __init__(self, step: StaticDecode, way: str, rows: tuple[int, ...]) -> None:
            self.way, self.logits = way, step._run(way, rows)  # type: ignore[arg-type]
            self.again = lambda: self.logits.copy_(step._run(way, rows))  # type: ignore[arg-type]

        def replay(self) -> None:
            self.again()

    def record(self: StaticDecode, way: str, rows: tuple[int, ...]) -> tuple[Replay, torch.Tensor]:
        recorded.append(way)
        if way not in took:
            raise RuntimeError("operation not permitted when stream is capturing")
        made = Replay(self, way, rows)
        return made, made.logits

    monkeypatch.setattr(static, "_fastest", {})
    monkeypatch.setattr(static, "can_run_single", lambda _: True)
    monkeypatch.setattr(static, "_milliseconds", lambda graph: took[graph.way])
    monkeypatch.setattr(StaticDecode, "_record", record)
    plain = StaticDecode(decoder, context(64))
    expected = [plain.step(token, 9 + i) for i, token in enumerate((3, 4))]
    for times in (["gemv", "matmul"], [chosen]):
        recorded.clear()
        step = StaticDecode(decoder, context(64), graph=True)
        for i, token in enumerate((3, 4)):
            torch.testing.assert_close(step.step(token, 9 + i), expected[i], rtol=1e-4, atol=1e-5)
        assert recorded == times
        assert step.way == chosen
