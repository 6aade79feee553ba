"""Facts that Python's syntax tree states exactly: defaults, raised errors, returned constants, bases, calls."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from .definition import MAX_CHARACTERS, MIN_CHARACTERS, fold, question_of, split_name
from .python_definitions import Node, first_line, source_without_docstring

T = TypeVar("T")
_SIMPLE = re.compile(r"[^\n]{1,60}")


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
    defaults: list[tuple[str, str, str]] = field(default_factory=list)
    """(parameter, value, evidence)."""
    raises: list[tuple[str, str, str]] = field(default_factory=list)
    """(error, condition, evidence)."""
    returned: tuple[str, str] | None = None
    """(constant, evidence) if every return gives that constant."""
    decorators: list[str] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    """(name, evidence line)."""
    names: frozenset[str] = frozenset()
    """Upper-case names that the body reads."""
    called: frozenset[str] = frozenset()
    """Every name called in the body, whether or not it is a safe link."""
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
    """The first line of its statement, evidence for the bases."""
    bases: list[str] = field(default_factory=list)
    methods: dict[str, FunctionFacts] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConstantFact:
    """`NAME = value` at the top level of a module."""

    name: str
    value: str
    path: str
    passage: Passage
    evidence: str


@dataclass(slots=True)
class PackageFacts:
    """The facts of a package, with the names that are defined once in it."""

    functions: list[FunctionFacts] = field(default_factory=list)
    classes: list[ClassFacts] = field(default_factory=list)
    constants: list[ConstantFact] = field(default_factory=list)
    reexports: list[tuple[str, str, Passage, str]] = field(default_factory=list)
    """(name, source module, passage of the __init__.py, evidence line)."""

    def settle(self) -> None:
        """Drop functions defined twice in a file and mark those that need their path to be told apart."""
        places: dict[tuple[str, str], int] = defaultdict(int)
        names: dict[str, int] = defaultdict(int)
        for function in self.functions:
            places[function.path, function.qualified] += 1
            names[function.qualified] += 1
        self.functions = [function for function in self.functions if places[function.path, function.qualified] == 1]
        for function in self.functions:
            function.spoken_path = function.path if names[function.qualified] > 1 else ""

    def unique_functions(self) -> dict[str, FunctionFacts]:
        """Functions and methods whose bare name stands for nothing else in the package."""
        return _unique([(function.name, function) for function in self.functions])

    def unique_classes(self) -> dict[str, ClassFacts]:
        """Classes whose name stands for nothing else in the package."""
        return _unique([(class_.name, class_) for class_ in self.classes])

    def unique_constants(self) -> dict[str, ConstantFact]:
        """Constants whose name is set in one module of the package."""
        return _unique([(constant.name, constant) for constant in self.constants])


def resolves(name: str, imports: dict[str, str], path: str, target: str) -> bool:
    """Whether a bare name used in `path` means the definition in `target`: the same file, or imported from there."""
    if path == target:
        return name not in imports
    module = imports.get(name)
    if module is None or "." in name:
        return False
    parts = target.removesuffix(".py").split("/")
    names = [part for part in module.split(".") if part]
    inside = module.startswith(".") or bool(names and names[0] in parts)
    return inside and (not names or names[-1] in parts[-2:])


def _unique(pairs: list[tuple[str, T]]) -> dict[str, T]:
    groups: dict[str, list[T]] = defaultdict(list)
    for name, value in pairs:
        groups[name].append(value)
    return {name: values[0] for name, values in groups.items() if len(values) == 1}


def add_file(facts: PackageFacts, path: str, source: str, tree: ast.Module) -> None:
    """Add what one parsed file states."""
    lines = source.splitlines(keepends=True)
    imports = {
        alias.asname or alias.name: "." * node.level + (node.module or "")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname is None and alias.name != "*"
    }
    modules = [alias for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    imports.update({alias.asname or alias.name.split(".")[0]: alias.name for alias in modules})
    _constants(facts, path, lines, tree)
    if path.endswith("__init__.py"):
        _reexports(facts, path, lines, tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            _add_function(facts, path, lines, node, owner="", imports=imports)
        elif isinstance(node, ast.ClassDef):
            _add_class(facts, path, lines, node, imports)


def _cut(text: str) -> str:
    text = text.strip("\n")
    if len(text) <= MAX_CHARACTERS:
        return text
    end = text.rfind("\n", MAX_CHARACTERS // 2, MAX_CHARACTERS)
    return text[: end if end > 0 else MAX_CHARACTERS]


def _add_class(facts: PackageFacts, path: str, lines: list[str], node: ast.ClassDef, imports: dict[str, str]) -> None:
    passage = Passage(f"{path}\n", _cut(source_without_docstring(lines, node)))
    line = lines[node.lineno - 1].strip()
    if len(passage.text) < MIN_CHARACTERS:
        return
    bases = [base for base in map(ast.unparse, node.bases) if re.fullmatch(r"[\w.]+", base) and base in line]
    found = ClassFacts(node.name, node.name, path, passage, line, bases, imports=imports)
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            function = _add_function(facts, path, lines, inner, owner=node.name, imports=imports)
            if function is not None:
                found.methods[inner.name] = function
    facts.classes.append(found)


def _add_function(
    facts: PackageFacts,
    path: str,
    lines: list[str],
    node: ast.FunctionDef | ast.AsyncFunctionDef,
    *,
    owner: str,
    imports: dict[str, str],
) -> FunctionFacts | None:
    header = f"{path} {owner}\n" if owner else f"{path}\n"
    text = _cut(source_without_docstring(lines, node))
    if len(text) < MIN_CHARACTERS:
        return None
    documentation = ast.get_docstring(node)
    whole = _cut("".join(lines[first_line(node) - 1 : node.end_lineno]))
    head = fold("".join(lines[node.lineno - 1 : max(node.body[0].lineno - 1, node.lineno)]))
    found = FunctionFacts(
        node.name, owner, path, Passage(header, text), Passage(header, whole),
        question_of(documentation) if documentation else None, head[:160],
    )  # fmt: skip
    found.defaults = list(_defaults(lines, node, text))
    found.raises = list(_raises(lines, node, text))
    found.returned = _returned(lines, node, text)
    found.decorators = [
        name for name in map(ast.unparse, node.decorator_list) if _SIMPLE.fullmatch(name) and f"@{name}" in text
    ]
    found.imports = imports
    _uses(found, lines, node)
    facts.functions.append(found)
    return found


def _uses(found: FunctionFacts, lines: list[str], node: Node) -> None:
    """Fill in calls and constants read. A method call counts as a link only if its name is long and says something."""
    text, names, called = found.passage.text, set(), set()
    for inner in (inner for statement in node.body for inner in ast.walk(statement)):
        if isinstance(inner, ast.Name) and inner.id.isupper() and len(inner.id) >= 4:
            names.add(inner.id)
        if not isinstance(inner, ast.Call):
            continue
        callee = inner.func
        name = callee.id if isinstance(callee, ast.Name) else callee.attr if isinstance(callee, ast.Attribute) else ""
        called.add(name)
        line = lines[inner.lineno - 1].strip()
        receiver = callee.value.id if isinstance(callee, ast.Attribute) and isinstance(callee.value, ast.Name) else ""
        telling = len(name) >= 8 and len(split_name(name)) >= 2 and receiver not in found.imports
        telling = telling or isinstance(callee, ast.Name) or receiver in ("self", "cls")
        if telling and len(name) >= 4 and f"{name}(" in line and line in text and len(found.calls) < 30:
            found.calls.append((name, line))
    found.names = frozenset(name for name in names if name in text)
    found.called = frozenset(called)


def _segment(lines: list[str], start: ast.AST, end: ast.AST) -> str:
    """The source from one node's start to another's end if both lie on one line, else ''."""
    first, last = getattr(start, "lineno", 0), getattr(end, "end_lineno", 0)
    if first != last or not first:
        return ""
    raw = lines[first - 1].encode()
    return raw[start.col_offset : end.end_col_offset].decode("utf-8", "replace")  # type: ignore[attr-defined]


def _defaults(
    lines: list[str], node: ast.FunctionDef | ast.AsyncFunctionDef, text: str
) -> Iterator[tuple[str, str, str]]:
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    with_default = list(zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True))
    with_default += [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None]
    for argument, default in with_default:
        value, evidence = _segment(lines, default, default), _segment(lines, argument, default)
        if value and _SIMPLE.fullmatch(value) and evidence and evidence in text:
            yield argument.arg, value, evidence


def _raises(lines: list[str], node: Node, text: str) -> Iterator[tuple[str, str, str]]:
    """Errors that are raised once in the body, directly under an `if`."""
    raised = [ast.unparse(_raised(inner)) for inner in ast.walk(node) if isinstance(inner, ast.Raise) and inner.exc]
    for inner in ast.walk(node):
        if not isinstance(inner, ast.If):
            continue
        for statement in inner.body:
            if isinstance(statement, ast.Raise) and isinstance(statement.exc, ast.Call | ast.Name):
                error = ast.unparse(_raised(statement))
                condition, evidence = _segment(lines, inner.test, inner.test), lines[statement.lineno - 1].strip()
                if (
                    condition
                    and len(condition) <= 100
                    and evidence in text
                    and condition in text
                    and raised.count(error) == 1
                    and error.rsplit(".", 1)[-1][:1].isupper()
                ):
                    yield error, condition, evidence


def _raised(statement: ast.Raise) -> ast.expr:
    assert statement.exc is not None
    return statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc


def _returned(lines: list[str], node: Node, text: str) -> tuple[str, str] | None:
    returns = [inner for inner in ast.walk(node) if isinstance(inner, ast.Return)]
    if len(returns) != 1 or any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in ast.walk(node)):
        return None
    value = returns[0].value
    if returns[0] is not node.body[-1] or (isinstance(value, ast.Constant) and value.value is None):
        return None
    evidence = lines[returns[0].lineno - 1].strip()
    if not isinstance(value, ast.Constant | ast.Tuple | ast.List | ast.Dict) or evidence not in text:
        return None
    try:
        ast.literal_eval(value)
    except ValueError:
        return None
    constant = _segment(lines, value, value)
    return (constant, evidence) if constant and len(constant) <= 80 else None


def _constants(facts: PackageFacts, path: str, lines: list[str], tree: ast.Module) -> None:
    for node in tree.body:
        target = (
            node.targets[0]
            if isinstance(node, ast.Assign)
            else node.target
            if isinstance(node, ast.AnnAssign)
            else None
        )
        value = getattr(node, "value", None)
        if not isinstance(target, ast.Name) or len(target.id) < 4 or not target.id.strip("_").isupper():
            continue
        if not isinstance(value, ast.Constant | ast.Tuple | ast.UnaryOp | ast.BinOp):
            continue
        written, evidence = _segment(lines, value, value), lines[node.lineno - 1].strip()
        if not written or len(written) > 80:
            continue
        start = max(0, node.lineno - 9)
        text = _cut("".join(lines[start : node.lineno + 8]))
        if evidence in text and len(text) >= MIN_CHARACTERS:
            facts.constants.append(ConstantFact(target.id, written, path, Passage(f"{path}\n", text), evidence))


def _reexports(facts: PackageFacts, path: str, lines: list[str], tree: ast.Module) -> None:
    text = _cut("".join(lines))
    for node in tree.body:
        if not isinstance(node, ast.ImportFrom) or not node.level or not node.module:
            continue
        for alias in node.names:
            evidence = next(
                (
                    line.strip()
                    for line in lines[node.lineno - 1 : node.end_lineno]
                    if re.search(rf"\b{re.escape(alias.name)}\b", line)
                ),
                "",
            )
            if (
                alias.asname is None
                and len(alias.name) >= 4
                and evidence
                and evidence in text
                and len(text) >= MIN_CHARACTERS
            ):
                facts.reexports.append((alias.name, node.module, Passage(f"{path}\n", text), evidence))
