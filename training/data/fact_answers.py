"""Questions that one document answers: about a function, a class or a constant."""

from collections.abc import Iterator

from .answer_forms import CONSTRUCTORS, Answered, ask, bases_of, failing, listed, pick, spoken
from .definition import split_name
from .python_facts import ClassFacts, FunctionFacts, PackageFacts


def of_functions(facts: PackageFacts) -> Iterator[Answered]:
    """Defaults, errors, constants returned, decorators and purpose of every function."""
    does, verb = failing(facts.language)
    for function in facts.functions:
        if function.name.startswith("__") and function.name not in ("__init__", "__call__", "__enter__", "__getitem__"):
            continue
        asked, gold, q, n = spoken(function), (function.passage,), function.qualified, function.name
        for parameter, value, evidence in function.defaults[:3]:
            question = _of_default(parameter, value, asked, function)
            answer = f"`{parameter}` defaults to `{value}` in `{q}`."
            yield Answered(question, gold, answer, evidence, "default", subject=n)
        for error, condition, evidence in function.raises[:1]:
            question = ask("raises", f=asked, e=error.rsplit(".", 1)[-1], v=verb)
            yield Answered(question, gold, f"`{q}` {does} `{error}` if `{condition}`.", evidence, "raises", subject=n)
        if 0 < len(function.errors) <= 3:
            errors = listed(error for error, _ in function.errors)
            question, evidence = ask("error", f=asked, v=verb), function.errors[0][1]
            yield Answered(question, gold, f"`{q}` {_plural(does, function)} {errors}.", evidence, "raises", subject=n)
        if function.returned:
            value, evidence = function.returned
            yield Answered(ask("returns", f=asked), gold, f"`{q}` returns `{value}`.", evidence, "returns", subject=n)
        yield from _decorated(asked, q, function)
        if function.summary:
            yield from _does(function, asked)


def _of_default(parameter: str, value: str, asked: str, function: FunctionFacts) -> str:
    """Half as one asks of any default, half as one asks of a number, a count or a switch."""
    words = " ".join(split_name(parameter))
    form = "default"
    if pick(("any", "own"), parameter, function.path, function.qualified) == "own":
        if value.lower() in ("true", "false"):
            form = "default of a switch"
        elif value.removeprefix("-").replace("_", "").replace(".", "", 1).isdecimal():
            form = "default of a count" if words.endswith("s") else "default of an amount"
    bare = " ".join(split_name(function.name)) if len(function.name) % 3 == 0 else function.name
    return ask(form, p=parameter, f=asked, w=words, n=bare)


def _plural(does: str, function: FunctionFacts) -> str:
    return does + "s" if does.endswith("error") and len(function.errors) > 1 else does


def _decorated(asked: str, q: str, item: FunctionFacts | ClassFacts) -> Iterator[Answered]:
    if item.decorators:
        names = " and ".join(f"`{name}`" for name, _ in item.decorators[:3])
        question, evidence = ask("decorators", f=asked), item.decorators[0][1]
        answer = f"`{q}` is decorated with {names}."
        yield Answered(question, (item.passage,), answer, evidence, "decorators", subject=item.name)


def _does(function: FunctionFacts, asked: str) -> Iterator[Answered]:
    """Half with the docstring to be read, half with only the code to go by."""
    assert function.summary is not None
    summary = function.summary if function.summary.endswith(".") else function.summary + "."
    first = next((line.strip() for line in function.documented.text.split("\n") if function.summary[:20] in line), "")
    if first and pick(("with", "without"), function.path, function.qualified) == "with":
        yield Answered(ask("does", f=asked), (function.documented,), summary, first.strip("\"' "), "does")
    elif len(function.passage.text) >= 150:
        line = next((line.strip() for line in function.passage.text.split("\n") if "def " in line), "")
        if line:
            yield Answered(ask("does", f=asked), (function.passage,), summary, line, "does")


_BASES = {"embeds": "bases: embeds", "requires": "bases: requires"}
"""How bases are asked for, by what a class is to them, where it does not inherit."""


def of_classes(facts: PackageFacts) -> Iterator[Answered]:
    """Bases, interfaces, derived traits, decorators and overridden methods of classes that bear their name alone."""
    unique = facts.unique_classes()
    for name, class_ in unique.items():
        gold = (class_.passage,)
        if bases := [base for base in class_.bases if base != "object"]:
            question = ask(_BASES.get(class_.relation, "bases"), c=name)
            yield Answered(question, gold, f"`{name}` {class_.relation} {listed(bases)}.", class_.line, "bases")
        if class_.interfaces and class_.interface_line:
            answer = f"`{name}` implements {listed(class_.interfaces)}."
            yield Answered(ask("interfaces", c=name), gold, answer, class_.interface_line, "implements")
        if class_.derives:
            answer = f"`{name}` derives {listed(trait for trait, _ in class_.derives)}."
            yield Answered(ask("derives", c=name), gold, answer, class_.derives[0][1], "derives")
        yield from _decorated(f"`{name}`", name, class_)
        if facts.language not in ("java", "cpp"):  # where another signature makes it another method
            yield from _overridden(class_, bases_of(class_, facts, unique))


def _overridden(class_: ClassFacts, bases: list[ClassFacts]) -> Iterator[Answered]:
    for base in bases:
        for name in sorted(class_.methods.keys() & base.methods.keys() - CONSTRUCTORS):
            own, other = class_.methods[name], base.methods[name]
            line = next((line.strip() for line in other.passage.text.split("\n") if name in line), "")
            answer = f"`{own.qualified}` overrides `{other.qualified}`, defined in `{other.path}`."
            gold = (class_.passage, other.passage)
            yield Answered(ask("overrides", q=own.qualified), gold, answer, line, "overrides")


def of_constants(facts: PackageFacts) -> Iterator[Answered]:
    """Values of constants."""
    for name, constant in facts.unique_constants().items():
        question = ask("constant", n=name, w=" ".join(split_name(name)))
        answer = f"`{name}` is `{constant.value}`, set in `{constant.path}`."
        yield Answered(question, (constant.passage,), answer, constant.evidence, "constant")
