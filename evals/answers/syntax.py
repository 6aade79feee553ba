"""Reads facts off syntax trees."""

import re
from collections.abc import Iterator, Sequence
from typing import cast

from tree_sitter import Node, Parser
from tree_sitter_language_pack import SupportedLanguage, get_parser

from codemem.evals.answers.facts import Call, Class, Constant, Facts, Function, Reexport, Stated
from codemem.evals.answers.grammars import GRAMMARS, Grammar, is_dotted, is_literal, last_name, text

_CAPITALS = re.compile(r"_?[A-Z][A-Z0-9_]{2,}")
_IDENTIFIERS = frozenset(("identifier", "constant"))


def read_facts(files: Sequence[tuple[str, str]], language: str) -> Facts:
    """What the files (path, text) of one language state."""
    facts = Facts(scoped=GRAMMARS[language].imports != frozenset())
    for path, source in files:
        parser: Parser = get_parser(cast(SupportedLanguage, "tsx" if path.endswith(".tsx") else language))
        _Reader(facts, path, GRAMMARS[language]).read(parser.parse(source.encode()).root_node)
    return facts


class _Reader:
    """One file's walk."""

    def __init__(self, facts: Facts, path: str, grammar: Grammar) -> None:
        self.facts, self.path, self.grammar = facts, path, grammar

    def read(self, root: Node) -> None:
        self._walk(root, "")
        names = (
            part for node in _inside(root, frozenset()) if self._imports(node) for part in _inside(node, frozenset())
        )
        self.facts.imports[self.path] = {
            text(part) for part in names if part.type.endswith("identifier") or part.type.endswith("pattern")
        }

    def _imports(self, node: Node) -> bool:
        """Whether a node imports names one by one; `const { a } = require(...)` does, too."""
        if node.type == "variable_declarator":
            return text(node.child_by_field_name("value")).startswith("require(")
        return node.type in self.grammar.imports

    def _walk(self, node: Node, owner: str) -> None:
        grammar = self.grammar
        for child in node.named_children:
            inside = owner
            if child.type in grammar.functions and (name := grammar.name(child)):
                self._function(child, name, grammar.owner(child) or owner)
                continue
            if child.type in grammar.classes | grammar.scopes and (name := grammar.name(child)):
                inside = name
                if child.type in grammar.classes:
                    self._class(child, name)
            for name, value in grammar.constant(child):
                if is_literal(value) and re.fullmatch(r"[A-Za-z_]\w{3,}", name):
                    self.facts.constants.append(Constant(name, Stated(text(value), _line(value)), self.path))
            for name, place in grammar.reexports(child, self.path):
                self.facts.reexports.append(Reexport(name, self.path, _line(place)))
            self._walk(child, inside)

    def _class(self, node: Node, name: str) -> None:
        place = node.child_by_field_name("name") or node
        decorators = [Stated(text(part), _line(part)) for part in self.grammar.decorators(node)]
        bases = [Stated(text(part), _line(part)) for part in self.grammar.bases(node) if is_dotted(part)]
        self.facts.classes.append(Class(name, self.path, _line(place), bases, decorators))

    def _function(self, node: Node, name: str, owner: str) -> None:
        grammar = self.grammar
        function = Function(name, owner, self.path, _line(node), node.end_point[0] + 1)
        for parameter, value in grammar.parameters(node):
            function.parameters[parameter] = None
            if value is not None and is_literal(value):
                function.defaults[parameter] = Stated(text(value), _line(value))
        function.decorators = [Stated(text(part), _line(part)) for part in grammar.decorators(node)]
        for part in _inside(node, grammar.functions):
            if raised := grammar.raised(part):
                function.raises.append(Stated(raised, _line(part)))
        for part in _inside(node, frozenset()):
            if part.type in grammar.calls and (call := _called(part)):
                function.calls.append(call)
            elif part.type in _IDENTIFIERS and _CAPITALS.fullmatch(text(part)):
                function.reads.append(Stated(text(part), _line(part)))
        function.returned = _returned(node, grammar)
        self.facts.functions.append(function)


def _inside(node: Node, closed: frozenset[str]) -> Iterator[Node]:
    """Everything below a node, not into nodes of the `closed` types."""
    for child in node.named_children:
        yield child
        if child.type not in closed:
            yield from _inside(child, closed)


def _called(node: Node) -> Call | None:
    for name in ("function", "method", "constructor"):
        found = node.child_by_field_name(name)
        if found is not None:
            inner = found.child_by_field_name("property") or found.child_by_field_name("field") or found
            called = last_name(inner)
            bare = called == text(found) and node.child_by_field_name("receiver") is None
            return Call(called, _line(node), bare) if called else None
    return None


def _returned(node: Node, grammar: Grammar) -> Stated | None:
    """The literal that all returns give, and where the first of them stands."""
    closed = grammar.functions | frozenset(("lambda", "arrow_function", "function_expression", "closure_expression"))
    found = [part.named_children for part in _inside(node, closed) if part.type == grammar.returns]
    values = [parts[0] if len(parts) == 1 else None for parts in found]
    values = [v.named_children[0] if v is not None and _wraps_one(v) else v for v in values]
    if grammar.tail_returns:
        body = node.child_by_field_name("body")
        last = body.named_children[-1] if body is not None and body.named_children else None
        values.append(last if last is None or last.type != grammar.returns else None)
    literal = [value for value in values if value is not None and is_literal(value)]
    if not values or len(literal) < len(values) or len({text(value) for value in literal}) > 1:
        return None
    return Stated(text(literal[0]), _line(literal[0]))


def _wraps_one(node: Node) -> bool:
    return node.type in ("expression_list", "argument_list") and len(node.named_children) == 1


def _line(node: Node) -> int:
    return int(node.start_point[0]) + 1
