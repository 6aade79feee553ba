"""Pictures of results, as SVG. matplotlib is asked for when the first is drawn."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from codemem.evals.answers.scoring import Record, mean
from codemem.evals.errors import MissingBaselineError

BARS = ("right", "right and cited", "gold lines at 2,000 tokens", "refused, of absent")


def _figure(width: float, height: float) -> tuple[Any, Any]:
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingBaselineError("matplotlib (for plots)", "pip install matplotlib") from error
    mpl.rcParams["svg.hashsalt"] = "codemem"  # the same picture gives the same bytes
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _save(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})
    return path


def bars(runs: Mapping[str, Sequence[Record]], path: Path, title: str, measures: Sequence[str] = BARS) -> Path:
    """Measures of every system, with 95% intervals."""
    figure, axes = _figure(9, 1 + 0.21 * len(runs) * len(measures))
    height = 0.8 / len(runs)
    for number, (system, records) in enumerate(runs.items()):
        found = [(place, interval) for place, m in enumerate(measures) if (interval := mean(records, m)) is not None]
        places = [place + number * height for place, _ in found]
        means = [interval.mean for _, interval in found]
        errors = [
            [interval.mean - interval.low for _, interval in found],
            [interval.high - interval.mean for _, interval in found],
        ]
        axes.barh(places, means, height, xerr=errors, label=system, error_kw={"elinewidth": 0.8})
    axes.set_yticks([place + 0.4 - height / 2 for place in range(len(measures))], measures)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_title(title)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return _save(figure, path)


def growth(runs: Mapping[str, Mapping[int, Sequence[Record]]], path: Path, measure: str, title: str) -> Path:
    """A measure over the tokens of the repository, one line a system."""
    figure, axes = _figure(7, 4)
    for system, by_size in runs.items():
        points = [(size, value) for size, records in sorted(by_size.items()) if (value := mean(records, measure))]
        axes.plot([size for size, _ in points], [value.mean for _, value in points], marker="o", label=system)
    axes.set_xscale("log")
    axes.set_ylim(0, 1)
    axes.set_xlabel("tokens in the repository")
    axes.set_ylabel(measure)
    axes.set_title(title)
    axes.legend()
    return _save(figure, path)
