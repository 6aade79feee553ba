"""Questions about whole files and about how parts work together, by rule.

A person asks for "the retry policy" or "how digest authentication works" and means a file. Such a question leads to the
documents of the file that share most words with it; the file's others are no negatives (`same`).
"""

import re
from collections import defaultdict
from collections.abc import Iterator

from .definition import Definition, fold, question_of, split_name
from .prose import is_change, sentences
from .questions import VERBS, Question, as_request, chance, pick, without_name

MOST_SAME = 48
"""Other documents of a file that a question names as no negatives."""
LEADS_TO = 3
"""Documents of a file that a question about it leads to."""

_FILES = (
    "{}",
    "{} implementation",
    "where is {} handled?",
    "how does {} work",
    "which file implements {}?",
    "{} logic",
    "where is the code for {}?",
    "how is {} implemented?",
)
_USES = (
    "how {a} uses {b}",
    "how does {a} use {b}?",
    "where does {a} call {b}?",
    "{a} and {b}",
    "how {a} relies on {b}",
)
_EMPTY = frozenset(
    re.findall(r"\w+", "init index main mod utils util helpers helper common base types misc lib core test tests src")
)
_SURELY_OURS = 8
"""Longer names of several words are hardly another library's method too."""
_WORDS = re.compile(r"[A-Za-z_][A-Za-z0-9_]+")


class Files:
    """Definitions of a package by file."""

    def __init__(self, definitions: list[Definition]) -> None:
        self._definitions = definitions
        self.places: dict[str, list[int]] = defaultdict(list)
        for place, definition in enumerate(definitions):
            if definition.kind != "text":
                self.places[definition.path].append(place)
        self._words: dict[int, frozenset[str]] = {}

    def about(self, text: str, path: str, first: tuple[int, ...] = ()) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(documents that a question about a file leads to, the file's others): `first`, then by words shared."""
        asked = _words(text)
        places = self.places[path]
        order = sorted(places, key=lambda p: (p not in first, -len(asked & self._own(p)), self._rank(p), p))
        chosen = tuple(order[:LEADS_TO])
        return chosen, tuple(order[LEADS_TO : LEADS_TO + MOST_SAME])

    def _own(self, place: int) -> frozenset[str]:
        if place not in self._words:
            found = self._definitions[place]
            said = question_of(found.documentation) if found.documentation else None
            self._words[place] = frozenset({*split_name(found.name), *split_name(found.scope), *_words(said or "")})
        return self._words[place]

    def _rank(self, place: int) -> int:
        return {"class": 0, "window": 1}.get(self._definitions[place].kind, 2)


def file_questions(package: str, definitions: list[Definition]) -> Iterator[Question]:
    """Every question of this module about a package's definitions."""
    files = Files(definitions)
    by_name: dict[str, list[int]] = defaultdict(list)
    for place, definition in enumerate(definitions):
        if definition.kind not in ("window", "text") and not definition.test:
            by_name[definition.name].append(place)
    yield from _modules(definitions, files)
    yield from _paths(package, definitions, files)
    yield from _how(definitions, files)
    yield from _together(package, definitions, by_name)
    yield from _mentions(definitions, files, by_name)


def _modules(definitions: list[Definition], files: Files) -> Iterator[Question]:
    """What a file's opening documentation says it is for."""
    for path, places in files.places.items():
        window = next((p for p in places if definitions[p].kind == "window"), None)
        text = question_of(definitions[window].documentation) if window is not None else None
        if window is None or text is None:
            continue
        wanted, same = files.about(text, path, first=(window,))
        yield Question(text, wanted, "module", same)
        if (asked := as_request(text, path)) and chance("module", path) < 0.5:
            yield Question(asked, wanted, "file", same)


def _paths(package: str, definitions: list[Definition], files: Files) -> Iterator[Question]:
    """A file by the words of its path."""
    for path, places in files.places.items():
        if len(places) < 2 or definitions[places[0]].test or chance("path", package, path) > 0.4:
            continue
        *folders, name = path.split("/")
        words = [w for w in split_name(name.split(".")[0]) if len(w) > 1 and not w.isdigit()]
        parent = [w for w in split_name(folders[-1]) if len(w) > 1 and not w.isdigit()] if folders else []
        if not set(words) - _EMPTY:
            words = parent if set(parent) - _EMPTY else []
        elif (len(words) < 2 or chance("parent", path) < 0.3) and set(parent) - _EMPTY:
            words = [*(w for w in parent if w not in words), *words]
        if not words or len(" ".join(words)) < 6:
            continue
        asked = pick(_FILES, f"{package}:{path}").format(" ".join(words))
        wanted, same = files.about(asked, path)
        yield Question(asked, wanted, "path", same)


def _how(definitions: list[Definition], files: Files) -> Iterator[Question]:
    """'how Session.send sends a prepared request': a name with what its documentation says that it does."""
    for place, definition in enumerate(definitions):
        text = question_of(definition.documentation) if definition.documentation else None
        if text is None or definition.kind in ("window", "text") or definition.test:
            continue
        key = f"{definition.header}{definition.name}"
        if chance("how", key) > 0.12:
            continue
        bare = without_name(text, definition.name)
        first, _, rest = bare.partition(" ")
        verb = first.lower()
        if (verb.removesuffix("s") not in VERBS and verb.removesuffix("es") not in VERBS) or len(rest) < 12:
            continue
        third = verb if verb.endswith("s") and verb not in VERBS else _third_person(verb)
        owner = definition.scope.rsplit(".", 1)[-1]
        named = f"{owner}.{definition.name}" if owner and chance("owner", key) < 0.5 else definition.name
        if chance("spoken", key) < 0.3:
            named = " ".join(split_name(named))
        same = files.about(text, definition.path, first=(place,))
        wanted = (place,)
        others = tuple(p for p in (*same[0], *same[1]) if p != place)
        yield Question(f"how {named} {third} {rest}".rstrip(". "), wanted, "how", others)


def _third_person(verb: str) -> str:
    if re.search(r"(?:s|x|z|ch|sh)$", verb):
        return verb + "es"
    return re.sub(r"(?<=[^aeiou])y$", "ie", verb) + "s"


def _together(package: str, definitions: list[Definition], by_name: dict[str, list[int]]) -> Iterator[Question]:
    """Two definitions of different files, of which one calls the other."""
    for place, caller in enumerate(definitions):
        if caller.test or caller.kind in ("window", "text"):
            continue
        for name in dict.fromkeys(name for name, _ in caller.calls):
            found = by_name.get(name, [])
            if len(found) != 1 or definitions[found[0]].path == caller.path:
                continue
            if len(name) <= _SURELY_OURS or len(split_name(name)) < 2:
                continue
            if chance("uses", package, caller.header, caller.name, name) > 0.06:
                continue
            owner = caller.scope.rsplit(".", 1)[-1]
            first = f"{owner}.{caller.name}" if owner else caller.name
            spoken = chance("spoken", package, first, name) < 0.4
            names = [" ".join(split_name(n)) if spoken else n for n in (first, name)]
            asked = pick(_USES, f"{package}:{first}:{name}").format(a=names[0], b=names[1])
            yield Question(asked, (place, found[0]), "together")


def _mentions(definitions: list[Definition], files: Files, by_name: dict[str, list[int]]) -> Iterator[Question]:
    """Sentences of README and change log that name definitions of the package."""
    for section in definitions:
        if section.kind != "text":
            continue
        for sentence in sentences(section):
            marked = {word for code in re.findall(r"`([^`]+)`", sentence) for word in _WORDS.findall(code)}
            named = {w for w in _WORDS.findall(sentence) if re.search(r"[a-z][A-Z]|\w_\w", w)} | marked
            places = sorted({p for word in named if len(by_name.get(word, ())) in (1, 2) for p in by_name[word]})
            if not places or len(places) > 4:
                continue
            text = sentence.replace("`", "")
            if chance("bare", sentence) < 0.4:
                without = fold(re.sub(r"\b(?:" + "|".join(map(re.escape, sorted(named))) + r")\b(?:\(\))?", "", text))
                whole = (
                    question_of(without) and re.match(r"\w", without) and not re.search(r"[{(\[]\W*[,})\]]", without)
                )
                text = without if whole else text
            same = {p for place in places for p in files.places[definitions[place].path]} - set(places)
            kind = "changelog" if is_change(section.path) else "readme"
            yield Question(text, tuple(places), kind, tuple(sorted(same))[:MOST_SAME])


def _words(text: str) -> set[str]:
    return {word for word in split_name(text) if len(word) > 2}
