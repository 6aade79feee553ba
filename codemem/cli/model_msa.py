"""`codemem model convert` and `codemem model check`: checkpoints in the MSA layout."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codemem.cli.options import Device, Json, Weights, with_weights

if TYPE_CHECKING:
    from codemem.config import Settings


def convert(
    source: Annotated[Path, typer.Argument(help="Folder of a Qwen3 or Qwen2 checkpoint: config.json, safetensors.")],
    target: Annotated[Path, typer.Argument(help="Folder to write; it must not exist.")],
    *,
    layers: Annotated[
        str | None, typer.Option(help="Routed layers, as `18-35` or `5,8,11`. Default: the upper half.")
    ] = None,
    top_k: Annotated[int, typer.Option("--top-k", min=1, help="Documents that a routed layer attends to.")] = 16,
    chunk_tokens: Annotated[int, typer.Option("--chunk-tokens", min=1, help="Tokens a chunk.")] = 64,
    method: Annotated[
        str,
        typer.Option("--aux-loss-method", help="Written to the configuration. INFONCE: the engine ranks by cosine."),
    ] = "INFONCE",
    seed: Annotated[int, typer.Option(help="Of the routers' random weights.")] = 0,
    json: Json = False,
) -> None:
    """Turn a plain Qwen3 or Qwen2 checkpoint into an MSA one, with fresh routers: where training a memory begins.

    **Example**

    `codemem model convert ~/models/Qwen3-4B-Instruct-2507 ~/models/my-msa-4b --layers 18-35`
    """
    from codemem.cli import output
    from codemem.model.msa4b.checkpoint import read_json
    from codemem.model.msa4b.config import read_config
    from codemem.model.msa4b.convert import convert as run

    run(
        source,
        target,
        routed_layers=None if layers is None else _layer_list(layers),
        top_k=top_k,
        chunk_tokens=chunk_tokens,
        aux_loss_method=method,
        seed=seed,
    )
    routed = read_config(read_json(target / "config.json")).memory.routed_layers
    if json:
        output.print_json({"path": str(target), "routed_layers": list(routed)})
    else:
        output.line(f"{target} routes at layers {', '.join(map(str, routed))}; its routers are random: train them")


def check(
    name: Annotated[str, typer.Argument(help="An MSA checkpoint: a name of `codemem model list`, or a folder.")],
    *,
    facts: Annotated[int, typer.Option(min=1, max=768, help="Facts to ask for.")] = 12,
    documents: Annotated[int, typer.Option(min=1, max=768, help="Documents to plant, a fact each.")] = 64,
    record: Annotated[bool, typer.Option("--record/--no-record", help="Use the better rule from now on.")] = True,
    weights: Weights = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Find out on the real weights which ranking rule answers better, and time everything.

    Plants facts in a small memory, asks for them under both rules, notes the better one and prints a report to paste.
    """
    from codemem.cli import output
    from codemem.config import Settings
    from codemem.engines import rankings_file
    from codemem.errors import UsageError
    from codemem.model.device import choose_device, choose_precision
    from codemem.model.msa4b.check import as_text
    from codemem.model.msa4b.check import check as run
    from codemem.model.msa4b.checkpoint import is_msa, load_msa4b
    from codemem.model.msa4b.ranking import record_ranking
    from codemem.model.weights.download import locate
    from codemem.model.weights.registry import find_model

    if facts > documents:
        raise UsageError(f"--facts {facts} cannot be asked for in --documents {documents}")
    settings = Settings.load()
    entry = find_model(with_weights(name, weights) or name, settings.user.models)
    folder = locate(entry, settings.places.weights)
    if not is_msa(folder):
        raise UsageError(f"{name!r} is no MSA checkpoint: it ranks by one rule, which `codemem eval` measures")
    place = choose_device(device or settings.user.device)
    output.note(f"loading {folder}")
    model = load_msa4b(folder, device=place, dtype=choose_precision(place).dtype, weights=entry.weights)
    report = run(model, facts=facts, documents=documents, progress=output.note)
    if record and report["better"]:
        record_ranking(rankings_file(settings), model.checkpoint, report["better"], {"trials": report["trials"]})
    if json:
        output.print_json(report)
    else:
        output.line(as_text(report))


def describe(path: str, settings: "Settings") -> dict[str, Any] | None:
    """What an MSA checkpoint's files say; None for any other model."""
    from codemem.engines import rankings_file
    from codemem.model.msa4b.checkpoint import is_msa, loaded_bytes, read_json, weights_fingerprint
    from codemem.model.msa4b.config import read_config
    from codemem.model.msa4b.ranking import recorded_ranking
    from codemem.model.msa4b.shards import Shards
    from codemem.model.weights.kept import WEIGHTS

    folder = Path(path)
    if not is_msa(folder):
        return None
    raw = read_json(folder / "config.json")
    config, shards = read_config(raw), Shards(folder)
    memory, decoder = config.memory, config.decoder
    fingerprint = weights_fingerprint(raw, shards)
    noted = recorded_ranking(rankings_file(settings), fingerprint)
    row = 2 * 3 * decoder.kv_heads * decoder.head_dim
    return {
        "layers": decoder.layers,
        "routed_layers": list(memory.routed_layers),
        "top_k": memory.top_k,
        "chunk_tokens": memory.chunk_tokens,
        "tied": decoder.tied,
        "weights_bytes": sum(shards.nbytes(tensor) for tensor in shards),
        "loaded_bytes": {weights: loaded_bytes(raw, weights) for weights in WEIGHTS},
        "chunk_bytes": row * len(memory.routed_layers),
        "aux_loss_method": config.aux_loss_method,
        "ranking": noted or ("cosine" if memory.cosine else "scaled"),
        "ranking_by": "check" if noted else "engine",
        "fingerprint": fingerprint,
    }


def _layer_list(spelled: str) -> list[int]:
    """'18-35' or '5,8,11' (both may be mixed). Raises UsageError."""
    from codemem.errors import UsageError

    layers: set[int] = set()
    try:
        for part in spelled.split(","):
            first, _, last = part.partition("-")
            layers.update(range(int(first), int(last or first) + 1))
    except ValueError:
        raise UsageError(f"--layers {spelled!r}: give layers as 18-35 or 5,8,11") from None
    if not layers:
        raise UsageError(f"--layers {spelled!r} names no layer")
    return sorted(layers)
