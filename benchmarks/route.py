"""Routing alone: query tokens against the keys of every routed layer, beside the time to read the keys once.

Beside it, in the same run, the public engine's arithmetic: every head's score of every token, in slices of 16,384
chunks, keys widened to one a query head, mean over heads, maximum over tokens and chunks, top k.

Keys depend on their place in the memory alone, so any number of processes hold the same: several of them compare what
they found together with what one finds over the whole.

Shapes: L layers, B questions, T tokens a question, C chunks, W width of a key, H heads, G groups.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from codemem.benchmarks import measure
from codemem.benchmarks.shapes import SHAPES, Shape, place
from codemem.kernels.route import RoutingKeys, route
from codemem.kernels.route.cpu import maximum_per_document
from codemem.kernels.route.keys import DTYPES
from codemem.model.parallel import Group, Share, merge_top

ENGINE_SLICE = 16_384
SLOW_MS = 300.0
"""What takes longer is run once to warm up and once as a graph, not for a median."""
CHUNKS_A_DOCUMENT = 16
CHECK_SECONDS = 120.0
KEY_BLOCK = 1 << 16
"""Chunks that are drawn with one seed."""


@dataclass(frozen=True, slots=True)
class Options:
    device: str = "auto"
    shape: str = "4b"
    tokens: Sequence[int] = (1_000_000,)
    """Memory sizes."""
    query_tokens: Sequence[int] = (16, 64, 256, 1024)
    batches: Sequence[int] = (1, 8, 32)
    formats: Sequence[str] = ("bf16", "fp8", "int8")
    engine: bool = True
    """Also time the public engine's arithmetic."""
    seconds: float = 120.0
    """Sizes that would begin later are left out, and the result says so."""
    check: bool = True
    """Of several processes, each also routes over the whole memory, a layer at a time, and compares."""


def run(options: Options, group: Group | None = None, *, progress: Callable[[str], None] = lambda _: None) -> Any:
    """One process, or with `group` every process of it with its share of the chunks."""
    device, dtype = place(options.device)
    if group is not None:
        device = group.device
    shape, deadline = SHAPES[options.shape], time.monotonic() + options.seconds
    bandwidth, rate = measure.copy_bandwidth(device), measure.matmul_rate(device, dtype)
    rows, left_out = [], 0
    for tokens in options.tokens:
        if options.engine and group is None:
            progress(f"{tokens:,} tokens, the public engine's arithmetic")
            engine = _engine_rows(options, shape, tokens, device, deadline)
            left_out += len(options.query_tokens) - len(engine)
            rows += engine
        # Large batches take most of the time: every format has its turn with small ones before.
        for questions, name in product(options.batches, options.formats):
            memory: _Memory | None = None
            for count in options.query_tokens:
                # Whether time is left is the first process's word: all must measure the same.
                if not _agreed(time.monotonic() < deadline, group, device):
                    left_out += 1
                    continue
                progress(f"{tokens:,} tokens, {name}, {questions} questions of {count} tokens")
                if memory is None:
                    memory = _Memory.random(shape, tokens, name, device, group)
                rows.append(_row(memory, questions, count, bandwidth, rate) | _check(options, memory, questions, count))
            del memory  # before the next: not all formats fit beside one another
    return {
        "bench": "route",
        "shape": options.shape,
        "machine": measure.machine(device),
        "processes": group.size if group else 1,
        "copy_bytes_a_second": bandwidth,
        "matmul_operations_a_second": rate,
        "rows": rows,
        "left_out_for_time": left_out,
        "ok": all(row.get("same_as_one_process", True) for row in rows),
        **measure.peaks(device),
    }


@dataclass(frozen=True, slots=True)
class _Memory:
    shape: Shape
    tokens: int
    format: str
    keys: list[RoutingKeys]
    """Distinct layers; fewer than the shape has where not all fit."""
    offsets: Tensor
    device: torch.device
    group: Group | None
    share: Share

    @classmethod
    def random(cls, shape: Shape, tokens: int, name: str, device: torch.device, group: Group | None) -> "_Memory":
        documents = max(1, tokens // (shape.memory.chunk_tokens * CHUNKS_A_DOCUMENT))
        every = torch.arange(0, (documents + 1) * CHUNKS_A_DOCUMENT, CHUNKS_A_DOCUMENT)
        share = Share.of(every.numpy(), group.rank if group else 0, group.size if group else 1)
        chunks = share.chunks
        size = chunks * (shape.width * DTYPES[name].itemsize + (2 * shape.decoder.kv_heads if name != "bf16" else 0))
        layers = _fitting(shape.layers, size, device)
        keys = [_random_keys(share.rows, shape, name, layer, device) for layer in range(layers)]
        return cls(shape, tokens, name, keys, share.offsets().to(device), device, group, share)

    def route_all(self, q: Tensor, asked: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """Every layer's top documents, merged over processes."""
        top = self.shape.memory.top_k
        found = []
        for layer in range(self.shape.layers):
            keys = self.keys[layer % len(self.keys)]
            documents, scores = route(q, keys, self.offsets, top, query_offsets=asked)
            if self.group is not None:
                total = len(self.share.chunk_offsets) - 1
                documents, scores = merge_top(
                    self.group, documents, scores, top, first=self.share.first_document, total=total
                )
            found.append((documents, scores))
        return found

    def top_of_whole(self, layer: int, q: Tensor, asked: Sequence[int]) -> tuple[Tensor, Tensor]:
        """What one process finds that holds all chunks of this layer."""
        every = torch.from_numpy(self.share.chunk_offsets).to(self.device)
        distinct = layer % len(self.keys)
        keys = _random_keys(slice(0, int(every[-1])), self.shape, self.format, distinct, self.device)
        return route(q, keys, every, self.shape.memory.top_k, query_offsets=asked)


def _questions(memory: _Memory, questions: int, count: int) -> tuple[Tensor, list[int]]:
    """Query tokens of all questions, and where each begins; the same in all processes."""
    generator = torch.Generator(memory.device).manual_seed(7)
    q = torch.randn(questions * count, memory.shape.width, device=memory.device, generator=generator)
    return q, list(range(0, questions * count + 1, count))


def _check(options: Options, memory: _Memory, questions: int, count: int) -> dict[str, Any]:
    """Whether all processes together found, in every layer, the documents and scores that one finds by itself."""
    if memory.group is None or not options.check:
        return {}
    q, asked = _questions(memory, questions, count)
    differing, off = 0, 0.0
    for layer, (documents, scores) in enumerate(memory.route_all(q, asked)):
        expected, expected_scores = memory.top_of_whole(layer, q, asked)
        differing += int((documents != expected).sum())
        off = max(off, float((scores - expected_scores).abs().max()))
    found = torch.tensor([float(differing), off], device=memory.device)
    # One process may still be at it when another is done, for much longer than a question takes.
    everywhere = memory.group.gather(found, patience_s=CHECK_SECONDS)
    return {
        "same_as_one_process": bool((everywhere == 0).all()),
        "compared": questions * memory.shape.memory.top_k * memory.shape.layers,
        "differing_documents": int(everywhere[:, 0].max()),
        "largest_score_difference": float(everywhere[:, 1].max()),
    }


def _row(memory: _Memory, questions: int, count: int, bandwidth: float, rate: float) -> dict[str, Any]:
    shape = memory.shape
    q, asked = _questions(memory, questions, count)
    work = lambda: memory.route_all(q, asked)  # noqa: E731 - measured several ways
    eager = measure.milliseconds(work, memory.device, 1, warm=1)
    repeats = 1 if _slow(eager, memory) else 5
    if repeats > 1:
        eager = measure.milliseconds(work, memory.device, repeats, warm=1)
    took, recorded = _recorded(work, memory, eager, repeats)
    read = sum(memory.keys[layer % len(memory.keys)].nbytes for layer in range(shape.layers)) / bandwidth * 1e3
    compute = 2.0 * shape.layers * memory.share.chunks * shape.width * questions * count / rate * 1e3
    return {
        "what": "route",
        "memory_tokens": memory.tokens,
        "format": memory.format,
        "questions": questions,
        "query_tokens": count,
        "layers": shape.layers,
        "distinct_layers": len(memory.keys),
        "all_layers_ms": took,
        "a_layer_ms": took / shape.layers,
        "eager_ms": eager,
        "recorded": recorded,
        "repeats": repeats,
        "read_once_ms": read,
        "multiply_once_ms": compute,
        "share_of_limit": max(read, compute) / took,
        "key_bytes": sum(keys.nbytes for keys in memory.keys) // len(memory.keys) * shape.layers,
    }


def _slow(took: float, memory: _Memory) -> bool:
    """Whether it is to be repeated is the first process's word, as what is measured is."""
    return _agreed(took > SLOW_MS, memory.group, memory.device)


def _recorded(work: Callable[[], object], memory: _Memory, eager: float, repeats: int) -> tuple[float, bool]:
    """As a CUDA graph, whose launches cost nothing, where one can be recorded: with several processes the collectives
    are part of it, and the slowest process counts."""
    device, group = memory.device, memory.group
    if device.type != "cuda":
        return eager, False
    try:
        replay: Callable[[], object] | None = measure.graphed(work, device)
    except RuntimeError:
        replay = None
    if not _all(replay is not None, group, device) or replay is None:
        return eager, False
    took = measure.milliseconds(replay, device, repeats, warm=1)
    if group is None:
        return took, True
    return float(group.gather(torch.tensor([took], device=device)).max()), True


def _all(mine: bool, group: Group | None, device: torch.device) -> bool:
    return mine if group is None else bool(group.gather(torch.tensor([int(mine)], device=device)).min())


def _engine_rows(
    options: Options, shape: Shape, tokens: int, device: torch.device, deadline: float
) -> list[dict[str, Any]]:
    """One question against one layer; all layers are that many times as much."""
    heads, groups, head_dim = shape.decoder.heads, shape.decoder.kv_heads, shape.decoder.head_dim
    documents = max(1, tokens // (shape.memory.chunk_tokens * CHUNKS_A_DOCUMENT))
    offsets = torch.arange(0, (documents + 1) * CHUNKS_A_DOCUMENT, CHUNKS_A_DOCUMENT, device=device)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    keys = torch.randn(int(offsets[-1]), groups, head_dim, device=device, dtype=dtype)
    rows: list[dict[str, Any]] = []
    for count in options.query_tokens:
        if time.monotonic() > deadline:
            break
        q = torch.randn(1, heads, count, head_dim, device=device, dtype=dtype)
        work = lambda q=q: engine_top(q, keys, offsets, shape.memory.top_k)  # noqa: E731
        took = measure.milliseconds(work, device, 3, warm=1)
        rows.append(
            {
                "what": "public engine's arithmetic",
                "memory_tokens": tokens,
                "format": "bf16" if dtype == torch.bfloat16 else "fp32",
                "questions": 1,
                "query_tokens": count,
                "layers": shape.layers,
                "all_layers_ms": took * shape.layers,
                "a_layer_ms": took,
            }
        )
    return rows


def engine_top(q_BHTD: Tensor, keys_CGD: Tensor, offsets: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Documents and scores [B, k] as the public engine computes them, head by head."""
    batch, heads, _, head_dim = q_BHTD.shape
    groups = keys_CGD.shape[1]
    best = []
    for start in range(0, len(keys_CGD), ENGINE_SLICE):
        part = keys_CGD[start : start + ENGINE_SLICE].permute(1, 2, 0)
        wide = part[:, None].expand(groups, heads // groups, head_dim, -1).reshape(1, heads, head_dim, -1)
        scores = torch.matmul(q_BHTD, wide.expand(batch, -1, -1, -1)) * head_dim**-0.5
        best.append(scores.mean(1).amax(1))
    chunk_scores = torch.cat(best, 1).float()
    if chunk_scores.device.type == "cuda":
        documents = chunk_scores.view(batch, -1, CHUNKS_A_DOCUMENT).amax(2)
    else:
        documents = maximum_per_document(chunk_scores, offsets)
    top = documents.topk(min(k, documents.shape[1]))
    return top.indices, top.values


def _random_keys(rows: slice, shape: Shape, name: str, layer: int, device: torch.device) -> RoutingKeys:
    """Random keys of these chunks of the memory, 8-bit ones with a scale a group; drawn in blocks, so that a share's
    are the memory's own."""
    count, first = rows.stop - rows.start, rows.start // KEY_BLOCK
    values = torch.empty((count, shape.width), device=device, dtype=DTYPES[name])
    groups = shape.decoder.kv_heads
    scales = None if name == "bf16" else torch.empty((count, groups), device=device, dtype=torch.float16)
    for block in range(first, -(-rows.stop // KEY_BLOCK)):
        start = block * KEY_BLOCK
        low, high = max(rows.start, start), min(rows.stop, start + KEY_BLOCK)
        drawn = _drawn(shape, name, (layer << 32) + block, device)[low - start : high - start]
        values[low - rows.start : high - rows.start] = drawn.values
        if scales is not None and drawn.scales is not None:
            scales[low - rows.start : high - rows.start] = drawn.scales
    return RoutingKeys(values, scales)


def _drawn(shape: Shape, name: str, seed: int, device: torch.device) -> RoutingKeys:
    """One block of random keys."""
    width = shape.width
    generator = torch.Generator(device).manual_seed(seed)
    if name == "bf16":
        return RoutingKeys(torch.randn(KEY_BLOCK, width, device=device, dtype=torch.bfloat16, generator=generator))
    values = torch.randint(-127, 128, (KEY_BLOCK, width), device=device, dtype=torch.int8, generator=generator)
    if name == "fp8":
        # Any byte but the two NaN patterns (0x7f, 0xff) is a number.
        values.masked_fill_((values & 0x7F) == 0x7F, 0)
        values = values.view(torch.float8_e4m3fn)
    scales = torch.rand(KEY_BLOCK, shape.decoder.kv_heads, device=device, generator=generator).add_(0.5).half() / 100
    return RoutingKeys(values, scales)


def _fitting(layers: int, size: int, device: torch.device) -> int:
    """How many layers of `size` bytes fit into what is free, two at least so that no cache serves them."""
    if device.type != "cuda":
        return layers if layers * size < 2 << 30 else 2
    torch.cuda.empty_cache()
    free = torch.cuda.mem_get_info(device)[0] - (3 << 30)
    return max(2, min(layers, free // max(1, size)))


def _agreed(mine: bool, group: Group | None, device: torch.device) -> bool:
    if group is None:
        return mine
    return bool(group.broadcast(torch.tensor([int(mine)], device=device)).item())


def as_text(result: dict[str, Any]) -> str:
    head = f"routing, {result['shape']} shape, {result['processes']} process(es), {result['machine']}"
    rates = f"copy {result['copy_bytes_a_second'] / 1e9:.0f} GB/s, left out for time: {result['left_out_for_time']}"
    return f"{head}\n{rates}\n\n{measure.table(result['rows'])}"
