"""Trains adapters and routers on a folder that `python -m codemem.training.data` wrote.

    python -m codemem.training --base WEIGHTS --data FOLDER --out FOLDER [--seconds S | --steps N] [--resume]

Writes adapter.safetensors (what ships), checkpoint.pt (what `--resume` goes on from) and log.jsonl (a line a step).
"""

import argparse
import dataclasses
import json
from pathlib import Path

import torch

from codemem.model.config import DecoderConfig, MemoryConfig
from codemem.model.load import load_decoder
from codemem.model.tokenizer import Tokenizer
from codemem.model.weights import checkpoint_folder, load_checkpoint
from codemem.training.batching import Corpus
from codemem.training.recipe import Recipe
from codemem.training.trainer import StepReport, Trainer

SAVE_SECONDS = 240.0
"""A stopped run loses at most this much."""


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m codemem.training", description=__doc__)
    parser.add_argument("--base", type=Path, required=True, help="a .gguf file or a checkpoint folder")
    parser.add_argument("--base-sha256", default="0" * 64, help="of the base weights; goes into every entry's key")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--layers", default="5,8,11,14,17,20,23", help="routed layers")
    parser.add_argument("--find-layers", type=int, default=3, help="how many of them, from the lowest, `find` ranks by")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, help="wall-clock budget of the whole run")
    parser.add_argument("--recipe", type=json.loads, default={}, help="other settings of training/recipe.py, as JSON")
    parser.add_argument("--resume", action="store_true")
    return parser


def main(argv: list[str] | None = None) -> None:
    options = arguments().parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    layers = tuple(int(layer) for layer in options.layers.split(","))
    recipe = Recipe(
        memory=MemoryConfig(layers, find_layers=options.find_layers), seconds=options.seconds, **options.recipe
    )
    device = torch.device(options.device)
    torch.set_float32_matmul_precision("high")
    checkpoint = load_checkpoint(options.base)
    tokenizer = Tokenizer.from_folder(checkpoint_folder(options.base))
    decoder = load_decoder(
        DecoderConfig.from_huggingface(checkpoint.config),
        checkpoint.tensors,
        device=device,
        dtype=torch.bfloat16 if device.type == "cuda" else torch.float32,
    )
    corpus = Corpus.load(options.data, tokenizer, max_tokens=recipe.max_document_tokens)
    trainer = Trainer(decoder, tokenizer, recipe, device=device, base_sha256=options.base_sha256)
    if options.resume:
        trainer.load_checkpoint(options.out / "checkpoint.pt")
    saved = trainer.spent
    with (options.out / "log.jsonl").open("a", encoding="utf-8") as log:

        def record(report: StepReport) -> None:
            nonlocal saved
            log.write(json.dumps(dataclasses.asdict(report)) + "\n")
            log.flush()
            if report.seconds - saved > SAVE_SECONDS:
                saved = report.seconds
                save(trainer, options.out)

        trainer.run(corpus, log=record)
    save(trainer, options.out)


def save(trainer: Trainer, folder: Path) -> None:
    trainer.save_checkpoint(folder / "checkpoint.pt")
    trainer.export(folder / "adapter.part")
    (folder / "adapter.part").replace(folder / "adapter.safetensors")


if __name__ == "__main__":
    main()
