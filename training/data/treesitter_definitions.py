"""Definitions of languages other than Python, by tree-sitter.

One table a language: which node types are definitions, and which wrap one together with its attributes. The
documentation is the run of comments that ends on the line above; in Haskell and for Lua's fields likewise.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import cast

from tree_sitter import Node, Parser
from tree_sitter_language_pack import SupportedLanguage, get_parser

from .definition import MIN_CHARACTERS, Definition, call_sites, fold
from .prose import opening


@dataclass(frozen=True, slots=True)
class Grammar:
    """What to look for in one language's trees."""

    functions: frozenset[str]
    classes: frozenset[str]
    scopes: frozenset[str] = frozenset()
    """Nodes that give a scope without being documents of their own (namespaces, impl blocks)."""
    wrappers: frozenset[str] = frozenset()
    """Parents that belong to the definition: comments stand before them."""
    skipped: frozenset[str] = frozenset()
    """Siblings that may stand between comment and definition."""


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


_ECMASCRIPT = Grammar(
    functions=_set("function_declaration generator_function_declaration method_definition abstract_method_signature"),
    classes=_set("class_declaration abstract_class_declaration interface_declaration enum_declaration"),
    scopes=_set("internal_module"),
    wrappers=_set("export_statement ambient_declaration"),
    skipped=_set("decorator"),
)

GRAMMARS: dict[str, Grammar] = {
    "javascript": _ECMASCRIPT,
    "typescript": _ECMASCRIPT,
    "tsx": _ECMASCRIPT,
    "go": Grammar(
        functions=_set("function_declaration method_declaration"),
        classes=_set("type_declaration"),
    ),
    "rust": Grammar(
        functions=_set("function_item"),
        classes=_set("struct_item enum_item trait_item macro_definition union_item"),
        scopes=_set("impl_item mod_item"),
        skipped=_set("attribute_item"),
    ),
    "java": Grammar(
        functions=_set("method_declaration constructor_declaration"),
        classes=_set(
            "class_declaration interface_declaration enum_declaration record_declaration annotation_type_declaration"
        ),
    ),
    "ruby": Grammar(
        functions=_set("method singleton_method"),
        classes=_set("class module"),
    ),
    "php": Grammar(
        functions=_set("function_definition method_declaration"),
        classes=_set("class_declaration interface_declaration trait_declaration"),
    ),
    "lua": Grammar(
        functions=_set("function_declaration function_definition_statement local_function_definition_statement"),
        classes=frozenset(),
    ),
    "scala": Grammar(
        functions=_set("function_definition"),
        classes=_set("class_definition object_definition trait_definition"),
    ),
    "kotlin": Grammar(
        functions=_set("function_declaration"),
        classes=_set("class_declaration object_declaration"),
    ),
    "csharp": Grammar(
        functions=_set("method_declaration constructor_declaration property_declaration"),
        classes=_set("class_declaration interface_declaration struct_declaration enum_declaration"),
        scopes=_set("namespace_declaration"),
    ),
    "c": Grammar(
        functions=_set("function_definition"),
        classes=_set("struct_specifier"),
        wrappers=_set("type_definition"),
    ),
    "cpp": Grammar(
        functions=_set("function_definition"),
        classes=_set("class_specifier struct_specifier"),
        scopes=_set("namespace_definition"),
        wrappers=_set("template_declaration declaration"),
    ),
    "haskell": Grammar(functions=_set("signature"), classes=_set("data_type class newtype")),
    "elixir": Grammar(functions=frozenset(), classes=frozenset()),
    "d": Grammar(functions=_set("function_declaration"), classes=_set("class_declaration struct_declaration")),
    "r": Grammar(functions=_set("binary_operator"), classes=frozenset()),
}

SUFFIXES: dict[str, str] = {
    ".js": "javascript", ".mjs": "javascript", ".cjs": "javascript", ".jsx": "javascript", ".ts": "typescript",
    ".mts": "typescript", ".tsx": "tsx", ".go": "go", ".rs": "rust", ".java": "java", ".rb": "ruby", ".php": "php",
    ".lua": "lua", ".scala": "scala", ".kt": "kotlin", ".cs": "csharp", ".c": "c", ".h": "c", ".cc": "cpp",
    ".cpp": "cpp", ".cxx": "cpp", ".hpp": "cpp", ".hh": "cpp", ".hs": "haskell", ".r": "r", ".R": "r",
}  # fmt: skip

_COMMENTS = _set("comment line_comment block_comment multiline_comment haddock doc_comment")
_BODIES = _set("body_statement declarations class_declarations")
_VALUES = _set("function_expression arrow_function function generator_function function_definition")
_NAMES = _set(
    "identifier type_identifier property_identifier field_identifier constant name simple_identifier variable"
)


@cache
def _parser(language: str) -> Parser:
    return get_parser(cast(SupportedLanguage, language))


def definitions(path: str, text: str, language: str, *, test: bool) -> list[Definition]:
    """Return every function, method and class of a file that is long enough, in file order."""
    grammar = language if language == "tsx" else language_of(path, text, language)
    data = text.encode("utf-8")
    tree = _parser(grammar).parse(data)
    found: list[Definition] = []
    for node, name, scope, is_class in _walk(tree.root_node, GRAMMARS[grammar], grammar):
        outer = _outermost(node, GRAMMARS[grammar])
        code = _source(data, outer, node, grammar)
        if len(code.strip()) < MIN_CHARACTERS:
            continue
        found.append(
            Definition(
                path=path,
                language=language_of(path, text, grammar),
                kind="class" if is_class else "method" if scope else "function",
                name=name,
                scope=scope,
                code=code,
                documentation=_documentation(outer, GRAMMARS[grammar]),
                signature=fold(code.strip().split("{")[0].split("\n\n")[0])[:200],
                calls=() if is_class else call_sites(code),
                test=test,
            )
        )
    if not test and (head := _opening(path, text, grammar, tree.root_node)) is not None:
        found.append(head)
    return found


def language_of(path: str, text: str, language: str) -> str:
    """The language that documents of a file are said to be in: that of its suffix, but for C++ headers and TSX."""
    if language == "c" and path.endswith(".h") and re.search(r"^\s*(?:class|namespace|template)\b", text, re.MULTILINE):
        return "cpp"
    return "typescript" if language == "tsx" else language


def _opening(path: str, text: str, language: str, root: Node) -> Definition | None:
    """The head of a file that opens with a comment about all of it: one that a blank line parts from what follows, or
    that is marked as such (`//!` of Rust, `@file`, `@module`, a comment on Go's package)."""
    run: list[Node] = []
    for node in root.children:
        if node.type not in _COMMENTS:
            break
        lines = (node.text or b"").strip()
        if run and (node.start_point.row - run[-1].end_point.row > 1 or lines.startswith((b"/*", b"{-"))):
            run = []  # a comment of its own: the last one counts
        run.append(node)
    if not run or any(map(_is_licence, run)):
        return None
    last, after = run[-1], run[-1].next_sibling
    if after is None:
        return None
    parted = after.start_point.row - last.end_point.row > (0 if last.end_point.column == 0 else 1)
    comment = "\n".join((node.text or b"").decode("utf-8", "replace").rstrip("\n") for node in run)
    marked = re.search(r"^\s*//!|@(?:file|module|package|overview)", comment, re.MULTILINE)
    if not (parted or marked or after.type == "package_clause"):
        return None
    words = re.sub(r"[@\\](?:file(?:overview)?|module|overview)\b[^\n]*?(?=\n|$)", "", strip_comment(comment))
    start = len(text.encode("utf-8")[: last.end_byte].decode("utf-8", "replace"))
    return opening(path, "typescript" if language == "tsx" else language, text, words.strip(), start)


def _is_licence(node: Node) -> bool:
    head = (node.text or b"")[:2000].lower()
    return any(word in head for word in (b"copyright", b"licen", b"spdx", b"all rights"))


def _walk(root: Node, grammar: Grammar, language: str) -> Iterator[tuple[Node, str, str, bool]]:
    """Yield (node, name, scope, is a class) without going into functions."""
    stack: list[tuple[Node, str]] = [(root, "")]
    while stack:
        node, scope = stack.pop()
        inner = scope
        if node.type in grammar.functions:
            if language == "r" and not _is_r_function(node):
                continue
            if name := _name(node, language):
                owner, _, bare = name.rpartition(".")  # Pool:release of Lua, Pool::release of C++
                yield node, bare, ".".join(part for part in (scope, owner) if part), False
            continue
        if node.type in grammar.classes:
            has_body = any(
                "body" in child.type or "list" in child.type or "block" in child.type for child in node.children
            )
            if (name := _name(node, language)) and (has_body or language in ("go", "haskell", "ruby", "php")):
                yield node, name, scope, True
                inner = f"{scope}.{name}" if scope else name
        elif node.type in grammar.scopes:
            name = _name(node, language)
            inner = ".".join(part for part in (scope, name) if part)
        elif named := _assigned_function(node):
            yield node, named[1], ".".join(part for part in (scope, named[0]) if part), False
            continue
        stack.extend((child, inner) for child in reversed(node.named_children))


def _is_r_function(node: Node) -> bool:
    right = node.child_by_field_name("rhs")
    return right is not None and right.type == "function_definition"


def _assigned_function(node: Node) -> tuple[str, str] | None:
    """(owner, name) of `owner.name = function ...`, `const name = () => ...` and `name: function ...`."""
    target = value = None
    if node.type in ("expression_statement", "assignment_statement") and node.named_children:
        assignment = node.named_children[0] if node.type == "expression_statement" else node
        target, value = assignment.child_by_field_name("left"), assignment.child_by_field_name("right")
        if node.type == "assignment_statement" and len(node.named_children) == 2:
            target, value = node.named_children[0], node.named_children[1]
            value = value.named_children[0] if value.named_children else value
    elif node.type in ("lexical_declaration", "variable_declaration") and len(node.named_children) == 1:
        target = node.named_children[0].child_by_field_name("name")
        value = node.named_children[0].child_by_field_name("value")
    elif node.type == "pair":
        target, value = node.child_by_field_name("key"), node.child_by_field_name("value")
    if target is None or value is None or value.type not in _VALUES or target.text is None:
        return None
    parts = [
        part
        for part in re.split(r"[.:]", target.text.decode("utf-8", "replace"))
        if part not in ("prototype", "exports", "module", "this")
    ]
    if not parts or not all(re.fullmatch(r"[\w$]+", part) for part in parts):
        return None
    return ".".join(parts[:-1]), parts[-1]


def _name(node: Node, language: str) -> str:
    if language == "go":
        return _go_name(node)
    if language == "r":
        left = node.child_by_field_name("lhs")
        return left.text.decode("utf-8", "replace") if left is not None and left.text else ""
    named = node.child_by_field_name("name") or (node.child_by_field_name("type") if node.type == "impl_item" else None)
    if named is None:
        named = node.child_by_field_name("declarator")
        while named is not None and (inner := named.child_by_field_name("declarator")) is not None:
            named = inner
    if named is None:
        named = next((child for child in node.named_children if child.type in _NAMES), None)
    if named is None or named.text is None:
        return ""
    name = re.sub(r"(?<=\w)<[^()]*>", "", named.text.decode("utf-8", "replace")).replace("::", ".").strip("'\"`#.")
    name = name.replace(":", ".") if language == "lua" else name
    return name if len(name) <= 80 and re.fullmatch(r"[\w$.?!=~<>+*/' -]+", name) else ""


def _go_name(node: Node) -> str:
    if node.type == "type_declaration":
        node = node.named_children[0] if node.named_children else node
    name = node.child_by_field_name("name")
    return name.text.decode("utf-8", "replace") if name is not None and name.text else ""


def _outermost(node: Node, grammar: Grammar) -> Node:
    while node.parent is not None and node.parent.type in grammar.wrappers:
        node = node.parent
    return node


def _source(data: bytes, outer: Node, node: Node, language: str) -> str:
    """The definition's lines, from its attributes on; a Haskell signature goes with the equations after it."""
    start = outer
    while start.prev_sibling is not None and start.prev_sibling.type in ("attribute_item", "decorator"):
        start = start.prev_sibling
    begin = data.rfind(b"\n", 0, start.start_byte) + 1
    if data[begin : start.start_byte].strip():
        begin = start.start_byte
    end = outer
    if language == "haskell" and node.type == "signature":
        while end.next_sibling is not None and end.next_sibling.type in ("function", "bind"):
            end = end.next_sibling
    return data[begin : end.end_byte].decode("utf-8", "replace")


def _documentation(outer: Node, grammar: Grammar) -> str:
    """Return the comments that end on the line above, marks taken off."""
    parts: list[str] = []
    line = outer.start_point.row
    previous = _before(outer)
    while previous is not None and (previous.type in _COMMENTS or previous.type in grammar.skipped):
        ends = previous.end_point.row - (1 if previous.end_point.column == 0 else 0)
        if line - ends > 1:
            break
        if previous.type in _COMMENTS and previous.text is not None:
            before = previous.prev_sibling
            if before is not None and before.end_point.row == previous.start_point.row and before.end_point.column > 0:
                break  # a remark at the end of a line of code
            parts.append(previous.text.decode("utf-8", "replace"))
        line = previous.start_point.row
        previous = previous.prev_sibling
    return strip_comment("\n".join(reversed(parts)))


def _before(node: Node) -> Node | None:
    """The sibling before a node; the first node of a body may have its comment before the body."""
    if node.prev_sibling is None and node.parent is not None and node.parent.type in _BODIES:
        return node.parent.prev_sibling
    return node.prev_sibling


def strip_comment(comment: str) -> str:
    """Take comment marks off every line: `/** */`, `///`, `//!`, `#`, `--`, `-- |`, `{- -}`, `;;`."""
    comment = re.sub(r"^\s*(?:/\*+!?<?|\{-\|?)", "", comment)
    comment = re.sub(r"(?:\*+/|-\})\s*$", "", comment)
    lines = (
        re.sub(r"^\s*(?:\*(?!/)|//[/!]?<?|#+'?|--+\s*[|^]?|/\*+|;+)[ \t]?", "", line) for line in comment.split("\n")
    )
    text = "\n".join(re.sub(r"\*+/\s*$", "", line) for line in lines).strip()
    return re.sub(r"^(?:[@\\](?:brief|summary|description|desc|short)|=pod|=begin)\b[:\s]*", "", text)
