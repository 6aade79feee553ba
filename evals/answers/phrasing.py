"""Questions in words, from a kind and the names that fill it."""

import hashlib
import tomllib
from functools import cache
from pathlib import Path

from codemem.evals.answers.facts import Function
from codemem.evals.answers.questions import TONGUES

_PHRASINGS = Path(__file__).with_name("phrasings.toml")
ENGLISH = 3
"""Phrasings in English that a question keeps; of other tongues it keeps one."""


@cache
def phrasings() -> dict[str, dict[str, list[str]]]:
    """Kind -> tongue -> templates."""
    found: dict[str, dict[str, list[str]]] = tomllib.loads(_PHRASINGS.read_text(encoding="utf-8"))
    return found


def order(*words: str) -> int:
    """A number that looks random and depends on the words alone."""
    return int.from_bytes(hashlib.blake2b("\0".join(words).encode(), digest_size=8).digest())


def spoken(function: Function, tongue: str) -> str:
    """A function as one speaks of it."""
    method, alone = phrasings()["spoken"][tongue]
    return method.format(n=function.name, o=function.owner) if function.owner else alone.format(n=function.name)


def asked(kind: str, seed: str, function: Function | None = None, **names: str) -> dict[str, list[str]]:
    """Tongue -> the question in some of its phrasings; which come first depends on `seed`."""
    found: dict[str, list[str]] = {}
    for tongue in TONGUES:
        templates = sorted(phrasings()[kind][tongue], key=lambda template: order(seed, template))
        if function is not None:
            names = {**names, "f": function.qualified, "F": spoken(function, tongue)}
        chosen = templates[: ENGLISH if tongue == "en" else 1]
        # What is spoken of begins some sentences.
        sentences = [template.format(**names) for template in chosen]
        found[tongue] = [sentence[:1].upper() + sentence[1:] for sentence in sentences]
    return found
