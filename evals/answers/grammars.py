"""Where each language's syntax tree states defaults, raised errors, bases, decorators, constants and calls."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tree_sitter import Node

NUMBER = frozenset(
    ["integer", "float", "number", "int_literal", "float_literal", "integer_literal", "number_literal",
     "decimal_integer_literal", "hex_integer_literal", "decimal_floating_point_literal", "preproc_arg"]
)  # fmt: skip
_WORDS = frozenset(
    ["true", "false", "none", "null", "nil", "True", "False", "None", "boolean", "boolean_literal", "null_literal"]
)
_STRINGS = frozenset(
    ["string", "string_literal", "interpreted_string_literal", "raw_string_literal", "simple_symbol", "encapsed_string"]
)
LITERALS = NUMBER | _WORDS | _STRINGS
_FILLED_IN = frozenset(["interpolation", "variable_name", "member_access_expression", "dynamic_variable_name"])


@dataclass(frozen=True, slots=True)
class Grammar:
    """Node types and readers of one language."""

    functions: frozenset[str]
    classes: frozenset[str]
    scopes: frozenset[str] = frozenset()
    """Nodes that give methods an owner without being a class (impl blocks)."""
    calls: frozenset[str] = frozenset(("call_expression",))
    callee: tuple[str, ...] = ("function", "method", "constructor")
    """Fields of a call that may hold what is called."""
    name: Callable[[Node], str] = field(default=lambda node: text(node.child_by_field_name("name")))
    owner: Callable[[Node], str] = field(default=lambda _: "")
    """Owner of a method that does not stand inside its class (a Go receiver)."""
    parameters: Callable[[Node], Iterator[tuple[str, Node | None]]] = field(default=lambda _: iter(()))
    """(name, default) of every parameter."""
    raises: frozenset[str] = frozenset()
    """Nodes that may raise or return an error."""
    raised: Callable[[Node], str] = field(default=lambda _: "")
    """Name of the error that such a node raises; ''."""
    lambdas: frozenset[str] = frozenset(
        ("lambda", "arrow_function", "function_expression", "closure_expression", "lambda_expression")
    )
    """Function literals: what they return is not what the function around them returns."""
    lambdas_raise: bool = True
    """Whether what a function literal raises counts for the function around it."""
    bases: Callable[[Node], list[Node]] = field(default=lambda _: [])
    """Nodes that name what a class extends or embeds."""
    implements: Callable[[Node], list[Node]] = field(default=lambda _: [])
    """Nodes that name the interfaces that a class says to fulfil."""
    decorators: Callable[[Node], list[Node]] = field(default=lambda _: [])
    """Nodes whose text names a decorator or derived trait."""
    constant: Callable[[Node], Iterator[tuple[str, Node]]] = field(default=lambda _: iter(()))
    """(name, value) that a statement outside functions sets."""
    reexports: Callable[[Node, str], Iterator[tuple[str, Node]]] = field(default=lambda node, path: iter(()))
    imports: frozenset[str] = frozenset()
    """Nodes that import names one by one; none where a file sees its whole folder."""
    returns: str = "return_statement"
    tail_returns: bool = False
    """Whether a block's last expression is its value."""


def is_literal(node: Node | None) -> bool:
    """Whether a node is a value that says itself what it is; strings with parts filled in are none."""
    return node is not None and node.type in LITERALS and not any(c.type in _FILLED_IN for c in node.children)


def text(node: Node | None) -> str:
    return node.text.decode("utf-8", "replace") if node is not None and node.text is not None else ""


def field_of(node: Node | None, name: str) -> Node | None:
    return node.child_by_field_name(name) if node is not None else None


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


def last_name(node: Node | None) -> str:
    """The last identifier of a dotted or scoped name; '' for other expressions."""
    found = re.fullmatch(r"(?:[\w$]+(?:\.|::|\?\.))*([\w$]+[!?]?)", text(node))
    return found[1] if found else ""


def is_dotted(node: Node) -> bool:
    """Whether a node is a name, possibly behind others and dots."""
    return re.fullmatch(r"[\w$]+(?:(?:\.|::)[\w$]+)*", text(node)) is not None


# Python ---------------------------------------------------------------------------------------------------------------


def _python_parameters(node: Node) -> Iterator[tuple[str, Node | None]]:
    for child in _children(node.child_by_field_name("parameters")):
        if child.type in ("default_parameter", "typed_default_parameter"):
            yield text(child.child_by_field_name("name")), child.child_by_field_name("value")
        elif child.type == "identifier":
            yield text(child), None
        elif child.type == "typed_parameter" and child.named_children:
            yield text(child.named_children[0]), None


def _python_raised(node: Node) -> str:
    if node.type != "raise_statement" or not node.named_children:
        return ""
    raised = node.named_children[0]
    named = last_name(raised.child_by_field_name("function") if raised.type == "call" else raised)
    return named if named[:1].isupper() else ""


def _python_bases(node: Node) -> list[Node]:
    listed = _children(node.child_by_field_name("superclasses"))
    return [child for child in listed if child.type in ("identifier", "attribute") and text(child) != "object"]


def _python_decorators(node: Node) -> list[Node]:
    around = node.parent
    if around is None or around.type != "decorated_definition":
        return []
    parts = (child.named_children[0] for child in around.named_children if child.type == "decorator")
    called = (part.child_by_field_name("function") if part.type == "call" else part for part in parts)
    return [part for part in called if part is not None]


def _python_constant(node: Node) -> Iterator[tuple[str, Node]]:
    inner = node.named_children[0] if node.type == "expression_statement" and node.named_children else node
    if inner.type == "assignment":
        name, value = inner.child_by_field_name("left"), inner.child_by_field_name("right")
        if value is not None and name is not None and name.type == "identifier":
            yield text(name), value


def _python_reexports(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    module = text(node.child_by_field_name("module_name"))
    if node.type == "import_from_statement" and path.endswith("__init__.py") and module.strip("."):
        for child in node.children_by_field_name("name"):
            if child.type == "dotted_name":
                yield text(child), child


# JavaScript and TypeScript --------------------------------------------------------------------------------------------


def _script_name(node: Node) -> str:
    if node.type == "variable_declarator":
        value = field_of(node, "value")
        if value is None or value.type not in ("arrow_function", "function_expression"):
            return ""
    return text(field_of(node, "name"))


def _script_parameters(node: Node) -> Iterator[tuple[str, Node | None]]:
    holder = field_of(node, "value") if node.type == "variable_declarator" else node
    for child in _children(field_of(holder, "parameters")):
        if child.type == "assignment_pattern":
            yield text(field_of(child, "left")), field_of(child, "right")
        elif child.type in ("required_parameter", "optional_parameter"):
            yield text(field_of(child, "pattern")), field_of(child, "value")
        elif child.type == "identifier":
            yield text(child), None


def _script_raised(node: Node) -> str:
    if node.type != "throw_statement" or not node.named_children:
        return ""
    raised = node.named_children[0]
    named = last_name(field_of(raised, "constructor") or field_of(raised, "function"))
    return named if named[:1].isupper() else ""


def _script_bases(node: Node) -> list[Node]:
    found = []
    for heritage in (child for child in node.named_children if child.type == "class_heritage"):
        inner = next((c for c in heritage.named_children if c.type == "extends_clause"), None)
        value = field_of(inner, "value") if inner is not None else next(iter(_children(heritage)), None)
        found.append(value)
    return [value for value in found if value is not None]


def _script_constant(node: Node) -> Iterator[tuple[str, Node]]:
    inner = field_of(node, "declaration") if node.type == "export_statement" else node
    if inner is not None and inner.type == "lexical_declaration":
        for child in inner.named_children:
            value = field_of(child, "value")
            if child.type == "variable_declarator" and value is not None:
                yield text(field_of(child, "name")), value


def _script_reexports(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    if node.type == "export_statement" and field_of(node, "source") is not None:
        for clause in (child for child in node.named_children if child.type == "export_clause"):
            for child in clause.named_children:
                if child.type == "export_specifier" and field_of(child, "alias") is None:
                    yield text(field_of(child, "name")), child


# Go -------------------------------------------------------------------------------------------------------------------


def _go_owner(node: Node) -> str:
    found = re.search(r"\*?\s*(\w+)\s*(?:\[.*\])?\s*\)$", text(field_of(node, "receiver")))
    return found[1] if found else ""


def _go_parameters(node: Node) -> Iterator[tuple[str, Node | None]]:
    for child in _children(field_of(node, "parameters")):
        for name in child.children_by_field_name("name"):
            yield text(name), None


def _go_raised(node: Node) -> str:
    """A sentinel error that is returned."""
    if node.type != "return_statement":
        return ""
    found = re.search(r"\b((?:\w+\.)?Err[A-Z]\w*)$", text(node))
    return found[1].rpartition(".")[2] if found else ""


def _go_bases(node: Node) -> list[Node]:
    body = field_of(node, "type")
    if body is None or body.type != "struct_type":
        return []
    fields = (child for holder in body.named_children for child in holder.named_children)
    embedded = (child for child in fields if child.type == "field_declaration" and field_of(child, "name") is None)
    return [named for child in embedded if (named := field_of(child, "type")) is not None]


def _go_constant(node: Node) -> Iterator[tuple[str, Node]]:
    if node.type in ("const_declaration", "var_declaration"):
        for child in node.named_children:
            value = field_of(child, "value")
            if child.type in ("const_spec", "var_spec") and value is not None and len(value.named_children) == 1:
                yield text(field_of(child, "name")), value.named_children[0]


# Rust -----------------------------------------------------------------------------------------------------------------


def _rust_name(node: Node) -> str:
    if node.type == "impl_item":
        return re.sub(r"<.*", "", text(field_of(node, "type"))).rpartition("::")[2]
    return text(field_of(node, "name"))


def _rust_parameters(node: Node) -> Iterator[tuple[str, Node | None]]:
    for child in _children(field_of(node, "parameters")):
        if child.type == "parameter":
            yield text(field_of(child, "pattern")), None


def _rust_raised(node: Node) -> str:
    """The variant in `Err(Kind::Variant...)`."""
    if node.type != "call_expression" or text(field_of(node, "function")) != "Err":
        return ""
    found = re.match(r"\(\s*(?:\w+::)*(?:\w*Error|\w*Kind)::([A-Z]\w+)", text(field_of(node, "arguments")))
    return found[1] if found else ""


def _rust_decorators(node: Node) -> list[Node]:
    found: list[Node] = []
    before = node.prev_named_sibling
    while before is not None and before.type in ("attribute_item", "line_comment", "block_comment"):
        if before.type == "attribute_item" and text(before).startswith("#[derive("):
            tree = next((c for c in before.named_children[0].named_children if c.type == "token_tree"), None)
            found += [child for child in _children(tree) if child.type == "identifier"]
        before = before.prev_named_sibling
    return found


def _rust_constant(node: Node) -> Iterator[tuple[str, Node]]:
    value = field_of(node, "value")
    if node.type in ("const_item", "static_item") and value is not None:
        yield text(field_of(node, "name")), value


def _rust_reexports(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    if node.type == "use_declaration" and text(node).startswith("pub use"):
        argument = field_of(node, "argument")
        listed = field_of(argument, "list") if argument is not None else None
        for child in _children(listed) if listed is not None else [argument]:
            if child is not None and child.type in ("identifier", "scoped_identifier"):
                yield text(child).rpartition("::")[2], child


# Ruby -----------------------------------------------------------------------------------------------------------------


def _ruby_parameters(node: Node) -> Iterator[tuple[str, Node | None]]:
    for child in _children(field_of(node, "parameters")):
        if child.type in ("optional_parameter", "keyword_parameter"):
            yield text(field_of(child, "name")), field_of(child, "value")
        elif child.type == "identifier":
            yield text(child), None


def _ruby_raised(node: Node) -> str:
    if node.type != "call" or text(field_of(node, "method")) != "raise" or field_of(node, "receiver") is not None:
        return ""
    arguments = _children(field_of(node, "arguments"))
    first = arguments[0] if arguments else None
    if first is not None and first.type == "call" and text(field_of(first, "method")) == "new":
        first = field_of(first, "receiver")
    named = last_name(first) if first is not None and first.type in ("constant", "scope_resolution") else ""
    return named if named[:1].isupper() else ""


def _ruby_bases(node: Node) -> list[Node]:
    parent = field_of(node, "superclass")
    return parent.named_children[:1] if parent is not None else []


def _ruby_constant(node: Node) -> Iterator[tuple[str, Node]]:
    name, value = field_of(node, "left"), field_of(node, "right")
    if node.type == "assignment" and name is not None and value is not None and name.type == "constant":
        yield text(name), value


def _children(node: Node | None) -> list[Node]:
    return [child for child in node.named_children if "comment" not in child.type] if node is not None else []


_SCRIPT = Grammar(
    functions=_set("function_declaration generator_function_declaration method_definition variable_declarator"),
    classes=_set("class_declaration abstract_class_declaration class"),
    calls=_set("call_expression new_expression"),
    imports=_set("import_statement"),
    name=_script_name,
    parameters=_script_parameters,
    raises=_set("throw_statement"),
    raised=_script_raised,
    bases=_script_bases,
    constant=_script_constant,
    reexports=_script_reexports,
)
GRAMMARS: dict[str, Grammar] = {
    "python": Grammar(
        functions=_set("function_definition"),
        classes=_set("class_definition"),
        calls=_set("call"),
        imports=_set("import_from_statement"),
        parameters=_python_parameters,
        raises=_set("raise_statement"),
        raised=_python_raised,
        bases=_python_bases,
        decorators=_python_decorators,
        constant=_python_constant,
        reexports=_python_reexports,
    ),
    "javascript": _SCRIPT,
    "typescript": _SCRIPT,
    "go": Grammar(
        functions=_set("function_declaration method_declaration"),
        classes=_set("type_spec"),
        owner=_go_owner,
        parameters=_go_parameters,
        raises=_set("return_statement"),
        raised=_go_raised,
        bases=_go_bases,
        constant=_go_constant,
    ),
    "rust": Grammar(
        functions=_set("function_item"),
        classes=_set("struct_item enum_item trait_item"),
        scopes=_set("impl_item"),
        imports=_set("use_declaration"),
        name=_rust_name,
        parameters=_rust_parameters,
        raises=_set("call_expression"),
        raised=_rust_raised,
        decorators=_rust_decorators,
        constant=_rust_constant,
        reexports=_rust_reexports,
        returns="return_expression",
        tail_returns=True,
    ),
    "ruby": Grammar(
        functions=_set("method singleton_method"),
        classes=_set("class module"),
        calls=_set("call"),
        parameters=_ruby_parameters,
        raises=_set("call"),
        raised=_ruby_raised,
        bases=_ruby_bases,
        constant=_ruby_constant,
        returns="return",
        tail_returns=True,
    ),
}
