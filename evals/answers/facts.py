"""What a package's syntax trees state, in terms that serve every language."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

LONG_NAME = 8
"""Characters that a name of several words has at least one more of than a common method's."""

T = TypeVar("T")
N = TypeVar("N", "Function", "Class", "Constant")


class Stated(NamedTuple):
    """A name or a value, and the line (1-based) that states it."""

    text: str
    line: int


class Call(NamedTuple):
    """The last name of what is called, and where."""

    text: str
    line: int
    bare: bool
    """Called by its name alone, not on an object or through a module."""


@dataclass(slots=True)
class Function:
    """A function or method."""

    name: str
    owner: str
    """Qualified name of the class, type or impl block around it; ''."""
    path: str
    start_line: int
    end_line: int
    parameters: dict[str, None] = field(default_factory=dict)
    """Names of all parameters, in order."""
    defaults: dict[str, Stated] = field(default_factory=dict)
    """Parameter -> literal that it defaults to."""
    optional: set[str] = field(default_factory=set)
    """Parameters that default to anything."""
    raises: list[Stated] = field(default_factory=list)
    returned: Stated | None = None
    """The literal that every return gives; None if they differ or one is no literal."""
    decorators: list[Stated] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    reads: list[Stated] = field(default_factory=list)
    """Names in capitals that the body reads."""

    @property
    def qualified(self) -> str:
        return f"{self.owner}.{self.name}" if self.owner else self.name


@dataclass(slots=True)
class Class:
    """A class, struct, trait or interface."""

    name: str
    path: str
    line: int
    bases: list[Stated] = field(default_factory=list)
    """What it extends or embeds."""
    decorators: list[Stated] = field(default_factory=list)
    """Decorators, or the traits that it derives."""
    implements: list[Stated] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Constant:
    """A name that a module or a class sets to a literal."""

    name: str
    value: Stated
    path: str


@dataclass(frozen=True, slots=True)
class Reexport:
    """A file that hands on a name which another file defines."""

    name: str
    path: str
    line: int


@dataclass(slots=True)
class Facts:
    """Everything stated by the files of one package."""

    functions: list[Function] = field(default_factory=list)
    classes: list[Class] = field(default_factory=list)
    constants: list[Constant] = field(default_factory=list)
    reexports: list[Reexport] = field(default_factory=list)
    imports: dict[str, set[str]] = field(default_factory=dict)
    """Path -> names that the file imports one by one."""
    scoped: bool = False
    """Whether a file sees the names of another one only if it imports them (else those of its folder)."""

    def sees(self, path: str, name: str, other: str) -> bool:
        """Whether a bare name used in the file `path` can mean what the file `other` defines."""
        if path == other:
            return True
        if self.scoped:
            return name in self.imports.get(path, ())
        return path.rpartition("/")[0] == other.rpartition("/")[0]

    def means(self, function: Function, call: Call, target: Function) -> bool:
        """Whether a call surely is one of `target`, whose name stands for nothing else in the package.

        A call on an object may be one of another package's method; that is ruled out for names of several words only.
        """
        if call.bare:
            return not target.owner and self.sees(function.path, call.text, target.path)
        return len(call.text) > LONG_NAME and bool(re.search(r"[a-z]_[a-z]|[a-z][A-Z]", call.text))

    def unique_functions(self) -> dict[str, Function]:
        """Functions and methods whose bare name stands for nothing else in the package."""
        return _unique(self.functions, [c.name for c in self.classes])

    def unique_classes(self) -> dict[str, Class]:
        """Classes whose name stands for nothing else in the package."""
        return _unique(self.classes, [f.name for f in self.functions if not f.owner])

    def unique_constants(self) -> dict[str, Constant]:
        """Constants whose name is set once in the package."""
        return _unique(self.constants, ())

    def told_apart(self) -> list[Function]:
        """Functions whose qualified name stands for one place of the package."""
        named = _groups(self.functions, lambda function: function.qualified)
        return [found[0] for found in named.values() if len(found) == 1]

    def methods(self) -> dict[str, dict[str, Function]]:
        """Owner -> method name -> method, of owners whose name is unique."""
        found: dict[str, dict[str, Function]] = defaultdict(dict)
        for function in self.functions:
            if function.owner:
                found[function.owner].setdefault(function.name, function)
        return found


def _groups(items: Iterable[T], key: Callable[[T], str]) -> dict[str, list[T]]:
    groups: dict[str, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def _unique(items: Sequence[N], taken: Iterable[str]) -> dict[str, N]:
    other = set(taken)
    groups = _groups(items, lambda item: item.name)
    return {name: found[0] for name, found in groups.items() if len(found) == 1 and name not in other}
