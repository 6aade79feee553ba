"""`codemem mcp`."""

from pathlib import Path

from codemem.cli.options import Device, Repositories


def mcp(*, repositories: Repositories = None, device: Device = None) -> None:
    """Serve agents by the Model Context Protocol, on standard input and output.

    The model is the daemon's, which is started if none runs: several agents, editors and shells share it. With
    `daemon = "off"` in your config.toml, or `--device`, this process has a model of its own.

    **Examples**

    `claude mcp add codemem -- codemem mcp` in a repository; any client that starts servers takes `codemem mcp -C PATH`.
    """
    import os

    from codemem.config import Settings
    from codemem.errors import UsageError

    try:
        import mcp.server.mcpserver  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "`codemem mcp` needs the Model Context Protocol's library: install codemem[mcp], e.g. "
            "`pip install 'codemem[mcp]'` or `uv tool install 'codemem[mcp]'`"
        ) from error
    from codemem.mcp.models import OwnModel, SharedModel, trees_alone
    from codemem.mcp.tools import make_server
    from codemem.search import Target
    from codemem.service import Service
    from codemem.workspace import open_workspace

    settings = Settings.load()
    paths = [path.absolute() for path in repositories or [Path()]]
    names = []
    for path in paths:
        with open_workspace(path, settings, whole=True) as workspace:
            names.append(workspace.name)
    target = Target(paths)
    if settings.user.daemon != "off" and device is None:
        service = trees_alone(settings)
        make_server(SharedModel(settings, service, target), service, target, names).run("stdio")
    else:
        service = Service.load(settings, device)
        make_server(OwnModel(service, target), service, target, names).run("stdio")
    if not service.close():
        os._exit(0)  # a model that is loading or reading cannot be interrupted, and the client waits for us to go
