"""Gathering in plain torch."""

import torch
from torch import Tensor


def gather_rows(values_CGD: Tensor, scales_CG: Tensor | None, rows_M: Tensor, dtype: torch.dtype) -> Tensor:
    """[M, G, D] in `dtype`, where the rows lie."""
    rows = rows_M.to(values_CGD.device)
    values = values_CGD[rows].to(dtype)
    return values if scales_CG is None else values * scales_CG[rows].to(dtype)[..., None]
