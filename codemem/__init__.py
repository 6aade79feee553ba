"""codemem: a repository as the memory of a model."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("codemem")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
