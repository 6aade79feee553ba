"""What is appended of a document: all of it, or whole lines around the chunk that scored best."""

from dataclasses import dataclass

from codemem.model.events import Read, Source
from codemem.model.msa4b.tokens import NumberedDocument, Protocol


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Token ids to append, and which bytes of the document's text they hold."""

    ids: list[int]
    read: Read


def excerpt(protocol: Protocol, document: NumberedDocument, source: Source, best_chunk: int, tokens: int) -> Excerpt:
    """At most about `tokens` tokens (at least one chunk) of a document, headed by its number and header."""
    whole = protocol.source(document.number, source.header + source.text)
    data = source.text.encode("utf-8", errors="surrogatepass")
    if len(whole) <= tokens:
        return Excerpt(whole, Read(source.document, 0, len(data)))
    # One chunk's worth of room is left for number and header.
    count = max(1, tokens // protocol.chunk_tokens - 1)
    chunks = len(document.chunk_ends)
    first = max(0, min(best_chunk - count // 2, chunks - count))
    last = min(chunks, first + count) - 1
    start = int(document.chunk_ends[first - 1]) if first else 0
    start, end = whole_lines(data, start, int(document.chunk_ends[last]))
    text = data[start:end].decode("utf-8", errors="replace")
    return Excerpt(protocol.source(document.number, source.header + text), Read(source.document, start, end))


def whole_lines(data: bytes, start: int, end: int) -> tuple[int, int]:
    """The span without a line cut at its beginning or end, unless nothing would be left."""
    if start and data[start - 1 : start] != b"\n":
        newline = data.find(b"\n", start, end)
        inner = newline + 1 if newline >= 0 else start
    else:
        inner = start
    newline = data.rfind(b"\n", inner, end)
    outer = end if end >= len(data) or newline < 0 else newline + 1
    return (inner, outer) if inner < outer else (start, end)
