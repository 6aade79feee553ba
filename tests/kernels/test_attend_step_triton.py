"""One token over a growing cache: the Triton kernel (interpreted where there is no GPU) and torch, beside float64."""

import pytest
import torch

from codemem.kernels.attend import reference, triton_step
from codemem.kernels.attend.step import attend_step, runs_kernel


@pytest.mark.parametrize("ranges", [1, 3])
@pytest.mark.parametrize("end", [0, 1, 64, 200])
@pytest.mark.parametrize(("heads", "groups", "head_dim"), [(6, 2, 24), (4, 4, 16)])
def test_one_token(
    heads: int,
    groups: int,
    head_dim: int,
    end: int,
    *,
    ranges: int,
    generator: torch.Generator,
    device: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(triton_step, "RANGES", ranges)
    # q, k and v are views of one projection; rows behind the end hold what must not be seen.
    qkv = torch.randn(1, heads + 2 * groups, head_dim, generator=generator)
    q, k, v = qkv.split((heads, groups, groups), 1)
    caches = torch.randn(2, 203, groups, head_dim, generator=generator)
    caches[:, end:] = torch.nan
    nothing = caches[0, :0]
    keys, values = (torch.cat((cache[:end], own)) for cache, own in zip(caches, (k, v), strict=True))
    expected = reference.attend(q, nothing, nothing, keys, values).float()
    at = torch.tensor([end])

    there = caches.to(device).clone()
    found = triton_step.attend_step(q.to(device), k.to(device), v.to(device), there[0], there[1], at.to(device))
    torch.testing.assert_close(found.cpu(), expected, atol=5e-6, rtol=1e-5)
    written = caches.clone()
    written[0, end], written[1, end] = k[0], v[0]
    torch.testing.assert_close(there.cpu(), written, equal_nan=True, atol=0, rtol=0)

    clean = caches.nan_to_num()  # torch multiplies masked rows by zero
    found = attend_step(q, k, v, clean[0], clean[1], at, rows=end + 2)
    torch.testing.assert_close(found, expected, atol=5e-6, rtol=1e-5)
    assert torch.equal(clean[:, end], written[:, end])
    assert not runs_kernel(q, clean[0])


def test_caches_with_gaps_are_refused() -> None:
    q, cache = torch.zeros(1, 2, 16), torch.zeros(8, 4, 16)[:, :2]
    with pytest.raises(ValueError, match="contiguous"):
        triton_step.attend_step(q, q, q, cache, cache, torch.tensor([1]))
