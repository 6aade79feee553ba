"""Encoding on the processor beside the matrix products that it consists of, in one run.

    python -m codemem.benchmarks.encode_cpu WEIGHTS

WEIGHTS is the default model's .gguf file or converted folder. Prints a table and one JSON line; medians of five.
"""

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from codemem.model.engine import Engine
from codemem.model.entry import TokenisedDocument
from codemem.model.int8 import Int8Linear
from codemem.model.weights.adapters import adapter_path
from codemem.model.weights.registry import find_model

TOKENS, DOCUMENT = 2048, 256


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main(argv: list[str]) -> None:
    weights = Path(argv[0])
    engine = Engine.open("small", weights, adapter_path(find_model("small"), weights), device="cpu")
    config = engine._decoder.config
    linear = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False).requires_grad_(False)
    x = torch.randn(TOKENS, config.hidden_size)
    operations = 2 * TOKENS * linear.weight.numel()
    layer = Int8Linear.from_linear(linear)
    rates = {
        "float32 product": operations / seconds(lambda: linear(x)) / 1e9,
        "8-bit layer": operations / seconds(lambda: layer(x)) / 1e9,
    }
    random = np.random.default_rng(0)
    documents = [
        TokenisedDocument(random.integers(0, 150_000, DOCUMENT).astype(np.uint32), np.zeros(4, np.uint32))
        for _ in range(TOKENS // DOCUMENT)
    ]
    layers = max(engine._memory.routed_layers)  # the highest routed layer is only shown its inputs
    width = config.hidden_size
    a_layer = width * (config.heads + 2 * config.kv_heads + config.heads) * config.head_dim
    a_layer += 3 * width * config.intermediate_size
    taken = seconds(lambda: list(engine.encode(documents, engine.layout)), 3)
    achieved = 2 * a_layer * layers * TOKENS / taken / 1e9
    figures = {
        "machine": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        **{f"{name}, GFLOP/s": round(rate, 1) for name, rate in rates.items()},
        "layers run": layers,
        "tokens/s": round(TOKENS / taken, 1),
        "encoding, GFLOP/s of its matrix products": round(achieved, 1),
        "share of the 8-bit layer's rate": round(achieved / rates["8-bit layer"], 3),
        "share of the float32 product's rate": round(achieved / rates["float32 product"], 3),
    }
    for name, value in figures.items():
        print(f"{name:45} {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
