"""Answers to facts and hops from the memory alone, on the machine that trained: as text, judged elsewhere.

    python -m codemem.training.carried.answering --base BASE --adapter FILE --worlds FOLDER --out FOLDER [--part 0 ...]

The product's own engine answers, with routing's ranks as the prior (`codemem ask` mixes in the outline's). Writes
`answers-PART.jsonl`.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from codemem.definitions import definitions_of_piece
from codemem.model.bank import Bank
from codemem.model.engine import Engine
from codemem.model.events import Answer, Read, Round, Source
from codemem.model.store import Store
from codemem.training.carried.worlds import World, WorldDocument, part_of, read_documents, read_worlds

ROUNDS, SOURCE_TOKENS, ANSWER_TOKENS = 3, 3000, 96
"""As codemem.evals.answers.reading.Limits."""


def bank_of(engine: Engine, documents: Sequence[WorldDocument], place: Path) -> Bank:
    """The memory of a world, through a store in the folder `place`."""
    done = engine.tokenise([(document.header, document.text) for document in documents])
    keys = [engine.layout.key(document.ids) for document in done]
    parts = sorted({spec.name.split(".")[0] for spec in engine.layout.tensors})
    with Store.open(place, engine.layout) as store:
        unique = dict(zip(keys, done, strict=True))
        known = store.has(unique)
        for entry in engine.encode([document for key, document in unique.items() if key not in known], engine.layout):
            store.append([entry])
        store.flush()
        return engine.bank(store.load(keys, parts=parts), engine.layout)


def answers_of(
    engine: Engine, world: World, documents: Sequence[WorldDocument], bank: Bank
) -> Iterator[dict[str, Any]]:
    """What the engine gave for each question of a world."""

    def read(index: int) -> Source:
        header, text = documents[index].header, documents[index].text
        return Source(index, header, text, definitions_of_piece(header, text))

    for identifier, question in world.questions:
        began = time.perf_counter()
        row: dict[str, Any] = {"world": world.name, "kind": world.kind, "id": identifier, "rounds": [], "read": []}
        events = engine.answer(
            question, bank, read, max_rounds=ROUNDS, source_tokens=SOURCE_TOKENS, max_tokens=ANSWER_TOKENS
        )
        for event in events:
            if isinstance(event, Round):
                row["rounds"].append({"named": [int(d) for d in event.named], "by_model": event.by_model})
            elif isinstance(event, Read):
                row["read"].append(int(event.document))
            elif isinstance(event, Answer):
                cited = [[int(c.document), c.start_byte, c.end_byte] for c in event.cited]
                row |= {"answer": event.text, "found": event.found, "cited": cited, "tokens": event.tokens}
        yield {**row, "seconds": round(time.perf_counter() - began, 3)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Answers one part of the worlds; counts as a JSON object to stdout."""
    parser = argparse.ArgumentParser(
        prog="python -m codemem.training.carried.answering",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    for name in ("--base", "--adapter", "--worlds", "--out"):
        add(name, type=Path, required=True)
    add("--part", type=int, default=0)
    add("--parts", type=int, default=1)
    add("--seconds", type=float, default=240.0, help="stop asking after so long")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    engine = Engine.open("trained", options.base, options.adapter, device=options.device)
    worlds = [world for world in read_worlds(options.worlds) if world.kind in ("facts", "hops")]
    options.out.mkdir(parents=True, exist_ok=True)
    began, count = time.perf_counter(), 0
    with (
        (options.out / f"answers-{options.part}.jsonl").open("w", encoding="utf-8") as out,
        tempfile.TemporaryDirectory() as place,
    ):
        for world in part_of(worlds, options.worlds, options.part, options.parts):
            documents = read_documents(options.worlds, world)
            for row in answers_of(engine, world, documents, bank_of(engine, documents, Path(place))):
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
                count += 1
                if time.perf_counter() - began > options.seconds:
                    break
    print(json.dumps({"answers": count, "seconds": round(time.perf_counter() - began, 1)}))


if __name__ == "__main__":
    main()
