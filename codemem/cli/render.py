"""Results for people: places and answers on a terminal or in a file."""

from collections.abc import Iterator
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from codemem.ask import AskEvent, Piece, RoundDone
from codemem.cli import output
from codemem.cli.places import SHOWN_LINES, show_code, show_places, show_title
from codemem.cli.plain import behind_words, printable
from codemem.passages import FileChangedError, Lines
from codemem.results import AskResult, Citation, FindResult, IndexResult, StatusResult
from codemem.search import Session
from codemem.snapshot import Behind

SHOWN_SKIPS = 5


def show_index(result: IndexResult) -> None:
    console = output.out()
    line = f"{result.path}: {result.documents:,} documents"
    if result.tokens:
        line += f", {result.tokens:,} tokens in the memory of {result.model}"
    console.print(Text(line))
    if result.encoded:
        speed = f"{result.tokens_per_second:,.0f} tokens/s"
        console.print(Text(f"  {result.encoded:,} encoded ({speed}), {result.reused:,} reused, in {_time(result)}"))
    elif result.tokens:
        console.print(Text(f"  nothing to encode, {result.reused:,} reused, in {_time(result)}"))
    else:
        console.print(Text(f"  the outline is ready in {_time(result)}: `codemem find` works"))
    if result.removed:
        console.print(Text(f"  {result.removed:,} documents of files that are gone"))
    _show_skipped(console, result)


def _time(result: IndexResult) -> str:
    return output.duration(result.seconds)


def _show_skipped(console: Console, result: IndexResult) -> None:
    if not result.skipped:
        return
    console.print(Text(f"  {len(result.skipped):,} left out:"))
    for skipped in result.skipped[:SHOWN_SKIPS]:
        console.print(Text(f"    {skipped.path}: {skipped.reason}"))
    if len(result.skipped) > SHOWN_SKIPS:
        console.print(
            Text(f"    and {len(result.skipped) - SHOWN_SKIPS:,} more: `codemem index --json` names them all")
        )


def show_status(result: StatusResult) -> None:
    console = output.out()
    state = "up to date" if result.fresh else f"behind by {behind_words(**asdict(result.behind))}"
    console.print(Text(f"{result.path}: {state}"))
    memory = f"{result.in_memory:,} of them in the memory of {result.model}" if result.model else "outline alone"
    console.print(Text(f"  {result.documents:,} documents ({memory}), {result.tokens:,} tokens"))
    console.print(
        Text(f"  commit {result.commit or 'none'}; {result.bytes:,} bytes on disk; {len(result.skipped):,} left out")
    )
    if result.daemon:
        console.print(Text(f"  the daemon runs, pid {result.daemon['pid']}"))
    for problem in result.problems:
        console.print(Text(f"  {problem}"))
    if not result.fresh:
        console.print(Text("  `codemem index` brings it up to date"))


def show_found(result: FindResult) -> None:
    if not result.results:
        output.line("nothing found")
    show_places(result.results)
    _show_behind(result.behind)


def show_answer(events: Iterator[AskEvent], session: Session) -> None:
    """Streams the answer; citations follow when it is whole."""
    console = output.out()
    for event in events:
        if isinstance(event, RoundDone):
            how = "named" if event.by_model else "routed to"
            output.note(f"round {event.number}: {how} {', '.join(event.named)}")
        elif isinstance(event, Piece):
            console.print(Text(printable(event.text)), end="")
        else:
            _finish(console, event, session)


def _finish(console: Console, result: AskResult, session: Session) -> None:
    console.print()
    output.notes([note for note in result.notes if note not in session.notes])
    if not result.found:
        console.print(Text("The memory does not hold the answer. The nearest places:", style="bold"))
        show_places(result.places)
    for citation in result.citations:
        show_title(citation, citation.symbol or "")
        if console.is_terminal:
            _show_cited(citation, session)
    _show_behind(result.behind)


def _show_cited(citation: Citation, session: Session) -> None:
    shown = Lines(citation.start_line, min(citation.end_line, citation.start_line + SHOWN_LINES - 1))
    snapshot = next(s for s in session.snapshots if s.workspace.name == citation.repository)
    try:
        code = snapshot.passages.lines(citation.path, shown)
    except FileChangedError:  # since it was checked, a moment ago
        return
    show_code(citation.path, code, citation.start_line, citation.end_line - shown.end)


def _show_behind(behind: Behind) -> None:
    if behind:
        output.note(f"the memory is behind by {behind_words(**asdict(behind))}: `codemem index` brings it up to date")
