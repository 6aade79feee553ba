"""One process's part of a scale run, by name: what `run` starts, on a GPU of its own where there are several.

python -m codemem.benchmarks.scaling.work encode|answer OPTIONS.json PART PARTS
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from codemem.benchmarks.scaling.answers import Answering, Limits, to_answer
from codemem.benchmarks.scaling.entries import encode_part, load_encoded
from codemem.benchmarks.scaling.options import Options
from codemem.benchmarks.scaling.pool import memories, read_pool_folder
from codemem.benchmarks.scaling.ranking import read_tops
from codemem.model.engine import Engine
from codemem.model.entry import EntryLayout


def open_engine(options: Options) -> Engine:
    """The model that the options name: a checkpoint and an adapter."""
    return Engine.open(
        options.model, options.checkpoint, options.adapter, device=options.device, threads=options.threads
    )


def layout_of(engine: Engine, options: Options) -> EntryLayout:
    """What is remembered of a document."""
    return engine.layout if options.layers == "all" else engine.find_layout


def encode(options: Options, part: int, parts: int) -> None:
    """This process's documents."""
    pool, engine = read_pool_folder(options.corpus), open_engine(options)
    layout = layout_of(engine, options)
    held = encode_part(
        pool.documents,
        engine,
        layout,
        options.work / "entries",
        part=part,
        parts=parts,
        tokens=max(options.sizes),
        progress=_note,
    )
    _note(f"part {part}: {held:,} tokens in all")


def answer(options: Options, part: int, parts: int) -> None:
    """This process's questions, in every memory and by every system."""
    pool, engine = read_pool_folder(options.corpus), open_engine(options)
    layout = layout_of(engine, options)
    encoded = load_encoded(options.work / "entries", layout)
    every = memories(pool, encoded.tokens, options.sizes)
    chosen = to_answer(pool.questions.asked, options.answers)[part::parts]
    answering = Answering(pool, engine, layout, encoded, Limits(options.source_tokens, options.answer_tokens))
    out = options.work / f"answers-{part}-of-{parts}.jsonl"
    answering.run(every, chosen, read_tops(options.work), options.systems, out, progress=_note)


def _note(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> None:
    phase, path, part, parts = arguments
    options = Options.from_json(Path(path).read_text(encoding="utf-8"))
    gpus = torch.cuda.device_count() if options.device == "cuda" else 0
    if gpus:
        torch.cuda.set_device(int(part) % gpus)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    {"encode": encode, "answer": answer}[phase](options, int(part), int(parts))


if __name__ == "__main__":
    main(sys.argv[1:])
