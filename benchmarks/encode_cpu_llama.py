"""Prompts and decoding on the processor beside llama.cpp, on the same GGUF file, in one run.

    python -m codemem.benchmarks.encode_cpu_llama WEIGHTS.gguf [--tokens N] [--rounds N] [--threads N]

Needs `llama-cpp-python`, built for this machine. Each engine runs in a process of its own, in turns, so that neither
waits for the other's threads; rates are medians over rounds. The prompt is read into an empty cache, its last token's
logits taken; then one token after another is decoded behind it ("first decode": the first tokens of a process). Ours
are the layers that write answers, all 24 of them; beside it stands what reading documents into memory reaches, which
needs the lower layers alone.

On a machine that others use, time on the clock says more of them than of either engine: `--processor-time` runs one
thread each and counts the seconds that it was given.
"""

import argparse
import importlib
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DECODED = 32
SOURCE_ID_BELOW = 100_000
"""Random ids below it are ordinary pieces in this vocabulary."""


Timed = Callable[[Callable[[], object]], float]


def timed_by(clock: Callable[[], float]) -> Timed:
    """A function that says how many seconds a piece of work takes by this clock."""

    def timed(work: Callable[[], object]) -> float:
        began = clock()
        work()
        return clock() - began

    return timed


def token_ids(count: int) -> list[int]:
    """The same for both engines."""
    import numpy as np

    return [int(token) for token in np.random.default_rng(0).integers(0, SOURCE_ID_BELOW, count)]


def run_ours(weights: Path, tokens: int, threads: int, timed: Timed) -> dict[str, Any]:
    """Tokens a second of our engine in this process."""
    import numpy as np
    import torch

    from codemem.model.engine import Engine
    from codemem.model.entry import TokenisedDocument
    from codemem.model.memory import TextContext
    from codemem.model.weights.adapters import adapter_path
    from codemem.model.weights.registry import find_model

    adapter = adapter_path(find_model("small"), weights)
    engine = Engine.open("small", weights, adapter, device="cpu", threads=threads)
    decoder, memory, routers = engine._decoder, engine._memory, engine._routers
    ids = token_ids(tokens)

    def read_prompt() -> TextContext:
        context = TextContext(
            decoder.config,
            memory,
            routers,
            None,
            capacity=tokens + 6 * DECODED,
            device=torch.device("cpu"),
            dtype=torch.float32,
        )
        decoder.logits(decoder(torch.tensor(ids), torch.arange(tokens), context)[-1:])
        return context

    def decode(context: TextContext) -> None:
        token = ids[-1]
        for number in range(DECODED):
            hidden = decoder(torch.tensor([token]), torch.tensor([tokens + number]), context)
            token = int(decoder.logits(hidden).argmax())

    with torch.inference_mode():
        read_prompt()  # packs matrices
        prompt = timed(read_prompt)
        first = read_prompt()
        first_decoding = timed(lambda: decode(first))
        for _ in range(4):
            decode(first)  # matrices for single tokens are packed once some have passed
        context = read_prompt()
        decoding = timed(lambda: decode(context))
    sizes = [256] * (tokens // 256) or [tokens]
    documents = [
        TokenisedDocument(np.array(ids[:size], np.uint32), np.zeros(-(-size // 64), np.uint32)) for size in sizes
    ]
    reading = timed(lambda: list(engine.encode(documents, engine.layout)))
    return {
        "prompt": tokens / prompt,
        "decode": DECODED / decoding,
        "first decode": DECODED / first_decoding,
        "encode": sum(sizes) / reading,
        "about": f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}",
    }


def run_llama(weights: Path, tokens: int, threads: int, timed: Timed) -> dict[str, Any]:
    """Tokens a second of llama.cpp in this process."""
    llama_cpp: Any = importlib.import_module("llama_cpp")
    model = llama_cpp.Llama(
        str(weights),
        n_ctx=tokens + DECODED,
        n_batch=512,
        n_threads=threads,
        n_threads_batch=threads,
        n_gpu_layers=0,
        verbose=False,
    )
    ids = token_ids(tokens)

    def read_prompt() -> None:
        model.reset()
        model.eval(ids)

    def decode() -> None:
        token = ids[-1]
        for _ in range(DECODED):
            model.eval([token])
            token = model.sample(temp=0.0)

    read_prompt()
    prompt = timed(read_prompt)
    decoding = timed(decode)
    return {
        "prompt": tokens / prompt,
        "decode": DECODED / decoding,
        "about": f"llama-cpp-python {llama_cpp.__version__}",
    }


ENGINES = {"ours": run_ours, "llama.cpp": run_llama}


def apart(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """One engine's figures, from a process of its own."""
    command = [sys.executable, "-m", "codemem.benchmarks.encode_cpu_llama", str(arguments.weights), "--engine", name]
    command += ["--tokens", str(arguments.tokens), "--threads", str(arguments.threads)]
    command += ["--processor-time"] * arguments.processor_time
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="encode_cpu_llama")
    parser.add_argument("weights", type=Path)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--processor-time", action="store_true", help="one thread, and seconds that it was given")
    parser.add_argument("--engine", choices=list(ENGINES), help="run one engine here and print its figures")
    arguments = parser.parse_args(argv)
    if arguments.processor_time:
        arguments.threads = 1
    if arguments.engine:
        timed = timed_by(time.process_time if arguments.processor_time else time.perf_counter)
        print(json.dumps(ENGINES[arguments.engine](arguments.weights, arguments.tokens, arguments.threads, timed)))
        return
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ENGINES}
    for _ in range(arguments.rounds):
        for name, found in runs.items():
            found.append(apart(name, arguments))
    medians = {
        (name, figure): statistics.median(run[figure] for run in found)
        for name, found in runs.items()
        for figure in ("prompt", "decode", "first decode", "encode")
        if figure in found[0]
    }
    figures = {
        "machine": f"{platform.machine()}, {arguments.threads} threads",
        "seconds": "of the processor" if arguments.processor_time else "on the clock",
        "engines": [found[0]["about"] for found in runs.values()],
        "tokens": arguments.tokens,
        **{f"{name}, {figure}, tokens/s": round(rate, 1) for (name, figure), rate in medians.items()},
        **{
            f"{figure}, of llama.cpp's rate": round(medians["ours", figure] / medians["llama.cpp", figure], 3)
            for figure in ("prompt", "decode")
        },
        "encode, of llama.cpp's prompt rate": round(medians["ours", "encode"] / medians["llama.cpp", "prompt"], 3),
    }
    for label, value in figures.items():
        print(f"{label:45} {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
