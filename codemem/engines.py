"""Which model serves a repository, and loading it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from codemem.adapters import keep_adapter, kept_adapter, split_version
from codemem.config import Settings, parallel_rank
from codemem.engine_interface import MemoryEngine
from codemem.errors import UsageError
from codemem.manifest import Manifest
from codemem.progress import Meter, Report, silent
from codemem.workspace import Workspace

if TYPE_CHECKING:
    from codemem.model.engine import Engine
    from codemem.model.msa4b.config import Ranking
    from codemem.model.msa4b.engine import Msa4bEngine
    from codemem.model.tiers import Budget

DEFAULT_MODEL = "small"

LoadEngine = Callable[[str], MemoryEngine]
"""Loads a model by name."""


def loader(
    settings: Settings,
    *,
    device: str | None = None,
    ranking: "Ranking | None" = None,
    budget: "Budget | None" = None,
    fetch: bool = False,
    report: Report = silent,
) -> LoadEngine:
    """A function that loads a model once and then hands out the same one; with `fetch`, missing weights are fetched.

    `ranking` is a rule of MSA checkpoints; for a model that has but one, UsageError is raised. `budget` is what its
    banks may take.
    """
    loaded: dict[str, MemoryEngine] = {}

    def load(name: str) -> MemoryEngine:
        if name not in loaded:
            if fetch:
                fetch_weights(settings, split_version(name)[0], report=report)
            wanted = device or settings.user.device
            if parallel_rank() is None:
                engine = load_one(settings, name, wanted, ranking, report)
                engine.budget = budget or engine.budget
                loaded[name] = engine
            else:
                from codemem.workers import Order, begin

                loaded[name] = begin(settings, Order(name, wanted, ranking, budget), report)
        return loaded[name]

    return load


def fetch_weights(settings: Settings, name: str, *, revision: str | None = None, report: Report = silent) -> Path:
    """Where the weights of a model lie, fetched if they are not here. Raises WeightsMissing or WeightsCorrupt."""
    from codemem.model.weights.download import pull
    from codemem.model.weights.registry import find_model

    return pull(
        find_model(name, settings.user.models),
        settings.places.weights,
        allow_mirror=settings.user.mirror,
        revision=revision,
        progress=_byte_meter("fetching weights", report),
    )


def bank_budget(gpu_memory: int | None, host_memory: int | None) -> "Budget | None":
    """Bytes that a bank may take; None where nothing was said."""
    if gpu_memory is None and host_memory is None:
        return None
    from codemem.model.tiers import Budget

    return Budget(gpu_memory, host_memory)


def rankings_file(settings: Settings) -> Path:
    """Where `codemem model check` notes the better ranking rule of a checkpoint."""
    return settings.places.data / "msa-4b-rankings.json"


def load_one(
    settings: Settings, name: str, device: str, ranking: "Ranking | None", report: Report
) -> "Engine | Msa4bEngine":
    """The model in this process. Raises WeightsMissing, WeightsCorrupt or UsageError."""
    from codemem.model.engine import Engine
    from codemem.model.msa4b.checkpoint import is_msa
    from codemem.model.msa4b.engine import Msa4bEngine
    from codemem.model.weights.adapters import adapter_path
    from codemem.model.weights.download import locate
    from codemem.model.weights.registry import find_model

    name, version = split_version(name)
    entry = find_model(name, settings.user.models)
    checkpoint = locate(entry, settings.places.weights)
    if version is not None:
        adapter, threads = kept_adapter(settings, version), settings.user.threads
        return Engine.open(entry.name, checkpoint, adapter, device=device, threads=threads)
    if is_msa(checkpoint):
        return Msa4bEngine.load(
            entry,
            directory=settings.places.weights,
            numbers=settings.places.numbers,
            device=device,
            threads=settings.user.threads,
            ranking=ranking,
            rankings=rankings_file(settings),
        )
    if entry.weights != "bf16":
        raise UsageError(f"{entry.called!r}: only an MSA checkpoint can be kept in {entry.weights}")
    if ranking is not None:
        raise UsageError(f"--ranking chooses between the rules of an MSA checkpoint; {name!r} has one rule of its own")
    adapter = adapter_path(entry, checkpoint)
    engine = Engine.open(
        entry.name,
        checkpoint,
        adapter,
        device=device,
        threads=settings.user.threads,
        progress=_byte_meter("preparing weights", report),
    )
    keep_adapter(settings, engine, adapter)
    return engine


def _byte_meter(phase: str, report: Report) -> Callable[[int, int], None]:
    meter = Meter(report, phase, 1, "bytes")

    def progress(done: int, total: int) -> None:
        meter.total = total
        meter.advance(done - meter.done)

    return progress


def model_name(workspace: Workspace, settings: Settings, manifest: Manifest | None, chosen: str | None) -> str:
    """The user's choice, else the model that the memory was made with, else the configured one.

    Raises WeightsMissing for a choice that is neither a known name nor a path.
    """
    kept = manifest.info.model if manifest else None
    if chosen:
        from codemem.model.weights.registry import find_model

        return find_model(chosen, settings.user.models).called
    return kept or workspace.config.model or settings.user.model or DEFAULT_MODEL


def common_model(manifests: Sequence[Manifest], chosen: str | None) -> str | None:
    """The one model of several memories; None if none of them has a memory yet. Raises UsageError if they differ."""
    names = {manifest.info.model for manifest in manifests if manifest.info.model}
    if chosen and names - {chosen, str(Path(chosen).absolute())}:
        raise UsageError(
            f"the memory is of model {', '.join(sorted(names))}: run `codemem index --model {chosen}` first"
        )
    purposes = {manifest.info.purpose for manifest in manifests if manifest.info.model}
    if len(names) > 1 or len(purposes) > 1:
        raise UsageError(
            "these repositories are indexed with different models: index them with the same `--model` and `--for`"
        )
    return names.pop() if names else None
