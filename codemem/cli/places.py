"""Places as text, on terminals and in files. Rich is for terminals alone."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote_to_bytes

from codemem.cli import plain

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
        show_title(place, plain.place_words(place.symbol, place.score))
        if sys.stdout.isatty():
            lines = place.text.split("\n")
            show_code(place.path, "\n".join(lines[:SHOWN_LINES]), place.start_line, len(lines) - SHOWN_LINES)


def show_title(place: Place, rest: str) -> None:
    """`path:start-end`, on terminals a link (OSC 8) to the file."""
    title = plain.title(place.path, place.start_line, place.end_line)
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

    code = plain.printable(code)
    lexer = Syntax.guess_lexer(path, code)
    out().print(Syntax(code, lexer, line_numbers=True, start_line=first_line, background_color="default"))
    if more > 0:
        out().print(Text(f"      ... {more:,} more lines", style="dim"))
