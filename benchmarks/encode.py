"""Encoding: packed documents through the layers to pooled memory, beside the matrix products' rate in the same run."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from codemem.benchmarks import measure
from codemem.benchmarks.breakdown import by_kernel
from codemem.benchmarks.shapes import SHAPES, Shape, place, random_model
from codemem.kernels.serving import refusals, without_kernels
from codemem.model.decoder import Decoder
from codemem.model.memory import EncodingContext
from codemem.model.packed import How, attend_within, can_pack
from codemem.model.parallel import Group
from codemem.model.routers import Routers


@dataclass(frozen=True, slots=True)
class Options:
    device: str = "auto"
    shape: str = "4b"
    document_tokens: Sequence[int] = (512, 2048)
    pack_tokens: Sequence[int] = (16_384, 32_768)
    seconds: float = 120.0
    """Sizes that would begin later are left out."""


def run(options: Options, group: Group | None = None, *, progress: Callable[[str], None] = lambda _: None) -> Any:
    """One process, or with `group` each process of it with packs of its own: their tokens are added up."""
    device, dtype = place(options.device)
    device = device if group is None else group.device
    shape, deadline = SHAPES[options.shape], time.monotonic() + options.seconds
    rate = measure.matmul_rate(device, dtype)
    decoder, routers = random_model(shape, device, dtype)
    rows = []
    how = "kernels" if device.type == "cuda" else "torch"
    for length in options.document_tokens:
        for pack in options.pack_tokens:
            if group is None and time.monotonic() > deadline:
                break
            progress(f"documents of {length} tokens, {pack} together")
            lengths = [length] * max(1, pack // length)
            rows.append(_row(shape, (decoder, routers), lengths, rate, group, how=how))
    kernels: list[dict[str, Any]] = []
    if group is None and device.type == "cuda" and time.monotonic() < deadline:
        progress("with torch alone, and kernel by kernel")
        lengths = [options.document_tokens[0]] * max(1, options.pack_tokens[0] // options.document_tokens[0])
        with without_kernels():
            rows.append(_row(shape, (decoder, routers), lengths, rate, group, how="torch"))
        kernels = by_kernel(_work(shape, (decoder, routers), lengths), device)
    return {
        "bench": "encode",
        "shape": options.shape,
        "machine": measure.machine(device),
        "processes": group.size if group else 1,
        "dtype": str(dtype).removeprefix("torch."),
        "matmul_operations_a_second": rate,
        "rows": rows,
        "attention": [row for n in options.document_tokens for row in _attention(shape, device, dtype, n)],
        "kernels": kernels,
        "refused_kernels": refusals(),
        **measure.peaks(device),
    }


def _row(
    shape: Shape,
    modules: tuple[Decoder, Routers],
    lengths: list[int],
    rate: float,
    group: Group | None,
    *,
    how: str = "kernels",
) -> dict[str, Any]:
    weight, length, documents = modules[0].embed_tokens.weight, lengths[0], len(lengths)
    tokens = length * documents
    took = measure.milliseconds(_work(shape, modules, lengths), weight.device, 3, warm=1)
    if group is not None:  # the slowest counts, and all of them work
        took = float(group.gather(torch.tensor([took], device=weight.device)).max())
        tokens *= group.size
    size = group.size if group else 1
    a_second = tokens / took * 1e3
    achieved = a_second / size * shape.operations_a_token(length)
    return {
        "how": how,
        "document_tokens": length,
        "documents": documents * size,
        "ms": took,
        "tokens_a_second": a_second,
        "share_of_matmul_rate": achieved / rate,
    }


def _work(shape: Shape, modules: tuple[Decoder, Routers], lengths: list[int]) -> Callable[[], None]:
    """A pass over documents of random tokens."""
    decoder, routers = modules
    device = decoder.embed_tokens.weight.device
    ids = torch.randint(0, shape.decoder.vocab_size, (sum(lengths),), device=device)
    positions = torch.cat([torch.arange(n, device=device) for n in lengths])

    @torch.inference_mode()
    def work() -> None:
        context = EncodingContext(lengths, routers, shape.memory)
        decoder(ids, positions, context, observe_only=shape.memory.routed_layers[-1])

    return work


def _attention(shape: Shape, device: torch.device, dtype: torch.dtype, length: int) -> list[dict[str, Any]]:
    """One layer's packed attention each way that this machine has."""
    c = shape.decoder
    documents = max(1, 8192 // length)
    q = torch.randn(length * documents, c.heads, c.head_dim, device=device, dtype=dtype)
    k, v = torch.randn(2, length * documents, c.kv_heads, c.head_dim, device=device, dtype=dtype)
    ways: list[How] = ["each", "varlen", "auto"] if can_pack(q) else ["each"]
    rows = []
    for how in ways:
        work = lambda how=how: attend_within(q, k, v, [length] * documents, how=how)  # noqa: E731
        rows.append(
            {"how": how, "document_tokens": length, "tokens": len(q), "ms": measure.milliseconds(work, device, 3)}
        )
    return rows


def as_text(result: dict[str, Any]) -> str:
    head = f"encoding, {result['shape']} shape, {result['processes']} process(es), {result['machine']}"
    limit = f"matmul {result['matmul_operations_a_second'] / 1e12:.3g} TFLOP/s in {result['dtype']}"
    tables = [measure.table(result[name]) for name in ("rows", "attention", "kernels") if result[name]]
    return "\n\n".join((f"{head}\n{limit}", *tables))
