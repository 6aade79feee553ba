"""Keeping a GPU at work while the host deals with what it has done."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

In = TypeVar("In")
Under = TypeVar("Under")
Out = TypeVar("Out")


def begin_copy(x: Tensor, device: torch.device) -> Tensor:
    """x on the device; to a GPU without waiting for what it is doing."""
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x.to(device)


class Fetched:
    """Tensors on their way to the host: under way from a GPU while it goes on with what it is given next."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self._tensors = {name: x.to("cpu", non_blocking=True) for name, x in tensors.items()}
        self._arrived: torch.cuda.Event | None = None
        if any(x.is_cuda for x in tensors.values()):
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrived.record()

    def wait(self) -> dict[str, Tensor]:
        """The tensors, once all have arrived."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._tensors


def one_ahead(
    items: Iterable[In], begin: Callable[[In], Under], finish: Callable[[Under], Iterator[Out]], *, ahead: bool
) -> Iterator[Out]:
    """What `finish` gives of each item, in order; with `ahead` the next item is begun before one is finished."""
    under_way: list[Under] = []
    for item in items:
        under_way.append(begin(item))
        if len(under_way) > int(ahead):
            yield from finish(under_way.pop(0))
    for last in under_way:
        yield from finish(last)
