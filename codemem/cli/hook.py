"""`codemem hook`."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from codemem.cli.options import Json, Repository

if TYPE_CHECKING:
    from codemem.hooks import HookStatus

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Git hooks that keep the memory current: after commits, merges, checkouts and rebases, in the background.",
)


@app.command("install")
def install(*, repository: Repository = None, json: Json = False) -> None:
    """Have git start a sync in the background after commits, merges, checkouts and rebases.

    With git 2.54 and later, two lines of the repository's configuration; before that, hook files where none stand. What
    belongs to husky, lefthook, pre-commit or yourself is left alone, and the line to add is shown.
    """
    from codemem.hooks import install_hooks

    _show(install_hooks(_root(repository)), json=json)


@app.command("uninstall")
def uninstall(*, repository: Repository = None, json: Json = False) -> None:
    """Remove the hooks. Lines that you added elsewhere then do nothing."""
    from codemem.hooks import uninstall_hooks

    _show(uninstall_hooks(_root(repository)), json=json)


@app.command("status")
def status(*, repository: Repository = None, json: Json = False) -> None:
    """Show which hooks are installed, and what is left to do by hand."""
    from codemem.hooks import hook_status

    _show(hook_status(_root(repository)), json=json)


@app.command("run", hidden=True)
def run(*, repository: Repository = None) -> None:
    """What a hook starts: syncs while the tree is marked."""
    from codemem.config import Settings
    from codemem.hooks.sync import sync_while_marked
    from codemem.workspace import open_workspace

    settings = Settings.load()
    with open_workspace(repository or Path(), settings, whole=False) as workspace:
        root, place = workspace.root, workspace.places[0]
    if place.is_dir():
        sync_while_marked(place, lambda: _sync(root))


def _sync(root: Path) -> None:
    """By the daemon if there is one, whose model is loaded already; otherwise in this process."""
    from codemem.config import Settings
    from codemem.daemon.address import AddressError
    from codemem.daemon.client import DaemonGoneError, StartError, connect_as_configured

    settings = Settings.load()
    connection = None
    with contextlib.suppress(AddressError, StartError):
        connection = connect_as_configured(settings)
    if connection:
        with connection, contextlib.suppress(DaemonGoneError):
            connection.request("index", {"path": str(root), "refresh": True})
            return
    from codemem.background import refresh
    from codemem.engines import loader

    refresh(root, settings, loader(settings))


def _root(repository: Path | None) -> Path:
    """The top of the working tree. Raises RepositoryError for a plain folder."""
    from codemem.config import Settings
    from codemem.errors import RepositoryError
    from codemem.workspace import open_workspace

    with open_workspace(repository or Path(), Settings.load(), whole=True) as workspace:
        if workspace.tree.common_dir is None:
            raise RepositoryError(f"{workspace.root} is no git repository: there are no hooks in it")
        return workspace.root


def _show(status: "HookStatus", *, json: bool) -> None:
    from codemem.cli import output

    if json:
        output.as_json(status)
        return
    how = "git's configuration" if status.method == "config" else "hook files"
    output.line(f"{status.path}: hooks are {'active' if status.active else 'not active'} (git {status.git}, {how})")
    for hook in status.hooks:
        output.line(f"  {hook.event}: {hook.state}" + ("" if hook.state == "installed" else f" ({hook.where})"))
    for advice in status.advice:
        output.line(advice)
