"""Fetching the rows of chosen documents: the kernel that reads them where they lie, beside copying them.

For rows on the device and in host memory, as stored and in 8 bits: whether both ways give the same bits for documents
anywhere in the memory, and what each takes, a layer: on the device's clock and on the caller's.
"""

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from codemem.benchmarks import measure
from codemem.benchmarks.shapes import SHAPES, place
from codemem.kernels.gather import reads_directly
from codemem.kernels.serving import refusals
from codemem.model.tiers import Tier, TieredRows, fetch_pair, quantised


@dataclass(frozen=True, slots=True)
class Options:
    device: str = "auto"
    shape: str = "4b"
    chunks: int = 1 << 18
    """Of the memory, one layer: 268 MB of keys in 8 bits at the 4B shape."""
    documents: int = 16
    """Fetched together."""
    chunks_a_document: Sequence[int] = (4, 16)
    tiers: Sequence[Tier] = ("device", "host")
    formats: Sequence[str] = ("int8", "stored")
    trials: int = 20
    """Choices of documents that are compared bit by bit."""
    repeats: int = 15


def run(options: Options, *, progress: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    device, dtype = place(options.device)
    rows = []
    for tier in options.tiers:
        for name in options.formats:
            progress(f"rows in the {tier} tier, {name}")
            parts = [_tiered(options, name, tier, seed, (device, dtype)) for seed in (0, 1)]
            rows += [{"format": name} | _row(options, parts[0], parts[1], each) for each in options.chunks_a_document]
            del parts
    served = device.type != "cuda" or all(row["kernel_serves"] for row in rows)
    return {
        "bench": "gather",
        "shape": options.shape,
        "machine": measure.machine(device),
        "ok": served and all(row["same_bits"] for row in rows),
        "refused_kernels": refusals(),
        "rows": rows,
        **measure.peaks(device),
    }


def _tiered(options: Options, name: str, tier: Tier, seed: int, where: tuple[torch.device, torch.dtype]) -> TieredRows:
    """Random rows of one part and layer."""
    device, dtype = where
    shape = SHAPES[options.shape]
    generator = torch.Generator(device).manual_seed(seed)
    size = (options.chunks, shape.decoder.kv_heads, shape.decoder.head_dim)
    stored = torch.randn(size, device=device, dtype=dtype, generator=generator)
    values, scales = quantised(stored) if name == "int8" else (stored, None)
    on_host = tier != "device"
    return TieredRows(
        values.cpu() if on_host else values,
        scales.cpu() if on_host and scales is not None else scales,
        tier,
        device=device,
        dtype=dtype,
    )


def _row(options: Options, k: TieredRows, v: TieredRows, each: int) -> dict[str, Any]:
    device = k.device
    chance = random.Random(each)  # noqa: S311 - a fixed choice, not a secret
    choices = [_spans(options, each, chance) for _ in range(options.trials)]
    # The ends of the memory, and documents of uneven length.
    choices.append([(0, 1), (options.chunks - each, options.chunks)])
    choices.append([(start, start + 1 + start % each) for start, _ in choices[0]])
    spans = choices[0]
    size = sum(x[:1].nbytes for x in (k.values, k.scales, v.values, v.scales) if x is not None)
    fetched = size * sum(end - start for start, end in spans)
    kernel, copies = (lambda: fetch_pair(k, v, spans)), (lambda: (k.fetch(spans), v.fetch(spans)))
    served = reads_directly((k.values, k.scales), (v.values, v.scales), k.device, k.dtype)
    took = measure.milliseconds(kernel, device, options.repeats)
    return {
        "tier": k.tier,
        "pinned": k.values.is_pinned() and v.values.is_pinned(),
        "documents": len(spans),
        "chunks_a_document": each,
        "fetched_bytes": fetched,
        "kernel_serves": served,
        "same_bits": all(_same(fetch_pair(k, v, chosen), (k.fetch(chosen), v.fetch(chosen))) for chosen in choices),
        "choices_compared": len(choices),
        "kernel_ms": took,
        "kernel_bytes_a_second": fetched / took * 1e3,
        "copies_ms": measure.milliseconds(copies, device, options.repeats),
        "kernel_caller_ms": _caller_milliseconds(kernel, device, options.repeats),
        "copies_caller_ms": _caller_milliseconds(copies, device, options.repeats),
    }


def _spans(options: Options, each: int, chance: random.Random) -> list[tuple[int, int]]:
    """Documents of `each` chunks anywhere, ascending."""
    chosen = sorted(chance.sample(range(options.chunks // each), options.documents))
    return [(each * document, each * (document + 1)) for document in chosen]


def _same(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def _caller_milliseconds(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Until the caller may go on: what the processor does for it, with nothing else under way."""
    taken = []
    for _ in range(repeats):
        measure.synchronise(device)
        started = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - started))
    measure.synchronise(device)
    return statistics.median(taken)
