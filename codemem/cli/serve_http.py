"""The part of `codemem serve` that concerns the server on loopback."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codemem.cli import output


def require() -> None:
    """Raises UsageError if the libraries are not installed."""
    import importlib.util

    from codemem.errors import UsageError

    if not all(importlib.util.find_spec(name) for name in ("starlette", "uvicorn")):
        raise UsageError(
            "`codemem serve start --http` needs two libraries more: install codemem[http], e.g. "
            "`pip install 'codemem[http]'` or `uv tool install 'codemem[http]'`"
        )


def start(paths: Sequence[Path], port: int | None) -> dict[str, Any]:
    """What to tell the user of the server that runs then. Raises CodememError."""
    from codemem.config import Settings
    from codemem.http import control
    from codemem.workspace import open_workspace

    settings = Settings.load()
    roots = []
    for path in paths:
        with open_workspace(path.absolute(), settings, whole=True) as workspace:
            roots.append(workspace.root)
    running = control.start(settings, roots, port)
    return (status() or {}) | {"page": control.page_link(settings, running)}


def stop() -> bool:
    from codemem.config import Settings
    from codemem.http import control

    return control.stop(Settings.load())


def status() -> dict[str, Any] | None:
    """None if no server runs."""
    from codemem.config import Settings
    from codemem.http.place import Place

    place = Place(Settings.load())
    running = place.running()
    if running is None:
        return None
    return {
        "pid": running.pid,
        "base_url": f"{running.url}/v1",
        "key_file": str(place.key_file),
        "repositories": list(running.repositories),
    }


def show(http: dict[str, Any]) -> None:
    output.line(f"chat endpoint: {http['base_url']} (OpenAI-compatible), for {', '.join(http['repositories'])}")
    output.line(f"  the key is in {http['key_file']}")
    if page := http.get("page"):
        output.line(f"page: {page} (this link is good once)")
