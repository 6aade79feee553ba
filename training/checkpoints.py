"""Checkpoints small enough to carry: parameters in float16, the optimiser's moments in 8 bits.

Saving rounds the running state to what was written, so a run that goes on and one that resumes are the same run.
"""

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 256
"""Elements that share a scale."""

_LARGEST = torch.finfo(torch.float8_e4m3fn).max


def quantise_blocks(values: Tensor) -> tuple[Tensor, Tensor]:
    """float8 (e4m3) [B, 256] and float32 scale [B, 1] of any tensor, its largest absolute value a block exact."""
    flat = values.detach().float().flatten()
    blocks = F.pad(flat, (0, -len(flat) % BLOCK)).view(-1, BLOCK)
    scale = blocks.abs().amax(1, keepdim=True) / _LARGEST
    safe = torch.where(scale > 0, scale, torch.ones_like(scale))
    return (blocks / safe).to(torch.float8_e4m3fn), safe


def restore_blocks(blocks: Tensor, scale: Tensor, like: Tensor) -> Tensor:
    """The tensor that `quantise_blocks` took, in the shape of `like`."""
    return (blocks.float() * scale).flatten()[: like.numel()].view(like.shape)


def pack_moments(state: dict[str, Any]) -> dict[str, Any]:
    """One parameter's AdamW state in 8 bits; the second moment as its root, which spans half the orders."""
    first = quantise_blocks(state["exp_avg"])
    second = quantise_blocks(state["exp_avg_sq"].sqrt())
    return {"step": state["step"], "first": first, "second": second}


def unpack_moments(packed: dict[str, Any], like: Tensor) -> dict[str, Any]:
    """AdamW's state for the parameter `like`, on its device."""
    first, second = ([part.to(like.device) for part in packed[name]] for name in ("first", "second"))
    root = restore_blocks(first[0], first[1], like), restore_blocks(second[0], second[1], like)
    return {"step": packed["step"], "exp_avg": root[0], "exp_avg_sq": root[1].square()}


def save_checkpoint(
    path: Path, parameters: dict[str, Tensor], optimiser: torch.optim.Optimizer, counters: dict[str, float]
) -> None:
    """Writes atomically and durably. Rounds `parameters` and the optimiser's state in place, as the module says."""
    rounded, moments = {}, {}
    for name, parameter in parameters.items():
        rounded[name] = parameter.detach().to(torch.float16).cpu()
        parameter.data.copy_(rounded[name])
        state = optimiser.state.get(parameter)
        if state:
            packed = pack_moments(state)
            restored = unpack_moments(packed, parameter)
            for moment in ("exp_avg", "exp_avg_sq"):
                state[moment].copy_(restored[moment])
            moments[name] = {
                "step": state["step"].cpu(),
                "first": tuple(part.cpu() for part in packed["first"]),
                "second": tuple(part.cpu() for part in packed["second"]),
            }
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        torch.save({"parameters": rounded, "moments": moments, "counters": counters}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load_checkpoint(path: Path, parameters: dict[str, Tensor], optimiser: torch.optim.Optimizer) -> dict[str, float]:
    """Restores parameters and optimiser in place; returns the counters.

    Raises `ValueError` if the checkpoint is of a run with other layers or another rank.
    """
    saved = torch.load(path, map_location="cpu", weights_only=True)
    shapes = {name: tuple(value.shape) for name, value in saved["parameters"].items()}
    if shapes != {name: tuple(value.shape) for name, value in parameters.items()}:
        raise ValueError(f"{path} is of a run with other layers or another rank: start a new folder")
    for name, parameter in parameters.items():
        parameter.data.copy_(saved["parameters"][name])
        if name in saved["moments"]:
            state = unpack_moments(saved["moments"][name], parameter)
            optimiser.state[parameter] = {**state, "step": state["step"].to(_step_device(optimiser, parameter))}
    counters: dict[str, float] = saved["counters"]
    return counters


def _step_device(optimiser: torch.optim.Optimizer, parameter: Tensor) -> torch.device:
    """Fused AdamW counts its steps on the device, the plain one on the processor."""
    return parameter.device if optimiser.defaults.get("fused") else torch.device("cpu")
