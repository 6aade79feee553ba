"""Files that bear the names of a series: dialects, migrations, a test a module.

What fits one fits its siblings nearly as well, and twenty of them in a row hide the other file that is meant, too
(decision 0044).
"""

import re
from collections import Counter
from collections.abc import Mapping

MOST_ALIKE, ALIKE_SHARE = 4, 0.8
"""So many files of a series keep what they score; of each further one that much of it is left, once more a file."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def series(path: str) -> tuple[str, str, str] | None:
    """What a file has in common with its siblings: folder, first word of its name, and ending; None for a name of one
    word, which is no series'. Numbers count as the same word: migrations are numbered."""
    folder, _, name = path.rpartition("/")
    stem, _, ending = name.partition(".")
    first = _WORD.search(stem)
    if first is None or _WORD.search(stem, first.end()) is None:
        return None
    return folder, "#" if first[0].isdecimal() else first[0].lower(), ending


def space_out(files: Mapping[str, float]) -> dict[str, float]:
    """Scores by falling score, as `files` are: further files of a series behind what else scores nearly as much."""
    seen: Counter[tuple[str, str, str]] = Counter()
    spaced: dict[str, float] = {}
    for path, score in files.items():
        own = series(path) if score > 0 else None  # nothing can be less
        further = max(0, seen[own] - MOST_ALIKE + 1) if own else 0
        spaced[path] = score * ALIKE_SHARE**further
        if own:
            seen[own] += 1
    return dict(sorted(spaced.items(), key=lambda item: (-item[1], item[0])))
