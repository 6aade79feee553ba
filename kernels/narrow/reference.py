"""Products with a narrow matrix in float64."""

import torch
from torch import Tensor

from codemem.kernels.narrow.matrix import GROUP, NarrowMatrix


def dense(matrix: NarrowMatrix) -> Tensor:
    """[N, K] float64, number by number."""
    scales = matrix.scales.double()
    if matrix.minima is None:
        return matrix.values.double() * scales
    half = matrix.values.shape[1]
    found = torch.zeros(matrix.outputs, matrix.inputs, dtype=torch.float64)
    for j in range(matrix.inputs):
        byte = matrix.values[:, j % half].int()
        level = byte % 16 if j < half else byte // 16
        found[:, j] = level * scales[:, j // GROUP] + matrix.minima[:, j // GROUP].double()
    return found
