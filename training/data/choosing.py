"""Fewer packages for less time, by what each yielded when the manifest was made."""

import hashlib
import json
from collections import defaultdict
from pathlib import Path

from .build import DEV_PACKAGES
from .download import PackageName

PYTHON_SHARE = 0.4
"""Of the packages: evaluations of functions and answers are mostly Python, and answers over two files come from it."""
DEFINITIONS = range(120, 6001)
"""Smaller packages cost a client's call for little, larger ones are cut to a share after all of them has been read."""


def chosen(packages: list[PackageName], count: int, manifest: Path) -> list[PackageName]:
    """About `count` of the packages, in their order: those held out, then in turn one of each language, those with the
    rarest language first and within a language by hash."""
    known = {row["id"]: row["languages"] for row in json.loads(manifest.read_text(encoding="utf-8"))}
    groups: dict[str, list[PackageName]] = defaultdict(list)
    for package in packages:
        languages = known.get(package.id, {})
        if package.id not in DEV_PACKAGES and sum(languages.values()) in DEFINITIONS:
            groups[max(sorted(languages), key=lambda language: languages[language])].append(package)
    for members in groups.values():
        members.sort(key=lambda package: hashlib.sha256(package.id.encode()).digest(), reverse=True)
    taken = {package for package in packages if package.id in DEV_PACKAGES}
    python = groups.pop("python", [])
    for _ in range(min(len(python), round(PYTHON_SHARE * count))):
        taken.add(python.pop())
    while len(taken) < count and any(groups.values()):
        for language in sorted(groups, key=lambda language: (len(groups[language]), language)):
            if groups[language] and len(taken) < count:
                taken.add(groups[language].pop())
    return [package for package in packages if package in taken]
