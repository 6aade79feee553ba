"""Starting Triton kernels."""

from typing import Any

from torch import Tensor


def launch_kernel(kernel: Any, grid: tuple[int, ...], *arguments: Tensor | float, **options: float | bool) -> None:
    """Starts a `triton.jit` kernel; `options` are its compile-time arguments, `num_warps` and `num_stages`.

    A grid of no programs is no launch: the driver refuses one.
    """
    if min(grid) > 0:
        kernel[grid](*arguments, **options)
