"""What is read stays as it was while what finds is trained: the lower half is held to states that it had before.

The layers above learnt to read what the lower half of an adapter gives them, and read nothing of one that has moved
(decision 0033). So a run that trains the lower half alone shows it conversations as well and descends the distance
between what it gives and what it gave.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from codemem.training.contexts import TextBatch
from codemem.training.conversation import Conversation, positions
from codemem.training.network import Network, pad

FIRST = 8
"""Tokens of a text that are not compared: its first has states far larger than all others, which would hide them."""


class Held:
    """A frozen network, and the layer before which its states are held."""

    def __init__(self, network: Network, layer: int) -> None:
        self.network, self.layer = network, layer

    def loss(self, network: Network, conversations: Sequence[Conversation]) -> Tensor:
        """The share of the held states' variance that `network` does not give, 0 where nothing moved: squared distances
        by each dimension's own variance, mean over dimensions and tokens."""
        ids, mask = pad([c.ids for c in conversations], 64, network.device)
        where = torch.zeros(ids.shape, dtype=torch.long)
        for row, conversation in enumerate(conversations):
            where[row, : len(conversation.ids)] = torch.as_tensor(positions(conversation, network.recipe.memory))
        passed: dict[str, Any] = {"ids": ids, "mask": mask, "positions_Bn": where.to(network.device)}
        with torch.no_grad():
            held = self._states(self.network, **passed)
        found = self._states(network, **passed)
        compared = mask.clone()
        compared[:, :FIRST] = False
        held, found = held[compared].float(), found[compared].float()
        variance = held.var(0, unbiased=False).clamp_min(1e-6)
        moved: Tensor = ((found - held).square().mean(0) / variance).mean()
        return moved

    def _states(self, network: Network, ids: Tensor, mask: Tensor, positions_Bn: Tensor) -> Tensor:
        """[B, n, E] before the layer, of causal texts without a memory."""
        context = TextBatch(mask, mask, network.routers, network.recipe.memory, {})
        return network.run(ids, positions_Bn, context, last=self.layer).view(*ids.shape, -1)
