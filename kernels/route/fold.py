"""The mean over heads, folded into the query."""

from torch import Tensor
from torch.nn.functional import normalize


def fold_query(queries_THD: Tensor, groups: int, *, normalise: bool) -> Tensor:
    """Routing queries [T, H, D] to folded queries [T, groups * D] float32, differentiable.

    For keys k of [groups * D] numbers, `folded @ k` is the mean over heads h of query_h . k_group(h), which is exact
    algebra because the mean is linear (README.md). `normalise=True` is the cosine: each head is L2-normalised here,
    each group of a key when it is pooled. `normalise=False` is the dot product times D^-0.5.
    """
    heads, head_dim = queries_THD.shape[1:]
    if groups < 1 or heads % groups:
        raise ValueError(f"{heads} query heads do not divide into {groups} groups")
    queries = queries_THD.float()
    queries = normalize(queries, dim=-1) if normalise else queries * head_dim**-0.5
    summed = queries.reshape(-1, groups, heads // groups, head_dim).sum(2)
    return (summed / heads).flatten(1)
