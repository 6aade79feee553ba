"""Which files may call what other files define: those of one language, or of languages that are compiled together.

In a repository of several languages a name stands in all of them, and `is_keyword` of a Python lexer is not what a Rust
parser calls. Bindings do call across, so this is a preference: others count where none of its own kind is there.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeVar

_TOGETHER = (
    ("py", "pyi", "pyx", "pxd", "ipynb"),
    ("js", "jsx", "mjs", "cjs", "ts", "tsx", "mts", "cts", "vue", "svelte"),
    ("c", "h", "cc", "cpp", "cxx", "hh", "hpp", "hxx", "inl", "m", "mm", "cu", "cuh"),
    ("java", "kt", "kts", "scala", "groovy", "clj"),
    ("cs", "fs", "vb"),
    ("ex", "exs", "erl"),
    ("rb", "rake", "erb", "gemspec"),
    ("ml", "mli"),
    ("pl", "pm", "t"),
    ("sh", "bash", "zsh"),
)
"""Suffixes of files that call each other; any other calls its own kind alone."""
_KIND = {suffix: kind[0] for kind in _TOGETHER for suffix in kind}
T = TypeVar("T")


def kind_of(path: str) -> str:
    """The first suffix of the kind of file that a path names; '' where it has none."""
    stem, _, suffix = path.rpartition("/")[2].lower().rpartition(".")
    return _KIND.get(suffix, suffix) if stem else ""


def akin(path: str, kinds: Collection[str]) -> bool:
    """Whether a file may call what files of some kinds define; of nothing any may."""
    return not kinds or kind_of(path) in kinds


def of_kin(found: Sequence[T], path: Callable[[T], str], defining: Iterable[str]) -> Sequence[T]:
    """Of what was found those in files of a kind with the `defining` paths, if there are such; else all, in order."""
    kinds = {kind_of(each) for each in defining}
    return [each for each in found if akin(path(each), kinds)] or found
