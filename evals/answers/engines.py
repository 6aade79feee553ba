"""The model under test: the shipped one or one with an adapter of its own, whole or with parts of it off."""

import copy
from dataclasses import replace
from pathlib import Path

from codemem.config import Settings
from codemem.engines import DEFAULT_MODEL, fetch_weights, loader
from codemem.evals.errors import EvaluationError
from codemem.model.engine import Engine


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
