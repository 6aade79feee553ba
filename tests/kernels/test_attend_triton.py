"""The Triton attention kernel: interpreted where there is no GPU, compiled where there is one."""

import pytest
import torch
from torch import Tensor

from codemem.kernels.attend import reference, triton


def problem(tokens: int, memory: int, rows: int, generator: torch.Generator) -> list[Tensor]:
    """q [T, 6, 24] and four caches of 2 groups, the caches as views with wider rows."""
    q = torch.randn(tokens, 6, 24, generator=generator)
    caches = [torch.randn(n, 3, 24, generator=generator)[:, 1:] for n in (memory, memory, rows, rows)]
    return [q, *caches]


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(
    ("tokens", "memory", "rows", "splits"),
    [
        (1, 0, 1, 1),
        (1, 65, 130, 3),
        (1, 1000, 1, 4),
        (2, 63, 64, 2),
        (6, 0, 200, 4),
        (13, 1, 33, 2),
        (22, 64, 65, 1),
    ],
)
def test_attention(
    tokens: int, memory: int, rows: int, splits: int, *, causal: bool, generator: torch.Generator, device: str
) -> None:
    tensors = problem(tokens, memory, rows, generator)
    expected = reference.attend(*tensors, causal=causal).float()
    actual = triton.attend(*[x.to(device) for x in tensors], causal=causal, splits=splits).cpu()
    torch.testing.assert_close(actual, expected, atol=5e-6, rtol=1e-5)


def test_a_decode_step_is_split_over_the_rows_and_a_prompt_is_not() -> None:
    assert triton.choose_splits(8, 4096, 132) == 16
    assert triton.choose_splits(8, 100, 132) == 1
    assert triton.choose_splits(512, 4096, 132) == 1


def test_it_refuses_to_lose_gradients(generator: torch.Generator, device: str) -> None:
    q, *caches = (x.to(device) for x in problem(2, 3, 4, generator))
    with pytest.raises(ValueError, match="for inference"):
        triton.attend(q.requires_grad_(), *caches, causal=True)
