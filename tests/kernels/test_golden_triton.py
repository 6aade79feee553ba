"""Golden vectors of the public engine through the Triton kernels, interpreted where there is no GPU.

A GPU's inference takes other ways than a processor's: kernels that carry the residual addition into the next layer,
one attention for every length, routing and pooling of their own. All are forced here, in float32, so that the replay,
which looks into every layer, cannot break on a GPU alone.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from codemem.evals.golden import run_case, tolerance
from codemem.kernels import gate, norm, pool, rotary, serving
from codemem.kernels.attend import step
from codemem.kernels.attend import triton as attend_triton
from codemem.kernels.gate import triton as gate_triton
from codemem.kernels.norm import triton as norm_triton
from codemem.kernels.pool import triton as pool_triton
from codemem.kernels.rotary import triton as rotary_triton
from codemem.kernels.route import triton as route_triton
from codemem.model import memory as model_memory

CASE = Path(__file__).parent.parent / "golden" / "cases" / "few-a-infonce.json"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Makes every operation of a pass take its kernel, whatever the device and dtype, and counts the calls."""
    calls: Counter[str] = Counter()

    def counted(module: Any, name: str) -> None:
        kernel: Callable[..., Any] = getattr(module, name)

        def count(*args: Any, **options: Any) -> Any:
            calls[name] += 1
            return kernel(*args, **options)

        monkeypatch.setattr(module, name, count)

    for module, name in (
        (attend_triton, "attend"),
        (gate_triton, "gated"),
        (norm_triton, "add_norm"),
        (pool_triton, "pool_groups"),
        (rotary_triton, "rotate_heads"),
        (route_triton, "top_of_chunks"),
    ):
        counted(module, name)

    def attend_cached(q: Tensor, k: Tensor, v: Tensor, *, causal: bool = True) -> Tensor:
        return attend_triton.attend(q, k[:0], v[:0], k, v, causal=causal)

    def pool_chunks(x: Tensor, lengths: Any, chunk_tokens: int) -> Tensor:
        first, count, _ = pool._table(x, lengths, chunk_tokens)
        return pool_triton.pool_groups(x, first, count, chunk_tokens, normalise=False, format="fp32")[0]

    monkeypatch.setattr(serving, "_tried", {})
    for operation in (gate, norm, rotary, step):
        monkeypatch.setattr(operation, "wants_kernel", lambda *_: True)
    monkeypatch.setattr(model_memory, "attend_cached", attend_cached)
    monkeypatch.setattr(model_memory, "pool_chunks", pool_chunks)
    monkeypatch.setattr("codemem.kernels.route._paths", lambda _: route_triton)
    return calls


def test_a_case_through_the_kernels(ran: Counter[str], device: str) -> None:
    result = run_case(CASE, device=device)
    assert serving.refusals() == {}
    assert set(ran) == {"attend", "gated", "add_norm", "pool_groups", "rotate_heads", "top_of_chunks"}
    assert result["ok"], {t: d for t, d in result["worst"].items() if d > tolerance(t)}
