"""Where output goes: answers to standard output, everything else to standard error; bars on terminals only."""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from codemem.progress import Progress, Report

PLAIN_SECONDS = 10.0
"""Without a terminal, a phase that goes on says so this often."""


def print_json(value: object) -> None:
    """One object on one line. Lone surrogates in what was read are escaped, as in any JSON."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


class _Output(Console):
    def on_broken_pipe(self) -> None:
        """Left to `app.run`: a reader that has gone is no failure of ours, and rich would exit with 1."""
        raise BrokenPipeError


def out() -> Console:
    return _Output(highlight=False, soft_wrap=True)


def line(text: str) -> None:
    """A line of a result, as it is: no markup, no wrapping."""
    print(text)


def note(message: str) -> None:
    """A line for the user that is no result."""
    print(f"codemem: {message}", file=sys.stderr, flush=True)


def notes(messages: Iterable[str]) -> None:
    for message in messages:
        note(message)


@contextmanager
def progress() -> Iterator[Report]:
    """A report that draws bars on a terminal, or else prints a line now and then."""
    if not sys.stderr.isatty():
        yield _PlainReport()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), _Figures())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        yield _BarReport(bars)


class _BarReport:
    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, moment: Progress) -> None:
        if moment.phase not in self._tasks:
            self._tasks[moment.phase] = self._bars.add_task(moment.phase, total=moment.total)
        task = self._tasks[moment.phase]
        self._bars.update(task, completed=moment.done, total=moment.total, figures=figures(moment))


class _Figures(TextColumn):
    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        return Text(task.fields.get("figures", ""))


class _PlainReport:
    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, moment: Progress) -> None:
        if time.monotonic() - self._last >= PLAIN_SECONDS:
            self._last = time.monotonic()
            note(f"{moment.phase}: {figures(moment)}")


def figures(moment: Progress) -> str:
    """'1,200/5,000 tokens, 310/s, 12 s left'."""
    parts = [f"{moment.done:,}/{moment.total:,} {moment.unit}"]
    if moment.rate:
        parts.append(f"{moment.rate:,.0f}/s")
    if (left := moment.seconds_left) is not None and moment.done < moment.total:
        parts.append(f"{duration(left)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """'12 s', '3 min 20 s', '1 h 5 min'."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if seconds >= 1 or seconds == 0 else f"{seconds:.1f} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def as_json(result: Any) -> None:
    print_json(result.to_json())
