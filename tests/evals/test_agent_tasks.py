"""The scripted agents: what they open, and what they pay for it."""

import asyncio
from collections.abc import Mapping
from typing import Any

from codemem.evals.agent_scripts import FILES, WINDOW, CodememAgent, GrepAgent, Trace, search_terms, tokens
from codemem.evals.agent_tasks import WITH, WITHOUT, Score, report, score
from codemem.evals.cases import Case, Repository, Span

LONG = "\n".join(f"line {number}" for number in range(500))


def test_names_are_searched_before_words() -> None:
    task = "When `Session.resolve_redirects` is called with maxDepth, the header should vanish from proxies"
    assert search_terms(task) == ["resolve_redirects", "maxdepth", "called", "header", "vanish", "proxies"]


def test_tokens_are_words_and_marks() -> None:
    assert tokens("foo_bar(x, 1)") == 6
    assert tokens(" \n") == 0


def test_grep_opens_files_that_hold_rare_terms_and_reads_where_they_are_dense() -> None:
    texts = [
        ("a.py", LONG + "\ndef resolve_redirects():\n    pass\n" + LONG),
        ("tests/test_a.py", "resolve_redirects\n"),
        *[(f"other{number}.py", f"header {number}\n") for number in range(20)],
    ]
    trace = asyncio.run(GrepAgent(texts).solve("Where does resolve_redirects treat the header?"))
    assert trace.opened[0] == "a.py", "tests come later"
    assert len(trace.opened) == FILES
    assert trace.spent == sorted(trace.spent)
    assert trace.tokens == trace.spent[-1]
    assert trace.spent[0] <= 30 * 4 * 3 + 2 * WINDOW + 60, "a window, not the file"


def test_codemem_opens_each_file_once_where_it_points() -> None:
    asked: list[tuple[str, Any]] = []

    async def call(tool: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
        asked.append((tool, values))
        places = [{"path": path, "start_line": start} for path, start in (("a.py", 40), ("b.py", 2), ("a.py", 400))]
        return {"results": places} if tool == "find" else {"text": "one two"}

    trace = asyncio.run(CodememAgent(call).solve("q" * 5000))
    assert trace.opened == ["a.py", "b.py"]
    assert [values.get("start_line") for _, values in asked] == [None, 35, 1]
    assert len(asked[0][1]["query"]) == 2000
    assert trace.calls == 3


def case(*files: str) -> Case:
    return Case("t", Repository("o/n", "abc1234"), "query", "", files, (Span(files[0], 1, 2),))


def test_scores_say_what_was_found_and_for_how_much() -> None:
    trace = Trace(["x.py", "src/a.py", "b.py"], [10, 20, 30], 35, 4)
    found = score(case("a.py", "c.py"), trace)
    assert (found.found, found.recall, found.until, found.tokens) == (1.0, 0.5, 20, 35)
    missed = score(case("z.py"), trace)
    assert (missed.found, missed.recall, missed.until) == (0.0, 0.0, None)


def test_a_report_compares_task_by_task() -> None:
    better = Score("t", "issue", 1.0, 1.0, 100, 50, 6)
    worse = Score("t", "issue", 0.0, 0.0, 300, None, 13)
    made = report({WITHOUT: [worse, better], WITH: [better, better]}, "outline")
    assert made.tables[1][2] == [[WITHOUT, "1", "50"], [WITH, "1", "50"]]
    assert made.tables[2][2][0][1].startswith("0.5")
