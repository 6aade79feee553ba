"""Where the trees of the languages that training asks about state facts.

The evaluation's grammars of five languages, with what it does not ask for (interfaces, annotations, errors that are
wrapped, functions set as properties), and four languages more.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tree_sitter import Node

from codemem.evals.answers.grammars import GRAMMARS as EVALUATED
from codemem.evals.answers.grammars import Grammar, field_of, is_dotted, last_name, text

_ALIKE = frozenset(("Override", "SuppressWarnings", "inheritDoc"))
"""Annotations that say nothing of what they stand on."""


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


def _of(node: Node | None, *types: str) -> list[Node]:
    """The named children of some types."""
    return [child for child in node.named_children if child.type in types] if node is not None else []


def _bare(node: Node) -> Node:
    """A type without its arguments, and without the name space where that stands between."""
    inner = field_of(node, "type") or field_of(node, "name")
    if node.type in ("generic_type", "template_type") and node.named_children:
        return inner or node.named_children[0]
    return _bare(inner) if inner is not None and inner.type == "template_type" else node


def _types(nodes: Iterable[Node]) -> list[Node]:
    """The types without their arguments; none if one of them is not named, so that no list is half of one."""
    found = [_bare(node) for node in nodes]
    return found if all(map(is_dotted, found)) else []


def _thrown(node: Node) -> str:
    """Java's and PHP's `throw new Error(...)`."""
    made = next(iter(_of(node, "object_creation_expression")), None)
    named = field_of(made, "type") or next(iter(_of(made, "name", "qualified_name")), None)
    return last_name(named) if named is not None and "\\" not in text(named) else text(named).rpartition("\\")[2]


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
        clause = next(iter(_of(node, "extends_type_clause")), None)
        return _types(clause.named_children if clause is not None else ())
    return _SCRIPT.bases(node)


def _script_implements(node: Node) -> list[Node]:
    heritage = next(iter(_of(node, "class_heritage")), None)
    clause = next(iter(_of(heritage, "implements_clause")), None)
    return _types(clause.named_children if clause is not None else ())


def _script_decorators(node: Node) -> list[Node]:
    """Those before a method or a class, also where `export` stands between."""
    found = _of(node, "decorator")
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
    listed = next(iter(_of(node, "expression_list")), None)
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
    return named if re.match(r"[Ee]rr[A-Z]", named) or text(last) == "io.EOF" else ""


def _go_bases(node: Node) -> list[Node]:
    body = field_of(node, "type")
    if body is not None and body.type == "interface_type":
        embedded = (child.named_children for child in _of(body, "type_elem"))
        return [parts[0] for parts in embedded if len(parts) == 1]
    return _types(EVALUATED["go"].bases(node))


def _rust_bases(node: Node) -> list[Node]:
    """Supertraits."""
    bounds = field_of(node, "bounds") if node.type == "trait_item" else None
    return _types(_of(bounds, "type_identifier", "scoped_type_identifier", "generic_type"))


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


# Java and PHP ---------------------------------------------------------------------------------------------------------


def _java_bases(node: Node) -> list[Node]:
    clauses = [field_of(node, "superclass"), *_of(node, "extends_interfaces")]
    return _listed_types(clauses)


def _java_implements(node: Node) -> list[Node]:
    return _listed_types([field_of(node, "interfaces")])


def _listed_types(clauses: list[Node | None]) -> list[Node]:
    found: list[Node] = []
    for clause in clauses:
        for child in clause.named_children if clause is not None else ():
            found += child.named_children if child.type == "type_list" else [child]
    return _types(found)


def _java_decorators(node: Node) -> list[Node]:
    modifiers = next(iter(_of(node, "modifiers")), None)
    named = (field_of(child, "name") for child in _of(modifiers, "annotation", "marker_annotation"))
    return [name for name in named if name is not None and text(name) not in _ALIKE]


def _java_constant(node: Node) -> Iterator[tuple[str, Node]]:
    modifiers = text(next(iter(_of(node, "modifiers")), None))
    around = node.parent.type if node.parent is not None else ""
    fixed = node.type == "constant_declaration" or ("static" in modifiers and "final" in modifiers)
    if node.type in ("field_declaration", "constant_declaration") and (fixed or around == "interface_body"):
        for child in _of(node, "variable_declarator"):
            if (value := field_of(child, "value")) is not None:
                yield text(field_of(child, "name")), value


def _php_parameters(node: Node) -> Iterator[tuple[str, Node | None]]:
    for child in _of(field_of(node, "parameters"), "simple_parameter", "property_promotion_parameter"):
        yield text(field_of(child, "name")), field_of(child, "default_value")


def _php_bases(node: Node) -> list[Node]:
    return [_php_name(child) for clause in _of(node, "base_clause") for child in clause.named_children]


def _php_implements(node: Node) -> list[Node]:
    return [_php_name(child) for clause in _of(node, "class_interface_clause") for child in clause.named_children]


def _php_name(node: Node) -> Node:
    return node.named_children[-1] if node.type == "qualified_name" else node


def _php_constant(node: Node) -> Iterator[tuple[str, Node]]:
    if node.type == "const_declaration":
        for child in _of(node, "const_element"):
            if len(child.named_children) == 2:
                yield text(child.named_children[0]), child.named_children[1]


# C and C++ ------------------------------------------------------------------------------------------------------------


def _c_declared(node: Node) -> Node | None:
    """The function's name, perhaps qualified, below the pointers and the parameters of its declarator."""
    found = field_of(node, "declarator")
    while found is not None and (inner := field_of(found, "declarator")) is not None:
        found = inner
    return found


def _c_name(node: Node) -> str:
    named = _c_declared(node) if node.type == "function_definition" else field_of(node, "name")
    found = re.fullmatch(r"(?:\w+::)*(\w+)", text(named))
    return found[1] if found else ""


def _c_owner(node: Node) -> str:
    found = re.fullmatch(r"(?:\w+::)*(\w+)::\w+", text(_c_declared(node)))
    return found[1] if found else ""


def _c_parameters(node: Node) -> Iterator[tuple[str, Node | None]]:
    declarator = field_of(node, "declarator")
    while declarator is not None and declarator.type != "function_declarator":
        declarator = field_of(declarator, "declarator")
    for child in _of(field_of(declarator, "parameters"), "parameter_declaration", "optional_parameter_declaration"):
        named = re.search(r"(\w+)\s*(?:\[\w*\])*$", text(field_of(child, "declarator")))
        if named:
            yield named[1], field_of(child, "default_value")


def _c_constant(node: Node) -> Iterator[tuple[str, Node]]:
    """`#define NAME literal` and constants of C++."""
    value = field_of(node, "value")
    if node.type == "preproc_def" and value is not None:
        if re.fullmatch(
            r"""\s*\(?-?(?:0[xX][0-9a-fA-F]+|\d[\d.]*)[uUlLfF]*\)?|\s*"[^"\\]*"|\s*'[^'\\]'""", text(value)
        ):
            yield text(field_of(node, "name")), value
    elif node.type == "declaration" and re.match(r"(?:static |inline )*(?:const|constexpr) ", text(node)):
        for child in _of(node, "init_declarator"):
            name, value = field_of(child, "declarator"), field_of(child, "value")
            if value is not None and name is not None and name.type == "identifier":
                yield text(name), value


def _cpp_raised(node: Node) -> str:
    made = node.named_children[0] if node.named_children else None
    named = field_of(made, "function") if made is not None and made.type == "call_expression" else None
    return last_name(named)


def _cpp_bases(node: Node) -> list[Node]:
    clauses = _of(node, "base_class_clause")
    types = ("type_identifier", "qualified_identifier", "template_type")
    return _types(child for clause in clauses for child in _of(clause, *types))


_C = Grammar(
    functions=_set("function_definition"),
    classes=frozenset(),
    name=_c_name,
    parameters=_c_parameters,
    constant=_c_constant,
)
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
    "go": replace(EVALUATED["go"], raised=_go_raised, bases=_go_bases, lambdas_raise=False),
    "rust": replace(EVALUATED["rust"], raised=_rust_raised, bases=_rust_bases, decorators=_rust_derives),
    "ruby": EVALUATED["ruby"],
    "java": Grammar(
        functions=_set("method_declaration constructor_declaration"),
        classes=_set("class_declaration interface_declaration enum_declaration record_declaration"),
        calls=_set("method_invocation"),
        callee=("name",),
        raises=_set("throw_statement"),
        raised=_thrown,
        lambdas_raise=False,
        bases=_java_bases,
        implements=_java_implements,
        decorators=_java_decorators,
        constant=_java_constant,
    ),
    "php": Grammar(
        functions=_set("function_definition method_declaration"),
        classes=_set("class_declaration interface_declaration trait_declaration"),
        calls=_set("function_call_expression member_call_expression scoped_call_expression"),
        callee=("function", "name"),
        parameters=_php_parameters,
        raises=_set("throw_expression"),
        raised=_thrown,
        lambdas_raise=False,
        bases=_php_bases,
        implements=_php_implements,
        constant=_php_constant,
    ),
    "c": _C,
    "cpp": replace(
        _C,
        classes=_set("class_specifier struct_specifier"),
        owner=_c_owner,
        raises=_set("throw_statement"),
        raised=_cpp_raised,
        lambdas_raise=False,
        bases=_cpp_bases,
    ),
}
