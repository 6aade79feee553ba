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


def split_launch(width: int, *, tokens: int = 64) -> triton.Launch:
    return triton.Launch(chunks=64, tokens=tokens, width=width, warps=4, stages=2, split=True)


@pytest.mark.parametrize(
    ("width", "group", "step"), [(128, 128, 128), (128, 128, 32), (256, 64, 64), (96, 96, 32), (96, 32, 32)]
)
@pytest.mark.parametrize("format", ["int8", "fp8"])
def test_split_tokens_keep_the_bound_of_their_two_terms(
    width: int, group: int, step: int, *, format: KeyFormat, generator: torch.Generator, device: str
) -> None:
    keys = keys_of(70, width, format, group, generator)
    q = torch.randn(4, width, generator=generator) * torch.tensor([[1e-3], [1.0], [30.0], [1e3]])
    largest = q.abs().amax(1, keepdim=True).double()
    if format == "int8":
        error = (largest / (2 * 127 * 254)).expand_as(q)
    else:  # half a step of 4 bits, twice; or a step of the subnormal numbers, 2^-9 where the largest number is 448
        error = 2**-8 * q.abs().double() + largest * 2**-9 / 448
    magnitude = dequantise(keys).abs().double().T
    # Sums are in float32; those of fp8 products on a tensor core keep 13 bits of the largest number in them.
    sums = (2**-20 if format == "int8" or device == "cpu" else 2**-10) * (q.abs().double() @ magnitude)
    exact = q.double() @ dequantise(keys).double().T
    actual = triton.score_chunks(q.to(device), keys.to(device), [0, 1, 2, 3, 4], launch=split_launch(step)).cpu()
    assert ((actual.double() - exact).abs() <= error @ magnitude + sums).all()


@pytest.mark.parametrize(("format", "most"), [("int8", 1e-4), ("fp8", 2e-3)])
def test_the_second_term_matters(format: KeyFormat, most: float, generator: torch.Generator, device: str) -> None:
    """One term alone errs by about 8e-3 (int8) and 2.6e-2 (fp8)."""
    keys = keys_of(200, 256, format, 128, generator)
    q = torch.randn(1, 256, generator=generator)
    expected = reference.chunk_scores(q, dequantise(keys))
    actual = triton.score_chunks(q.to(device), keys.to(device), [0, 1], launch=split_launch(128))[0].cpu()
    assert (actual - expected).norm() <= most * expected.norm()


@pytest.mark.parametrize("format", ["int8", "fp8"])
def test_split_tokens_choose_what_float32_chooses(format: KeyFormat, generator: torch.Generator, device: str) -> None:
    """From the same stored keys, the 16 best of 500 documents."""
    keys = keys_of(500, 64, format, 64, generator)
    offsets = torch.arange(501)
    found = 0
    for _ in range(2):
        q = torch.randn(4, 64, generator=generator)
        wanted, _ = route(q, RoutingKeys(dequantise(keys)), offsets, 16)
        scores = triton.score_chunks(q.to(device), keys.to(device), [0, 4])
        chosen, _ = triton.top_of_chunks(scores, offsets.to(device), 16)
        found += len(set(wanted.tolist()) & set(chosen[0].tolist()))
    assert found >= 0.9 * 2 * 16


@pytest.mark.parametrize("format", ["int8", "fp8"])
def test_split_tokens_in_blocks_of_ragged_questions(format: KeyFormat, generator: torch.Generator, device: str) -> None:
    keys = keys_of(70, 64, format, None, generator)
    q = torch.randn(45, 64, generator=generator)
    for query_offsets, tokens in (([0, 40], 32), ([0, 1, 1, 18, 30], 128), ([0, 16, 30, 45], 32)):
        asked = q[: query_offsets[-1]]
        expected = cpu.score_chunks(asked, keys, query_offsets)
        launch = split_launch(32, tokens=tokens)
        actual = triton.score_chunks(asked.to(device), keys.to(device), query_offsets, launch=launch).cpu()
        torch.testing.assert_close(actual, expected, atol=tolerance(format, 64), rtol=0)


def test_split_tokens_that_are_not_finite_count_for_nothing(generator: torch.Generator, device: str) -> None:
    keys = keys_of(20, 64, "int8", None, generator)
    q = torch.randn(4, 64, generator=generator)
    expected = cpu.score_chunks(q[:2], keys, [0, 2])
    q[2, 5], q[3, 6] = torch.nan, torch.inf
    actual = triton.score_chunks(q.to(device), keys.to(device), [0, 4], launch=split_launch(64)).cpu()
    torch.testing.assert_close(actual, expected, atol=tolerance("int8", 64), rtol=0)


def test_keys_are_split_where_their_groups_allow_it(generator: torch.Generator) -> None:
    for format, width, group, step in (
        ("int8", 1024, 128, 128),
        ("fp8", 1024, 128, 128),
        ("int8", 96, 96, 32),
        ("fp8", 64, 64, 64),
    ):
        launch = triton.choose_launch(keys_of(1, width, format, group, generator), 64, 1)  # type: ignore[arg-type]
        assert (launch.split, launch.width) == (True, step)
    for format, width, group in (("int8", 48, 24), ("fp8", 16, 16), ("bf16", 128, None), ("fp32", 128, None)):
        keys = keys_of(1, width, format, group, generator)  # type: ignore[arg-type]
        assert not triton.choose_launch(keys, 64, 1).split
    with pytest.raises(ValueError, match="steps of 64 numbers do not divide groups of 96"):
        triton.score_chunks(torch.zeros(1, 96), keys_of(1, 96, "int8", 96, generator), [0, 1], launch=split_launch(64))


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
