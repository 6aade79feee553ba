"""From a file's text and its outline to parts of a bounded size, cut where definitions begin and end.

A file that fits is one part. Otherwise every definition is a unit and small neighbours of one scope are packed together
(`packing`); a type that is too long becomes its head and its members, a function that is too long is cut before blank
or less indented lines. Parts follow each other without gap or overlap.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .nesting import Region
from .packing import Strength, pack, strength
from .source_text import SourceText

_TAB = 4
_CLOSERS = (
    b"}",
    b")",
    b"]",
    b"end",
    b"else",
    b"elif",
    b"elsif",
    b"except",
    b"catch",
    b"finally",
    b"rescue",
    b"</",
    b"fi",
    b"done",
    b"esac",
)
_SIMPLE_KINDS = frozenset({"constant", "variable", "property"})

_LEVEL_WITHIN = 0
"""A comment or statement and the definition after it; simple definitions without a blank line between."""
_LEVEL_SIBLINGS = 1
_LEVEL_HEAD = 2
"""A type's head and its first member."""


@dataclass(frozen=True, slots=True)
class Part:
    """A half-open range of SourceText.source, and what it is."""

    start: int
    end: int
    scope: str
    symbol: str | None


@dataclass(slots=True)
class _Node:
    """A definition widened to whole lines, with those inside it. The file itself is the outermost one."""

    start: int
    end: int
    scope: str
    name: str
    """Qualified name; '' for the file."""
    kind: str
    children: list["_Node"] = field(default_factory=list)


@dataclass(slots=True)
class _Unit:
    """What is packed: a definition, or text between definitions (`node` is None)."""

    start: int
    end: int
    node: _Node | None


def split(text: SourceText, regions: Sequence[Region], limit: int) -> list[Part]:
    """Parts of at most `limit` bytes of UTF-8 (a character is never cut), in order; none if no text is visible."""
    size = len(text.source)
    if not text.source.strip():
        return []
    if size <= limit:
        return [Part(0, size, "", _whole(text, regions))]
    root = _Node(0, size, "", "", "file")
    _grow(root, text, regions)
    return list(_split_node(text, root, limit))


def _whole(text: SourceText, regions: Sequence[Region]) -> str | None:
    """The name of the one definition that the file is, apart from blank space."""
    if not regions:
        return None
    symbol = regions[0].symbol
    outside = text.source[: symbol.start_byte] + text.source[symbol.end_byte :]
    return None if outside.strip() else symbol.qualified_name


def _grow(root: _Node, text: SourceText, regions: Sequence[Region]) -> None:
    """Hangs regions, outer before inner, into the tree. One that shares a line with its neighbour is left to it."""
    starts = text.line_starts
    stack = [root]
    for region in regions:
        symbol = region.symbol
        start = starts[symbol.start_line - 1]
        end = starts[symbol.end_line] if symbol.end_line < len(starts) else len(text.source)
        while len(stack) > 1 and stack[-1].end <= start:
            stack.pop()
        parent = stack[-1]
        overlaps = parent.children and parent.children[-1].end > start
        if overlaps or start < parent.start or end > parent.end or (start, end) == (parent.start, parent.end):
            continue
        node = _Node(start, end, symbol.scope, symbol.qualified_name, symbol.kind)
        parent.children.append(node)
        stack.append(node)


def _split_node(text: SourceText, node: _Node, limit: int) -> Iterator[Part]:
    if not node.children:
        yield from _split_lines(text, node.start, node.end, node, limit)
        return
    run: list[_Unit] = []
    for unit in _units(text, node):
        if unit.end - unit.start <= limit:
            run.append(unit)
            continue
        yield from _pack_units(text, run, node, limit)
        run = []
        if unit.node is None:
            yield from _split_lines(text, unit.start, unit.end, node, limit)
        else:
            unit.node.start, unit.node.end = unit.start, unit.end
            yield from _split_node(text, unit.node, limit)
    yield from _pack_units(text, run, node, limit)


def _units(text: SourceText, node: _Node) -> list[_Unit]:
    """The node's range: members, and text between them. Blank lines and closing brackets go with what is before."""
    units: list[_Unit] = []
    position = node.start
    for child in [*node.children, None]:
        until = child.start if child else node.end
        begin = _visible_line(text, position, until)
        closing = child is None and units and text.source[begin:until].strip() in (b"}", b"};", b"end", b")", b"end;")
        if units and (begin > position or closing):
            units[-1].end = until if closing or begin == until else begin
            position = units[-1].end
        if position < until:
            units.append(_Unit(position, until, None))
        if child:
            units.append(_Unit(child.start, child.end, child))
            position = child.end
    return units


def _visible_line(text: SourceText, start: int, end: int) -> int:
    """Start of the first line that is not blank in a range of whole lines; `end` if there is none."""
    blank = text.source[start:end]
    visible = len(blank) - len(blank.lstrip())
    if visible == len(blank):
        return end
    return max(start, text.line_starts[text.line(start + visible)])


def _pack_units(text: SourceText, units: list[_Unit], parent: _Node, limit: int) -> Iterator[Part]:
    if not units:
        return
    strengths = [_unit_strength(text, units, index, parent) for index in range(len(units))]
    for first, last in pack([unit.end - unit.start for unit in units], strengths, limit):
        members = units[first:last]
        start, end = members[0].start, members[-1].end
        at_head = start == parent.start
        symbol = members[0].node.name if len(members) == 1 and members[0].node else None
        if symbol is None and at_head and parent.name:
            symbol = parent.name
        yield Part(start, end, parent.scope if at_head else parent.name, symbol)


def _unit_strength(text: SourceText, units: list[_Unit], index: int, parent: _Node) -> Strength:
    """Of the boundary before a unit. The text drawn upon names it, so that a change inside it moves nothing."""
    unit = units[index]
    if unit.node is not None:
        name = f"{unit.node.kind} {unit.node.name}".encode()
    else:
        name = text.source[unit.start : unit.end].lstrip().partition(b"\n")[0]
    if index == 0:
        return strength(_LEVEL_SIBLINGS, name)
    before = units[index - 1]
    if before.node is None:
        head = before.start == parent.start and parent.name
        return strength(_LEVEL_HEAD if head else _LEVEL_WITHIN, name)
    simple = unit.node is not None and unit.node.kind in _SIMPLE_KINDS and before.node.kind in _SIMPLE_KINDS
    together = simple and not text.source[: before.end].endswith(b"\n\n")
    return strength(_LEVEL_WITHIN if together else _LEVEL_SIBLINGS, name)


def _split_lines(text: SourceText, start: int, end: int, node: _Node, limit: int) -> Iterator[Part]:
    """Parts of a range without members: of a long function, of a type's long head, of text that has no outline."""
    bounds = list(_line_bounds(text, start, end, limit))
    lines = [text.source[low:high] for low, high in bounds]
    for first, last in pack([high - low for low, high in bounds], _line_strengths(lines), limit):
        low, high = bounds[first][0], bounds[last - 1][1]
        yield Part(low, high, node.scope if low == node.start else node.name, node.name or None)


def _line_bounds(text: SourceText, start: int, end: int, limit: int) -> Iterator[tuple[int, int]]:
    """Lines, those above the limit in pieces."""
    index = text.line(start)
    while start < end:
        index += 1
        until = min(text.line_starts[index] if index < len(text.line_starts) else end, end)
        while until - start > limit:
            cut = _cut(text.source, start, start + limit)
            yield start, cut
            start = cut
        yield start, until
        start = until


def _cut(source: bytes, start: int, end: int) -> int:
    """Where a long line is cut: after the last space or comma of the piece, else before a character's first byte."""
    place = max(source.rfind(b" ", start, end), source.rfind(b",", start, end))
    if place > (start + end) // 2:
        return place + 1
    while end > start + 1 and source[end] & 0xC0 == 0x80:
        end -= 1
    return end


def _line_strengths(lines: Sequence[bytes]) -> list[Strength]:
    """Boundaries before blank lines and closing brackets go first, those before the least indented lines last."""
    indents = [_indent(line) for line in lines]
    ranks = {
        indent: rank for rank, indent in enumerate(sorted({indent for indent in indents if indent >= 0}, reverse=True))
    }
    strengths = []
    for index, (line, indent) in enumerate(zip(lines, indents, strict=True)):
        stripped = line.strip()
        if indent < 0:
            level = -1
        elif stripped.startswith(_CLOSERS):
            level = 0
        else:
            after_blank = index > 0 and indents[index - 1] < 0
            level = 1 + 2 * ranks[indent] + 3 * after_blank
        strengths.append(strength(level, stripped))
    return strengths


def _indent(line: bytes) -> int:
    """Columns before the first visible character; -1 for a blank line."""
    visible = line.lstrip()
    if not visible:
        return -1
    margin = line[: len(line) - len(visible)]
    return len(margin) + (_TAB - 1) * margin.count(b"\t")
