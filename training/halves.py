"""Puts together what finds and what reads: the layers below one from one adapter, what another learnt above it.

    python -m codemem.training.halves --finds X --reads R --start S --from-layer 11 --routed 5,8,11 --out FILE

X and R are courses that began with S. Below `--from-layer` the file is X's to the bit, routers too, so that with all
routed layers below it documents and questions route as in X. From it on, every matrix is X's with `--weight` times what
R learnt added (R - S, as products B A, cut to the rank again). Where X is S and the weight 1, it is R's to the bit: so
the shipped file was made (decision 0033).
"""

import argparse
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from codemem.model.adapter import AdapterFile, quantise_rows, tensors_of, write_adapter
from codemem.model.errors import WeightsCorrupt

_LAYER = re.compile(r"^layers\.(\d+)\.")


def join(
    finds: Path, reads: Path, start: Path, out: Path, *, from_layer: int, weight: float, routed: tuple[int, ...]
) -> float:
    """Writes the joined file; the smallest share of a matrix's energy that its rank holds.

    Raises `WeightsCorrupt` for files that are no adapters of one base, `ValueError` for layers that
    `finds` does not route at.
    """
    files = [AdapterFile(path) for path in (finds, reads, start)]
    if len({file.base for file in files}) > 1:
        raise WeightsCorrupt(f"{finds}, {reads} and {start} are not of one base model")
    memory = replace(files[0].memory, routed_layers=routed, find_layers=0)
    if more := set(routed) - set(files[0].memory.routed_layers):
        raise ValueError(f"{finds} has no routers of layers {sorted(more)}")
    kept = 1.0
    tensors: dict[str, Tensor] = {}
    own, read = tensors_of(finds), tensors_of(reads)
    for name, tensor in own.items():
        if name.startswith("routers."):
            if int(name.split(".")[1]) in routed:
                tensors[name] = tensor
        elif _layer_of(name) < from_layer:
            tensors[name] = tensor
        elif finds == start and weight == 1:
            tensors[name] = read[name]
        elif name.endswith(".a"):
            joined, share = sum_of_products(files, (1.0, weight, -weight), name.removesuffix(".a"))
            kept = min(kept, share)
            for part, matrix in joined.items():
                tensors[part], tensors[f"{part}.scale"] = quantise_rows(matrix.contiguous())
    write_adapter(out, tensors, memory, files[0].base)
    return kept


def _layer_of(name: str) -> int:
    found = _LAYER.match(name)
    if found is None:
        raise WeightsCorrupt(f"{name} is of no layer")
    return int(found.group(1))


def sum_of_products(
    files: list[AdapterFile], weights: tuple[float, ...], name: str
) -> tuple[Mapping[str, Tensor], float]:
    """A and B whose product is nearest to the weighted sum of the files' B A at the rank of the first, and the share of
    the sum's energy that it holds."""
    a = [file.matrix(f"{name}.a") for file in files]  # [r, in] each
    b = [weight * file.matrix(f"{name}.b") for file, weight in zip(files, weights, strict=True)]  # [out, r] each
    rank = a[0].shape[0]
    q_out, r_out = torch.linalg.qr(torch.cat(b, 1))
    q_in, r_in = torch.linalg.qr(torch.cat(a).T)
    u, s, v = torch.linalg.svd(r_out @ r_in.T)
    energy = s.square()
    share = float(energy[:rank].sum() / energy.sum().clamp_min(1e-30))
    return {f"{name}.a": (q_in @ v.T[:, :rank]).T, f"{name}.b": q_out @ (u[:, :rank] * s[:rank])}, share


def main(argv: list[str] | None = None) -> None:
    """Joins, and says what the rank could not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m codemem.training.halves",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name in ("--finds", "--reads", "--start", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--from-layer", type=int, required=True)
    parser.add_argument("--weight", type=float, default=1.0)
    parser.add_argument("--routed", required=True, help="routed layers of the result")
    given = parser.parse_args(argv)
    kept = join(
        given.finds,
        given.reads,
        given.start,
        given.out,
        from_layer=given.from_layer,
        weight=given.weight,
        routed=tuple(map(int, given.routed.split(","))),
    )
    print(f"{given.out}: every matrix keeps {kept:.1%} of its energy or more")


if __name__ == "__main__":
    main()
