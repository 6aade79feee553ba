"""A prompt over a cache that ends where the device says: the Triton kernel (interpreted without a GPU) and torch."""

import pytest
import torch

from codemem.kernels.attend import reference, triton_prompt
from codemem.kernels.attend.prompt import attend_prompt


@pytest.mark.parametrize("splits", [1, 3])
@pytest.mark.parametrize("place", [(0, 1, 1), (0, 5, 8), (63, 2, 16), (64, 17, 20)], ids=str)
def test_a_prompt_behind_a_cache(
    place: tuple[int, int, int], splits: int, generator: torch.Generator, device: str
) -> None:
    """`place`: the first token's row, tokens that count, tokens with padding."""
    (heads, groups, head_dim), (first, real, tokens) = (6, 2, 24), place
    q = torch.randn(tokens, heads, head_dim, generator=generator)
    caches = torch.randn(2, 203, groups, head_dim, generator=generator)
    # Neither what padding asks nor what lies behind the last token that counts may reach a token that does.
    q[real:] = torch.nan
    caches[:, first + real :] = torch.nan
    k, v = caches[:, : first + real]
    expected = reference.attend(q[:real], k[:0], v[:0], k, v).float()
    span = torch.tensor([first, first + real])

    there = caches.to(device)
    found = triton_prompt.attend_prompt(q.to(device), there[0], there[1], span.to(device), splits=splits)
    torch.testing.assert_close(found[:real].cpu(), expected, atol=5e-6, rtol=1e-5)
    assert found.shape == q.shape
    by_torch = attend_prompt(q, caches[0], caches[1], span)
    torch.testing.assert_close(by_torch[:real], expected, atol=5e-6, rtol=1e-5)


def test_queries_may_be_views_and_ranges_outnumber_rows(generator: torch.Generator, device: str) -> None:
    qkv = torch.randn(5, 8, 16, generator=generator)
    q = qkv[:, :4]
    caches = torch.randn(2, 203, 2, 16, generator=generator)
    expected = reference.attend(q, caches[0, :0], caches[1, :0], *caches[:, :9]).float()
    span = torch.tensor([4, 9], device=device)
    there = caches.to(device)
    found = triton_prompt.attend_prompt(q.to(device), there[0], there[1], span, splits=8)
    torch.testing.assert_close(found.cpu(), expected, atol=5e-6, rtol=1e-5)
    with pytest.raises(ValueError, match="contiguous"):
        triton_prompt.attend_prompt(q, caches[0, :, :1], caches[1, :, :1], span)
