"""What `codemem ask` reads besides what is alike (docs/outline.md, "Links and mentions"), over a pool of texts.

The product's own rules and constants (`codemem.mentions`, `codemem.links`), with documents of a pool in the place of a
tree's: no outline of so many texts is made, so what they define is told by a pattern, and their kind by their path.
What is inherited (decision 0045) needs an outline and is left out.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from codemem.benchmarks.scaling.corpus import Text
from codemem.benchmarks.scaling.lexical import in_processes
from codemem.benchmarks.scaling.names import Named
from codemem.indexer import detect_language
from codemem.indexer.kinds import file_kind
from codemem.indexer.outline import outline_regions
from codemem.links import MOST_NAMED, ORIGINS, PARTS, Lead, each_name_first, first_found, gains, lead_of
from codemem.meant import MOST_BEARERS, SPELLED, within_reach
from codemem.mentions import gains_of, likely
from codemem.model.cues import is_constant
from codemem.model.kin import kind_of
from codemem.model.spelled import names_to_find
from codemem.outline.query import asked_kinds, folded, understand
from codemem.outline.words import identifiers
from codemem.sought import Sought
from codemem.spelled_places import spelled_gain

DEFINED = re.compile(
    r"\b(?:def|class|fn|func|function|struct|enum|trait|interface|module|type|macro|object|record|union|protocol)[ \t]+"
    r"(?:\([^)\n]*\)[ \t]*)?(?:self\.)?([A-Za-z_]\w*)"
    r"|^(?:(?:export|pub|static|public|private)[ \t]+)*(?:(?:const|let|var|val)[ \t]+)?"
    r"([A-Za-z_]\w*)[ \t]*(?::[^=\n]*)?=(?![=>~])"
    r"|^[ \t]*#[ \t]*define[ \t]+([A-Za-z_]\w*)"
    r"|^[ \t]+(?:(?:static|public|private|protected|async|get|set|override)[ \t]+)*"
    r"([A-Za-z_]\w*)[ \t]*\([^;{}()\n]*\)[ \t]*(?::[^{\n]*)?\{[ \t]*$",
    re.MULTILINE,
)
"""What may be led to: narrower than what may be meant by a name that a question spells (`names.DEFINITIONS`), because a
text names everything it uses, variables of its own among it."""
_NO_NAMES = frozenset({"if", "for", "while", "switch", "catch", "function", "return", "with", "else"})
_STANDING = re.compile(r"[\w$]+")
"""Names by themselves, as `spelled.standing_alone` has them."""
_BATCH = 2000

Documents = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]
Origin = tuple[str, list[int]]
"""A name that a question spells, and the documents that hold a definition of it."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """Where the questions' names stand in a pool, and which of its documents define what."""

    documents: Sequence[Text]
    questions: Sequence[str]
    named: Named
    """Of the same documents and questions."""
    mentioned: dict[str, Documents]
    """Name as a question writes it -> documents in which it stands, ascending."""
    defined: dict[str, Documents]
    """Name -> documents that define it, ascending."""
    _words: dict[tuple[int, str], frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, documents: Sequence[Text], questions: Sequence[str], named: Named, *, processes: int = 1) -> "Spoken":
        wanted = frozenset(name for question in questions for name in names_to_find(question))
        batches = [documents[at : at + _BATCH] for at in range(0, len(documents), _BATCH)]
        postings: tuple[dict[str, list[int]], ...] = (defaultdict(list), defaultdict(list))
        for at, parts in enumerate(in_processes(_of_batch, batches, wanted, processes)):
            for rows, part in zip(postings, parts, strict=True):
                for number, name in part:
                    rows[name].append(at * _BATCH + number)
        mentioned, defined = ({name: np.array(row, np.int64) for name, row in rows.items()} for rows in postings)
        return cls(documents, questions, named, mentioned, defined)

    def read(self, question: int, ranked: Floats, chosen: npt.NDArray[np.bool_]) -> Floats:
        """[N] how a question's documents rank with what is read besides, `ranked` [N] as they do by memory and names.

        Of those chosen [N]; in the order of `codemem.ask`: mentions, what is spelled out, what the highest lead to.
        """
        prior = ranked.copy()
        for name in names_to_find(self.questions[question]):
            kinds = asked_kinds(self.questions[question])
            held = _held(self.mentioned.get(name), chosen)
            bearers = self._bearers(question, name, chosen)
            defining = {kind_of(_path(self.documents[d][0])) for d in bearers[:MOST_BEARERS]}
            paths = {int(d): _path(self.documents[d][0]) for d in held}
            found = {d: likely(path, _kind(path), kinds, defining) for d, path in paths.items()}
            for document, gain in gains_of(found).items():
                prior[document] += gain
            if 0 < len(bearers) <= MOST_BEARERS:
                prior[bearers] += spelled_gain(len(bearers))
                if len(bearers) == 1:
                    prior[self._rest(folded(name), int(bearers[0]), chosen)] += spelled_gain(1)
        for document, gain in self._linked(question, prior, chosen).items():
            prior[document] += gain
        return prior

    def _bearers(self, question: int, name: str, chosen: npt.NDArray[np.bool_]) -> Documents:
        """The documents chosen that define a name as a question means it; none of what a definition belongs to."""
        owned = self._owned(question, chosen)
        held = _held(self.defined.get(name), chosen)
        if folded(name) in owned:
            return held[np.isin(held, owned[folded(name)])]
        return held[:0] if folded(name) in self._owners(owned) else held

    def _owned(self, question: int, chosen: npt.NDArray[np.bool_]) -> dict[str, list[int]]:
        """Name (folded) -> documents that define it within what the question says that it belongs to (`meant`)."""
        scoped = understand(self.questions[question], ()).scoped[:SPELLED]
        names = self.named.names[question][:SPELLED]
        found: dict[str, list[int]] = {}
        for name in names:
            documents, sure = self.named.postings[name]
            owners = {*names, *(scope for scope, end in scoped if end == name)} - {name}
            held = [int(d) for d in _held(documents[sure == 1], chosen)[:MOST_BEARERS]]
            owned = [d for d in held if owners.intersection(_scopes(self.documents[d][0]))]
            if owned:
                found[name] = owned
        return found

    def _owners(self, owned: dict[str, list[int]]) -> set[str]:
        """The names (folded) of what those documents stand in."""
        return {scope for documents in owned.values() for d in documents for scope in _scopes(self.documents[d][0])}

    def _rest(self, name: str, document: int, chosen: npt.NDArray[np.bool_]) -> list[int]:
        """The later documents of a definition that begins in one."""
        documents, sure = self.named.postings.get(name, (np.zeros(0, np.int64), np.zeros(0)))
        path = _path(self.documents[document][0])
        within = _held(documents[sure < 1], chosen)
        return [int(d) for d in within if _path(self.documents[d][0]) == path and d != document][: PARTS - 1]

    def _linked(self, question: int, prior: Floats, chosen: npt.NDArray[np.bool_]) -> dict[int, float]:
        """`links.linked` of documents of the pool."""
        origins = self._origins(question, prior, chosen)
        own = {document for _, documents in origins for document in documents}
        found: dict[int, Lead] = {}
        for origin in origins:
            ways = (self._leads(origin, self._sought(question, of), chosen) for of in ([origin], origins))
            for document, lead in first_found(ways).items():
                if document not in own:
                    found[document] = min(lead, found.get(document, lead))
        return gains(found, prior)

    def _sought(self, question: int, origins: Sequence[Origin]) -> Sought:
        scopes = {scope for _, documents in origins for d in documents for scope in _scopes(self.documents[d][0])}
        return Sought.of(self.questions[question], {name for name, _ in origins} | scopes)

    def _leads(self, origin: Origin, sought: Sought, chosen: npt.NDArray[np.bool_]) -> dict[int, Lead]:
        name, documents = origin
        path = _path(self.documents[documents[0]][0])
        words = {word for document in documents for word in self._named_in(document, name)}
        text = _own_lines(*self.documents[documents[0]], name)
        here = sought.nearer and sought.text is not None and bool(sought.text.search(text))
        found: dict[int, Lead] = {}
        for word in words:
            held = _held(self.defined.get(word), chosen)
            if 0 < len(held) <= MOST_BEARERS:
                near = within_reach(path, [_path(self.documents[d][0]) for d in held])
                for document in (int(held[place]) for place in near if len(near) <= MOST_NAMED):
                    lead = lead_of(word, len(near), sought=not here and self._has(document, word, sought))
                    found[document] = min(lead, found.get(document, lead))
        return found

    def _has(self, document: int, word: str, sought: Sought) -> bool:
        """Whether what is sought stands in what a document defines by a name."""
        if sought.text is None:
            return sought.constant and is_constant(word)
        text = self.documents[document][1]
        return bool(sought.text.search(text)) and bool(
            sought.text.search(_own_lines(*self.documents[document], folded(word)))
        )

    def _origins(self, question: int, prior: Floats, chosen: npt.NDArray[np.bool_]) -> list[Origin]:
        """(name, documents that hold its definition) of the definitions that the question means, the highest ranked."""
        owned = self._owned(question, chosen)
        owners = self._owners(owned)
        found: list[tuple[bool, str, list[int]]] = []
        for name in self.named.names[question][:SPELLED]:
            documents, sure = self.named.postings[name]
            held = np.array(owned[name], np.int64) if name in owned else _held(documents[sure == 1], chosen)
            if len(held) <= MOST_BEARERS and (name in owned or name not in owners):
                for document in held[np.argsort(-prior[held], kind="stable")[:ORIGINS]].tolist():
                    found.append((name not in owned, name, [document, *self._rest(name, document, chosen)]))
        found.sort(key=lambda origin: (origin[0], -float(prior[origin[2][0]])))
        return each_name_first([(unsure, name, (name, documents)) for unsure, name, documents in found])[:ORIGINS]

    def _named_in(self, document: int, name: str) -> frozenset[str]:
        """What the definition of a name (folded) says in a document, itself left out."""
        if (document, name) not in self._words:
            words = identifiers(_own_lines(*self.documents[document], name))
            self._words[document, name] = frozenset(word for word in words if folded(word) != name)
        return self._words[document, name]


def _own_lines(header: str, text: str, name: str) -> str:
    """The lines of a name's definitions; the whole text where its first line lies elsewhere or no grammar tells."""
    regions = outline_regions(text.encode("utf-8", "replace"), detect_language(_path(header)))
    lines = text.split("\n")
    own = [region.symbol for region in regions if folded(region.symbol.name.rpartition(".")[2]) == name]
    return "\n".join("\n".join(lines[s.start_line - 1 : s.end_line]) for s in own) if own else text


def _of_batch(documents: Sequence[Text], wanted: frozenset[str]) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """(document within the batch, name): names wanted that stand in it, names that it defines."""
    standing, defining = [], []
    for number, (_, text) in enumerate(documents):
        standing += [(number, name) for name in wanted.intersection(_STANDING.findall(text))]
        names = {next(filter(None, groups)) for groups in DEFINED.findall(text)} - _NO_NAMES
        defining += [(number, name) for name in names]
    return standing, defining


def _held(documents: Documents | None, chosen: npt.NDArray[np.bool_]) -> Documents:
    """Of documents, ascending, those chosen; what lies behind the last that may be is not."""
    if documents is None:
        return np.zeros(0, np.int64)
    documents = documents[: np.searchsorted(documents, len(chosen))]
    return documents[chosen[documents]]


def _scopes(header: str) -> frozenset[str]:
    """The names (folded) of what a document stands in."""
    return frozenset(map(folded, _STANDING.findall(header.strip().partition(" ")[2])))


def _path(header: str) -> str:
    return header.strip().partition(" ")[0]


@cache
def _kind(path: str) -> str:
    return file_kind(path, detect_language(path))
