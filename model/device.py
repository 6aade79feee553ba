"""Where a model runs and in which precision."""

from dataclasses import dataclass

import torch

from codemem.model.allocator import keep_freed_memory
from codemem.model.errors import ModelError


@dataclass(frozen=True, slots=True)
class Precision:
    """`dtype` of activations and of weights that stay floating point; `int8`: linear layers in 8 bits."""

    dtype: torch.dtype
    int8: bool


def choose_device(name: str) -> torch.device:
    """'auto' takes a CUDA GPU if there is one, else the processor; 'cpu', 'cuda' and 'mps' are taken at their word."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ModelError("no CUDA GPU is available here: use --device cpu, or install a CUDA build of torch")
    if name == "mps" and not torch.backends.mps.is_available():
        raise ModelError("Metal is not available here: use --device cpu")
    if name not in ("cpu", "cuda", "mps"):
        raise ModelError(f"unknown device {name!r}: auto, cpu, cuda or mps")
    if name == "cuda":
        # cuDNN's attention plans anew for every shape, some 45 ms each on an H100 with torch 2.11, and every question,
        # document and cache has a length of its own.
        torch.backends.cuda.enable_cudnn_sdp(False)
    if name == "cpu":
        keep_freed_memory()
    return torch.device(name)


def choose_precision(device: torch.device) -> Precision:
    """bf16 on GPUs and on processors with AMX; 8-bit linear layers elsewhere on x86; float32 where neither is fast."""
    if device.type == "cuda":
        return Precision(torch.bfloat16, int8=False)
    if device.type == "mps":
        return Precision(torch.float16, int8=False)
    if torch.cpu._is_amx_tile_supported():
        return Precision(torch.bfloat16, int8=False)
    capability = torch.backends.cpu.get_cpu_capability()
    return Precision(torch.float32, int8=capability.startswith("AVX"))
