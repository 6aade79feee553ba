"""Needles: invented facts of which nothing else in any memory speaks (after RULER, arXiv:2404.06654, section 3).

Single: one document, worded like no other, states the value. Several keys: every service has all settings and every
setting all services, so each needle has near copies that differ in its key. Several values: one key, a value in each of
a few documents, all of which a right answer names.
"""

import random
from dataclasses import dataclass

from codemem.model.msa4b.facts import plant

KEYED = 16
VALUED, VALUES = 8, 3
_SINGLES = (
    (
        "docs/window.md",
        "The maintenance window of the {name} cluster opens at minute {value} of the week.",
        "At which minute does the maintenance window of the {name} cluster open?",
    ),
    (
        "ops/locker.txt",
        "Spare drives for {name} lie in locker {value}, second floor.",
        "In which locker do the spare drives for {name} lie?",
    ),
    (
        "notes/badge.md",
        "Visitors to the {name} laboratory wear badge {value}.",
        "Which badge do visitors to the {name} laboratory wear?",
    ),
    (
        "src/seed.py",
        "SHUFFLE_SEED = {value}  # fixed by the {name} study, do not change",
        "Which shuffle seed did the {name} study fix?",
    ),
    (
        "infra/fleet.ini",
        "[{name}]\nballast_kilograms = {value}",
        "How many kilograms of ballast does {name} carry?",
    ),
    (
        "docs/archive.md",
        "The {name} archive ends with folio {value}.",
        "With which folio does the {name} archive end?",
    ),
    (
        "lab/oven.toml",
        "[oven.{name}]\nsoak_seconds = {value}",
        "For how many seconds does the {name} oven soak?",
    ),
    (
        "docs/tariff.md",
        "Under the {name} tariff a crossing costs {value} centimes.",
        "How many centimes does a crossing cost under the {name} tariff?",
    ),
    (
        "game/boss.lua",
        "bosses.{name} = { hit_points = {value} }",
        "How many hit points does the boss {name} have?",
    ),
    (
        "docs/print.md",
        "The first printing of {name} ran to {value} copies.",
        "To how many copies did the first printing of {name} run?",
    ),
    (
        "src/orbit.c",
        "#define {name}_PERIOD_SECONDS {value}",
        "What is the period of {name} in seconds?",
    ),
    (
        "docs/quarry.md",
        "Blocks from the {name} quarry are stamped {value}.",
        "With which number are blocks from the {name} quarry stamped?",
    ),
)
"""Path, text and question."""
_NAMES = (
    "Aldermoor",
    "Brackwend",
    "Corvelle",
    "Dunstrath",
    "Elverlode",
    "Farrowgate",
    "Grimsholt",
    "Hexley",
    "Ibbenrook",
    "Jarnsund",
    "Kelderby",
    "Lowenthrop",
    "Morvanne",
    "Nethercombe",
    "Ostrivell",
    "Pellbrook",
    "Quennarth",
    "Ravensmead",
    "Skelderwick",
    "Thornmarch",
)


@dataclass(frozen=True, slots=True)
class Needle:
    """A question, the documents of which each states one of its values, and these."""

    kind: str
    """'single', 'keys' or 'values'."""
    name: str
    """Invented: no other document may hold it."""
    question: str
    documents: tuple[tuple[str, str], ...]
    """Header and text."""
    values: tuple[str, ...]


def needles(*, seed: int = 0) -> list[Needle]:
    """The same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - a fixed choice, not a secret
    numbers = iter(chance.sample(range(10_000, 100_000), len(_SINGLES) + VALUED * VALUES))
    singles = [
        Needle(
            "single",
            name,
            question.replace("{name}", name),
            ((f"{path}\n", text.replace("{name}", name).replace("{value}", value) + "\n"),),
            (value,),
        )
        for (path, text, question), name, value in zip(_SINGLES, _NAMES, map(str, numbers), strict=False)
    ]
    valued = [_valued(name, [str(next(numbers)) for _ in range(VALUES)]) for name in _NAMES[len(_SINGLES) :][:VALUED]]
    return [*singles, *_keyed(), *valued]


def _keyed() -> list[Needle]:
    """Services that have all four settings, so that every key has neighbours in both."""
    by_name: dict[str, list[Needle]] = {}
    for fact in plant(768):
        name = fact.header.split("/")[1]
        by_name.setdefault(name, []).append(
            Needle("keys", name, fact.question, ((fact.header, fact.text),), (fact.value,))
        )
    complete = [found for found in by_name.values() if len(found) == 4]
    return [needle for found in complete[: KEYED // 4] for needle in found]


def _valued(name: str, values: list[str]) -> Needle:
    documents = tuple(
        (f"peers/{name.lower()}/peer_{i}.py\n", f'"""A peer of {name}."""\n\n{name.upper()}_PEER_PORTS += [{value}]\n')
        for i, value in enumerate(values)
    )
    return Needle("values", name, f"Which ports do the peers of {name} listen on?", documents, tuple(values))
