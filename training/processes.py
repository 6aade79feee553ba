"""Data parallelism through torch.distributed: each process encodes its own batch, gradients are averaged."""

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those of the run."""

    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls, device: torch.device) -> "Processes":
        """Joins the run that torchrun started, or is alone. NCCL between GPUs, gloo between processors."""
        if not torch.distributed.is_torchelastic_launched():
            return cls()
        if device.type == "cuda":
            torch.cuda.set_device(device)
        # Its functions' defaults are the group that there is when it is imported, which they keep beyond `leave`. So it
        # is imported while there is none, and not later by what training uses.
        importlib.import_module("torch.distributed.nn")
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(torch.distributed.get_rank(), torch.distributed.get_world_size())

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def average(self, gradients: Iterable[Tensor]) -> None:
        """Averages gradients over the processes, in place, in one transfer."""
        parts = list(gradients)
        if self.count == 1 or not parts:
            return
        flat = torch.cat([g.flatten() for g in parts])
        torch.distributed.all_reduce(flat)
        flat /= self.count
        start = 0
        for part in parts:
            part.copy_(flat[start : start + part.numel()].view_as(part))
            start += part.numel()

    def widest(self, number: int, device: torch.device) -> int:
        """The largest of all processes' numbers."""
        if self.count == 1:
            return number
        held = torch.tensor([number], device=device)
        torch.distributed.all_reduce(held, torch.distributed.ReduceOp.MAX)
        return int(held.item())

    def gather(self, x: Tensor) -> Tensor:
        """[count, ...] of a tensor that has one shape in all processes, differentiable: what the others make of this
        process's part comes back to it."""
        if self.count == 1:
            return x[None]
        gathered: Tensor = _Gather.apply(x, self.rank, self.count)  # type: ignore[no-untyped-call]
        return gathered

    def agree(self, value: float, device: torch.device) -> float:
        """The leading process's value, so that all decide alike."""
        if self.count == 1:
            return value
        held = torch.tensor([value], dtype=torch.float64, device=device)
        torch.distributed.broadcast(held, 0)
        return float(held.item())

    def leave(self) -> None:
        """Ends the group, if there is one, and gloo's threads with it: one that gives up a tensor while the interpreter
        ends aborts the process. They are joined when the last reference to the group goes."""
        if self.count > 1:
            torch.distributed.destroy_process_group()


class _Gather(torch.autograd.Function):
    """All processes' tensors; backward sums every process's gradient of this one's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rank: int, count: int) -> Tensor:
        ctx.rank = rank
        parts = [torch.empty_like(x) for _ in range(count)]
        torch.distributed.all_gather(parts, x.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        summed = gradients[0].contiguous()
        torch.distributed.all_reduce(summed)
        return summed[ctx.rank], None, None


def device_of_process(kind: str) -> torch.device:
    """'cuda' becomes this process's own GPU under torchrun."""
    own = kind == "cuda" and torch.distributed.is_torchelastic_launched()
    return torch.device(f"cuda:{torch.distributed.get_node_local_rank()}" if own else kind)
