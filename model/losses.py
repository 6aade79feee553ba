"""Losses for training routers and the language model."""

import torch
from torch import Tensor
from torch.nn import functional as F


def chunk_scores_to_documents(
    queries_QTW: Tensor, query_mask_QT: Tensor, keys_NCW: Tensor, key_mask_NC: Tensor
) -> Tensor:
    """MSA's document score, differentiable: maximum over query tokens and over the document's chunks, [Q, N].

    `queries_QTW` are folded and `keys_NCW` normalised (codemem.kernels.route). Padding is excluded by the masks.
    """
    q, t, w = queries_QTW.shape
    n, c, _ = keys_NCW.shape
    scores = (queries_QTW.reshape(q * t, w) @ keys_NCW.reshape(n * c, w).T).float()
    scores = scores.masked_fill(~key_mask_NC.reshape(1, n * c), -torch.inf).view(q * t, n, c).amax(-1)
    return scores.view(q, t, n).masked_fill(~query_mask_QT[..., None], -torch.inf).amax(1)


def info_nce(scores_QN: Tensor, positive_QN: Tensor, ignore_QN: Tensor, temperature: float) -> Tensor:
    """Each positive against the negatives alone (arXiv:2603.23516, equation 5), mean over the positives.

    `ignore_QN` marks likely false negatives. Positives of the same question do not compete with each other.
    """
    logits = scores_QN / temperature
    negatives = logits.masked_fill(positive_QN | ignore_QN, -torch.inf)
    against = torch.logsumexp(negatives, dim=1, keepdim=True)
    losses = F.softplus(against - logits)  # -log(exp(p) / (exp(p) + sum of negatives))
    weight = positive_QN / positive_QN.sum(1, keepdim=True).clamp_min(1)
    total: Tensor = (losses * weight).nan_to_num(0.0).sum() / positive_QN.any(1).sum().clamp_min(1)
    return total
