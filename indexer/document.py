"""What the indexer hands on: files, their symbols and the documents that the model reads."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Symbol:
    """A definition found by tree-sitter.

    Lines are 1-based and inclusive; bytes are a half-open range into the file's raw bytes.
    """

    kind: str
    """One of SYMBOL_KINDS."""
    name: str
    """The bare name as written, e.g. `get`."""
    scope: str
    """Names of the enclosing definitions joined by '.', outermost first; '' at the top level."""
    start_line: int
    end_line: int
    start_byte: int
    end_byte: int
    signature: str = ""
    """The definition's first line below its comments; on while it ends in an open bracket; 200 characters at most."""
    doc: str = ""
    """First line of its docstring or of the comment above, without comment marks; '' if there is none."""

    @property
    def qualified_name(self) -> str:
        return f"{self.scope}.{self.name}" if self.scope else self.name


SYMBOL_KINDS = (
    "module", "class", "interface", "struct", "enum", "trait", "type", "function", "method", "constructor",
    "constant", "variable", "property", "macro", "section",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Document:
    """A file, or a symbol-aligned part of a long one, as the model reads it."""

    path: str
    """Relative to the repository's root, '/'-separated; bytes that are not UTF-8 percent-encoded."""
    scope: str
    """Scope that encloses the whole part ('' for a whole file or top-level part)."""
    language: str
    """tree-sitter-language-pack's name of the grammar, or 'text'."""
    text: str
    """The part's text, decoded; what the model reads after the header."""
    start_byte: int
    end_byte: int
    """Half-open range of `text` in the file's raw bytes."""
    start_line: int
    end_line: int
    symbol: str | None
    """Qualified name if the part is exactly one definition (or a piece of one), else None."""
    line_numbers: tuple[int, ...] = ()
    """File line of each line of `text`, where they are not simply start_line, start_line + 1 and so on (notebooks)."""

    def line_span(self, start: int, end: int) -> tuple[int, int]:
        """File lines, 1-based and inclusive, of the characters [start, end) of `text`."""
        first = self.text.count("\n", 0, start)
        last = first + self.text.count("\n", start, max(end - 1, start))
        if self.line_numbers:
            bound = len(self.line_numbers) - 1
            return self.line_numbers[min(first, bound)], self.line_numbers[min(last, bound)]
        return min(self.start_line + first, self.end_line), min(self.start_line + last, self.end_line)

    @property
    def header(self) -> str:
        """First line read by the model: path and enclosing scope, without line or part numbers.

        An unchanged part that moves within its file therefore keeps its entry.
        """
        return f"{self.path} {self.scope}\n" if self.scope else f"{self.path}\n"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One indexed file."""

    path: str
    oid: str
    """git blob id of the raw bytes (sha1 of 'blob <size>\\0' + data), also outside git."""
    size: int
    language: str
    kind: str
    """One of FILE_KINDS."""
    documents: tuple[Document, ...]
    symbols: tuple[Symbol, ...]


FILE_KINDS = ("code", "test", "docs", "config", "data", "generated", "vendored", "example")


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was left out, and why, in words a user understands."""

    path: str
    reason: str
