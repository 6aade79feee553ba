"""The loss of what a model writes in conversations, of all and of each kind of question."""

import torch
from torch import Tensor
from torch.nn import functional as F

from codemem.training.conversation import Conversation
from codemem.training.recipe import Recipe

KIND = "answer: "
"""Before a kind of question in the log: the loss of what is written for those of a step."""


def written_losses(
    logits_NV: Tensor, wanted_N: Tensor, conversations: list[Conversation], recipe: Recipe
) -> dict[str, Tensor]:
    """Weighted mean cross-entropy of the N learnt tokens, conversation after conversation; and its mean by kind of
    question, which is only looked at.

    Where decoding offers some tokens only, the loss is over those.
    """
    learnt = [(c, at) for c in conversations for at, learn in enumerate(c.learn) if learn]
    weight = [
        recipe.decision_weight if at in c.decisions else recipe.choice_weight if at in c.choices else 1.0
        for c, at in learnt
    ]
    losses = F.cross_entropy(logits_NV, wanted_N, reduction="none")
    chosen = [(row, c.choices[at]) for row, (c, at) in enumerate(learnt) if at in c.choices]
    if chosen:
        device = logits_NV.device
        most = max(len(offered) for _, offered in chosen)
        rows = torch.as_tensor([row for row, _ in chosen], device=device)
        offered = torch.as_tensor([[*o, *[o[0]] * (most - len(o))] for _, o in chosen], device=device)
        spare = torch.arange(most, device=device) >= torch.as_tensor([[len(o)] for _, o in chosen], device=device)
        some = logits_NV[rows[:, None], offered].masked_fill(spare, -torch.inf)
        own = (offered == wanted_N[rows][:, None]).to(torch.uint8).argmax(1)
        losses = losses.index_copy(0, rows, F.cross_entropy(some, own, reduction="none"))
    weights = torch.as_tensor(weight, device=logits_NV.device)
    return {"answer": (losses * weights).sum() / weights.sum(), **_by_kind(losses.detach(), conversations)}


def _by_kind(losses_N: Tensor, conversations: list[Conversation]) -> dict[str, Tensor]:
    kinds = [kind for conversation in conversations for kind in conversation.learnt_kinds()]
    names = sorted(set(kinds))
    of = torch.as_tensor([names.index(kind) for kind in kinds], device=losses_N.device)
    sums = torch.zeros(len(names), device=losses_N.device).index_add_(0, of, losses_N)
    means = sums / torch.bincount(of, minlength=len(names))
    return {f"{KIND}{name}": mean for name, mean in zip(names, means, strict=True) if name}
