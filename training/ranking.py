"""Which documents the product would read last: what the question spells out, and before it what speaks of that.

Reading is learnt in the order in which the product reads. Asked who calls a function, the outline puts that function
first and its caller behind it; a conversation that always shows the caller last teaches to look there.
"""

import re
from collections.abc import Mapping, Sequence

from codemem.model.spelled import names_to_find, standing_alone
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


def speaking(question: str, texts: Mapping[int, str]) -> set[int]:
    """Those of the documents in whose text a name that the question writes as code stands by itself, as the product
    looks for it (model/spelled.py)."""
    names = names_to_find(question)
    if not names:
        return set()
    spoken = re.compile(standing_alone(names))
    return {document for document, text in texts.items() if spoken.search(text)}


def _names_of(corpus: Corpus, document: int, names: set[str]) -> int:
    """How many of the names the first line of a definition has, and its scope besides; 0 without the first."""
    lines = (line.strip() for line in corpus.texts[document].split("\n"))
    first = next((line for line in lines if line and not line.startswith(_BEFORE)), "")
    defined = {folded(word) for word in identifiers(_UNTIL.split(first, maxsplit=1)[0])} & names
    scope = corpus.headers[document].rstrip("\n").partition(" ")[2]
    return len(defined) and len(defined | ({folded(word) for word in identifiers(scope)} & names))
