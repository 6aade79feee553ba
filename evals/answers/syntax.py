"""Reads facts off syntax trees."""

import re
from collections.abc import Iterable, Iterator
from typing import cast

from tree_sitter import Node, Parser
from tree_sitter_language_pack import SupportedLanguage, get_parser

from codemem.evals.answers.facts import Call, Class, Constant, Facts, Function, Reexport, Stated
from codemem.evals.answers.grammars import GRAMMARS, Grammar, is_dotted, is_literal, last_name, text

_CAPITALS = re.compile(r"_?[A-Z][A-Z0-9_]{2,}")
_IDENTIFIERS = frozenset(("identifier", "constant"))
_RECEIVERS = ("receiver", "object", "scope")


def read_facts(files: Iterable[tuple[str, str]], language: str, grammar: Grammar | None = None) -> Facts:
    """What the files (path, text) of one language state, by its grammar here or one of the caller's own."""
    grammar = grammar or GRAMMARS[language]
    facts = Facts(scoped=grammar.imports != frozenset())
    for path, source in files:
        parser: Parser = get_parser(cast(SupportedLanguage, "tsx" if path.endswith(".tsx") else language))
        _Reader(facts, path, grammar).read(parser.parse(source.encode("utf-8", "replace")).root_node)
    return facts


class _Reader:
    """One file's walk."""

    def __init__(self, facts: Facts, path: str, grammar: Grammar) -> None:
        self.facts, self.path, self.grammar = facts, path, grammar

    def read(self, root: Node) -> None:
        self._walk(root)
        imports = self.grammar.imports
        places = imports | {"variable_declarator"} if imports else imports
        names = (part for node, _ in _below(root, places) if self._imports(node) for part, _ in _below(node, None))
        self.facts.imports[self.path] = {
            text(part) for part in names if part.type.endswith("identifier") or part.type.endswith("pattern")
        }

    def _imports(self, node: Node) -> bool:
        """Whether a node imports names one by one; `const { a } = require(...)` does, too."""
        if node.type == "variable_declarator":
            return text(node.child_by_field_name("value")).startswith("require(")
        return node.type in self.grammar.imports

    def _walk(self, root: Node) -> None:
        grammar = self.grammar
        around = grammar.classes | grammar.scopes
        waiting = [(child, "") for child in reversed(root.named_children)]
        while waiting:
            child, owner = waiting.pop()
            if child.type in grammar.functions and (name := grammar.name(child)):
                self._function(child, name, grammar.owner(child) or owner)
                continue
            if child.type in around and (name := grammar.name(child)):
                owner = name
                if child.type in grammar.classes:
                    self._class(child, name)
            for name, value in grammar.constant(child):
                if is_literal(value) and re.fullmatch(r"[A-Za-z_]\w{3,}", name):
                    self.facts.constants.append(Constant(name, Stated(text(value), _line(value)), self.path))
            for name, place in grammar.reexports(child, self.path):
                self.facts.reexports.append(Reexport(name, self.path, _line(place)))
            waiting.extend((inner, owner) for inner in reversed(child.named_children))

    def _class(self, node: Node, name: str) -> None:
        place = node.child_by_field_name("name") or node
        decorators = [Stated(text(part), _line(part)) for part in self.grammar.decorators(node)]
        bases, fulfilled = (
            [Stated(text(part), _line(part)) for part in read(node) if is_dotted(part)]
            for read in (self.grammar.bases, self.grammar.implements)
        )
        self.facts.classes.append(Class(name, self.path, _line(place), bases, decorators, fulfilled))

    def _function(self, node: Node, name: str, owner: str) -> None:
        grammar = self.grammar
        function = Function(name, owner, self.path, _line(node), node.end_point[0] + 1)
        for parameter, value in grammar.parameters(node):
            function.parameters[parameter] = None
            if value is not None:
                function.optional.add(parameter)
            if value is not None and is_literal(value):
                function.defaults[parameter] = Stated(text(value), _line(value))
        function.decorators = [Stated(text(part), _line(part)) for part in grammar.decorators(node)]
        returns: list[Node] = []
        wanted = grammar.calls | grammar.raises | _IDENTIFIERS | {grammar.returns}
        for part, closed in _below(node, wanted, grammar.functions, grammar.lambdas):
            own = closed == "" or (closed == "lambda" and grammar.lambdas_raise)
            if part.type in grammar.raises and own and (raised := grammar.raised(part)):
                function.raises.append(Stated(raised, _line(part)))
            if part.type == grammar.returns and not closed:
                returns.append(part)
            if part.type in grammar.calls and (call := _called(part, grammar)):
                function.calls.append(call)
            elif part.type in _IDENTIFIERS and _CAPITALS.fullmatch(text(part)):
                function.reads.append(Stated(text(part), _line(part)))
        function.returned = _returned(node, returns, grammar)
        self.facts.functions.append(function)


def _below(
    root: Node,
    wanted: frozenset[str] | None,
    functions: frozenset[str] = frozenset(),
    lambdas: frozenset[str] = frozenset(),
) -> Iterator[tuple[Node, str]]:
    """Everything below a node that is of the `wanted` types (None: of any), in order, with what it is inside of:
    'function', 'lambda' or ''. Nodes are visited once and without recursion: packages of many megabytes are read."""
    waiting = [(child, "") for child in reversed(root.named_children)]
    while waiting:
        node, inside = waiting.pop()
        kind = node.type
        if wanted is None or kind in wanted:
            yield node, inside
        if kind in functions:
            inside = "function"
        elif not inside and kind in lambdas:
            inside = "lambda"
        waiting.extend((child, inside) for child in reversed(node.named_children))


def _called(node: Node, grammar: Grammar) -> Call | None:
    for name in grammar.callee:
        found = node.child_by_field_name(name)
        if found is not None:
            inner = found.child_by_field_name("property") or found.child_by_field_name("field") or found
            called = last_name(inner)
            bare = called == text(found) and not any(node.child_by_field_name(on) is not None for on in _RECEIVERS)
            return Call(called, _line(node), bare) if called else None
    return None


def _returned(node: Node, returns: list[Node], grammar: Grammar) -> Stated | None:
    """The literal that all returns give, and where the first of them stands."""
    found = [part.named_children for part in returns]
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
