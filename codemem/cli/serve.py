"""`codemem serve`."""

from typing import TYPE_CHECKING, Annotated

import typer

from codemem.cli.options import Json

if TYPE_CHECKING:
    from codemem.daemon.address import Address

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="The daemon: one process that keeps model and memories ready, so that `find` answers in milliseconds.",
)


@app.command("start")
def start(*, json: Json = False) -> None:
    """Start the daemon, unless it runs. `find` and `ask` use it from then on; it ends after half an hour without work.

    With `daemon = "on"` in your config.toml, `find` and `ask` start it themselves.
    """
    from codemem.daemon.client import connect_or_start

    with connect_or_start(_address()) as connection:
        _show(connection.request("status"), json=json)


@app.command("stop")
def stop(*, json: Json = False) -> None:
    """End the daemon. What it was doing is kept as far as it came."""
    import contextlib

    from codemem.cli import output
    from codemem.daemon.client import DaemonGoneError, connect

    connection = connect(_address())
    if connection is not None:
        with connection, contextlib.suppress(DaemonGoneError):
            connection.request("shutdown")
    if json:
        output.print_json({"stopped": connection is not None})
    else:
        output.line("the daemon ends" if connection else "no daemon runs")


@app.command("status")
def status(*, json: Json = False) -> None:
    """Show whether the daemon runs, and what it holds."""
    from codemem.daemon.client import daemon_status

    _show(daemon_status(_address()), json=json)


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


def _address() -> "Address":
    from codemem.config import Settings
    from codemem.daemon.address import address_of

    return address_of(Settings.load())


def _show(status: "dict[str, object] | None", *, json: bool) -> None:
    from codemem.cli import output

    if json:
        output.print_json({"running": status is not None, "daemon": status})
    elif status is None:
        output.line('no daemon runs: `codemem serve start`, or `daemon = "on"` in your config.toml')
    else:
        output.line(f"the daemon runs: pid {status['pid']}, version {status['version']}, for {status['seconds']} s")
        for name in ("models", "repositories", "indexing"):
            if listed := status[name]:
                output.line(f"  {name}: {', '.join(map(str, listed))}")  # type: ignore[call-overload]
