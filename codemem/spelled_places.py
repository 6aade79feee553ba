"""The documents that a question spells out: where what it names is defined, or written in a file that it names.

Whatever else ranks high, as other code of a file whose path is spelled does, what is asked about is to be read
(docs/outline.md, "Links and mentions"; decision 0045).
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from codemem.links import documents_of
from codemem.meant import CONTAINERS, PATHS, Spelled, meant, spelled_by
from codemem.model.spelled import names_to_find, standing_alone
from codemem.outline.query import Query, understand, unmarked
from codemem.passages import FileChangedError, Lines
from codemem.recall import Recall

SPELLED_GAIN = 0.3
"""What the documents of the only definition gain that bears a name as the question spells it, where the best of all
documents ranks 1; of n each gains so much / sqrt(n)."""
SURE_GAIN = 0.5
"""The same of a definition that is told from others of its name by what it belongs to, and of what is extended on the
way to it where it is inherited: more than what is linked, because without it no one could tell."""
WRITTEN_GAIN = 0.5
"""What gains of a file whose path the question spells where a name of the question first stands in it; of n files that
it may mean each gains so much / sqrt(n)."""
MOST_FILES = 16
"""Files that a path may mean: if more end so it says too little."""


def spelled_out(recall: Recall, question: str) -> dict[int, float]:
    """Index in the bank -> what a document gains because it is spelled out."""
    found: dict[int, float] = defaultdict(float)
    exact = names_to_find(question)
    asked, paths = spelled_by(question), understand(question, ()).paths
    for owner in range(len(recall.trees)):
        for (path, symbol), gain in _defined(recall, owner, asked, exact):
            sure = gain >= SPELLED_GAIN and symbol.kind not in CONTAINERS
            # Of a class what it begins with says what it is; of a function all of it says what it does.
            for index in documents_of(recall, owner, path, symbol)[: None if sure else 1]:
                found[index] = max(found[index], gain)
        for index, gain in _written(recall, owner, paths[:PATHS], exact):
            found[index] = max(found[index], gain)
    return dict(found)


def _defined(recall: Recall, owner: int, query: Query, exact: Sequence[str]) -> Iterator[tuple[Spelled, float]]:
    """Definitions of a tree, and what their documents gain."""
    asked = meant(recall.trees[owner], query)
    told_apart, rest = asked.definitions[: asked.surest], asked.definitions[asked.surest :]
    for spelled, of_one in (
        (told_apart, SURE_GAIN),
        ([each for each in rest if unmarked(each[1].name) in exact], SPELLED_GAIN),
        (asked.heirs, SPELLED_GAIN),
        (asked.between, SURE_GAIN),
    ):
        bearers = Counter(symbol.name for _, symbol in spelled)
        yield from ((each, spelled_gain(bearers[each[1].name], of_one)) for each in spelled)


def spelled_gain(bearers: int, of_one: float = SPELLED_GAIN) -> float:
    """What each of the definitions gains that bear a name which the question spells."""
    return of_one / math.sqrt(bearers)


def _written(recall: Recall, owner: int, paths: Sequence[str], names: Sequence[str]) -> Iterator[tuple[int, float]]:
    """(index in the bank, what it gains) of each document in which a name first stands of a file that is spelled."""
    manifest = recall.trees[owner].work.manifest
    for spelled in paths if names else ():
        ending = f"/{spelled}"
        files = [path for path in manifest.paths if path == spelled or path.endswith(ending)]
        first = [_first(recall, owner, path, names) for path in files] if len(files) <= MOST_FILES else []
        for name in names:
            places = [found[name] for found in first if name in found]
            yield from ((place, WRITTEN_GAIN / math.sqrt(len(places))) for place in places)


def _first(recall: Recall, owner: int, path: str, names: Sequence[str]) -> dict[str, int]:
    """Name -> index in the bank of the document of a file in which it first stands."""
    tree = recall.trees[owner]
    manifest = tree.work.manifest
    documents = manifest.file(manifest.index_of[path]).documents
    try:
        text = tree.passages.lines(path, Lines(1, documents[-1].end_line)) if documents else ""
    except FileChangedError:
        return {}
    found = {}
    for name in names:
        if match := re.search(standing_alone([name]), text):
            document = manifest.document_at(path, 1 + text.count("\n", 0, match.start()))
            index = None if document is None else recall.index_of.get((owner, document))
            if index is not None:
                found[name] = index
    return found
