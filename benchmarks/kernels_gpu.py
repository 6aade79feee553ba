"""The compiled kernels on one GPU: first right, then fast. Run from the repository's root:

    python3 -m codemem.benchmarks.kernels_gpu [--sweep]

Every kernel is compared with its float64 reference at odd sizes; a wrong one ends the run before anything is timed.
Then routing is timed at the shape of a 4-billion-parameter model over 100 million tokens (1,562,500 chunks of 1,024
numbers a layer, 16 documents of 97,656) beside the time to read the keys once at the measured copy bandwidth. `--sweep`
first times other block sizes of the kernel for 8-bit keys, each compared with dense products of all 100 million tokens
(18 compilations; a size that does not fit is left out, one that is wrong makes the exit code 1). The last line is the
whole report as JSON, behind tables; with OUT set, OUT/kernels_gpu.json holds it too.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import triton as triton_package
from torch import Tensor

from codemem.benchmarks import measure
from codemem.kernels.attend import attend
from codemem.kernels.attend import reference as attend_reference
from codemem.kernels.pool import pool_chunks, pool_entries
from codemem.kernels.pool import reference as pool_reference
from codemem.kernels.route import RoutingKeys, cpu, dequantise, quantise_keys, route, triton
from codemem.kernels.route.topk import top_documents

LAYERS = 18
CHUNKS, WIDTH, CHUNKS_A_DOCUMENT, TOP = 1_562_500, 1024, 16, 16
BUDGET_SECONDS = 60
"""Nothing is begun after this; what is under way takes a few seconds more."""
FORMATS = ("fp8", "int8", "bf16")
SLICE = 1 << 17
"""Chunks that the dense reference widens at once."""

_SWEPT_64 = (
    triton.Launch(128, 64, 128, 4, 3, split=True),
    triton.Launch(128, 64, 128, 8, 3, split=True),
    triton.Launch(64, 64, 128, 4, 3, split=True),
    triton.Launch(256, 64, 128, 8, 3, split=True),
    triton.Launch(256, 64, 128, 8, 4, split=True),
)
_SWEPT_MANY = (
    triton.Launch(128, 64, 128, 4, 3, split=True),
    triton.Launch(128, 128, 128, 8, 3, split=True),
)
SWEPT = {
    (1, 64): _SWEPT_64,
    (1, 256): _SWEPT_MANY,
    (8, 64): _SWEPT_MANY,
}
"""Block sizes tried, by questions and tokens a question."""

started = time.monotonic()


CUDA = torch.device("cuda")


def milliseconds(work: Callable[[], object], repeats: int = 9) -> float:
    return measure.milliseconds(work, CUDA, repeats)


def graphed(work: Callable[[], object]) -> Callable[[], object]:
    return measure.graphed(work, CUDA)


def distance(actual: Tensor, expected: Tensor) -> float:
    """‖actual − expected‖ / ‖expected‖ over the finite elements; infinite if the others differ."""
    actual, expected = actual.double(), expected.double().to(actual.device)
    finite = expected.isfinite()
    if actual.shape != expected.shape or not torch.equal(actual[~finite], expected[~finite]):
        return float("inf")
    return float((actual - expected)[finite].norm() / expected[finite].norm().clamp_min(1e-30))


def out_of_time() -> bool:
    return time.monotonic() - started > BUDGET_SECONDS


def check_route(errors: dict[str, float]) -> None:
    for chunks, width, group, format in (
        (1000, 1024, 128, "int8"),
        (1000, 1024, 128, "fp8"),
        (65, 128, None, "fp8"),
        (1000, 1024, None, "bf16"),
        (63, 96, 96, "int8"),
        (300, 48, 24, "int8"),
        (65, 128, None, "fp32"),
    ):
        keys = quantise_keys(torch.randn(chunks, width), format, group)  # type: ignore[arg-type]
        offsets = torch.cat((torch.tensor([0, 0]), torch.arange(7, chunks, 7), torch.tensor([chunks])))
        q = torch.randn(100, width)
        questions = [0, 1, 1, 35, 100]
        exact = [
            (q[a:b].double() @ dequantise(keys).double().T).amax(0)
            if b > a
            else torch.full((chunks,), -torch.inf, dtype=torch.float64)
            for a, b in pairwise(questions)
        ]
        expected = cpu.maximum_per_document(torch.stack(exact).float(), offsets)
        on = keys.to("cuda")
        scores = triton.maximum_per_document(triton.score_chunks(q.cuda(), on, questions), offsets.cuda())
        name = f"route {format} {chunks}x{width} by {keys.group}"
        errors[name] = distance(scores, expected)
        chosen, chosen_scores = route(q.cuda(), on, offsets.cuda(), 5, query_offsets=questions)
        best, best_scores = top_documents(scores, 5)
        errors[name + " top"] = 0.0 if torch.equal(chosen, best) and torch.equal(chosen_scores, best_scores) else 1.0
        listed = triton.score_listed(q.cuda(), on, questions, offsets.cuda(), best)
        errors[name + " listed"] = distance(listed, best_scores)


def check_pool(errors: dict[str, float]) -> None:
    lengths = [1, 63, 64, 65, 1000, 0, 130]
    x = torch.randn(sum(lengths), 8, 128)
    expected = pool_reference.pool_chunks(x, lengths, 64)
    errors["pool fp32"] = distance(pool_chunks(x.cuda(), lengths), expected)
    for format in ("fp32", "int8"):
        entries = pool_entries(x.cuda(), x.cuda(), x.cuda(), lengths, normalise=True, format=format)
        errors[f"pool {format} keys"] = distance(entries.keys.dequantise(), expected)
        normalised = pool_reference.normalise_groups(expected)
        errors[f"pool {format} routing"] = distance(entries.routing.dequantise(), normalised)


def check_attend(errors: dict[str, float]) -> None:
    for tokens, memory, rows in ((1, 0, 1), (1, 500, 77), (63, 65, 64), (65, 0, 65), (100, 513, 1000)):
        tensors = [torch.randn(tokens, 32, 128)] + [torch.randn(n, 8, 128) for n in (memory, memory, rows, rows)]
        half = [x.bfloat16() for x in tensors]
        expected = attend_reference.attend(*half)
        errors[f"attend T={tokens} M={memory} S={rows}"] = distance(attend(*[x.cuda() for x in half]), expected)


def tolerance(name: str) -> float:
    """Of a relative distance: keys as stored are the reference, so only queries and activations are rounded.

    fp8 keys meet queries of two e4m3 terms, about bfloat16's rounding, in sums that the tensor cores keep to 14 bits.
    """
    if "pool int8" in name:
        return 8e-3
    if "bf16" in name or "fp8" in name or "attend" in name:
        return 6e-3
    return 1e-3


def random_keys(format: str) -> RoutingKeys:
    """One layer's random keys; 8-bit ones with a scale for every 128 numbers."""
    if format == "bf16":
        return RoutingKeys(torch.randn(CHUNKS, WIDTH, device="cuda", dtype=torch.bfloat16))
    values = torch.randint(-127, 128, (CHUNKS, WIDTH), device="cuda", dtype=torch.int8)
    if format == "fp8":
        # Any byte but the two NaN patterns (0x7f, 0xff) is a number.
        values = torch.where((values & 0x7F) == 0x7F, 0, values).view(torch.float8_e4m3fn)
    return RoutingKeys(values, torch.rand(CHUNKS, WIDTH // 128, device="cuda").add(0.5).half() / 100)


def time_routing(format: str, bandwidth: float) -> list[dict[str, Any]]:
    """Milliseconds a layer of whole routing (fold excluded) for token counts and batches."""
    keys = random_keys(format)
    offsets = torch.cat((torch.arange(0, CHUNKS, CHUNKS_A_DOCUMENT), torch.tensor([CHUNKS]))).cuda()
    limit = keys.nbytes / bandwidth * 1e3
    rows = []
    for questions, tokens in ((1, 64), (1, 16), (1, 256), (8, 64), (1, 1024), (32, 64)):
        if out_of_time():
            break
        q = torch.randn(questions * tokens, WIDTH, device="cuda")
        asked = list(range(0, questions * tokens + 1, tokens))
        work = graphed(lambda q=q, asked=asked: route(q, keys, offsets, TOP, query_offsets=asked))  # type: ignore[misc]
        score = milliseconds(lambda q=q, asked=asked: triton.score_chunks(q, keys, asked))  # type: ignore[misc]
        row = {"format": format, "questions": questions, "tokens": tokens, "read_once_ms": limit}
        rows.append(row | {"route_ms": milliseconds(work), "score_ms": score})
    return rows


def dense_scores(q_TW: Tensor, keys: RoutingKeys, tokens: int) -> Tensor:
    """[B, C] float32: the best of each question's `tokens` tokens, by torch's float32 products of widened keys."""
    parts = []
    for start in range(0, len(keys), SLICE):
        product = dequantise(keys[start : start + SLICE]) @ q_TW.T
        parts.append(product.view(len(product), -1, tokens).amax(2))
    return torch.cat(parts).T


def sweep_launches(format: str, bandwidth: float) -> list[dict[str, Any]]:
    """Every launch of `SWEPT` for one 8-bit format, checked and timed: the best of each shape first."""
    keys = random_keys(format)
    rows = []
    for (questions, tokens), launches in SWEPT.items():
        q = torch.randn(questions * tokens, WIDTH, device="cuda")
        expected = dense_scores(q, keys, tokens)
        measured: list[dict[str, Any]] = []
        for launch in launches:
            if out_of_time():
                break
            row = {"format": format, "questions": questions, "tokens": tokens, "launch": repr(launch)}
            measured.append(row | try_launch(q, keys, tokens, launch, expected))
            measured[-1]["read_once_ms"] = keys.nbytes / bandwidth * 1e3
        rows += sorted(measured, key=lambda row: row.get("score_ms", float("inf")))
    return rows


def try_launch(q_TW: Tensor, keys: RoutingKeys, tokens: int, launch: triton.Launch, expected: Tensor) -> dict[str, Any]:
    """`error` and `score_ms` of one launch; `left_out` where it does not fit; `wrong` where it errs or fails."""
    asked = list(range(0, len(q_TW) + 1, tokens))
    try:
        error = distance(triton.score_chunks(q_TW, keys, asked, launch=launch), expected)
        if not error <= tolerance(keys.format):
            return {"error": error, "wrong": f"differs from dense products by {error:.1e}"}
        work = graphed(lambda: triton.score_chunks(q_TW, keys, asked, launch=launch))
        return {"error": error, "score_ms": milliseconds(work)}
    except triton_package.OutOfResources as reason:
        return {"left_out": str(reason)}
    except RuntimeError as reason:  # one that does not compile must not hide the others
        return {"wrong": str(reason)}


def time_layers(bandwidth: float) -> dict[str, Any]:
    """All routed layers of one question of 64 tokens, int8, as one graph."""
    layers = [random_keys("int8") for _ in range(LAYERS)]
    offsets = torch.cat((torch.arange(0, CHUNKS, CHUNKS_A_DOCUMENT), torch.tensor([CHUNKS]))).cuda()
    q = torch.randn(64, WIDTH, device="cuda")
    work = graphed(lambda: [route(q, keys, offsets, TOP) for keys in layers])
    eager = milliseconds(lambda: [route(q, keys, offsets, TOP) for keys in layers], 5)
    limit = sum(keys.nbytes for keys in layers) / bandwidth * 1e3
    return {"layers": LAYERS, "format": "int8", "graph_ms": milliseconds(work, 5), "eager_ms": eager, "read_ms": limit}


def main() -> int:
    torch.manual_seed(0)
    errors: dict[str, float] = {}
    for check in (check_route, check_pool, check_attend):
        check(errors)
    wrong = {name: error for name, error in errors.items() if not error <= tolerance(name)}
    report: dict[str, Any] = {
        "device": torch.cuda.get_device_name(),
        "versions": {
            "torch": torch.__version__,
            "triton": triton_package.__version__,
            "python": platform.python_version(),
        },
        "errors": errors,
        "wrong": wrong,
        "checked_after_seconds": time.monotonic() - started,
    }
    if not wrong:
        bandwidth = measure.copy_bandwidth(CUDA)
        report["copy_bytes_a_second"] = bandwidth
        if "--sweep" in sys.argv:
            report["sweep"] = sweep_launches("int8", bandwidth) + sweep_launches("fp8", bandwidth)
            wrong |= {f"{row['format']} {row['launch']}": row["wrong"] for row in report["sweep"] if "wrong" in row}
            report["swept_after_seconds"] = time.monotonic() - started
        report["layers"] = time_layers(bandwidth)
        report["routing"] = [row for format in FORMATS for row in time_routing(format, bandwidth)]
    report["seconds"] = time.monotonic() - started
    if "OUT" in os.environ:
        Path(os.environ["OUT"], "kernels_gpu.json").write_text(json.dumps(report, indent=1))
    show(report)
    print(json.dumps(report))
    return 1 if wrong else 0


def show(report: dict[str, Any]) -> None:
    print(f"{report['device']} {report['versions']} {report['seconds']:.0f} s")
    worst = max(report["errors"], key=lambda name: report["errors"][name] / tolerance(name))
    print(f"{len(report['errors'])} checks, worst {worst}: {report['errors'][worst]:.2e}; wrong: {report['wrong']}")
    if "routing" not in report:
        return
    for row in report.get("sweep", []):
        what = f"{row['format']} B={row['questions']} T={row['tokens']} {row['launch']}"
        if "score_ms" in row:
            share = row["read_once_ms"] / row["score_ms"]
            print(f"{what} score {row['score_ms']:.3f} ms, {share:.2f} of the limit, error {row['error']:.1e}")
        else:
            print(f"{what} {'WRONG: ' + row['wrong'] if 'wrong' in row else 'left out: ' + row['left_out']}")
    print(f"copy {report['copy_bytes_a_second'] / 1e9:.0f} GB/s; {report['layers']}")
    for row in report["routing"]:
        what = f"{row['format']} B={row['questions']} T={row['tokens']} route {row['route_ms']:.3f} ms"
        share = row["read_once_ms"] / row["route_ms"]
        print(f"{what} score {row['score_ms']:.3f} ms, read once {row['read_once_ms']:.3f}, {share:.2f}")


if __name__ == "__main__":
    sys.exit(main())
