"""codemem: a repository as the memory of a model."""

__version__: str


def __getattr__(name: str) -> str:
    """`__version__`, looked up when asked for: that costs more than a whole `codemem find` with a daemon may."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("codemem")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0+unknown"
