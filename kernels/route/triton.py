"""Routing on a GPU: scores, the maximum over tokens and chunks, and top-k in three kinds of kernel.

Shapes: B questions, T tokens of all of them, C chunks, N documents, W width, S scales a key.

Every question's tokens are padded to P places (`_Tokens`), so that the maximum over a question's tokens is a maximum
over P neighbouring columns of a product. Only one number a question and chunk is ever written: [B, C] float32, 0.4% of
the bytes of 1024 wide 8-bit keys. Keys are multiplied in float16 (8-bit formats widen to it without loss), bfloat16
keys in bfloat16, always summed in float32; query tokens are divided by their largest magnitude first, so that float16
holds them. Inference only.
"""

# ruff: noqa: PLR0917 - kernels take their arguments by position
# mypy: disable-error-code="no-untyped-call,no-any-return"

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import torch
import triton
import triton.language as tl
from torch import Tensor

from codemem.kernels.launch import launch_kernel
from codemem.kernels.route.keys import RoutingKeys
from codemem.kernels.route.topk import top_documents

MULTIPLIED_AS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""The type of both factors; 8-bit keys are multiplied as float16."""


@dataclass(frozen=True, slots=True)
class Launch:
    """Sizes of one scoring program; all powers of two."""

    chunks: int
    tokens: int
    """Token places (of one or more questions) multiplied at once."""
    width: int
    """Numbers of a key a step."""
    warps: int
    stages: int


def choose_launch(keys: RoutingKeys, places: int, questions: int) -> Launch:
    """Block sizes for questions of `places` padded tokens (benchmarks/kernels_gpu.py measures the alternatives)."""
    tokens = min(128, places * triton.next_power_of_2(questions))
    width = max(16, min(128, triton.next_power_of_2(keys.group)))
    if keys.format == "fp32":
        return Launch(64, min(tokens, 32), min(width, 32), 4, 2)
    if keys.values.element_size() == 1 and tokens == 64:
        # A tile reads all tokens from the L2 cache: of 128 chunks of 8-bit keys that would be as many bytes again.
        # Half the width keeps the widened keys and two sets of sums in registers.
        return Launch(256, tokens, min(width, 64), 8, 4)
    return Launch(128, tokens, width, 8 if tokens >= 128 else 4, 4 if tokens <= 32 else 3)


@dataclass(frozen=True, slots=True)
class _Tokens:
    """Queries as the scoring kernels read them."""

    q: Tensor
    """[B * P, W]: each token divided by its scale, zeros in unused places."""
    scales: Tensor
    """[B * P] float32, above 0 for tokens and 0 for unused places."""
    places: int
    """P: a power of two of at least 16."""


@triton.jit
def _prepare_kernel(
    q: tl.tensor,
    offsets: tl.tensor,
    prepared: tl.tensor,
    scales: tl.tensor,
    PLACES: tl.constexpr,
    W: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    place = tl.program_id(0)
    question = place // PLACES
    token = place % PLACES
    first = tl.load(offsets + question)
    count = tl.load(offsets + question + 1) - first
    columns = tl.arange(0, COLUMNS)
    numbers = tl.where(token < count, W, 0)
    x = tl.load(q + (first + token).to(tl.int64) * W + columns, mask=columns < numbers, other=0.0).to(tl.float32)
    largest = tl.max(tl.abs(x), 0)
    scale = tl.where(largest > 0, largest, 1.0)
    target = prepared + place.to(tl.int64) * W + columns
    tl.store(target, (x / scale).to(prepared.dtype.element_ty), mask=columns < W)
    tl.store(scales + place, tl.where(token < count, scale, 0.0))


@triton.jit
def _best_of_tile(
    q: tl.tensor,
    token_scales: tl.tensor,
    first_place: tl.tensor,
    all_places: tl.tensor,
    keys: tl.tensor,
    key_scales: tl.tensor,
    rows: tl.tensor,
    W: tl.constexpr,
    GROUP: tl.constexpr,
    SCALED: tl.constexpr,
    LOOPS: tl.constexpr,
    QUESTIONS: tl.constexpr,
    BC: tl.constexpr,
    BT: tl.constexpr,
    BW: tl.constexpr,
) -> tl.tensor:
    """[BC, QUESTIONS]: the best of each question's places for the chunks `rows`, which must exist."""
    STEPS: tl.constexpr = (GROUP + BW - 1) // BW
    SCALES: tl.constexpr = W // GROUP
    key_rows = keys + rows.to(tl.int64)[:, None] * W
    scale_rows = key_scales + rows.to(tl.int64) * SCALES
    best = tl.full([BC, QUESTIONS], float("-inf"), tl.float32)
    for loop in range(LOOPS):
        places = first_place + loop * BT + tl.arange(0, BT)
        exists = places < all_places
        q_rows = q + places.to(tl.int64)[None, :] * W
        total = tl.zeros([BC, BT], tl.float32)
        for step in range(SCALES * STEPS):
            within = (step % STEPS) * BW + tl.arange(0, BW)  # type: ignore[operator]
            columns = (step // STEPS) * GROUP + within
            if GROUP % BW == 0:
                k = tl.load(key_rows + columns[None, :])
                x = tl.load(q_rows + columns[:, None], mask=exists[None, :], other=0.0)
            else:
                # The query is 0 beyond the group; the key may then be any number of its own row.
                k = tl.load(key_rows + tl.minimum(columns, W - 1)[None, :])
                x = tl.load(q_rows + columns[:, None], mask=exists[None, :] & (within < GROUP)[:, None], other=0.0)
            if SCALED and SCALES > 1:
                scale = tl.load(scale_rows + step // STEPS).to(tl.float32)
                total += tl.dot(k.to(x.dtype), x, input_precision="ieee") * scale[:, None]
            else:
                total = tl.dot(k.to(x.dtype), x, total, input_precision="ieee")
        token_scale = tl.load(token_scales + places, mask=exists, other=0.0)
        scored = tl.where(token_scale[None, :] > 0, total * token_scale[None, :], float("-inf"))
        best = tl.maximum(best, tl.max(tl.reshape(scored, [BC, QUESTIONS, BT // QUESTIONS]), 2))
    if SCALED and SCALES == 1:
        best *= tl.load(scale_rows).to(tl.float32)[:, None]
    return best


@triton.jit
def _score_kernel(
    q: tl.tensor,
    token_scales: tl.tensor,
    keys: tl.tensor,
    key_scales: tl.tensor,
    out: tl.tensor,
    chunks: tl.tensor,
    questions: tl.tensor,
    W: tl.constexpr,
    GROUP: tl.constexpr,
    SCALED: tl.constexpr,
    PLACES: tl.constexpr,
    QUESTIONS: tl.constexpr,
    LOOPS: tl.constexpr,
    BC: tl.constexpr,
    BT: tl.constexpr,
    BW: tl.constexpr,
) -> None:
    # Programs of one key tile are neighbours: the first brings it from memory, the others find it in the L2 cache.
    blocks = tl.cdiv(questions, QUESTIONS)
    first_question = (tl.program_id(0) % blocks) * QUESTIONS
    rows = (tl.program_id(0) // blocks).to(tl.int64) * BC + tl.arange(0, BC)
    best = _best_of_tile(
        q, token_scales, first_question * PLACES, questions * PLACES, keys, key_scales,
        tl.minimum(rows, chunks - 1), W, GROUP, SCALED, LOOPS, QUESTIONS, BC, BT, BW,
    )  # fmt: skip
    question = first_question + tl.arange(0, QUESTIONS)
    target = out + question.to(tl.int64)[None, :] * chunks + rows[:, None]
    tl.store(target, best, mask=(rows < chunks)[:, None] & (question < questions)[None, :])


@triton.jit
def _score_listed_kernel(
    q: tl.tensor,
    token_scales: tl.tensor,
    keys: tl.tensor,
    key_scales: tl.tensor,
    chunk_offsets: tl.tensor,
    documents: tl.tensor,
    out: tl.tensor,
    listed: tl.tensor,
    questions: tl.tensor,
    W: tl.constexpr,
    GROUP: tl.constexpr,
    SCALED: tl.constexpr,
    PLACES: tl.constexpr,
    LOOPS: tl.constexpr,
    BC: tl.constexpr,
    BT: tl.constexpr,
    BW: tl.constexpr,
) -> None:
    place = tl.program_id(0)
    document = tl.load(documents + place)
    start = tl.load(chunk_offsets + document)
    end = tl.load(chunk_offsets + document + 1)
    best = tl.full([BC], float("-inf"), tl.float32)
    for first in range(start, end, BC):
        rows = first + tl.arange(0, BC)
        tile = _best_of_tile(
            q, token_scales, (place // listed) * PLACES, questions * PLACES, keys, key_scales,
            tl.minimum(rows, end - 1), W, GROUP, SCALED, LOOPS, 1, BC, BT, BW,  # type: ignore[arg-type]
        )  # fmt: skip
        best = tl.maximum(best, tl.max(tile, 1))
    tl.store(out + place, tl.max(best, 0))


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


@lru_cache(maxsize=64)
def _offsets_on(device: torch.device, query_offsets: tuple[int, ...]) -> Tensor:
    # All routed layers of a pass ask with the same offsets; copying them each time would cost more than the kernel.
    return torch.tensor(query_offsets, dtype=torch.int32).to(device, non_blocking=True)


def _prepare(q_TW: Tensor, keys: RoutingKeys, query_offsets: Sequence[int]) -> _Tokens:
    questions = len(query_offsets) - 1
    longest = max(last - first for first, last in pairwise(query_offsets))
    places = max(16, triton.next_power_of_2(max(1, longest)))
    width = keys.width
    dtype = MULTIPLIED_AS.get(keys.format, torch.float16)
    if dtype == torch.bfloat16 and q_TW.device.type == "cpu":
        dtype = torch.float32  # numpy, on which Triton interprets, has no bfloat16
    prepared = torch.empty(questions * places, width, dtype=dtype, device=q_TW.device)
    scales = torch.empty(questions * places, dtype=torch.float32, device=q_TW.device)
    launch_kernel(
        _prepare_kernel,
        (questions * places,),
        q_TW.contiguous(),
        _offsets_on(q_TW.device, tuple(query_offsets)),
        prepared,
        scales,
        PLACES=places,
        W=width,
        COLUMNS=triton.next_power_of_2(width),
    )
    return _Tokens(prepared, scales, places)


def score_chunks(
    q_TW: Tensor, keys: RoutingKeys, query_offsets: Sequence[int], *, launch: Launch | None = None
) -> Tensor:
    """[B, C] float32: of each question, the best token of each chunk; -inf for a question of no tokens."""
    questions, chunks = len(query_offsets) - 1, len(keys)
    out = torch.empty(questions, chunks, dtype=torch.float32, device=q_TW.device)
    if not chunks:
        return out
    tokens = _prepare(q_TW, keys, query_offsets)
    launch = launch or choose_launch(keys, tokens.places, questions)
    together = max(1, launch.tokens // tokens.places)
    block_tokens = min(launch.tokens, tokens.places * together)
    grid = (triton.cdiv(chunks, launch.chunks) * triton.cdiv(questions, together),)
    launch_kernel(
        _score_kernel,
        grid,
        tokens.q,
        tokens.scales,
        keys.values.contiguous(),
        _scales(keys),
        out,
        chunks,
        questions,
        W=keys.width,
        GROUP=keys.group,
        SCALED=keys.scales is not None,
        PLACES=tokens.places,
        QUESTIONS=together,
        LOOPS=tokens.places * together // block_tokens,
        BC=launch.chunks,
        BT=block_tokens,
        BW=launch.width,
        num_warps=launch.warps,
        num_stages=launch.stages,
    )
    return out


def score_listed(
    q_TW: Tensor,
    keys: RoutingKeys,
    query_offsets: Sequence[int],
    chunk_offsets: Tensor,
    documents_BK: Tensor,
) -> Tensor:
    """[B, K] float32: of each question, the scores of the documents listed for it, read from these keys in place."""
    questions, listed = documents_BK.shape
    out = torch.empty(questions, listed, dtype=torch.float32, device=q_TW.device)
    tokens = _prepare(q_TW, keys, query_offsets)
    launch = choose_launch(keys, tokens.places, 1)
    block_tokens = min(launch.tokens, tokens.places)
    launch_kernel(
        _score_listed_kernel,
        (questions * listed,),
        tokens.q,
        tokens.scales,
        keys.values.contiguous(),
        _scales(keys),
        chunk_offsets,
        documents_BK.contiguous(),
        out,
        listed,
        questions,
        W=keys.width,
        GROUP=keys.group,
        SCALED=keys.scales is not None,
        PLACES=tokens.places,
        LOOPS=tokens.places // block_tokens,
        BC=16,  # a document seldom has more chunks
        BT=block_tokens,
        BW=launch.width,
        num_warps=4,
        num_stages=2,
    )
    return out


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


LARGEST_K = 128
"""The kernels choose up to this many documents; more are left to torch's top-k of all documents' scores."""

MERGED_BLOCK = 1024
"""Packed numbers that one program of a further stage reads."""


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
    indices = torch.empty(questions, k, dtype=torch.int64, device=scores_BC.device)
    scores = torch.empty(questions, k, dtype=torch.float32, device=scores_BC.device)
    last = False
    while not last:
        count = packed.shape[1]
        block = min(MERGED_BLOCK, max(kept, triton.next_power_of_2(count)))
        blocks = triton.cdiv(count, block)
        last = blocks == 1
        merged = torch.empty(questions, 0 if last else blocks * kept, dtype=torch.int64, device=scores_BC.device)
        launch_kernel(
            _merge_kernel, (blocks, questions), packed, merged, indices, scores, count, k, LAST=last, K=kept, BN=block
        )
        packed = merged
    return indices, scores


def _scales(keys: RoutingKeys) -> Tensor:
    # Without scales the pointer is never read; a kernel still wants one.
    return keys.values if keys.scales is None else keys.scales.contiguous()
