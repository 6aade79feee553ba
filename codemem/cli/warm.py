"""`find` and `ask` through a daemon, before anything heavy is imported: even typer takes longer than the answer.

Only plain calls are taken. Everything else, and everything wrong, is left to the command line proper, which says so.
"""

import os
import sys

from codemem import errors

TYPE_CHECKING = False  # what is imported here is half of what a user waits for: see codemem/daemon/connection.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from codemem.daemon.connection import Connection

_VALUES = {
    "find": {"-k": "k", "--router": "router", "-C": "paths", "--catch-up": "catch_up", "--model": "model"},
    "ask": {"-C": "paths", "--catch-up": "catch_up", "--model": "model"},
}
"""Options with a value -> the daemon's names for them."""
_QUERY = {"find": "query", "ask": "question"}


class Call:
    """A plain call of `find` or `ask`."""

    __slots__ = ("json", "method", "params")

    def __init__(self, method: str) -> None:
        self.method = method
        self.params: dict[str, Any] = {}
        self.json = False


def answer(arguments: "Sequence[str]") -> int | None:
    """The exit code of a command that a daemon answered; None if it is to be done here."""
    call = parse(arguments)
    if call is None:
        return None
    try:
        connection = _connect()
    except errors.ConfigurationError:
        return None
    except errors.CodememError as error:
        _note(f"{error}; going on without the daemon")
        return None
    if connection is None:
        return None
    with connection:
        return _answer(connection, call)


def _connect() -> "Connection | None":
    """By the note that the last one left, or by the configuration; none where several processes do one command."""
    from codemem.daemon.connection import Connection
    from codemem.daemon.hint import find_socket, is_one_of_several

    if is_one_of_several():
        return None
    noted = find_socket()
    if noted is not None and (connection := Connection.to(noted)):
        return connection
    from codemem.config import Settings
    from codemem.daemon.client import connect_as_configured

    return connect_as_configured(Settings.load())


def _answer(connection: "Connection", call: Call) -> int | None:
    from codemem.daemon.connection import DaemonGoneError

    try:
        code = _find(connection, call) if call.method == "find" else _ask(connection, call)
        sys.stdout.flush()
        return code
    except DaemonGoneError:
        _note("the daemon ended before it answered; going on without it")
        return None
    except BrokenPipeError:
        # Whoever read our output has gone: nothing more can be said there, and Python must not try when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return errors.EXIT_DONE
    except KeyboardInterrupt:
        _note("interrupted")
        return errors.EXIT_INTERRUPTED
    except errors.CodememError as error:
        _note(" ".join(str(error).split()))
        return error.exit_code


def parse(arguments: "Sequence[str]") -> Call | None:
    """None for what is not plain: another command, an option that needs this process, a value that is wrong."""
    if not arguments or arguments[0] not in _VALUES:
        return None
    call, names = Call(arguments[0]), _VALUES[arguments[0]]
    raw: dict[str, list[str]] = {}
    rest = iter(arguments[1:])
    for argument in rest:
        option, separator, value = argument.partition("=")
        if argument == "--json":
            call.json = True
        elif argument in names:
            raw.setdefault(names[argument], []).append(next(rest, ""))
        elif separator and option.startswith("--") and option in names:
            raw.setdefault(names[option], []).append(value)
        elif argument.startswith("-"):
            return None
        else:
            raw.setdefault(_QUERY[call.method], []).append(argument)
    paths = raw.pop("paths", ["."])
    if not _acceptable(call.method, raw) or not all(paths):
        return None
    call.params = {name: values[-1] for name, values in raw.items()}
    call.params["paths"] = [os.path.abspath(path) for path in paths]
    if "k" in call.params:
        call.params["k"] = int(call.params["k"])
    if "catch_up" in call.params:
        call.params["catch_up"] = float(call.params["catch_up"])
    return call


def _acceptable(method: str, raw: dict[str, list[str]]) -> bool:
    queries = raw.get(_QUERY[method], [])
    count, seconds = raw.get("k", ["1"])[-1], raw.get("catch_up", ["0"])[-1]
    return (
        len(queries) == 1
        and bool(queries[0].strip())
        and count.isdecimal()
        and 1 <= int(count) <= 1000
        and seconds.replace(".", "", 1).isdecimal()
        and raw.get("router", ["both"])[-1] in ("memory", "outline", "both")
        and all(values[-1] for values in raw.values())
    )


def _find(connection: "Connection", call: Call) -> int:
    found = connection.request("find", call.params)
    _notes(found["notes"])
    if call.json:
        _print_json(found)
        return errors.EXIT_DONE
    if not found["results"]:
        print("nothing found")
    if sys.stdout.isatty():
        from codemem.cli.places import AnsweredPlace, show_places

        show_places(AnsweredPlace.from_json(place) for place in found["results"])
    else:
        from codemem.cli.plain import place_words, title

        for place in found["results"]:
            named = title(place["path"], place["start_line"], place["end_line"])
            print(f"{named}  {place_words(place['symbol'], place['score'])}")
    _show_behind(found["behind"])
    return errors.EXIT_DONE


def _ask(connection: "Connection", call: Call) -> int:
    from codemem.daemon.connection import DaemonGoneError

    streamed = False

    def show(method: str, about: "dict[str, Any]") -> None:
        nonlocal streamed
        if call.json:
            return
        if method == "round":
            how = "named" if about["by_model"] else "routed to"
            _note(f"round {about['number']}: {how} {', '.join(about['named'])}")
        elif method == "piece":
            from codemem.cli.plain import printable

            streamed = True
            print(printable(about["text"]), end="", flush=True)

    try:
        answered = connection.request("ask", call.params, show)
    except DaemonGoneError:
        if not streamed:
            raise
        print()
        _note("the daemon ended in the middle of the answer: ask again")
        return errors.EXIT_FAILED
    texts = answered.pop("cited_texts")
    if call.json:
        _notes(answered["notes"])
        _print_json(answered)
    else:
        _show_end(answered, texts)
    return errors.EXIT_DONE


def _show_end(answered: "dict[str, Any]", texts: list[str | None]) -> None:
    from codemem.cli.places import AnsweredPlace, show_code, show_places, show_title

    print()
    _notes(answered["notes"])
    if not answered["found"]:
        print("The memory does not hold the answer. The nearest places:")
        show_places(AnsweredPlace.from_json(place) for place in answered["places"])
    for citation, text in zip(answered["citations"], texts, strict=True):
        place = AnsweredPlace.from_json(citation)
        show_title(place, place.symbol or "")
        if text is not None and sys.stdout.isatty():
            shown = text.count("\n") + 1
            show_code(place.path, text, place.start_line, place.end_line - place.start_line + 1 - shown)
    _show_behind(answered["behind"])


def _show_behind(behind: dict[str, int]) -> None:
    from codemem.cli.plain import behind_words

    if words := behind_words(**behind):
        _note(f"the memory is behind by {words}: the daemon brings it up to date")


def _print_json(value: object) -> None:
    import json

    print(json.dumps(value))


def _notes(messages: "Sequence[str]") -> None:
    for message in messages:
        _note(message)


def _note(message: str) -> None:
    print(f"codemem: {message}", file=sys.stderr, flush=True)
