"""Results on disk: a dated Markdown page and a JSON file beside it, with machine, versions and command."""

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codemem.evals.metrics import bootstrap, paired_difference
from codemem.evals.retrieval import MAIN_METRIC, Run

PACKAGES = (
    "codemem",
    "torch",
    "numpy",
    "tree-sitter",
    "tree-sitter-language-pack",
    "transformers",
    "semble",
    "model2vec",
)

Table = tuple[str, list[str], list[list[str]]]
"""Caption, column names, rows."""


@dataclass(frozen=True, slots=True)
class Report:
    """What an evaluation has to say."""

    name: str
    """Part of the file's name."""
    title: str
    note: str
    tables: Sequence[Table]
    data: dict[str, Any] = field(default_factory=dict)
    """Goes into the JSON file: what the tables were made from."""


def machine() -> dict[str, Any]:
    """Processor, cores, memory and system of this machine."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Installed versions of what can change a figure, and the commit of this code."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    command = ["git", "-C", str(Path(__file__).resolve().parent), "describe", "--always", "--dirty", "--abbrev=12"]
    described = subprocess.run(command, capture_output=True, text=True, check=False)
    if described.returncode == 0:
        found["commit"] = described.stdout.strip()
    return found


def retrieval_report(runs: Sequence[Run], *, reference: str | None = None) -> Report:
    """Tables of all runs of one set: metrics, groups, and paired differences to the `reference` system."""
    case_set = runs[0].case_set
    main = MAIN_METRIC.get(case_set, "NDCG@10")
    metrics = [name for name in runs[0].metric_names if name != main]
    overall = [
        [run.system, str(bootstrap(run.values(main))), *(_mean(run.values(name)) for name in metrics), _median_ms(run)]
        for run in runs
    ]
    tables: list[Table] = [("All cases", ["system", main, *metrics, "ms a query"], overall)]
    for caption, key in (("By repository", "repository"), ("By category", "category")):
        groups = list(dict.fromkeys(_group(outcome.case, key) for outcome in runs[0].outcomes))
        if len(groups) < 2 or (
            key == "category" and len(groups) == len({o.case.repository.name for o in runs[0].outcomes})
        ):
            continue  # says nothing that another table does not say
        rows = [
            [run.system, *(_mean([o.values[main] for o in run.outcomes if _group(o.case, key) == g]) for g in groups)]
            for run in runs
        ]
        tables.append((f"{caption} ({main})", ["system", *groups], rows))
    tables += _differences(runs, main, reference)
    note = f"{len(runs[0].outcomes)} cases; intervals are 95% bootstrap over cases."
    return Report(
        f"retrieval-{case_set}", f"Retrieval: {case_set}", note, tables, {"runs": [_as_json(run) for run in runs]}
    )


def _differences(runs: Sequence[Run], main: str, reference: str | None) -> list[Table]:
    ours = next((run for run in runs if run.system == reference), None)
    if ours is None:
        return []
    others = [run for run in runs if run is not ours]
    rows = [[run.system, str(paired_difference(ours.values(main), run.values(main)))] for run in others]
    return [(f"{ours.system} minus the other, paired ({main})", ["other", "difference"], rows)] if rows else []


def _group(case: Any, key: str) -> str:
    return str(case.repository.short_name if key == "repository" else case.category)


def _mean(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.3f}"


def _median_ms(run: Run) -> str:
    times = sorted(outcome.seconds for outcome in run.outcomes)
    return f"{1000 * times[len(times) // 2]:.1f}"


def _as_json(run: Run) -> dict[str, Any]:
    cases = [
        {"case": o.case.identifier, "files": list(o.files), "values": o.values, "seconds": round(o.seconds, 6)}
        for o in run.outcomes
    ]
    return {"system": run.system, "set": run.case_set, "prepare_seconds": round(run.prepare_seconds, 3), "cases": cases}


def write_report(report: Report, folder: Path, *, seconds: float | None = None) -> Path:
    """Write `DATE-NAME.md` and `.json` into `folder` and return the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    page = folder / f"{date}-{report.name}.md"
    facts = {"date": date, "command": _command(), "machine": machine(), "versions": versions(), "seconds": seconds}
    page.write_text(_markdown(report, facts), encoding="utf-8")
    content = {"name": report.name, **facts, **report.data}
    page.with_suffix(".json").write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return page


def _command() -> str:
    """The command line; of paths only the last part, which says what was read without telling about the machine."""
    words = [Path(word).name if "/" in word else word for word in sys.argv]
    return " ".join(words)


def _markdown(report: Report, facts: dict[str, Any]) -> str:
    host = facts["machine"]
    lines = [
        f"# {report.title}",
        "",
        report.note,
        "",
        f"- date: {facts['date']}",
        f"- command: `{facts['command']}`",
        f"- machine: {host['processor']}, {host['cores']} cores, {host['memory_gib']} GiB, Python {host['python']}",
        f"- versions: {', '.join(f'{name} {version}' for name, version in facts['versions'].items())}",
    ]
    for caption, columns, rows in report.tables:
        lines += ["", f"## {caption}"] if caption else []
        lines += ["", _row(columns), _row(["---"] * len(columns)), *map(_row, rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
