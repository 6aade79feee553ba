"""The models under test: the shipped one or one with an adapter of its own, whole or with parts of it off; and those of
the rivals."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from codemem.config import Settings
from codemem.engines import DEFAULT_MODEL, fetch_weights, loader
from codemem.evals.answers.names import Reader, reader_of
from codemem.evals.errors import EvaluationError
from codemem.model.config import DecoderConfig, MemoryConfig
from codemem.model.device import choose_device, choose_precision
from codemem.model.engine import Engine
from codemem.model.int8 import quantise_linears
from codemem.model.load import load_decoder
from codemem.model.routers import Routers
from codemem.model.tokenizer import Tokenizer
from codemem.model.weights import checkpoint_folder, find_model, load_checkpoint


@dataclass(frozen=True, slots=True)
class Models:
    """What an evaluation was told about its models."""

    model: str | None = None
    adapter: Path | None = None
    """In place of the shipped one."""
    reader: Path | None = None
    """An adapter of `model` that was trained to read retrieved text: the systems `-tuned`."""
    rival_model: str | None = None
    """A larger model for the rivals: the systems `-larger`, without an adapter."""
    rival_reader: Path | None = None
    """An adapter of that one, trained likewise: `-larger-tuned`."""
    device: str | None = None


class Engines:
    """The engines of an evaluation, each opened when a system first asks for it."""

    def __init__(self, settings: Settings, models: Models) -> None:
        self._settings, self._models = settings, models
        self._open: dict[Reader, Engine] = {}

    def of(self, system: str) -> Engine:
        """The engine that a system asks. Raises EvaluationError where the evaluation was not given what it takes."""
        reader = reader_of(system)
        key = Reader("", larger=bool(reader and reader.larger), tuned=bool(reader and reader.tuned))
        if key not in self._open:
            refuse_lacking([system], self._models)
            self._open[key] = self._opened(key)
        return self._open[key]

    def _opened(self, key: Reader) -> Engine:
        models, device = self._models, self._models.device
        if not key.larger:
            adapter = models.reader if key.tuned else models.adapter
            return open_engine(self._settings, model=models.model, adapter=adapter, device=device)
        if key.tuned:
            return open_engine(self._settings, model=models.rival_model, adapter=models.rival_reader, device=device)
        assert models.rival_model is not None
        return open_bare(self._settings, models.rival_model, device=device)


def refuse_lacking(systems: Sequence[str], models: Models) -> None:
    """Raises EvaluationError for the first system that asks a model which the evaluation was not given."""
    for system in systems:
        reader = reader_of(system)
        if reader is None:
            continue
        if reader.larger and models.rival_model is None:
            raise EvaluationError(f"{system} asks a larger model: give --rival-model")
        if reader.tuned and (models.rival_reader if reader.larger else models.reader) is None:
            option = "--rival-reader" if reader.larger else "--reader"
            raise EvaluationError(f"{system} reads with an adapter trained for it: give {option}")


def open_engine(
    settings: Settings, *, model: str | None = None, adapter: Path | None = None, device: str | None = None
) -> Engine:
    """A model by name (fetched if need be), with the shipped adapter or the one in a file."""
    name = model or settings.user.model or DEFAULT_MODEL
    if adapter is None:
        engine = loader(settings, device=device, fetch=True)(name)
    else:
        if not adapter.is_file():
            raise EvaluationError(f"no adapter in {adapter}")
        checkpoint = fetch_weights(settings, name)
        place = device or settings.user.device
        engine = Engine.open(name, checkpoint, adapter, device=place, threads=settings.user.threads)
    if not isinstance(engine, Engine):
        raise EvaluationError(f"{name} brings a protocol of its own: only models with our adapters are compared here")
    return engine


def open_bare(settings: Settings, model: str, *, device: str | None = None) -> Engine:
    """A model as it is, with no adapter: it can read, and has no memory that would mean anything."""
    if settings.user.threads:
        torch.set_num_threads(settings.user.threads)
    place = choose_device(device or settings.user.device)
    precision = choose_precision(place)
    folder = checkpoint_folder(fetch_weights(settings, model))
    opened = load_checkpoint(folder)
    config = DecoderConfig.from_huggingface(opened.config)
    decoder = load_decoder(config, opened.tensors, device=place, dtype=precision.dtype)
    memory = MemoryConfig((config.layers - 1,), attends=False, names=False)
    routers = Routers(config, memory.routed_layers).to(place, precision.dtype).requires_grad_(False)
    for matrix in routers.parameters():
        matrix.data.zero_()
    if precision.int8:
        decoder.embed_tokens.half()
        quantise_linears(decoder)
    nothing = "0" * 64
    return Engine(
        find_model(model, settings.user.models).name,
        decoder,
        routers,
        memory,
        Tokenizer.from_folder(folder),
        base=nothing,
        adapter=nothing,
        device=place,
        dtype=precision.dtype,
    )


def without(engine: Engine, *, attention: bool = False, naming: bool = False) -> Engine:
    """The same weights on the same entries, with attention to pooled memory or naming of documents off."""
    changed = copy.copy(engine)
    memory = engine._memory
    changed._memory = replace(
        memory,
        attends=memory.attends and not attention,
        names=memory.names and not naming,
    )
    return changed
