"""Definitions of Python files, by the standard library's own parser."""

import ast
import warnings
from collections.abc import Iterator

from .definition import MAX_CHARACTERS, MIN_CHARACTERS, Definition, call_sites, fold


def parse(source: str) -> ast.Module | None:
    """Parse a file; None when it is not valid Python of this version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in old code
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def definitions(path: str, source: str, tree: ast.Module, *, test: bool) -> list[Definition]:
    """Return functions and methods outside other functions, classes, and windows of a documented module."""
    lines = source.splitlines(keepends=True)
    found = [
        definition
        for node, scope, in_class in _walk(tree.body, "", False)
        if len((definition := _definition(path, lines, node, scope, in_class, test=test)).code.strip())
        >= MIN_CHARACTERS
    ]
    return found + (_windows(path, lines, tree) if not test else [])


Node = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _walk(body: list[ast.stmt], scope: str, in_class: bool) -> Iterator[tuple[Node, str, bool]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node, scope, in_class
        elif isinstance(node, ast.ClassDef):
            yield node, scope, in_class
            yield from _walk(node.body, f"{scope}.{node.name}" if scope else node.name, True)
        elif isinstance(node, ast.If | ast.Try | ast.With):
            yield from _walk(node.body, scope, in_class)
            yield from _walk(getattr(node, "orelse", []), scope, in_class)


def first_line(node: Node) -> int:
    """1-based line where a definition starts, decorators included."""
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def source_without_docstring(lines: list[str], node: Node) -> str:
    """Return a definition's source with its docstring's lines cut out (nothing cut if they share lines with code)."""
    start, end = first_line(node) - 1, node.end_lineno or node.lineno
    if not ast.get_docstring(node, clean=False):
        return "".join(lines[start:end])
    expression = node.body[0]
    first, last = expression.lineno - 1, expression.end_lineno or expression.lineno
    if lines[first][: expression.col_offset].strip():
        return "".join(lines[start:end])
    return "".join(lines[start:first] + lines[last:end])


def _definition(path: str, lines: list[str], node: Node, scope: str, in_class: bool, *, test: bool) -> Definition:
    is_class = isinstance(node, ast.ClassDef)
    code = source_without_docstring(lines, node)
    head = node.body[0].lineno - 1
    signature = fold("".join(lines[node.lineno - 1 : max(head, node.lineno)]))[:200]
    return Definition(
        path=path,
        language="python",
        kind="class" if is_class else "method" if in_class else "function",
        name=node.name,
        scope=scope,
        code=code,
        documentation=ast.get_docstring(node) or "",
        signature=signature,
        calls=() if is_class else call_sites(code),
        test=test,
    )


def _windows(path: str, lines: list[str], tree: ast.Module) -> list[Definition]:
    """The first two windows of a documented module: what its docstring describes."""
    documentation = ast.get_docstring(tree)
    if not documentation or len(tree.body) < 3:
        return []
    windows: list[Definition] = []
    start = tree.body[0].end_lineno or 1
    while len(windows) < 2 and start < len(lines):
        end, size = start, 0
        while end < len(lines) and size + len(lines[end]) <= MAX_CHARACTERS:
            size += len(lines[end])
            end += 1
        code = "".join(lines[start:end])
        if end == start or len(code.strip()) < 2 * MIN_CHARACTERS:
            break
        name = path.rsplit("/", 1)[-1].removesuffix(".py")
        windows.append(Definition(path, "python", "window", name, "", code, documentation))
        start = end
    return windows
