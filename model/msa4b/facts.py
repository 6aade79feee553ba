"""Facts to plant in a small memory: settings of invented services, a document each, alike in everything else."""

import random
from dataclasses import dataclass

_STARTS = (
    "Kes",
    "Mar",
    "Tol",
    "Bri",
    "Vas",
    "Ond",
    "Quil",
    "Fen",
    "Har",
    "Lum",
    "Sor",
    "Dax",
    "Wen",
    "Pir",
    "Nol",
    "Zem",
)
_ENDS = ("trel", "low", "vane", "mere", "dor", "lith", "wick", "bourne", "ham", "scar", "fold", "ridge")
_SETTINGS = (
    ("RETRY_LIMIT", "retry limit", "How often {name} repeats a failed call before it gives up."),
    ("LISTEN_PORT", "listening port", "The port on which {name} waits for its clients."),
    ("CACHE_ROWS", "number of cache rows", "How many rows {name} keeps before it forgets the oldest."),
    ("TIMEOUT_MS", "timeout in milliseconds", "How long {name} waits for an answer, in milliseconds."),
)


@dataclass(frozen=True, slots=True)
class Fact:
    """A document that states one value, and the question that it answers."""

    header: str
    text: str
    question: str
    value: str


def plant(count: int, *, seed: int = 0) -> list[Fact]:
    """`count` facts of different names and values, the same for the same seed. At most 768."""
    random_ = random.Random(seed)  # noqa: S311 - a fixed choice, not a secret
    places = [(start + end, setting) for start in _STARTS for end in _ENDS for setting in _SETTINGS]
    chosen = random_.sample(places, count)
    values = random_.sample(range(10_000, 100_000), count)
    return [_fact(name, *setting, str(value)) for (name, setting), value in zip(chosen, values, strict=True)]


def _fact(name: str, constant: str, words: str, sentence: str, value: str) -> Fact:
    folder = name.lower()
    text = (
        f'"""Settings of the {name} service."""\n\n'
        f"# {sentence.format(name=name)}\n"
        f"{name.upper()}_{constant} = {value}\n\n\n"
        f"def {folder}_{constant.lower()}() -> int:\n"
        f"    return {name.upper()}_{constant}\n"
    )
    return Fact(f"services/{folder}/{constant.lower()}.py\n", text, f"What is the {words} of {name}?", value)
