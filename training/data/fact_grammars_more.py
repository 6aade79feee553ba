"""Where the trees of Java, PHP, C and C++ state facts, which training asks about and the evaluation does not."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tree_sitter import Node

from codemem.evals.answers.grammars import Grammar, field_of, is_dotted, last_name, text

_ALIKE = frozenset(("Override", "SuppressWarnings", "inheritDoc"))
"""Annotations that say nothing of what they stand on."""


def names(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


def of_types(node: Node | None, *types: str) -> list[Node]:
    """The named children of some types."""
    return [child for child in node.named_children if child.type in types] if node is not None else []


def bare(node: Node) -> Node:
    """A type without its arguments, and without the name space where that stands between."""
    inner = field_of(node, "type") or field_of(node, "name")
    if node.type in ("generic_type", "template_type") and node.named_children:
        return inner or node.named_children[0]
    return bare(inner) if inner is not None and inner.type == "template_type" else node


def named_types(nodes: Iterable[Node]) -> list[Node]:
    """The types without their arguments; none if one of them is not named, so that no list is half of one."""
    found = [bare(node) for node in nodes]
    return found if all(map(is_dotted, found)) else []


def _thrown(node: Node) -> str:
    """Java's and PHP's `throw new Error(...)`."""
    made = next(iter(of_types(node, "object_creation_expression")), None)
    named = field_of(made, "type") or next(iter(of_types(made, "name", "qualified_name")), None)
    return last_name(named) if named is not None and "\\" not in text(named) else text(named).rpartition("\\")[2]


# Java and PHP ---------------------------------------------------------------------------------------------------------


def _java_bases(node: Node) -> list[Node]:
    clauses = [field_of(node, "superclass"), *of_types(node, "extends_interfaces")]
    return _listed_types(clauses)


def _java_implements(node: Node) -> list[Node]:
    return _listed_types([field_of(node, "interfaces")])


def _listed_types(clauses: list[Node | None]) -> list[Node]:
    found: list[Node] = []
    for clause in clauses:
        for child in clause.named_children if clause is not None else ():
            found += child.named_children if child.type == "type_list" else [child]
    return named_types(found)


def _java_decorators(node: Node) -> list[Node]:
    modifiers = next(iter(of_types(node, "modifiers")), None)
    named = (field_of(child, "name") for child in of_types(modifiers, "annotation", "marker_annotation"))
    return [name for name in named if name is not None and text(name) not in _ALIKE]


def _java_constant(node: Node) -> Iterator[tuple[str, Node]]:
    modifiers = text(next(iter(of_types(node, "modifiers")), None))
    around = node.parent.type if node.parent is not None else ""
    fixed = node.type == "constant_declaration" or ("static" in modifiers and "final" in modifiers)
    if node.type in ("field_declaration", "constant_declaration") and (fixed or around == "interface_body"):
        for child in of_types(node, "variable_declarator"):
            if (value := field_of(child, "value")) is not None:
                yield text(field_of(child, "name")), value


def _php_parameters(node: Node) -> Iterator[tuple[str, Node | None]]:
    for child in of_types(field_of(node, "parameters"), "simple_parameter", "property_promotion_parameter"):
        yield text(field_of(child, "name")), field_of(child, "default_value")


def _php_bases(node: Node) -> list[Node]:
    return [_php_name(child) for clause in of_types(node, "base_clause") for child in clause.named_children]


def _php_implements(node: Node) -> list[Node]:
    return [_php_name(child) for clause in of_types(node, "class_interface_clause") for child in clause.named_children]


def _php_name(node: Node) -> Node:
    return node.named_children[-1] if node.type == "qualified_name" else node


def _php_constant(node: Node) -> Iterator[tuple[str, Node]]:
    if node.type == "const_declaration":
        for child in of_types(node, "const_element"):
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
    for child in of_types(
        field_of(declarator, "parameters"), "parameter_declaration", "optional_parameter_declaration"
    ):
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
        for child in of_types(node, "init_declarator"):
            name, value = field_of(child, "declarator"), field_of(child, "value")
            if value is not None and name is not None and name.type == "identifier":
                yield text(name), value


def _cpp_raised(node: Node) -> str:
    made = node.named_children[0] if node.named_children else None
    named = field_of(made, "function") if made is not None and made.type == "call_expression" else None
    thrown = last_name(named)
    return (
        thrown if re.search(r"^std::|^[A-Z]|::[A-Z]|(?:error|exception)$", text(named)) else ""
    )  # not what a call gives


def _cpp_bases(node: Node) -> list[Node]:
    clauses = of_types(node, "base_class_clause")
    types = ("type_identifier", "qualified_identifier", "template_type")
    return named_types(child for clause in clauses for child in of_types(clause, *types))


_C = Grammar(
    functions=names("function_definition"),
    classes=frozenset(),
    name=_c_name,
    parameters=_c_parameters,
    constant=_c_constant,
)
MORE: dict[str, Grammar] = {
    "java": Grammar(
        functions=names("method_declaration constructor_declaration"),
        classes=names("class_declaration interface_declaration enum_declaration record_declaration"),
        calls=names("method_invocation"),
        callee=("name",),
        raises=names("throw_statement"),
        raised=_thrown,
        lambdas_raise=False,
        bases=_java_bases,
        implements=_java_implements,
        decorators=_java_decorators,
        constant=_java_constant,
    ),
    "php": Grammar(
        functions=names("function_definition method_declaration"),
        classes=names("class_declaration interface_declaration trait_declaration"),
        calls=names("function_call_expression member_call_expression scoped_call_expression"),
        callee=("function", "name"),
        parameters=_php_parameters,
        raises=names("throw_expression"),
        raised=_thrown,
        lambdas=names("anonymous_function anonymous_function_creation_expression arrow_function"),
        lambdas_raise=False,
        bases=_php_bases,
        implements=_php_implements,
        constant=_php_constant,
    ),
    "c": _C,
    "cpp": replace(
        _C,
        classes=names("class_specifier struct_specifier"),
        owner=_c_owner,
        raises=names("throw_statement"),
        raised=_cpp_raised,
        lambdas_raise=False,
        bases=_cpp_bases,
    ),
}
