"""Arguments of commands, as editors and people write them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

MAX_TEXT = 8000
"""Characters of a question or a query."""
MAX_NUMBER = 2**31 - 1
_KEYS = ("text", "uri", "range", "position", "diagnostic", "count", "purpose", "id")


@dataclass(frozen=True, slots=True)
class Request:
    """What a command is asked for."""

    text: str = ""
    """The question or the query."""
    uri: str | None = None
    span: types.Range | None = None
    diagnostic: str = ""
    """The message of a diagnostic at the span."""
    count: int | None = None
    purpose: str | None = None
    """Of `reindex`: 'ask', 'find' or 'outline'."""
    id: str | None = None
    """The client's name for the answer, repeated in every `codemem/answer`."""

    def place(self) -> tuple[str, types.Range]:
        """Raises JsonRpcInvalidParams if no place is named."""
        if self.uri is None or self.span is None:
            raise JsonRpcInvalidParams('name a place: {"uri": ..., "range": ...} or {"uri": ..., "position": ...}')
        return self.uri, self.span


def read_request(arguments: Sequence[Any] | None) -> Request:
    """From strings, which together are the text, and at most one object with any of the known keys.

    Raises JsonRpcInvalidParams, which says what is wrong.
    """
    given = list(arguments or [])
    texts = [argument for argument in given if isinstance(argument, str)]
    objects = [argument for argument in given if isinstance(argument, dict)]
    if len(texts) + len(objects) < len(given) or len(objects) > 1:
        raise JsonRpcInvalidParams("give text and at most one object")
    fields: dict[str, Any] = objects[0] if objects else {}
    unknown = [key for key in fields if key not in _KEYS]
    if unknown:
        raise JsonRpcInvalidParams(f"unknown key {unknown[0]!r}, known are {', '.join(_KEYS)}")
    text = " ".join([*texts, _text(fields, "text")]).strip()
    if len(text) > MAX_TEXT:
        raise JsonRpcInvalidParams(f"the text is longer than {MAX_TEXT:,} characters")
    return Request(
        text=text,
        uri=_text(fields, "uri") or None,
        span=_span(fields),
        diagnostic=_text(fields, "diagnostic")[:MAX_TEXT],
        count=_count(fields),
        purpose=_text(fields, "purpose") or None,
        id=_text(fields, "id") or None,
    )


def nothing_asked() -> JsonRpcInvalidParams:
    """For a command that needs a question or a query and got none."""
    return JsonRpcInvalidParams("what is the question? Give some text")


def _text(fields: dict[str, Any], key: str) -> str:
    value = fields.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise JsonRpcInvalidParams(f"{key!r} must be a string")
    return value


def _count(fields: dict[str, Any]) -> int | None:
    value = fields.get("count")
    if value is not None and (type(value) is not int or not 1 <= value <= 100):
        raise JsonRpcInvalidParams("'count' must be a whole number from 1 to 100")
    return value


def _span(fields: dict[str, Any]) -> types.Range | None:
    if (span := fields.get("range")) is not None:
        if not isinstance(span, dict):
            raise JsonRpcInvalidParams("'range' must be an object with 'start' and 'end'")
        return types.Range(_position(span.get("start")), _position(span.get("end")))
    if (place := fields.get("position")) is not None:
        position = _position(place)
        return types.Range(position, position)
    return None


def _position(value: object) -> types.Position:
    if isinstance(value, dict):
        line, character = value.get("line"), value.get("character")
        if type(line) is int and type(character) is int and 0 <= line <= MAX_NUMBER and 0 <= character <= MAX_NUMBER:
            return types.Position(line, character)
    raise JsonRpcInvalidParams("a position is {'line': ..., 'character': ...}, whole numbers from 0")
