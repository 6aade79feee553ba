"""From a file's bytes to its documents and definitions."""

from dataclasses import replace

from .document import Document, Skipped, SourceFile, Symbol
from .kinds import file_kind
from .languages import detect_language
from .nesting import Region
from .notebook import read_notebook
from .outline import outline_regions
from .selection import (
    DEFAULT_SELECTION,
    Selection,
    left_out_by_content,
    left_out_by_name,
    vendored_folder,
)
from .source_text import UTF8, SourceText
from .split import Part, split
from .tree import ObjectFormat, blob_id


def read_file(
    path: str,
    data: bytes,
    *,
    reincluded: bool = False,
    selection: Selection = DEFAULT_SELECTION,
    object_format: ObjectFormat = "sha1",
) -> SourceFile | Skipped:
    """The documents and definitions in `data`, or why it is left out.

    `reincluded` files are taken whatever they are, as long as they are text. Never raises for what a file holds.
    """
    language = detect_language(path, data)
    reason = left_out_by_content(path, data, language)
    if reason is not None and (not reincluded or reason.startswith(("binary", "Git LFS"))):
        return Skipped(path, reason)
    kind = file_kind(path, language)
    if reincluded:
        kind = _reincluded_kind(path, reason, kind)
    text = SourceText(data)
    if path.endswith(".ipynb"):
        read = read_notebook(path, text, limit=selection.max_document_bytes, seconds=selection.parse_seconds)
        if read is not None:
            documents, symbols = read
            kind = file_kind(path, "python")
            return SourceFile(path, blob_id(data, object_format), len(data), language, kind, documents, symbols)
    regions = outline_regions(text.source, language, selection.parse_seconds)
    parts = split(text, regions, selection.max_document_bytes)
    return SourceFile(
        path=path,
        oid=blob_id(data, object_format),
        size=len(data),
        language=language,
        kind=kind,
        documents=tuple(_document(path, language, text, part) for part in parts),
        symbols=tuple(_in_file(text, region) for region in regions if region.listed),
    )


def _in_file(text: SourceText, region: Region) -> Symbol:
    """The region's symbol with bytes counted in the file, not in its UTF-8 text."""
    symbol = region.symbol
    if text.is_raw:
        return symbol
    return replace(symbol, start_byte=text.to_raw(symbol.start_byte), end_byte=text.to_raw(symbol.end_byte))


def _reincluded_kind(path: str, reason: str | None, kind: str) -> str:
    """Files that are usually left out keep telling what they are."""
    if vendored_folder(path.rpartition("/")[0]) is not None:
        return "vendored"
    reasons = (reason or "", left_out_by_name(path) or "")
    return "generated" if any(text.startswith(("generated", "minified")) for text in reasons) else kind


def _document(path: str, language: str, text: SourceText, part: Part) -> Document:
    return Document(
        path=path,
        scope=part.scope,
        language=language,
        text=text.source[part.start : part.end].decode(UTF8),
        start_byte=text.to_raw(part.start),
        end_byte=text.to_raw(part.end),
        start_line=text.line(part.start) + 1,
        end_line=text.line(part.end - 1) + 1,
        symbol=part.symbol,
    )
