"""Where the trees of the languages that training asks about state facts.

The evaluation's grammars of five languages, with what it does not ask for (interfaces, annotations, errors that are
wrapped, functions set as properties), and those of `fact_grammars_more`.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from tree_sitter import Node

from codemem.evals.answers.grammars import GRAMMARS as EVALUATED
from codemem.evals.answers.grammars import Grammar, field_of, last_name, text

from .fact_grammars_more import MORE, named_types, names, of_types

# JavaScript and TypeScript --------------------------------------------------------------------------------------------

_SCRIPT = EVALUATED["typescript"]


def _script_name(node: Node) -> str:
    if node.type != "assignment_expression":
        return _SCRIPT.name(node)
    left, right = field_of(node, "left"), field_of(node, "right")
    is_function = right is not None and right.type in ("function_expression", "arrow_function")
    return text(field_of(left, "property")) if is_function else ""


def _script_owner(node: Node) -> str:
    """`Foo` of `Foo.prototype.bar = function`, '' for exports."""
    if node.type != "assignment_expression":
        return ""
    parts = text(field_of(field_of(node, "left"), "object")).split(".")
    named = [part for part in parts if part not in ("prototype", "exports", "module", "this")]
    return named[-1] if named and re.fullmatch(r"[A-Za-z_$][\w$]*", named[-1]) else ""


def _script_parameters(node: Node) -> Iterator[tuple[str, Node | None]]:
    holder = field_of(node, "right") if node.type == "assignment_expression" else None
    yield from _SCRIPT.parameters(holder or node)


def _script_bases(node: Node) -> list[Node]:
    if node.type == "interface_declaration":
        clause = next(iter(of_types(node, "extends_type_clause")), None)
        return named_types(clause.named_children if clause is not None else ())
    return _SCRIPT.bases(node)


def _script_implements(node: Node) -> list[Node]:
    heritage = next(iter(of_types(node, "class_heritage")), None)
    clause = next(iter(of_types(heritage, "implements_clause")), None)
    return named_types(clause.named_children if clause is not None else ())


def _script_decorators(node: Node) -> list[Node]:
    """Those before a method or a class, also where `export` stands between."""
    found = of_types(node, "decorator")
    before = node.prev_named_sibling
    while before is not None and before.type == "decorator":
        found.insert(0, before)
        before = before.prev_named_sibling
    inner = [child.named_children[0] for child in found if child.named_children]
    called = (field_of(part, "function") if part.type == "call_expression" else part for part in inner)
    return [part for part in called if part is not None]


def _script_constant(node: Node) -> Iterator[tuple[str, Node]]:
    """`const` alone: what `let` sets may change; of a class what is `static readonly`."""
    value = field_of(node, "value") if node.type == "public_field_definition" else None
    if value is not None and re.match(r"[\w ]*\bstatic readonly ", text(node)):
        yield text(field_of(node, "name")), value
    if node.type == "lexical_declaration" and text(node).startswith("const "):
        yield from _SCRIPT.constant(node)


# Go and Rust ----------------------------------------------------------------------------------------------------------


def _go_raised(node: Node) -> str:
    """The error value that is returned as it is, wrapped by `fmt.Errorf` with `%w`, or made of a type of errors.

    A comparison with one is none, nor is a variable that holds what another function returned.
    """
    listed = next(iter(of_types(node, "expression_list")), None)
    last = listed.named_children[-1] if listed is not None and listed.named_children else None
    if last is not None and last.type == "call_expression" and text(field_of(last, "function")) == "fmt.Errorf":
        arguments = field_of(last, "arguments")
        last = arguments.named_children[-1] if arguments is not None and text(arguments).count("%w") == 1 else None
    if last is not None and last.type == "unary_expression":
        last = field_of(last, "operand")
    if last is not None and last.type == "composite_literal":
        named = last_name(field_of(last, "type"))
        return named if named.endswith("Error") else ""
    if last is None or last.type not in ("identifier", "selector_expression"):
        return ""
    named = last_name(last)
    if text(last) == "io.EOF":
        return named
    return named if re.match(r"[Ee]rr[A-Z]", named) and not _is_set_near(node, named) else ""


def _is_set_near(node: Node, name: str) -> bool:
    """Whether the function around a node sets a variable of this name."""
    around = node
    while around.parent is not None and around.type not in EVALUATED["go"].functions:
        around = around.parent
    return re.search(rf"\b{name}(?:\s*,\s*\w+)*\s*(?::=|=(?!=)|error\b)", text(around)) is not None


def _go_bases(node: Node) -> list[Node]:
    body = field_of(node, "type")
    if body is not None and body.type == "interface_type":
        embedded = (child.named_children for child in of_types(body, "type_elem"))
        return [parts[0] for parts in embedded if len(parts) == 1]
    return named_types(EVALUATED["go"].bases(node))


def _rust_name(node: Node) -> str:
    """Of `impl Trait for &mut Type<T>` the type alone."""
    found = re.search(r"\w+$", re.sub(r"<.*", "", text(field_of(node, "type")), flags=re.DOTALL).strip())
    if node.type == "impl_item":
        return found[0] if found else ""
    return EVALUATED["rust"].name(node)


def _rust_bases(node: Node) -> list[Node]:
    """Supertraits."""
    bounds = field_of(node, "bounds") if node.type == "trait_item" else None
    return named_types(of_types(bounds, "type_identifier", "scoped_type_identifier", "generic_type"))


_RUST_ERROR = re.compile(
    r"\(\s*(?:\|_?\w*\|\s*)?(?:return\s+)?(?:\w+::)*"
    r"(?:(?:\w*Error|\w*Kind)::([A-Z]\w*[a-z]\w*)|([A-Z]\w*Error)(?=\s*[({),]|::(?:new|from)\b|\.into\b))"
)
"""A variant of an error, or a type of error of its own. A constant is none."""


def _rust_raised(node: Node) -> str:
    """The error in `Err(...)`, and in what turns nothing or another error into one: `ok_or`, `map_err`."""
    called = re.search(r"\w+$", text(field_of(node, "function")))
    if called is None or called[0] not in ("Err", "ok_or", "ok_or_else", "map_err"):
        return ""
    found = _RUST_ERROR.match(text(field_of(node, "arguments")))
    return (found[1] or found[2]) if found else ""


def _rust_derives(node: Node) -> list[Node]:
    """Of traits that are named by their path, `thiserror::Error` say, the last part."""
    found = EVALUATED["rust"].decorators(node)
    return [part for part in found if part.next_sibling is None or part.next_sibling.type != "::"]


_ECMASCRIPT = replace(
    _SCRIPT,
    functions=_SCRIPT.functions | {"assignment_expression"},
    classes=_SCRIPT.classes | {"interface_declaration"},
    name=_script_name,
    owner=_script_owner,
    parameters=_script_parameters,
    bases=_script_bases,
    implements=_script_implements,
    decorators=_script_decorators,
    constant=_script_constant,
    lambdas_raise=False,
)
GRAMMARS: dict[str, Grammar] = {
    "javascript": _ECMASCRIPT,
    "typescript": _ECMASCRIPT,
    "go": replace(
        EVALUATED["go"], raised=_go_raised, bases=_go_bases, lambdas=names("func_literal"), lambdas_raise=False
    ),
    "rust": replace(
        EVALUATED["rust"], name=_rust_name, raised=_rust_raised, bases=_rust_bases, decorators=_rust_derives
    ),
    "ruby": EVALUATED["ruby"],
    **MORE,
}
