"""Pooling against one chunk at a time in float64, and the same bits whatever the packing."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from codemem.kernels.pool import chunk_table, cpu, pool_chunks, pool_entries, reference

LENGTHS = [1, 63, 64, 65, 0, 1000, 128, 2]


def documents(lengths: Sequence[int], generator: torch.Generator, dtype: torch.dtype) -> list[Tensor]:
    return [(torch.randn(n, 2, 24, generator=generator) + 1).to(dtype) for n in lengths]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("chunk_tokens", [64, 1, 7])
def test_means_of_each_chunk(chunk_tokens: int, dtype: torch.dtype, generator: torch.Generator) -> None:
    packed = torch.cat(documents(LENGTHS, generator, dtype))
    pooled = pool_chunks(packed, LENGTHS, chunk_tokens)
    expected = reference.pool_chunks(packed, LENGTHS, chunk_tokens)
    assert pooled.dtype == torch.float32
    torch.testing.assert_close(pooled, expected.float(), atol=1e-6, rtol=1e-6)


def test_chunks_start_over_in_each_document() -> None:
    first, count, offsets = chunk_table([65, 0, 64, 3], 64)
    assert first.tolist() == [0, 64, 65, 129]
    assert count.tolist() == [64, 1, 64, 3]
    assert offsets.tolist() == [0, 2, 2, 3, 4]


@pytest.mark.parametrize("format", ["fp32", "bf16", "int8"])
def test_bits_do_not_depend_on_the_packing(format: str, generator: torch.Generator) -> None:
    parts = documents(LENGTHS, generator, torch.float32)

    def entries(order: Sequence[int]) -> dict[int, list[bytes]]:
        x = torch.cat([parts[i] for i in order])
        pooled = pool_entries(x, -x, x * 3, [LENGTHS[i] for i in order], normalise=True, format=format)  # type: ignore[arg-type]
        tensors = [
            t for p in (pooled.keys, pooled.values, pooled.routing) for t in (p.values, p.scales) if t is not None
        ]
        starts = pooled.chunk_offsets.tolist()
        return {
            document: [t[starts[n] : starts[n + 1]].view(torch.uint8).numpy().tobytes() for t in tensors]
            for n, document in enumerate(order)
        }

    alone = {i: entries([i])[i] for i in range(len(LENGTHS))}
    assert entries(range(len(LENGTHS))) == alone
    assert entries([5, 7, 0, 3, 6, 2, 4, 1]) == alone
    torch.set_num_threads(2)
    assert entries([5, 7, 0, 3, 6, 2, 4, 1]) == alone


def test_bits_do_not_depend_on_tiles(monkeypatch: pytest.MonkeyPatch, generator: torch.Generator) -> None:
    packed = torch.cat(documents(LENGTHS, generator, torch.float32))
    whole = pool_chunks(packed, LENGTHS)
    monkeypatch.setattr(cpu, "TILE_NUMBERS", 3 * 64 * 48)
    assert torch.equal(pool_chunks(packed, LENGTHS), whole)


def test_another_documents_nan_does_not_leak(generator: torch.Generator) -> None:
    clean, broken = documents([65, 10], generator, torch.float32)
    broken[:] = torch.nan
    pooled = pool_chunks(torch.cat((broken, clean)), [10, 65])
    assert pooled[0].isnan().all()
    assert torch.equal(pooled[1:], pool_chunks(clean, [65]))


def test_routing_keys_are_normalised_after_pooling(generator: torch.Generator) -> None:
    x = torch.cat(documents([100, 3], generator, torch.float32))
    entries = pool_entries(x, x, x, [100, 3], normalise=True)
    expected = reference.normalise_groups(reference.pool_chunks(x, [100, 3], 64))
    torch.testing.assert_close(entries.routing.values, expected.float(), atol=1e-6, rtol=1e-5)
    assert torch.equal(entries.keys.values, pool_chunks(x, [100, 3]))
    raw = pool_entries(x, x, x, [100, 3], normalise=False)
    assert torch.equal(raw.routing.values, raw.keys.values)


def test_int8_entries_are_within_half_a_step(generator: torch.Generator) -> None:
    x = torch.cat(documents([100, 3], generator, torch.float32))
    entries = pool_entries(x, x, x, [100, 3], normalise=True, format="int8")
    pooled = pool_chunks(x, [100, 3])
    assert entries.keys.values.dtype == torch.int8
    assert entries.keys.scales is not None
    assert entries.keys.scales.dtype == torch.float16
    step = pooled.abs().amax(-1, keepdim=True) / 127
    assert ((entries.keys.dequantise() - pooled).abs() <= step * 0.57).all()
    keys = entries.routing.as_routing_keys()
    assert (keys.width, keys.group) == (48, 24)


def test_pooling_has_gradients(generator: torch.Generator) -> None:
    x = torch.randn(9, 1, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 1, 2, generator=generator)
    (actual,) = torch.autograd.grad((pool_chunks(x, [5, 4], 3) * weight).sum(), x)
    (expected,) = torch.autograd.grad((reference.pool_chunks(x, [5, 4], 3) * weight).sum(), x)
    torch.testing.assert_close(actual, expected, atol=1e-7, rtol=1e-6)


def test_no_documents_give_no_rows() -> None:
    assert pool_chunks(torch.zeros(0, 2, 8), []).shape == (0, 2, 8)
    assert pool_chunks(torch.zeros(0, 2, 8), [0, 0]).shape == (0, 2, 8)


def test_wrong_arguments_are_named() -> None:
    x = torch.zeros(10, 1, 4)
    with pytest.raises(ValueError, match="documents of 9 tokens in all do not fill 10 rows"):
        pool_chunks(x, [9])
    with pytest.raises(ValueError, match="none negative"):
        pool_chunks(x, [11, -1])
    with pytest.raises(ValueError, match="at least one token"):
        pool_chunks(x, [10], 0)
    with pytest.raises(ValueError, match="unknown format 'int4'"):
        pool_entries(x, x, x, [10], normalise=True, format="int4")  # type: ignore[arg-type]
