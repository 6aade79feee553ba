"""The Triton kernels of routing: interpreted where there is no GPU, compiled where there is one."""

import pytest
import torch
from torch import Tensor

from codemem.kernels.route import (
    KeyFormat,
    RoutingKeys,
    cpu,
    dequantise,
    quantise_keys,
    reference,
    route,
    score_documents_summed,
    topk,
    triton,
    triton_top,
)

FORMATS: list[KeyFormat] = ["fp32", "bf16", "fp16", "int8", "fp8"]


def offsets_of(chunks: int, generator: torch.Generator) -> Tensor:
    """Chunk offsets of documents of 0 to 40 chunks."""
    cuts = torch.randint(0, chunks + 1, (max(1, chunks // 20),), generator=generator).sort().values
    return torch.cat((torch.tensor([0]), cuts, torch.tensor([chunks])))


def keys_of(chunks: int, width: int, format: KeyFormat, group: int | None, generator: torch.Generator) -> RoutingKeys:
    return quantise_keys(torch.randn(chunks, width, generator=generator), format, group)


def tolerance(format: KeyFormat, width: int) -> float:
    """A query rounded to float16, bfloat16 or two terms of e4m3 errs by 2^-12, 2^-9 or 2^-8 at most a product; the
    errors add like noise. Two terms of int8 err less than float16."""
    return {"fp32": 1e-6, "bf16": 2**-7, "fp8": 2**-7}.get(format, 2**-10) * width**0.5


@pytest.mark.parametrize(
    ("chunks", "width", "group", "format"),
    [
        (1, 128, None, "fp32"),
        (63, 128, None, "bf16"),
        (64, 128, None, "fp16"),
        (65, 128, None, "int8"),
        (65, 128, 64, "fp8"),
        (300, 48, 24, "int8"),
        (130, 96, 96, "fp8"),
        (65, 256, 128, "int8"),
    ],
)
def test_chunk_scores(
    chunks: int, width: int, group: int | None, *, format: KeyFormat, generator: torch.Generator, device: str
) -> None:
    keys = keys_of(chunks, width, format, group, generator)
    for tokens in (1, 20, 65):
        q = torch.randn(tokens, width, generator=generator) * 50
        expected = reference.chunk_scores(q, dequantise(keys))
        actual = triton.score_chunks(q.to(device), keys.to(device), [0, tokens])[0].cpu()
        error = (actual - expected).abs().max()
        assert error < 50 * tolerance(format, width), error


@pytest.mark.parametrize("query_offsets", [[0, 1, 1, 18, 40], [0, 16, 32, 40], [0, 40]])
def test_a_batch_of_ragged_questions(query_offsets: list[int], generator: torch.Generator, device: str) -> None:
    keys = keys_of(100, 64, "int8", None, generator)
    q = torch.randn(40, 64, generator=generator)
    expected = cpu.score_chunks(q, keys, query_offsets)
    actual = triton.score_chunks(q.to(device), keys.to(device), query_offsets).cpu()
    torch.testing.assert_close(actual, expected, atol=2e-2, rtol=0)


def test_tokens_beyond_one_block(generator: torch.Generator, device: str) -> None:
    keys = keys_of(70, 32, "int8", None, generator)
    q = torch.randn(100, 32, generator=generator)
    launch = triton.Launch(chunks=64, tokens=32, width=32, warps=4, stages=2)
    actual = triton.score_chunks(q.to(device), keys.to(device), [0, 100], launch=launch).cpu()
    torch.testing.assert_close(actual, cpu.score_chunks(q, keys, [0, 100]), atol=2e-2, rtol=0)


def test_huge_and_tiny_queries_do_not_overflow(generator: torch.Generator, device: str) -> None:
    keys = keys_of(20, 32, "int8", None, generator)
    q = torch.randn(3, 32, generator=generator) * torch.tensor([[1e8], [1e-12], [0.0]])
    for token in range(3):
        expected = reference.chunk_scores(q[token : token + 1], dequantise(keys))
        actual = triton.score_chunks(q[token : token + 1].to(device), keys.to(device), [0, 1])[0].cpu()
        torch.testing.assert_close(actual.double(), expected, atol=float(expected.abs().max()) * 1e-3, rtol=0)


@pytest.mark.parametrize("chunks", [1, 63, 64, 65, 1000])
def test_document_maximum_and_top(chunks: int, generator: torch.Generator, device: str) -> None:
    scores = torch.randn(2, chunks, generator=generator)
    scores[:, ::3] = scores.max()  # ties across documents
    offsets = offsets_of(chunks, generator)
    expected = cpu.maximum_per_document(scores, offsets)
    assert torch.equal(triton.maximum_per_document(scores.to(device), offsets.to(device)).cpu(), expected)
    for k in {1, min(5, len(offsets) - 1)}:
        indices, values = triton.top_of_chunks(scores.to(device), offsets.to(device), k)
        wanted_indices, wanted_values = topk.top_documents(expected, k)
        assert torch.equal(indices.cpu(), wanted_indices)
        assert torch.equal(values.cpu(), wanted_values)


def test_top_through_several_stages(monkeypatch: pytest.MonkeyPatch, generator: torch.Generator, device: str) -> None:
    monkeypatch.setattr(triton_top, "MERGED_BLOCK", 32)
    scores = torch.randn(1, 1200, generator=generator).round(decimals=2)
    scores[0, 7] = torch.nan
    offsets = torch.arange(1201)
    indices, values = triton.top_of_chunks(scores.to(device), offsets.to(device), 16)
    wanted_indices, wanted_values = topk.top_documents(scores, 16)
    assert indices.tolist() == wanted_indices.tolist()
    assert values.tolist() == wanted_values.tolist()


def test_more_documents_than_the_kernel_holds(generator: torch.Generator, device: str) -> None:
    scores = torch.randn(2, 300, generator=generator)
    indices, _ = triton.top_of_chunks(scores.to(device), torch.arange(301, device=device), 200)
    assert torch.equal(indices.cpu(), topk.top_documents(scores, 200)[0])


def test_the_public_functions_through_the_kernels(
    monkeypatch: pytest.MonkeyPatch, generator: torch.Generator, device: str
) -> None:
    keys = keys_of(130, 64, "int8", 32, generator)
    exact = RoutingKeys(dequantise(keys))
    offsets = offsets_of(130, generator)
    q = torch.randn(30, 64, generator=generator)
    question = {"query_offsets": [0, 7, 30]}
    wanted = route(q, keys, offsets, 3, rescore=exact, candidates=4, **question)
    summed = score_documents_summed([q, q], [keys, keys], offsets, weights=[1.0, 0.5], **question)
    monkeypatch.setattr("codemem.kernels.route._paths", lambda _: triton)
    q, keys, exact, offsets = q.to(device), keys.to(device), exact.to(device), offsets.to(device)
    indices, scores = route(q, keys, offsets, 3, rescore=exact, candidates=4, **question)
    assert torch.equal(indices.cpu(), wanted[0])
    torch.testing.assert_close(scores.cpu(), wanted[1], atol=1e-4, rtol=0)
    actual = score_documents_summed([q, q], [keys, keys], offsets, weights=[1.0, 0.5], **question)
    torch.testing.assert_close(actual.cpu(), summed, atol=2 * tolerance("int8", 64), rtol=0)


@pytest.mark.parametrize("format", FORMATS)
def test_listed_documents(format: KeyFormat, generator: torch.Generator, device: str) -> None:
    keys = keys_of(100, 64, format, None, generator)
    offsets = offsets_of(100, generator)
    q = torch.randn(21, 64, generator=generator)
    documents = torch.stack([torch.randperm(len(offsets) - 1, generator=generator)[:4] for _ in range(2)])
    expected = cpu.score_listed(q, keys, [0, 4, 21], offsets, documents)
    on = (keys.to(device), [0, 4, 21], offsets.to(device), documents.to(device))
    actual = triton.score_listed(q.to(device), *on).cpu()  # type: ignore[arg-type]
    torch.testing.assert_close(actual, expected, atol=tolerance(format, 64), rtol=0)


def test_packing_and_merging_as_torch_does(generator: torch.Generator, device: str) -> None:
    scores = torch.randn(3, 300, generator=generator)
    scores[:, ::7] = 0.5  # ties
    scores[0, 5], scores[1, 6], scores[2, 8] = torch.nan, -torch.inf, -0.0
    indices = torch.randperm(900, generator=generator).view(3, 300)
    packed = triton.pack_documents(scores.to(device), indices.to(device), 1000)
    assert torch.equal(packed.cpu(), topk.pack(scores, indices + 1000))
    for k in (1, 3, 16):
        found, values = triton.merge_packed(packed, k)
        expected, expected_values = topk.unpack(topk.top_packed(topk.pack(scores, indices + 1000), k))
        assert torch.equal(found.cpu(), expected)
        assert torch.equal(values.cpu(), expected_values)
