"""Read the facts of Python files off their syntax trees."""

import ast
import re
from collections.abc import Iterator

from .definition import MIN_CHARACTERS, cut, fold, question_of, split_name
from .python_definitions import Node, first_line, source_without_docstring
from .python_facts import ClassFacts, ConstantFact, FunctionFacts, PackageFacts, Passage

_SIMPLE = re.compile(r"[^\n]{1,60}")


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
    known = len(facts.functions)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            _add_function(facts, path, lines, node, owner="", imports=imports)
        elif isinstance(node, ast.ClassDef):
            _add_class(facts, path, lines, node, imports)
    _called_elsewhere(facts, tree, facts.functions[known:])


def _called_elsewhere(facts: PackageFacts, tree: ast.Module, functions: list[FunctionFacts]) -> None:
    """Notes what is called where none of `functions` stands: at the top level, in short functions."""
    asked = {function.line for function in functions}
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.lineno in asked:
            waiting.extend(node.decorator_list)
            continue
        if isinstance(node, ast.Call):
            facts.called_elsewhere.add(_callee(node))
        waiting.extend(ast.iter_child_nodes(node))


def _callee(call: ast.Call) -> str:
    callee = call.func
    return callee.id if isinstance(callee, ast.Name) else callee.attr if isinstance(callee, ast.Attribute) else ""


def _add_class(facts: PackageFacts, path: str, lines: list[str], node: ast.ClassDef, imports: dict[str, str]) -> None:
    passage = Passage(f"{path}\n", cut(source_without_docstring(lines, node)))
    line = lines[node.lineno - 1].strip()
    if len(passage.text) < MIN_CHARACTERS:
        facts.others.update(n.name for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
        return
    bases = [base for base in map(ast.unparse, node.bases) if re.fullmatch(r"[\w.]+", base) and base in line]
    found = ClassFacts(node.name, node.name, path, passage, line, bases, imports=imports)
    found.decorators = _decorators(node, passage.text)
    found.own = frozenset(_own_names(node))
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
    text = cut(source_without_docstring(lines, node))
    if len(text) < MIN_CHARACTERS:
        facts.others.add(node.name)
        return None
    documentation = ast.get_docstring(node)
    whole = cut("".join(lines[first_line(node) - 1 : node.end_lineno]))
    head = fold("".join(lines[node.lineno - 1 : max(node.body[0].lineno - 1, node.lineno)]))
    found = FunctionFacts(
        node.name, owner, path, Passage(header, text), Passage(header, whole),
        question_of(documentation) if documentation else None, head[:160], line=node.lineno,
    )  # fmt: skip
    found.defaults = list(_defaults(lines, node, text))
    found.raises = list(_raises(lines, node, text))
    found.errors = list(_errors(lines, node, text))
    found.returned = _returned(lines, node, text)
    found.decorators = _decorators(node, text)
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
        callee, name = inner.func, _callee(inner)
        called.add(name)
        line = lines[inner.lineno - 1].strip()
        receiver = callee.value.id if isinstance(callee, ast.Attribute) and isinstance(callee.value, ast.Name) else ""
        telling = len(name) >= 8 and len(split_name(name)) >= 2 and receiver not in found.imports
        telling = telling or isinstance(callee, ast.Name) or receiver in ("self", "cls")
        if telling and len(name) >= 4 and f"{name}(" in line and line in text and len(found.calls) < 30:
            found.calls.append((name, line))
    found.names = frozenset(name for name in names if re.search(rf"\b{name}\b", text))
    found.called = found.mentioned = frozenset(called)


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


def _own_names(node: ast.ClassDef) -> Iterator[str]:
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield inner.name
        targets = inner.targets if isinstance(inner, ast.Assign) else [getattr(inner, "target", None)]
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def _errors(lines: list[str], node: ast.FunctionDef | ast.AsyncFunctionDef, text: str) -> Iterator[tuple[str, str]]:
    """Each error that the function itself raises by the name of its class, with the first line that does."""
    seen = set()
    waiting: list[ast.AST] = list(reversed(node.body))
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(inner, ast.Raise) and inner.exc is not None:
            error, evidence = ast.unparse(_raised(inner)), lines[inner.lineno - 1].strip()
            named = re.fullmatch(r"(?:\w+\.)*_?[A-Z]\w*", error)
            if named and error not in seen and evidence in text and error in evidence:
                seen.add(error)
                yield error, evidence
        waiting.extend(reversed(list(ast.iter_child_nodes(inner))))


def _decorators(node: Node, text: str) -> list[tuple[str, str]]:
    written = (name for name in map(ast.unparse, node.decorator_list) if _SIMPLE.fullmatch(name))
    return [(f"@{name}", f"@{name}") for name in written if f"@{name}" in text]


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
        text = cut("".join(lines[start : node.lineno + 8]))
        if evidence in text and len(text) >= MIN_CHARACTERS:
            facts.constants.append(ConstantFact(target.id, written, path, Passage(f"{path}\n", text), evidence))


def _reexports(facts: PackageFacts, path: str, lines: list[str], tree: ast.Module) -> None:
    text = cut("".join(lines))
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
