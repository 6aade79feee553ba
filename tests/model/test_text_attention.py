"""Text over everything before it, against dense attention in float64."""

import pytest
import torch

from codemem.model.memory import ROWS_TOGETHER, attend_cached


def dense(q_THD: torch.Tensor, k_SGD: torch.Tensor, v_SGD: torch.Tensor, *, causal: bool) -> torch.Tensor:
    t, heads, head_dim = q_THD.shape
    s, groups, _ = k_SGD.shape
    k, v = (x.double().repeat_interleave(heads // groups, dim=1) for x in (k_SGD, v_SGD))
    scores = torch.einsum("thd,shd->hts", q_THD.double(), k) / head_dim**0.5
    if causal:
        behind = torch.arange(s)[None, :] > torch.arange(t)[:, None] + (s - t)
        scores = scores.masked_fill(behind, -torch.inf)
    return torch.einsum("hts,shd->thd", scores.softmax(-1), v)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("t", [1, 2, ROWS_TOGETHER, ROWS_TOGETHER + 1, 2 * ROWS_TOGETHER + 77])
@pytest.mark.parametrize("before", [0, 1, 300])
def test_equals_dense_attention(t: int, before: int, causal: bool) -> None:
    torch.manual_seed(t + before)
    s = t + before
    q, k, v = (torch.randn(n, heads, 16) for n, heads in ((t, 6), (s, 2), (s, 2)))
    torch.testing.assert_close(attend_cached(q, k, v, causal=causal), dense(q, k, v, causal=causal).float())
