"""Scores of chunks of 8-bit keys on a GPU, multiplied as they are: int8 x int8 to int32, e4m3 x e4m3 to float32.

Each query token is two terms of the keys' type, neighbouring rows (`triton_tokens.prepare_terms`): high + low / 254 for
int8, high + low for fp8. One product of a key tile with both terms of its tokens is taken apart in registers, where
a token's two columns lie side by side. Keys are neither widened nor held in registers, which is what made the other
path slower than memory.

Shapes: B questions, P places a question, C chunks, W width, S scales a key.
"""

# ruff: noqa: PLR0917 - kernels take their arguments by position
# mypy: disable-error-code="no-untyped-call,no-any-return"

import triton
import triton.language as tl
from torch import Tensor

from codemem.kernels.launch import launch_kernel
from codemem.kernels.route.keys import RoutingKeys
from codemem.kernels.route.triton_launch import Launch
from codemem.kernels.route.triton_tokens import LOW_STEPS, Tokens

_LOW_STEPS = tl.constexpr(LOW_STEPS)


@triton.jit
def _best_of_split_tile(
    terms: tl.tensor,
    token_scales: tl.tensor,
    first_place: tl.tensor,
    all_places: tl.tensor,
    keys: tl.tensor,
    key_scales: tl.tensor,
    rows: tl.tensor,
    W: tl.constexpr,
    GROUP: tl.constexpr,
    LOOPS: tl.constexpr,
    QUESTIONS: tl.constexpr,
    BC: tl.constexpr,
    BT: tl.constexpr,
    BW: tl.constexpr,
) -> tl.tensor:
    """[BC, QUESTIONS]: the best of each question's places for the chunks `rows`, which must exist."""
    STEPS: tl.constexpr = GROUP // BW
    SCALES: tl.constexpr = W // GROUP
    key_rows = keys + rows.to(tl.int64)[:, None] * W
    scale_rows = key_scales + rows.to(tl.int64) * SCALES
    best = tl.full([BC, QUESTIONS], float("-inf"), tl.float32)
    for loop in range(LOOPS):
        first = first_place + loop * BT
        places = first + tl.arange(0, BT)
        # Places beyond the last read the last; they count for nothing below.
        term = tl.minimum(2 * first + tl.arange(0, 2 * BT), 2 * all_places - 1)
        term_rows = terms + term.to(tl.int64)[:, None] * W
        total = tl.zeros([BC, BT], tl.float32)
        # Scales are too narrow to be copied ahead by the pipeline, so each step loads the next one's.
        scale = tl.load(scale_rows)
        for step in range(SCALES * STEPS):
            columns = step * BW + tl.arange(0, BW)
            k = tl.load(key_rows + columns[None, :])
            x = tl.load(term_rows + columns[None, :])
            next_scale = tl.load(scale_rows + tl.minimum((step + 1) // STEPS, SCALES - 1))
            # Columns 2t and 2t + 1 are in one thread's registers: nothing is moved.
            high, low = tl.split(tl.reshape(tl.dot(k, tl.trans(x)), [BC, BT, 2]))
            if keys.dtype.element_ty == tl.int8:
                high = high * _LOW_STEPS
            total += (high + low).to(tl.float32) * scale.to(tl.float32)[:, None]
            scale = next_scale
        token_scale = tl.load(token_scales + places, mask=places < all_places, other=0.0)
        scored = tl.where(token_scale[None, :] > 0, total * token_scale[None, :], float("-inf"))
        best = tl.maximum(best, tl.max(tl.reshape(scored, [BC, QUESTIONS, BT // QUESTIONS]), 2))
    return best


@triton.jit
def _score_split_kernel(
    terms: tl.tensor,
    token_scales: tl.tensor,
    keys: tl.tensor,
    key_scales: tl.tensor,
    out: tl.tensor,
    chunks: tl.tensor,
    questions: tl.tensor,
    W: tl.constexpr,
    GROUP: tl.constexpr,
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
    best = _best_of_split_tile(
        terms, token_scales, first_question * PLACES, questions * PLACES, keys, key_scales,
        tl.minimum(rows, chunks - 1), W, GROUP, LOOPS, QUESTIONS, BC, BT, BW,
    )  # fmt: skip
    question = first_question + tl.arange(0, QUESTIONS)
    target = out + question.to(tl.int64)[None, :] * chunks + rows[:, None]
    tl.store(target, best, mask=(rows < chunks)[:, None] & (question < questions)[None, :])


def score_split(terms: Tokens, keys: RoutingKeys, out_BC: Tensor, launch: Launch) -> None:
    """Writes [B, C] float32: of each question, the best token of each chunk; `launch.width` divides the group."""
    assert keys.scales is not None
    if keys.group % launch.width:
        raise ValueError(f"steps of {launch.width} numbers do not divide groups of {keys.group}")
    questions, chunks = out_BC.shape
    together = max(1, launch.tokens // terms.places)
    block_tokens = min(launch.tokens, terms.places * together)
    launch_kernel(
        _score_split_kernel,
        (triton.cdiv(chunks, launch.chunks) * triton.cdiv(questions, together),),
        terms.q,
        terms.scales,
        keys.values.contiguous(),
        keys.scales.contiguous(),
        out_BC,
        chunks,
        questions,
        W=keys.width,
        GROUP=keys.group,
        PLACES=terms.places,
        QUESTIONS=together,
        LOOPS=terms.places * together // block_tokens,
        BC=launch.chunks,
        BT=block_tokens,
        BW=launch.width,
        num_warps=launch.warps,
        num_stages=launch.stages,
    )
