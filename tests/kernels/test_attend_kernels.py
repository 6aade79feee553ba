"""Attention over memory and text against one masked softmax in float64."""

import pytest
import torch
from torch import Tensor

from codemem.kernels.attend import attend, reference

SHAPES = [  # T, M, S
    (1, 0, 1),
    (1, 63, 65),
    (1, 1000, 1),
    (3, 5, 64),
    (8, 64, 64),
    (9, 1, 1000),
    (63, 0, 63),
    (64, 65, 64),
    (65, 64, 130),
]


def problem(tokens: int, memory: int, rows: int, generator: torch.Generator) -> list[Tensor]:
    """q [T, 6, 24] and four caches of 2 groups."""
    shapes = [(tokens, 6, 24), *[(memory, 2, 24)] * 2, *[(rows, 2, 24)] * 2]
    return [torch.randn(shape, generator=generator) for shape in shapes]


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_attention_over_memory_and_text(shape: tuple[int, int, int], causal: bool, generator: torch.Generator) -> None:
    tensors = problem(*shape, generator)
    expected = reference.attend(*tensors, causal=causal).float()
    torch.testing.assert_close(attend(*tensors, causal=causal), expected, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("shape", [(3, 4, 6), (9, 4, 12), (10, 0, 10)])
def test_gradients(shape: tuple[int, int, int], generator: torch.Generator) -> None:
    tensors = [x.requires_grad_() for x in problem(*shape, generator)]
    weight = torch.randn(shape[0], 6, 24, generator=generator)
    expected = torch.autograd.grad((reference.attend(*tensors) * weight).sum(), tensors)
    actual = torch.autograd.grad((attend(*tensors) * weight).sum(), tensors, materialize_grads=True)
    for a, e in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, e, atol=5e-6, rtol=1e-4)


@pytest.mark.parametrize("tokens", [1, 20])
def test_memory_is_really_attended_to(tokens: int, generator: torch.Generator) -> None:
    """Sparse is not secretly dense, nor local: the rows chosen change the result, and their order does not."""
    q, mk, mv, lk, lv = problem(tokens, 30, 20, generator)
    chosen = attend(q, mk[:12], mv[:12], lk, lv)
    assert (chosen - attend(q, mk, mv, lk, lv)).abs().max() > 1e-2
    assert (chosen - attend(q, mk[:0], mv[:0], lk, lv)).abs().max() > 1e-2
    order = torch.randperm(12, generator=generator)
    torch.testing.assert_close(attend(q, mk[:12][order], mv[:12][order], lk, lv), chosen, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("tokens", [4, 12])
def test_later_text_is_not_seen(tokens: int, generator: torch.Generator) -> None:
    q, mk, mv, lk, lv = problem(tokens, 5, tokens + 3, generator)
    before = attend(q, mk, mv, lk, lv)
    lk[-2:], lv[-2:] = 100.0, -100.0
    after = attend(q, mk, mv, lk, lv)
    torch.testing.assert_close(after[:-2], before[:-2])
    assert (after[-2:] - before[-2:]).abs().min() > 0


def test_prompt_and_decode_agree(generator: torch.Generator) -> None:
    """Feeding text at once or token by token is the same attention."""
    q, mk, mv, lk, lv = problem(20, 33, 20, generator)
    at_once = attend(q, mk, mv, lk, lv)
    steps = [attend(q[t : t + 1], mk, mv, lk[: t + 1], lv[: t + 1]) for t in range(20)]
    torch.testing.assert_close(torch.cat(steps), at_once, atol=2e-6, rtol=1e-5)


def test_bfloat16_stays_bfloat16(generator: torch.Generator) -> None:
    for tokens in (1, 20):
        tensors = [x.bfloat16() for x in problem(tokens, 33, 40, generator)]
        actual = attend(*tensors)
        assert actual.dtype == torch.bfloat16
        torch.testing.assert_close(actual.float(), reference.attend(*tensors).float(), atol=2e-2, rtol=2e-2)


def test_wrong_arguments_are_named(generator: torch.Generator) -> None:
    q, mk, mv, lk, lv = problem(4, 3, 5, generator)
    with pytest.raises(ValueError, match="memory keys"):
        attend(q, mk[:, :1], mv[:, :1], lk, lv)
    with pytest.raises(ValueError, match="4 active tokens need their own rows"):
        attend(q, mk, mv, lk[:3], lv[:3])
    assert attend(q[:0], mk, mv, lk, lv).shape == (0, 6, 24)
