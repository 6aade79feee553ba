"""Retrieval systems side by side on the development sets.

python -m codemem.evals.compare --data shared/evals --checkouts DIR --set semble --system bm25-chunks outline
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from codemem.evals.baselines import Bm25Retriever, DenseRetriever, FusionRetriever
from codemem.evals.cases import read_all
from codemem.evals.checkouts import Checkouts
from codemem.evals.errors import EvaluationError
from codemem.evals.minilm import MiniLM
from codemem.evals.report import retrieval_report, write_report
from codemem.evals.retrieval import Retriever, Run, evaluate
from codemem.evals.semble import SembleRetriever, WordLlamaEncoder
from codemem.evals.systems import MemoryScorer, MixedRetriever, OutlineReader, OutlineRetriever

Systems = dict[str, Callable[[], Retriever]]


def baseline_systems(cache_folder: Path) -> Systems:
    """Every system that needs no model of ours, by its name on the command line; built only when asked for."""
    reader = OutlineReader()

    @cache
    def minilm() -> MiniLM:
        return MiniLM(cache_folder / "minilm.sqlite")

    def dense(*, with_path: bool) -> DenseRetriever:
        return DenseRetriever("MiniLM", minilm(), with_path=with_path)

    return {
        "bm25-chunks": Bm25Retriever,
        "bm25-files": lambda: Bm25Retriever(None),
        "minilm": lambda: dense(with_path=False),
        "minilm-path": lambda: dense(with_path=True),
        "fusion": lambda: FusionRetriever(Bm25Retriever(), dense(with_path=False)),
        "fusion-path": lambda: FusionRetriever(Bm25Retriever(with_path=True), dense(with_path=True)),
        "wordllama": lambda: DenseRetriever("wordllama", WordLlamaEncoder(), with_path=True),
        "semble": SembleRetriever,
        "semble-wordllama": lambda: SembleRetriever(WordLlamaEncoder(), encoder_name="wordllama"),
        "outline": lambda: OutlineRetriever(reader),
        "outline-minilm": lambda: MixedRetriever(OutlineRetriever(reader), dense(with_path=True)),
    }


def with_memory(systems: Systems, memory: Callable[[], MemoryScorer]) -> Systems:
    """The systems with our memory mixed into the outline as well."""
    return {**systems, "both": lambda: MixedRetriever(OutlineRetriever(), memory())}


def compare(
    systems: Sequence[Retriever],
    case_sets: Sequence[str],
    *,
    data: Path,
    checkouts: Checkouts,
    out: Path,
    reference: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Run every system on every set and write one report a set; raises EvaluationError."""
    readers = read_all(data)
    unknown = [name for name in case_sets if name not in readers]
    if unknown:
        raise EvaluationError(f"no set {', '.join(unknown)} under {data}; there are {', '.join(readers)}")
    pages = []
    for name in case_sets:
        case_set = readers[name]()
        runs: list[Run] = [evaluate(system, case_set, checkouts, progress=progress) for system in systems]
        pages.append(write_report(retrieval_report(runs, reference=reference), out))
    return pages


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare retrieval systems on the development sets and write dated reports."""
    parser = argparse.ArgumentParser(prog="python -m codemem.evals.compare", description=main.__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with semble-dev, swe-qa-dev, swe-bench-lite-dev"
    )
    parser.add_argument("--checkouts", type=Path, required=True, help="folder of exports owner+name@revision")
    parser.add_argument("--clones", type=Path, help="folder of clones owner+name to export missing revisions from")
    parser.add_argument("--cache", type=Path, help="folder for vectors of baselines (default: the checkouts' folder)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the reports")
    parser.add_argument("--set", nargs="+", default=["semble"], dest="sets", metavar="NAME")
    parser.add_argument("--system", nargs="+", default=["bm25-chunks", "bm25-files", "outline"], metavar="NAME")
    parser.add_argument("--reference", default="outline", help="name of the system that the others are compared with")
    options = parser.parse_args(arguments)
    systems = baseline_systems(options.cache or options.checkouts)
    unknown = [name for name in options.system if name not in systems]
    if unknown:
        parser.error(f"no system {', '.join(unknown)}; there are {', '.join(systems)}")
    try:
        pages = compare(
            [systems[name]() for name in options.system],
            options.sets,
            data=options.data,
            checkouts=Checkouts(options.checkouts, options.clones),
            out=options.out,
            reference=options.reference,
            progress=lambda line: print(line, file=sys.stderr),
        )
    except EvaluationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for page in pages:
        print(page.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
