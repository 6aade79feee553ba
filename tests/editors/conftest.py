"""Editors in front of the real server, on a small git repository with a tiny real model."""

from cli.conftest import tiny_weights
from lsp.conftest import indexed

__all__ = ["indexed", "tiny_weights"]
