"""Which inference kernels serve here: each is tried once, at the widths that it is asked for, beside torch.

A compiler that is missing, a kernel that does not fit this GPU or that computes something else costs speed, never an
answer: torch then does the work, and `refusals` says why.
"""

import warnings
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

SIXTEEN_BITS = (torch.float16, torch.bfloat16)
TOLERANCE = 0.05
"""Of an element and of the root of the mean square: above what rounding in 16 bits does, far below a wrong element."""

_tried: dict[tuple[str, Hashable], str] = {}
"""By kernel and widths why it does not serve; empty if it does."""
_switched_off: list[str] = []


def wants_kernel(*tensors: Tensor | None) -> bool:
    """Whether these are for a GPU's inference kernels at all: 16 bits on a GPU, no gradient, nothing being traced."""
    if torch.compiler.is_compiling():
        return False
    given = [x for x in tensors if x is not None]
    if any(x.device.type != "cuda" or x.dtype not in SIXTEEN_BITS for x in given):
        return False
    return not (torch.is_grad_enabled() and any(x.requires_grad for x in given))


def serves(kernel: str, widths: Hashable, trial: Callable[[], tuple[Tensor, Tensor]]) -> bool:
    """Whether the kernel runs and is right at these widths. `trial` returns what it computes, and what torch does."""
    if _switched_off:
        return False
    key = (kernel, widths)
    if key not in _tried:
        _tried[key] = _why_not(trial)
        if _tried[key]:
            warnings.warn(f"kernel {kernel} {widths}: {_tried[key]}; torch serves instead", RuntimeWarning, 2)
    return not _tried[key]


def _why_not(trial: Callable[[], tuple[Tensor, Tensor]]) -> str:
    try:
        with torch.inference_mode():
            found, expected = (x.float() for x in trial())
            bound = TOLERANCE * (expected.abs() + expected.square().mean().sqrt())
            beyond = float(((found - expected).abs() - bound).max())
    except Exception as error:  # compilers, drivers and missing tools raise what they like
        return f"{type(error).__name__}: {error}"[:400]
    return "" if beyond <= 0 else f"differs from torch by {beyond:.3g} more than rounding explains"


def refusals() -> dict[str, str]:
    """By kernel and widths, why torch serves in its place."""
    return {f"{kernel} {widths}": reason for (kernel, widths), reason in _tried.items() if reason}


class without_kernels:  # noqa: N801 - used as a function is
    """Within it torch serves everything: for comparison."""

    def __enter__(self) -> None:
        _switched_off.append("")

    def __exit__(self, *_: object) -> None:
        _switched_off.pop()
