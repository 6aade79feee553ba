"""A training run as the command line starts it: files in, files out, resumable."""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from codemem.model.config import DecoderConfig, MemoryConfig
from codemem.model.decoder import Decoder
from codemem.model.load import load_decoder
from codemem.model.prompts import Prompts
from codemem.model.tokenizer import Tokenizer
from codemem.model.weights import checkpoint_folder, load_checkpoint
from codemem.model.weights.adapters import OWN_NAME
from codemem.training.corpus import Corpus
from codemem.training.evaluate import load_trained
from codemem.training.holding import Held
from codemem.training.network import Network
from codemem.training.processes import Processes, device_of_process
from codemem.training.quoting import quoted_answers
from codemem.training.recipe import Recipe
from codemem.training.retrieved import read_retrieved
from codemem.training.trainer import StepReport, Trainer

SAVE_SECONDS = 240.0
"""A stopped run loses at most this much."""

ADAPTER, CHECKPOINT, LOG, RECIPE = OWN_NAME, "checkpoint.pt", "log.jsonl", "recipe.json"

Log = Callable[[StepReport], None]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What to train from, and where to."""

    base: Path
    """A .gguf file or a checkpoint folder."""
    base_sha256: str
    """Of the base weights; goes into every entry's key."""
    data: Path
    """A folder that codemem.training.data or codemem.training.own_code wrote."""
    out: Path
    recipe: dict[str, Any]
    """Settings of training/recipe.py."""
    layers: tuple[int, ...] = (5, 8, 11, 14, 17, 20, 23)
    """Routed layers."""
    find_layers: int = 3
    """How many of them, from the lowest, `find` ranks by."""
    memory: Mapping[str, Any] = field(default_factory=dict)
    """Further settings of `MemoryConfig`."""
    device: str = "cpu"
    seconds: float | None = None
    """Of this call; the recipe's own budget is the whole run's."""
    limit: int | None = None
    """Take the first so many pairs only."""
    resume: bool = False
    hold_to: Path | None = None
    """The adapter that a recipe with `held` holds the lower half to (training/holding.py); by default `start`, and the
    base itself where a run begins at that."""
    start: Path | None = None
    """An adapter whose parameters this run begins with, for a further course; by default a run begins at the base."""


def train(options: RunOptions, log: Log) -> Path:
    """Trains, and returns the 8-bit adapter that ships; beside it lie the checkpoint, the recipe and the log.

    Raises `ValueError` for a wrong recipe, a reader's data that was not ranked or a checkpoint of another run,
    `FileExistsError` where a run lies already and `resume` is not set, and the errors of loading weights.
    """
    memory = MemoryConfig(options.layers, find_layers=options.find_layers, **options.memory)
    recipe = Recipe.from_json(memory, options.recipe)
    if (options.out / CHECKPOINT).exists() and not options.resume:
        raise FileExistsError(f"{options.out} holds a run already: resume it, or choose another folder")
    options.out.mkdir(parents=True, exist_ok=True)
    device = device_of_process(options.device)
    processes = Processes.join(device)
    torch.set_float32_matmul_precision("high")
    try:
        trainer, tokenizer = _trainer(options, recipe, device, processes)
        corpus = Corpus.load(options.data, tokenizer, limit=options.limit)
        if recipe.reads == "retrieved":
            corpus.ranked = read_retrieved(options.data, corpus.answers)
        if recipe.quotes:
            corpus.answers = quoted_answers(corpus)
        if options.resume:
            trainer.load_checkpoint(options.out / CHECKPOINT)
        elif options.start:
            trainer.start_from(options.start)
        _run(trainer, corpus, options, log)
    finally:
        processes.leave()
    return options.out / ADAPTER


def _trainer(
    options: RunOptions, recipe: Recipe, device: torch.device, processes: Processes
) -> tuple[Trainer, Tokenizer]:
    decoder, tokenizer = _bare(options, device)
    trainer = Trainer(decoder, tokenizer, recipe, device=device, base_sha256=options.base_sha256, processes=processes)
    if recipe.holds:
        if adapter := options.hold_to or options.start:
            network, _ = load_trained(options.base, adapter, device=device)
        else:
            network = Network(_bare(options, device)[0], Prompts(tokenizer), Recipe(recipe.memory), device=device)
        trainer.held = Held(network, recipe.memory.ranking_layers[-1])
    return trainer, tokenizer


def _bare(options: RunOptions, device: torch.device) -> tuple[Decoder, Tokenizer]:
    """The base as it is, and its tokenizer."""
    checkpoint = load_checkpoint(options.base)
    decoder = load_decoder(
        DecoderConfig.from_huggingface(checkpoint.config),
        checkpoint.tensors,
        device=device,
        dtype=torch.bfloat16 if device.type == "cuda" else torch.float32,
    )
    return decoder, Tokenizer.from_folder(checkpoint_folder(options.base))


def _run(trainer: Trainer, corpus: Corpus, options: RunOptions, log: Log) -> None:
    if not trainer.processes.leads:
        trainer.run(corpus, log=lambda report: None, seconds=options.seconds)
        return
    (options.out / RECIPE).write_text(json.dumps(trainer.recipe.as_json(), indent=1) + "\n", encoding="utf-8")
    saved = trainer.spent
    with (options.out / LOG).open("a", encoding="utf-8") as lines:

        def record(report: StepReport) -> None:
            nonlocal saved
            lines.write(json.dumps(dataclasses.asdict(report)) + "\n")
            lines.flush()
            log(report)
            if report.seconds - saved > SAVE_SECONDS:
                saved = report.seconds
                # A checkpoint rounds the running state, which several processes would have to do alike.
                (save if trainer.processes.count == 1 else save_adapter)(trainer, options.out)

        trainer.run(corpus, log=record, seconds=options.seconds)
    save(trainer, options.out)


def save(trainer: Trainer, folder: Path) -> None:
    """Writes the checkpoint and the adapter, each whole or not at all."""
    trainer.save_checkpoint(folder / CHECKPOINT)
    save_adapter(trainer, folder)


def save_adapter(trainer: Trainer, folder: Path) -> None:
    """Writes the adapter alone, whole or not at all."""
    partial = folder / "adapter.part"
    trainer.export(partial)
    with partial.open("rb") as file:  # a loss of power must not leave the name without the bytes
        os.fsync(file.fileno())
    partial.replace(folder / ADAPTER)


def read_log(folder: Path) -> list[StepReport]:
    """The steps of a run; those that a resumed run did again are there once, as done last."""
    steps: dict[int, StepReport] = {}
    for line in (folder / LOG).read_text(encoding="utf-8").splitlines():
        report = StepReport(**json.loads(line))
        steps[report.step] = report
    return [steps[step] for step in sorted(steps)]


def make_model_folder(folder: Path, base: Path) -> None:
    """Makes a run's folder a model of its own, to be named by path: links to the base checkpoint's files beside the
    adapter (copies where the system has no links)."""
    for file in sorted(base.iterdir()):
        target = folder / file.name
        if file.name == OWN_NAME or target.is_symlink() or target.exists():
            continue
        try:
            target.symlink_to(file.resolve())
        except OSError:
            shutil.copyfile(file, target)
