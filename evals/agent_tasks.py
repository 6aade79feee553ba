"""Agent tasks with and without codemem: does an agent open the right files, and how much must it read for that?

    python -m codemem.evals.agent_tasks --data DATA --checkouts DIR --out DIR

The tasks are fixed: issues of SWE-bench Lite (right files: those that the fix changed) and questions of SWE-QA (right
files: those that the reference answer cites). The agents are scripts (`agent_scripts`); codemem's tools are called by
the official client of the Model Context Protocol in `codemem mcp`, a process of its own.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codemem.evals.agent_scripts import CodememAgent, GrepAgent, Trace
from codemem.evals.cases import Case, Repository, read_all
from codemem.evals.checkouts import Checkout, Checkouts
from codemem.evals.metrics import bootstrap, paired_difference
from codemem.evals.report import Report, Table, write_report

ISSUES_EACH = 4
"""Issues of every repository."""
QUESTIONS_EACH = 12
WITHOUT, WITH = "grep and read", "codemem"


@dataclass(frozen=True, slots=True)
class Score:
    """How one agent did at one task."""

    task: str
    kind: str
    found: float
    """1 if a right file was opened."""
    recall: float
    """Share of the right files that were opened."""
    tokens: int
    """Read in all."""
    until: int | None
    """Read until the first right file was opened."""
    calls: int


def fixed_tasks(data: Path) -> list[Case]:
    """The first tasks of every repository, in the order of the sets."""
    readers = read_all(data)
    chosen: list[Case] = []
    for name, each in (("swe-bench-lite", ISSUES_EACH), ("swe-qa", QUESTIONS_EACH)):
        if name not in readers:
            continue
        taken: dict[str, int] = {}
        for case in readers[name]().cases:
            repository = case.repository.name
            taken[repository] = taken.get(repository, 0) + 1
            if taken[repository] <= each:
                chosen.append(case)
    return chosen


def score(case: Case, trace: Trace) -> Score:
    right = [at for at, path in enumerate(trace.opened) if path.endswith(case.files)]
    met = [gold for gold in case.files if any(path.endswith(gold) for path in trace.opened)]
    return Score(
        task=case.identifier,
        kind="issue" if case.spans else "question",
        found=float(bool(right)),
        recall=len(met) / len(case.files),
        tokens=trace.tokens,
        until=trace.spent[right[0]] if right else None,
        calls=trace.calls,
    )


async def run_repository(checkout: Checkout, cases: Sequence[Case], purpose: str) -> dict[str, list[Score]]:
    """Both agents at all tasks of one checkout, of which codemem sees a copy."""
    plain = GrepAgent(checkout.texts())
    scores = {WITHOUT: [score(case, await plain.solve(case.query)) for case in cases]}
    with tempfile.TemporaryDirectory(prefix="agents") as name:
        root = Path(name) / checkout.root.name
        shutil.copytree(checkout.root, root, symlinks=True)
        environment = os.environ | {"CODEMEM_DAEMON": "off"}
        index = [sys.executable, "-m", "codemem", "index", str(root), "--for", purpose]
        subprocess.run(index, check=True, capture_output=True, env=environment)
        scores[WITH] = await _with_codemem(root, cases, environment, wait=purpose != "outline")
    return scores


async def _with_codemem(root: Path, cases: Sequence[Case], environment: dict[str, str], *, wait: bool) -> list[Score]:
    from mcp import Client, StdioServerParameters, stdio_client

    arguments = ["-m", "codemem", "mcp", "-C", str(root)]
    parameters = StdioServerParameters(command=sys.executable, args=arguments, env=environment)
    async with Client(stdio_client(parameters)) as client:

        async def call(tool: str, values: Any) -> Any:
            result = await client.call_tool(tool, dict(values))
            if result.is_error or result.structured_content is None:
                raise RuntimeError(f"{tool}: {result.content}")
            return result.structured_content

        while wait and (await call("status", {}))["model_state"] != "ready":
            await asyncio.sleep(1.0)
        agent = CodememAgent(call)
        return [score(case, await agent.solve(case.query)) for case in cases]


def report(scores: dict[str, list[Score]], purpose: str) -> Report:
    """Tables over all tasks and by kind, and what both agents needed where both were right."""
    kinds = [("all", list(range(len(scores[WITH]))))]
    for kind in dict.fromkeys(each.kind for each in scores[WITH]):
        kinds.append((f"{kind}s", [at for at, each in enumerate(scores[WITH]) if each.kind == kind]))
    rows = [
        _row(label, system, [each[at] for at in chosen]) for label, chosen in kinds for system, each in scores.items()
    ]
    columns = ["tasks", "agent", "a right file opened", "share of right files", "tokens read", "calls"]
    both = [at for at in range(len(scores[WITH])) if all(each[at].found for each in scores.values())]
    until = [
        [system, str(len(both)), f"{statistics.median(each[at].until or 0 for at in both):,.0f}"]
        for system, each in scores.items()
    ]
    differences = [
        ["a right file opened", str(paired_difference(*_pair(scores, lambda each: each.found)))],
        ["share of right files", str(paired_difference(*_pair(scores, lambda each: each.recall)))],
        ["tokens read", str(paired_difference(*_pair(scores, lambda each: float(each.tokens))))],
    ]
    tables: list[Table] = [
        ("Tasks", columns, rows),
        ("Tokens until the first right file was opened, where both agents opened one (median)",
         ["agent", "tasks", "tokens"], until),
        (f"{WITH} minus {WITHOUT}, paired", ["measure", "difference"], differences),
    ]  # fmt: skip
    note = (
        f"{len(scores[WITH])} fixed tasks; each agent opens at most 5 files, 60 lines each; codemem was indexed with "
        f"`--for {purpose}`. Tokens are words and marks of all that tools returned. Intervals are 95% bootstrap."
    )
    data = {"scores": {system: [asdict(each) for each in found] for system, found in scores.items()}}
    return Report(f"agent-tasks-{purpose}", "Agent tasks with and without codemem", note, tables, data)


def _row(label: str, system: str, scores: Sequence[Score]) -> list[str]:
    return [
        f"{label} ({len(scores)})",
        system,
        str(bootstrap([each.found for each in scores])),
        f"{statistics.fmean(each.recall for each in scores):.3f}",
        f"{statistics.median(each.tokens for each in scores):,.0f}",
        f"{statistics.fmean(each.calls for each in scores):.1f}",
    ]


def _pair(scores: dict[str, list[Score]], value: Any) -> tuple[list[float], list[float]]:
    return [value(each) for each in scores[WITH]], [value(each) for each in scores[WITHOUT]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m codemem.evals.agent_tasks", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with swe-qa-dev, swe-bench-lite-dev")
    parser.add_argument("--checkouts", type=Path, required=True, help="exports named owner+name@revision")
    parser.add_argument("--clones", type=Path, help="clones that missing exports are made from")
    parser.add_argument("--out", type=Path, required=True, help="folder for the dated report")
    parser.add_argument("--for", dest="purpose", choices=("outline", "find"), default="outline")
    parser.add_argument("--repository", help="the tasks of this repository alone, `owner/name`")
    arguments = parser.parse_args()
    started = time.perf_counter()
    tasks = [case for case in fixed_tasks(arguments.data) if arguments.repository in (None, case.repository.name)]
    checkouts = Checkouts(arguments.checkouts, arguments.clones)
    scores: dict[str, list[Score]] = {WITHOUT: [], WITH: []}
    repositories: list[Repository] = list(dict.fromkeys(case.repository for case in tasks))
    for number, repository in enumerate(repositories, 1):
        print(f"{number} of {len(repositories)}: {repository.name}", file=sys.stderr)
        cases = [case for case in tasks if case.repository == repository]
        for system, found in asyncio.run(run_repository(checkouts.find(repository), cases, arguments.purpose)).items():
            scores[system] += found
    print(write_report(report(scores, arguments.purpose), arguments.out, seconds=time.perf_counter() - started))


if __name__ == "__main__":
    main()
