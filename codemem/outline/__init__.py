"""The lexical side of retrieval: definitions, paths and kinds of files (design.md, decision 5)."""

from codemem.outline.errors import OutlineFormatError
from codemem.outline.outline import Outline, OutlineHit

__all__ = ["Outline", "OutlineFormatError", "OutlineHit"]
