"""What a client may set, in `initializationOptions` or in its settings under `codemem`."""

import dataclasses
import difflib
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin


@dataclass(frozen=True, slots=True)
class Options:
    """Every option has a default; editors need set none."""

    answers: Literal["document", "notification", "result"] = "document"
    """How an answer arrives: opened as a Markdown document where the client can do that; in pieces, as `codemem/answer`
    notifications; or as the command's result alone. The result holds it in any case."""
    results: int = 10
    """How many places `codemem.find` and `codemem.related` name."""
    code_actions: bool = True
    code_lens: bool = False
    """'explain' and 'related' above every definition."""
    hover: bool = False
    """Shows explanations that were asked for before; nothing is ever generated for a hover."""
    keep_up: bool = True
    """Take saved files into memory behind, while nothing is asked."""
    model: str = ""
    """A model of `codemem model list`; empty: as the repository was indexed."""

    def __post_init__(self) -> None:
        if not 1 <= self.results <= 100:
            raise ValueError("must lie between 1 and 100")


def read_options(raw: object) -> tuple[Options, list[str]]:
    """The options, and a line for each that was not understood; its default is used then."""
    if raw is None:
        return Options(), []
    if not isinstance(raw, dict):
        return Options(), [f"the options must be an object, not {type(raw).__name__}; defaults are used"]
    known = {field.name: field for field in dataclasses.fields(Options)}
    options, problems = Options(), []
    for key, value in raw.items():
        name = _snake_case(str(key))
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            problems.append(f"unknown option {key!r}" + (f", did you mean {_camel_case(close[0])!r}?" if close else ""))
            continue
        expected = known[name].type
        if not _fits(value, expected):
            problems.append(f"option {key!r} must be {_words(expected)}, its default is used")
            continue
        try:
            options = dataclasses.replace(options, **{name: value})
        except ValueError as error:
            problems.append(f"option {key!r} {error}, its default is used")
    return options, problems


def _fits(value: Any, expected: Any) -> bool:
    if get_origin(expected) is Literal:
        return isinstance(value, str) and value in get_args(expected)
    return type(value) is expected  # bool is no number here, though Python says so


def _words(expected: Any) -> str:
    if get_origin(expected) is Literal:
        return f"one of {', '.join(get_args(expected))}"
    return {int: "a whole number", bool: "true or false", str: "a string"}[expected]


def _snake_case(name: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name)


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
