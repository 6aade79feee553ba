"""Results for people: places and answers on a terminal or in a file."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from rich.console import Console
from rich.style import Style
from rich.syntax import Syntax
from rich.text import Text

from codemem.ask import AskEvent, Piece, RoundDone
from codemem.cli import output
from codemem.indexer import decode_path
from codemem.passages import FileChangedError, Lines
from codemem.results import AskResult, Citation, FindResult, FoundPlace, IndexResult, StatusResult
from codemem.search import Session
from codemem.snapshot import Behind

SHOWN_LINES = 12
"""Lines of a place shown below its name."""
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
    state = "up to date" if result.fresh else f"behind by {behind_words(result.behind)}"
    console.print(Text(f"{result.path}: {state}"))
    memory = f"{result.in_memory:,} of them in the memory of {result.model}" if result.model else "outline alone"
    console.print(Text(f"  {result.documents:,} documents ({memory}), {result.tokens:,} tokens"))
    console.print(
        Text(f"  commit {result.commit or 'none'}; {result.bytes:,} bytes on disk; {len(result.skipped):,} left out")
    )
    for problem in result.problems:
        console.print(Text(f"  {problem}"))
    if not result.fresh:
        console.print(Text("  `codemem index` brings it up to date"))


def behind_words(behind: Behind) -> str:
    """'2 new, 1 changed files'."""
    parts = [(behind.added, "new"), (behind.changed, "changed"), (behind.removed, "removed")]
    named = ", ".join(f"{count:,} {word}" for count, word in parts if count)
    total = behind.added + behind.changed + behind.removed
    return f"{named} file{'s' * (total != 1)}"


def show_places(result: FindResult) -> None:
    console = output.out()
    if not result.results:
        console.print(Text("nothing found"))
    for place in result.results:
        _show_place(console, place)
    _show_behind(result.behind)


def _show_place(console: Console, place: FoundPlace) -> None:
    console.print(_title(console, place), Text(f"  {place.symbol or ''}  {place.score:g}", style="dim"), sep="")
    if console.is_terminal:
        lines = place.text.split("\n")
        _show_code(console, place.path, "\n".join(lines[:SHOWN_LINES]), place.start_line, len(lines) - SHOWN_LINES)


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
        for place in result.places:
            _show_place(console, place)
    for citation in result.citations:
        console.print(_title(console, citation), Text(f"  {citation.symbol or ''}", style="dim"), sep="")
        if console.is_terminal:
            _show_cited(console, citation, session)
    _show_behind(result.behind)


def _show_cited(console: Console, citation: Citation, session: Session) -> None:
    shown = Lines(citation.start_line, min(citation.end_line, citation.start_line + SHOWN_LINES - 1))
    snapshot = next(s for s in session.snapshots if s.workspace.name == citation.repository)
    try:
        code = snapshot.passages.lines(citation.path, shown)
    except FileChangedError:  # since it was checked, a moment ago
        return
    _show_code(console, citation.path, code, citation.start_line, citation.end_line - shown.end)


def _show_code(console: Console, path: str, code: str, first_line: int, more: int) -> None:
    code = printable(code)
    lexer = Syntax.guess_lexer(path, code)
    console.print(Syntax(code, lexer, line_numbers=True, start_line=first_line, background_color="default"))
    if more > 0:
        console.print(Text(f"      ... {more:,} more lines", style="dim"))


def _title(console: Console, place: FoundPlace | Citation) -> Text:
    """`path:start-end`, on terminals a link (OSC 8) to the file."""
    title = f"{place.path}:{place.start_line}-{place.end_line}"
    if not console.is_terminal:
        return Text(title)
    target = quote(bytes(Path(place.repository)) + b"/" + decode_path(place.path))
    return Text(title, style=Style(bold=True, link=f"file://{target}#L{place.start_line}"))


def _show_behind(behind: Behind) -> None:
    if behind:
        output.note(f"the memory is behind by {behind_words(behind)}: `codemem index` brings it up to date")


_CONTROL = {c: 0xFFFD for c in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if chr(c) not in "\n\t"}


def printable(text: str) -> str:
    """Without control characters: what a file or model says must not steer the terminal."""
    return text.replace("\r\n", "\n").translate(_CONTROL)
