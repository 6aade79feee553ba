"""How questions and answers about a package's facts are put into words."""

import hashlib
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .definition import split_name
from .python_facts import ClassFacts, FunctionFacts, PackageFacts, Passage

_FORMS = Path(__file__).with_name("question_forms.toml")


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with its answer; `gold` in the order needed, `evidence` a substring of the last gold text.

    `beside` is what search shows with it, and does not answer: who calls a function is asked of memories that rank the
    function itself first. A model that never read it there says where it is defined.
    """

    question: str
    gold: tuple[Passage, ...]
    answer: str
    evidence: str
    kind: str
    beside: tuple[Passage, ...] = ()
    subject: str = ""
    """Bare name of what is asked about, where others of that name are to be told apart from it."""


def pick(options: tuple[str, ...], *key: str) -> str:
    """Choose by hash of the key, so that the same question is always asked the same way."""
    digest = hashlib.blake2b("\0".join(key).encode(), digest_size=4).digest()
    return options[int.from_bytes(digest, "big") % len(options)]


def spoken(function: FunctionFacts) -> str:
    """A way to name a function: qualified, with its owner spelled out, bare or by its words."""
    words = " ".join(split_name(function.name))
    options: tuple[str, ...]
    if function.owner:
        options = (
            "`{q}`",
            "{q}",
            "the `{n}` method of `{o}`",
            "`{o}.{n}()`",
            "{o}'s {n}",
            "the {w} method of {o}",
            "{q}()",
        )
    else:
        options = ("`{q}`", "{q}", "`{q}()`", "the function `{q}`", "the `{q}` function", "{q}()")
    template = pick(options, "spoken", function.path, function.qualified)
    place = f" in `{function.spoken_path}`" if function.spoken_path else ""
    return template.format(q=function.qualified, n=function.name, o=function.owner, w=words) + place


@cache
def forms() -> dict[str, tuple[str, ...]]:
    """Ways to ask, by what is asked (question_forms.toml)."""
    return {kind: tuple(ways) for kind, ways in tomllib.loads(_FORMS.read_text(encoding="utf-8")).items()}


def ask(kind: str, **names: str) -> str:
    """Fill one of a kind's forms, chosen by what it is filled with."""
    return pick(forms()[kind], *names.values()).format(**names)


def bases_of(class_: ClassFacts, facts: PackageFacts, unique: dict[str, ClassFacts]) -> list[ClassFacts]:
    """The bases of a class that are certainly the package's own."""
    found = [unique[base] for base in class_.bases if base in unique]
    return [
        base
        for base in found
        if base is not class_ and facts.resolves(base.name, class_.imports, class_.path, base.path)
    ]


def listed(names: Iterable[str]) -> str:
    """`a`, `b` and `c`."""
    *first, last = (f"`{name}`" for name in names)
    return f"{', '.join(first)} and {last}" if first else last


def failing(language: str) -> tuple[str, str]:
    """How an error leaves a function in a language: (what it does, the plain verb). The word for the error follows."""
    if language in ("python", "ruby"):
        return "raises", "raise"
    return ("returns the error", "return") if language in ("go", "rust") else ("throws", "throw")


CONSTRUCTORS = frozenset(("__init__", "constructor", "initialize", "__construct"))


def constructor_of(class_: ClassFacts) -> FunctionFacts | None:
    """What is called when an object of the class is made."""
    return next((class_.methods[name] for name in sorted(CONSTRUCTORS & class_.methods.keys())), None)
