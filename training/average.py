"""Averages adapters that began with the same file, as runs that differ in their seed do.

    python -m codemem.training.average FILE... --out FILE

Every adapted matrix is the mean of the files' products B A, cut to the rank of the first; routers are averaged as they
stand. Settings of the memory are the first file's.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from codemem.model.adapter import AdapterFile, quantise_rows, tensors_of, write_adapter
from codemem.model.errors import WeightsCorrupt
from codemem.training.halves import sum_of_products


def average(paths: Sequence[Path], out: Path) -> float:
    """Writes the average; the smallest share of a matrix's energy that its rank holds.

    Raises `WeightsCorrupt` for files that are no adapters, of different bases or of different settings.
    """
    files = [AdapterFile(path) for path in paths]
    if len({(file.base, file.memory) for file in files}) > 1:
        raise WeightsCorrupt(f"{', '.join(map(str, paths))} are not of one base model and memory")
    share = 1 / len(files)
    kept = 1.0
    tensors: dict[str, Tensor] = {}
    for name in tensors_of(paths[0]):
        matrices: dict[str, Tensor] = {}
        if name.endswith(".a"):
            found, held = sum_of_products(files, (share,) * len(files), name.removesuffix(".a"))
            matrices, kept = dict(found), min(kept, held)
        elif name.startswith("routers.") and not name.endswith(".scale"):
            matrices[name] = torch.stack([file.matrix(name) for file in files]).mean(0)
        for part, matrix in matrices.items():
            tensors[part], tensors[f"{part}.scale"] = quantise_rows(matrix.contiguous())
    write_adapter(out, tensors, files[0].memory, files[0].base)
    return kept


def main(arguments: list[str] | None = None) -> None:
    """Averages, and says what the rank could not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m codemem.training.average",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    kept = average(options.files, options.out)
    print(f"{options.out}: every matrix keeps {kept:.1%} of its energy or more")


if __name__ == "__main__":
    main()
