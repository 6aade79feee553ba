"""Which documents the product would read last, because the question spells out what they define.

Reading is learnt in the order in which the product reads. Asked who calls a function, the outline puts that function
first and its caller anywhere; a conversation that always shows the caller last teaches to look there.
"""

import re
from collections.abc import Sequence

from codemem.outline.query import folded, understand
from codemem.outline.words import identifiers
from codemem.training.corpus import Corpus

_BEFORE = ("@", "#", "/", "*", "--")
"""What begins lines that stand above a definition."""
_UNTIL = re.compile(r"[(={:]|\bextends\b|\bimplements\b|\breturns\b")


def spelled_out(corpus: Corpus, question: str, documents: Sequence[int]) -> list[int]:
    """Those of `documents` that define a name which the question spells out, the one with most such names last."""
    names = set(understand(question, ()).names)
    worth = {document: _names_of(corpus, document, names) for document in documents}
    return sorted((document for document in documents if worth[document]), key=lambda document: worth[document])


def _names_of(corpus: Corpus, document: int, names: set[str]) -> int:
    """How many of the names the first line of a definition has, and its scope besides; 0 without the first."""
    lines = (line.strip() for line in corpus.texts[document].split("\n"))
    first = next((line for line in lines if line and not line.startswith(_BEFORE)), "")
    defined = {folded(word) for word in identifiers(_UNTIL.split(first, maxsplit=1)[0])} & names
    scope = corpus.headers[document].rstrip("\n").partition(" ")[2]
    return len(defined) and len(defined | ({folded(word) for word in identifiers(scope)} & names))
