"""Places as text, on terminals and in files. Light: it also shows what a daemon answered, and rich is for terminals."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote_to_bytes

SHOWN_LINES = 12
"""Lines of a place shown below its name."""


class Place(Protocol):
    """Lines of a file, as a result or a citation has them."""

    @property
    def repository(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def start_line(self) -> int: ...
    @property
    def end_line(self) -> int: ...
    @property
    def symbol(self) -> str | None: ...


class PlaceWithText(Place, Protocol):
    """A result of `find`."""

    @property
    def score(self) -> float: ...
    @property
    def text(self) -> str: ...


@dataclass(frozen=True, slots=True)
class AnsweredPlace:
    """A place that a daemon answered."""

    repository: str
    path: str
    start_line: int
    end_line: int
    symbol: str | None
    score: float
    text: str = ""

    @classmethod
    def from_json(cls, place: Mapping[str, Any]) -> "AnsweredPlace":
        return cls(**{name: place[name] for name in cls.__slots__ if name in place})


def show_places(places: Iterable[PlaceWithText]) -> None:
    for place in places:
        show_title(place, f"{place.symbol or ''}  {place.score:g}")
        if sys.stdout.isatty():
            lines = place.text.split("\n")
            show_code(place.path, "\n".join(lines[:SHOWN_LINES]), place.start_line, len(lines) - SHOWN_LINES)


def show_title(place: Place, rest: str) -> None:
    """`path:start-end`, on terminals a link (OSC 8) to the file."""
    title = f"{place.path}:{place.start_line}-{place.end_line}"
    if not sys.stdout.isatty():
        print(f"{title}  {rest}")
        return
    from rich.style import Style
    from rich.text import Text

    from codemem.cli.output import out

    target = quote(bytes(Path(place.repository)) + b"/" + unquote_to_bytes(place.path))
    style = Style(bold=True, link=f"file://{target}#L{place.start_line}")
    out().print(Text(title, style=style), Text(f"  {rest}", style="dim"), sep="")


def show_code(path: str, code: str, first_line: int, more: int) -> None:
    """On a terminal, in colours."""
    from rich.syntax import Syntax
    from rich.text import Text

    from codemem.cli.output import out

    code = printable(code)
    lexer = Syntax.guess_lexer(path, code)
    out().print(Syntax(code, lexer, line_numbers=True, start_line=first_line, background_color="default"))
    if more > 0:
        out().print(Text(f"      ... {more:,} more lines", style="dim"))


def behind_words(added: int, changed: int, removed: int) -> str:
    """'2 new, 1 changed files'; '' if nothing is behind."""
    parts = [(added, "new"), (changed, "changed"), (removed, "removed")]
    named = ", ".join(f"{count:,} {word}" for count, word in parts if count)
    return f"{named} file{'s' * (added + changed + removed != 1)}" if named else ""


_CONTROL = {c: 0xFFFD for c in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if chr(c) not in "\n\t"}


def printable(text: str) -> str:
    """Without control characters: what a file or model says must not steer the terminal."""
    return text.replace("\r\n", "\n").translate(_CONTROL)
