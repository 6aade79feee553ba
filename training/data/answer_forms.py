"""How questions and answers about a package's facts are put into words."""

import hashlib
from dataclasses import dataclass

from .definition import split_name
from .python_facts import ClassFacts, FunctionFacts, Passage, resolves


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


def ask(templates: tuple[str, ...], **names: str) -> str:
    """Fill one of the templates, chosen by what it is filled with."""
    return pick(templates, *names.values()).format(**names)


def bases_of(class_: ClassFacts, unique: dict[str, ClassFacts]) -> list[ClassFacts]:
    """The bases of a class that are certainly the package's own."""
    found = [unique[base] for base in class_.bases if base in unique]
    return [
        base for base in found if base is not class_ and resolves(base.name, class_.imports, class_.path, base.path)
    ]
