"""Scores of chunks on a GPU: [B, C], the best of each question's tokens. `triton.py` says how.

Shapes: B questions, T tokens of all of them, P places a question, C chunks, W width, S scales a key.
"""

# ruff: noqa: PLR0917 - kernels take their arguments by position
# mypy: disable-error-code="no-untyped-call,no-any-return"

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from codemem.kernels.launch import launch_kernel
from codemem.kernels.route.keys import RoutingKeys
from codemem.kernels.route.triton_launch import Launch, choose_launch, widened_launch
from codemem.kernels.route.triton_split import score_split
from codemem.kernels.route.triton_tokens import padded_places, prepare_terms, prepare_tokens


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


def score_chunks(
    q_TW: Tensor, keys: RoutingKeys, query_offsets: Sequence[int], *, launch: Launch | None = None
) -> Tensor:
    """[B, C] float32: of each question, the best token of each chunk; -inf for a question of no tokens."""
    questions, chunks = len(query_offsets) - 1, len(keys)
    out = torch.empty(questions, chunks, dtype=torch.float32, device=q_TW.device)
    if not chunks:
        return out
    launch = launch or choose_launch(keys, padded_places(query_offsets), questions)
    if launch.split:
        score_split(prepare_terms(q_TW, keys, query_offsets), keys, out, launch)
        return out
    tokens = prepare_tokens(q_TW, keys, query_offsets)
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
    tokens = prepare_tokens(q_TW, keys, query_offsets)
    launch = widened_launch(keys, tokens.places, 1)
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


def _scales(keys: RoutingKeys) -> Tensor:
    # Without scales the pointer is never read; a kernel still wants one.
    return keys.values if keys.scales is None else keys.scales.contiguous()
