"""Checks what a client sent."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codemem.config import ROUTERS
from codemem.daemon.protocol import INVALID_PARAMS, ProtocolError


class Params:
    """The params of a request. Every reader raises ProtocolError for a value of another type."""

    def __init__(self, values: Any) -> None:
        if not isinstance(values, Mapping):
            raise ProtocolError(INVALID_PARAMS, "params must be an object")
        self._values = values

    def text(self, name: str) -> str:
        value = self._values.get(name)
        if not isinstance(value, str) or not value.strip():
            raise ProtocolError(INVALID_PARAMS, f"{name} must be a text that is not empty")
        return value

    def optional_text(self, name: str) -> str | None:
        return None if self._values.get(name) is None else self.text(name)

    def router(self) -> str | None:
        router = self.optional_text("router")
        if router is not None and router not in ROUTERS:
            raise ProtocolError(INVALID_PARAMS, f"router must be one of {', '.join(ROUTERS)}")
        return router

    def count(self, name: str) -> int | None:
        value = self._values.get(name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1000):
            raise ProtocolError(INVALID_PARAMS, f"{name} must be a whole number from 1 to 1000")
        return value

    def line(self, name: str) -> int:
        value = self._values.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ProtocolError(INVALID_PARAMS, f"{name} must be a whole number from 1")
        return value

    def seconds(self, name: str) -> float | None:
        value = self._values.get(name)
        if value is not None and (not isinstance(value, int | float) or isinstance(value, bool) or value < 0):
            raise ProtocolError(INVALID_PARAMS, f"{name} must be a number of seconds")
        return value

    def flag(self, name: str) -> bool:
        value = self._values.get(name, False)
        if not isinstance(value, bool):
            raise ProtocolError(INVALID_PARAMS, f"{name} must be true or false")
        return value

    def buffers(self, name: str) -> dict[Path, bytes]:
        """Text not yet saved, by absolute path."""
        values = self._values.get(name, {})
        if not isinstance(values, Mapping) or not all(isinstance(text, str) for text in values.values()):
            raise ProtocolError(INVALID_PARAMS, f"{name} must map absolute paths to texts")
        return {_absolute(path, name): text.encode("utf-8", "replace") for path, text in values.items()}

    def path(self, name: str) -> Path:
        return _absolute(self._values.get(name), name)

    def paths(self, name: str) -> list[Path]:
        values = self._values.get(name)
        if not isinstance(values, list) or not values:
            raise ProtocolError(INVALID_PARAMS, f"{name} must be a list of absolute paths")
        return [_absolute(value, name) for value in values]


def _absolute(value: Any, name: str) -> Path:
    """The daemon's own folder means nothing to a client."""
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise ProtocolError(INVALID_PARAMS, f"{name} must name absolute paths")
    return Path(value)
