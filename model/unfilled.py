"""Layers that do not initialise weights on the meta device, where there is nothing to initialise.

torch would run its initialisers there all the same, and import its decompositions for them: seconds of every start.
"""

from torch import nn


class Linear(nn.Linear):
    def reset_parameters(self) -> None:
        if not self.weight.is_meta:
            super().reset_parameters()


class Embedding(nn.Embedding):
    def reset_parameters(self) -> None:
        if not self.weight.is_meta:
            super().reset_parameters()
