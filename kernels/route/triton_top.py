"""The maximum of each document and the top documents on a GPU, in as many stages as blocks need.

Shapes: B questions, C chunks, N documents.
"""

# ruff: noqa: PLR0917 - kernels take their arguments by position
# mypy: disable-error-code="no-untyped-call,no-any-return"

import torch
import triton
import triton.language as tl
from torch import Tensor

from codemem.kernels.launch import launch_kernel
from codemem.kernels.route.topk import top_documents

LARGEST_K = 128
"""The kernels choose up to this many documents; more are left to torch's top-k of all documents' scores."""

MERGED_BLOCK = 1024
"""Packed numbers that one program of a further stage reads."""


@triton.jit
def _best_of_documents(
    scores: tl.tensor,
    chunk_offsets: tl.tensor,
    documents: tl.tensor,
    count: tl.tensor,
    BN: tl.constexpr,
    BJ: tl.constexpr,
) -> tl.tensor:
    """[BN]: the best chunk of each document, -inf for a document of none and beyond `count`."""
    exists = documents < count
    start = tl.load(chunk_offsets + documents, mask=exists, other=0)
    end = tl.load(chunk_offsets + documents + 1, mask=exists, other=0)
    best = tl.full([BN], float("-inf"), tl.float32)
    for j in range(0, tl.max(end - start, 0), BJ):
        chunk = start[:, None] + j + tl.arange(0, BJ)[None, :]
        score = tl.load(scores + chunk, mask=chunk < end[:, None], other=float("-inf"))
        best = tl.maximum(best, tl.max(score, 1))
    return best


@triton.jit
def _document_kernel(
    scores: tl.tensor,
    chunk_offsets: tl.tensor,
    out: tl.tensor,
    chunks: tl.tensor,
    count: tl.tensor,
    BN: tl.constexpr,
    BJ: tl.constexpr,
) -> None:
    question = tl.program_id(1).to(tl.int64)
    documents = tl.program_id(0) * BN + tl.arange(0, BN)
    best = _best_of_documents(scores + question * chunks, chunk_offsets, documents, count, BN, BJ)
    tl.store(out + question * count + documents, best, mask=documents < count)


@triton.jit
def _packed(scores: tl.tensor, indices: tl.tensor) -> tl.tensor:
    """As `topk.pack`: ordered by falling score, then rising index."""
    number = scores == scores  # noqa: PLR0124 - false for NaN
    bits = (tl.where(number, scores, float("-inf")) + 0.0).to(tl.int32, bitcast=True)
    ordered = tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits).to(tl.int64)
    return (ordered << 32) | (0xFFFFFFFF - indices.to(tl.int64))


@triton.jit
def _pack_kernel(
    scores: tl.tensor, indices: tl.tensor, out: tl.tensor, first: tl.tensor, count: tl.tensor, BN: tl.constexpr
) -> None:
    place = tl.program_id(0) * BN + tl.arange(0, BN)
    exists = place < count
    score = tl.load(scores + place, mask=exists, other=float("-inf"))
    index = tl.load(indices + place, mask=exists, other=0) + first
    tl.store(out + place, _packed(score, index), mask=exists)


@triton.jit
def _top_documents_kernel(
    scores: tl.tensor,
    chunk_offsets: tl.tensor,
    out: tl.tensor,
    chunks: tl.tensor,
    count: tl.tensor,
    K: tl.constexpr,
    BN: tl.constexpr,
    BJ: tl.constexpr,
) -> None:
    """First stage: the K best documents of each block of BN, packed."""
    question = tl.program_id(1).to(tl.int64)
    documents = tl.program_id(0) * BN + tl.arange(0, BN)
    best = _best_of_documents(scores + question * chunks, chunk_offsets, documents, count, BN, BJ)
    packed = tl.where(documents < count, _packed(best, documents), -0x8000000000000000)
    place = (question * tl.num_programs(0) + tl.program_id(0)) * K + tl.arange(0, K)
    tl.store(out + place, tl.topk(packed, K))


@triton.jit
def _merge_kernel(
    packed: tl.tensor,
    merged: tl.tensor,
    indices: tl.tensor,
    scores: tl.tensor,
    count: tl.tensor,
    k: tl.tensor,
    LAST: tl.constexpr,
    K: tl.constexpr,
    BN: tl.constexpr,
) -> None:
    """Further stages: the K best of each block of BN packed numbers; the last one unpacks the k wanted."""
    question = tl.program_id(1).to(tl.int64)
    place = tl.program_id(0) * BN + tl.arange(0, BN)
    top = tl.topk(tl.load(packed + question * count + place, mask=place < count, other=-0x8000000000000000), K)
    rank = tl.arange(0, K)
    if LAST:
        ordered = (top >> 32).to(tl.int32)
        score = tl.where(ordered < 0, ordered ^ 0x7FFFFFFF, ordered).to(tl.float32, bitcast=True)
        tl.store(indices + question * k + rank, 0xFFFFFFFF - (top & 0xFFFFFFFF), mask=rank < k)
        tl.store(scores + question * k + rank, score, mask=rank < k)
    else:
        tl.store(merged + (question * tl.num_programs(0) + tl.program_id(0)) * K + rank, top)


def maximum_per_document(scores_BC: Tensor, chunk_offsets: Tensor) -> Tensor:
    """[B, N]: the best chunk of each document, -inf for a document of none."""
    questions, chunks = scores_BC.shape
    count = len(chunk_offsets) - 1
    out = torch.empty(questions, count, dtype=torch.float32, device=scores_BC.device)
    launch_kernel(
        _document_kernel,
        (triton.cdiv(count, 256), questions),
        scores_BC,
        chunk_offsets,
        out,
        chunks,
        count,
        BN=256,
        BJ=16,
    )
    return out


def top_of_chunks(scores_BC: Tensor, chunk_offsets: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Indices int64 and scores float32 [B, min(k, N)] of the best documents, best first."""
    questions, chunks = scores_BC.shape
    count = len(chunk_offsets) - 1
    k = min(k, count)
    if k > LARGEST_K:
        return top_documents(maximum_per_document(scores_BC, chunk_offsets), k)
    kept = max(2, triton.next_power_of_2(k))
    block = 256
    packed = torch.empty(questions, triton.cdiv(count, block) * kept, dtype=torch.int64, device=scores_BC.device)
    grid = (triton.cdiv(count, block), questions)
    launch_kernel(_top_documents_kernel, grid, scores_BC, chunk_offsets, packed, chunks, count, K=kept, BN=block, BJ=16)
    return _merge(packed, k, kept)


def pack_documents(scores: Tensor, indices: Tensor, first: int) -> Tensor:
    """`topk.pack` of scores and indices + `first` in one kernel: int64 of their shape."""
    out = torch.empty(scores.shape, dtype=torch.int64, device=scores.device)
    count = scores.numel()
    grid = (triton.cdiv(count, 256),)
    launch_kernel(_pack_kernel, grid, scores.contiguous(), indices.contiguous(), out, first, count, BN=256)
    return out


def merge_packed(packed_BM: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Indices int64 and scores float32 [B, k] of the k largest of M >= k packed numbers, k <= LARGEST_K."""
    return _merge(packed_BM.contiguous(), k, max(2, triton.next_power_of_2(k)))


def _merge(packed: Tensor, k: int, kept: int) -> tuple[Tensor, Tensor]:
    """In as many stages as blocks need."""
    questions = len(packed)
    indices = torch.empty(questions, k, dtype=torch.int64, device=packed.device)
    scores = torch.empty(questions, k, dtype=torch.float32, device=packed.device)
    last = False
    while not last:
        count = packed.shape[1]
        block = min(MERGED_BLOCK, max(kept, triton.next_power_of_2(count)))
        blocks = triton.cdiv(count, block)
        last = blocks == 1
        merged = torch.empty(questions, 0 if last else blocks * kept, dtype=torch.int64, device=packed.device)
        launch_kernel(
            _merge_kernel, (blocks, questions), packed, merged, indices, scores, count, k, LAST=last, K=kept, BN=block
        )
        packed = merged
    return indices, scores
