"""Modules in a row that torch.compile knows again."""

from torch import Tensor, nn


class Chain(nn.Sequential):
    """``Sequential`` with a ``forward`` of its own.

    torch.compile finds what it compiled before by the code of ``forward``; a plain ``Sequential``
    that is compiled by itself is compiled anew for every instance, and so in every round.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that Sequential gives it
        """Hand values from module to module."""
        for module in self:
            input = module(input)  # noqa: A001
        return input
