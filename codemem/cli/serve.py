"""`codemem serve`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codemem.cli.options import Json, Repositories

if TYPE_CHECKING:
    from codemem.daemon.address import Address

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="The daemon: one process that keeps model and memories ready, so that `find` answers in milliseconds.",
)


@app.command("start")
def start(
    *,
    http: Annotated[
        bool, typer.Option("--http", help="Also serve a page and an OpenAI-compatible chat endpoint, on loopback.")
    ] = False,
    port: Annotated[
        int | None, typer.Option("--port", help="With --http; 0: any that is free. Default: 7878.", min=0, max=65535)
    ] = None,
    repositories: Repositories = None,
    json: Json = False,
) -> None:
    """Start the daemon, unless it runs. `find` and `ask` use it from then on; it ends after half an hour without work.

    With `daemon = "on"` in your config.toml, `find` and `ask` start it themselves.

    With `--http`, a server for the enclosing repository, or those of `-C`, starts too and stays until
    `codemem serve stop`. Started again in another repository, it serves both.

    **Examples**

    `codemem serve start`

    `codemem serve start --http`
    """
    from codemem.cli import serve_http
    from codemem.daemon.client import connect_or_start
    from codemem.errors import UsageError

    if not http and (port is not None or repositories):
        raise UsageError("--port and -C belong to --http: the daemon itself serves every repository")
    if http:
        serve_http.require()
    with connect_or_start(_address()) as connection:
        status = connection.request("status")
    _show(status, serve_http.start(repositories or [Path()], port) if http else None, json=json)


@app.command("stop")
def stop(*, json: Json = False) -> None:
    """End the daemon, and what `--http` started. What it was doing is kept as far as it came."""
    import contextlib

    from codemem.cli import output, serve_http
    from codemem.daemon.client import DaemonGoneError, connect

    served = serve_http.stop()
    connection = connect(_address())
    if connection is not None:
        with connection, contextlib.suppress(DaemonGoneError):
            connection.request("shutdown")
    if json:
        output.print_json({"stopped": connection is not None, "http_stopped": served})
        return
    output.line("the daemon ends" if connection else "no daemon runs")
    if served:
        output.line("the server on loopback ended")


@app.command("status")
def status(*, json: Json = False) -> None:
    """Show whether the daemon runs, and what it holds."""
    from codemem.cli import serve_http
    from codemem.daemon.client import daemon_status

    _show(daemon_status(_address()), serve_http.status(), json=json)


@app.command("logs")
def logs(*, count: Annotated[int, typer.Option("-n", help="How many lines.", min=1)] = 50, json: Json = False) -> None:
    """Show the daemon's log. It holds no questions and no code."""
    from codemem.cli import output

    log = _address().log
    lines = log.read_text("utf-8", "replace").splitlines()[-count:] if log.is_file() else []
    if json:
        output.print_json({"path": str(log), "lines": lines})
    else:
        for line in lines:
            output.line(line)


@app.command("run", hidden=True)
def run(*, idle: Annotated[float | None, typer.Option("--idle", help="Seconds.", min=0)] = None) -> None:
    """Be the daemon."""
    from codemem.config import Settings
    from codemem.daemon.methods import Methods
    from codemem.daemon.server import IDLE_SECONDS, serve
    from codemem.engines import loader

    settings = Settings.load()
    serve(
        _address(),
        lambda: Methods(settings, loader(settings)),
        idle_seconds=IDLE_SECONDS if idle is None else idle,
    )


@app.command("run-http", hidden=True)
def run_http(*, port: Annotated[int, typer.Option("--port")], repositories: Repositories = None) -> None:
    """Be the server on loopback."""
    from codemem.config import Settings
    from codemem.http.serving import serve

    serve(Settings.load(), repositories or [], port=port)


def _address() -> "Address":
    from codemem.config import Settings
    from codemem.daemon.address import address_of

    return address_of(Settings.load())


def _show(status: "dict[str, object] | None", http: "dict[str, object] | None", *, json: bool) -> None:
    from codemem.cli import output, serve_http

    if json:
        output.print_json({"running": status is not None, "daemon": status, "http": http})
        return
    if status is None:
        output.line('no daemon runs: `codemem serve start`, or `daemon = "on"` in your config.toml')
    else:
        output.line(f"the daemon runs: pid {status['pid']}, version {status['version']}, for {status['seconds']} s")
        for name in ("models", "repositories", "indexing"):
            if listed := status[name]:
                output.line(f"  {name}: {', '.join(map(str, listed))}")  # type: ignore[call-overload]
    if http is not None:
        serve_http.show(http)
