"""What a CUDA graph is, on a processor: the operations of a pass and their tensors, computed again where they lie."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITS = (
    "_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "repeat_interleave", "lift_fresh",
    "scalar_tensor",
)  # fmt: skip
"""Operations whose result, or its shape, the processor needs, or that begin there: they cannot be recorded."""


class Tape(TorchDispatchMode):
    """Notes operations; `replay` computes them on what their tensors hold then, into the same tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []
        self.waits: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        # Choosing by a boolean is choosing by what is not zero.
        boolean = name in ("index", "index_put_") and any(
            isinstance(x, Tensor) and x.dtype == torch.bool for x in tree_leaves(args[1])
        )
        # A number that Python holds is brought to the device for it.
        number = name == "where" and any(not isinstance(x, Tensor) or x.dim() == 0 for x in args)
        if name in WAITS or boolean or number:
            self.waits.append(name)
        self.steps.append((func, args, kwargs or {}, out))
        return out

    def replay(self) -> None:
        for func, args, kwargs, out in self.steps:
            again = func(*args, **kwargs)
            for held, made in zip(tree_leaves(out), tree_leaves(again), strict=True):
                if isinstance(held, Tensor) and held.data_ptr() != made.data_ptr():
                    held.copy_(made)


def recorded(work: Callable[[], object]) -> Tape:
    """The tape of some work, which is done while it is noted."""
    tape, listed = Tape(), Tensor.tolist

    def noted(x: Tensor) -> Any:  # a dispatch mode does not see it
        tape.waits.append("tolist")
        return listed(x)

    with patch.object(Tensor, "tolist", noted), tape:
        work()
    return tape
