"""What a package of any language states about itself: defaults, errors, returned constants, bases, calls."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Passage:
    """A document that holds a fact."""

    header: str
    text: str


@dataclass(slots=True)
class FunctionFacts:
    """What is stated about one function or method. `evidence` strings are substrings of the passage's text."""

    name: str
    owner: str
    """Qualified name of the class around it; ''."""
    path: str
    passage: Passage
    documented: Passage
    """The same with its docstring left in."""
    summary: str | None
    signature: str
    line: int = 0
    """Where it starts in its file, 1-based."""
    defaults: list[tuple[str, str, str]] = field(default_factory=list)
    """(parameter, value, evidence)."""
    raises: list[tuple[str, str, str]] = field(default_factory=list)
    """(error, condition, evidence) of those raised once, directly under a condition (of Python)."""
    errors: list[tuple[str, str]] = field(default_factory=list)
    """(error, evidence) of all that the function itself raises, throws or returns; each once."""
    returned: tuple[str, str] | None = None
    """(constant, evidence) if every return gives that constant."""
    decorators: list[tuple[str, str]] = field(default_factory=list)
    """(name as it is written, evidence)."""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """(name, evidence line) of calls that may be taken for calls of what bears that name alone."""
    names: frozenset[str] = frozenset()
    """Upper-case names that the body reads."""
    called: frozenset[str] = frozenset()
    """Every name called in the body, whether or not it is a safe link."""
    mentioned: frozenset[str] = frozenset()
    """The same with names that only seem to be called."""
    imports: dict[str, str] = field(default_factory=dict)
    """Of its file: name -> module it is imported from."""
    spoken_path: str = ""
    """The path if the qualified name stands for several functions of the package, else ''."""

    @property
    def qualified(self) -> str:
        return f"{self.owner}.{self.name}" if self.owner else self.name


@dataclass(slots=True)
class ClassFacts:
    """What is stated about one class."""

    name: str
    qualified: str
    path: str
    passage: Passage
    line: str
    """The line that names the bases, evidence for them."""
    bases: list[str] = field(default_factory=list)
    relation: str = "inherits from"
    """What the class does with its bases: extends, embeds."""
    interfaces: list[str] = field(default_factory=list)
    """What it says to implement."""
    interface_line: str = ""
    derives: list[tuple[str, str]] = field(default_factory=list)
    """(trait, evidence)."""
    decorators: list[tuple[str, str]] = field(default_factory=list)
    """(name as it is written, evidence)."""
    methods: dict[str, FunctionFacts] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    """Whatever it defines itself, short methods and attributes too."""
    imports: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConstantFact:
    """`NAME = value` at the top level of a module."""

    name: str
    value: str
    path: str
    passage: Passage
    evidence: str


def resolves(name: str, imports: dict[str, str], path: str, target: str) -> bool:
    """Whether a bare name used in the Python file `path` means the definition in `target`: the same file, or imported
    from there."""
    if path == target:
        return name not in imports
    module = imports.get(name)
    if module is None or "." in name:
        return False
    parts = target.removesuffix(".py").split("/")
    names = [part for part in module.split(".") if part]
    inside = module.startswith(".") or bool(names and names[0] in parts)
    return inside and (not names or names[-1] in parts[-2:])


@dataclass(slots=True)
class PackageFacts:
    """The facts of a package in one language, with the names that are defined once in it."""

    functions: list[FunctionFacts] = field(default_factory=list)
    classes: list[ClassFacts] = field(default_factory=list)
    constants: list[ConstantFact] = field(default_factory=list)
    reexports: list[tuple[str, str, Passage, str]] = field(default_factory=list)
    """(name, source module, passage of the file that hands it on, evidence line)."""
    language: str = "python"
    resolves: Callable[[str, dict[str, str], str, str], bool] = resolves
    """Whether a bare name means the definition in a file: (name, imports, path, target)."""
    others: set[str] = field(default_factory=set)
    """Names of functions that are not asked about, being short or defined twice: they stand for more than one thing."""
    called_elsewhere: set[str] = field(default_factory=set)
    """Names that are called outside of `functions`, at the top level of a file say."""

    def settle(self) -> None:
        """Drop functions defined twice in a file, overloads say, and mark those that only their path tells apart."""
        places: dict[tuple[str, str], int] = defaultdict(int)
        names: dict[str, int] = defaultdict(int)
        for function in self.functions:
            places[function.path, function.qualified] += 1
            names[function.qualified] += 1
        self.others.update(f.name for f in self.functions if places[f.path, f.qualified] > 1)
        self.functions = [function for function in self.functions if places[function.path, function.qualified] == 1]
        kept = {id(function) for function in self.functions}
        for class_ in self.classes:
            class_.methods = {name: method for name, method in class_.methods.items() if id(method) in kept}
        for function in self.functions:
            function.spoken_path = function.path if names[function.qualified] > 1 else ""

    def unique_functions(self) -> dict[str, FunctionFacts]:
        """Functions and methods whose bare name stands for nothing else in the package."""
        return _unique([(function.name, function) for function in self.functions], self.others)

    def unique_classes(self) -> dict[str, ClassFacts]:
        """Classes whose name stands for nothing else in the package."""
        return _unique([(class_.name, class_) for class_ in self.classes])

    def unique_constants(self) -> dict[str, ConstantFact]:
        """Constants whose name is set in one module of the package."""
        return _unique([(constant.name, constant) for constant in self.constants])

    def links(self, caller: FunctionFacts, unique: dict[str, FunctionFacts]) -> dict[str, tuple[FunctionFacts, str]]:
        """Name -> (function of the package that surely is called, evidence line)."""
        found: dict[str, tuple[FunctionFacts, str]] = {}
        for name, line in caller.calls:
            target = unique.get(name)
            if target is None or target is caller or name in found:
                continue
            python = self.language == "python"
            if not python or target.owner or self.resolves(name, caller.imports, caller.path, target.path):
                found[name] = target, line
        return found


def _unique(pairs: list[tuple[str, T]], others: Iterable[str] = ()) -> dict[str, T]:
    groups: dict[str, list[T]] = defaultdict(list)
    for name, value in pairs:
        groups[name].append(value)
    taken = set(others)
    return {name: values[0] for name, values in groups.items() if len(values) == 1 and name not in taken}
