"""Facts: questions that one place of the repository answers."""

from collections import defaultdict
from collections.abc import Iterator

from codemem.evals.answers.facts import Call, Facts, Function
from codemem.evals.answers.phrasing import asked
from codemem.evals.answers.questions import Code, Line, Question

SMALLEST_NAME = 4
"""Characters of a name that can be asked about without a path."""


def facts_of(code: Code, facts: Facts) -> Iterator[Question]:
    """Every question about one place that the facts answer, without identifiers and rivals."""
    functions = [f for f in facts.told_apart() if len(f.name) >= SMALLEST_NAME and not f.name.startswith("__")]
    for function in functions:
        yield from _of_function(code, function)
    yield from _of_classes(code, facts)
    for name, constant in facts.unique_constants().items():
        place = (Line(constant.path, constant.value.line),)
        yield _question(code, "constant", name, expected=(constant.value.text,), evidence=(place,), n=name)
    yield from _callers(code, facts)


def _of_function(code: Code, function: Function) -> Iterator[Question]:
    for parameter, value in list(function.defaults.items())[:2]:
        if len(parameter) > 1:
            place = (Line(function.path, value.line),)
            yield _question(code, "default", function, expected=(value.text,), evidence=(place,), p=parameter)
    if error := only_error(function):
        places = tuple(Line(function.path, stated.line) for stated in function.raises)
        yield _question(code, "raises", function, expected=(error,), evidence=(places,))
    if function.returned is not None:
        place = (Line(function.path, function.returned.line),)
        yield _question(code, "returns", function, expected=(function.returned.text,), evidence=(place,))
    if len(function.decorators) == 1:
        decorator = function.decorators[0]
        place = (Line(function.path, decorator.line),)
        yield _question(code, "decorators", function, expected=(last(decorator.text),), evidence=(place,))


def _of_classes(code: Code, facts: Facts) -> Iterator[Question]:
    for name, found in facts.unique_classes().items():
        if len(found.bases) == 1:
            base = found.bases[0]
            place = (Line(found.path, base.line),)
            yield _question(code, "bases", name, expected=(last(base.text),), evidence=(place,), c=name)
        if code.language == "rust" and found.decorators:
            traits = tuple(dict.fromkeys(stated.text for stated in found.decorators))
            lines = tuple(dict.fromkeys(Line(found.path, stated.line) for stated in found.decorators))
            yield _question(code, "derives", name, expected=traits, evidence=(lines,), c=name)


def _callers(code: Code, facts: Facts) -> Iterator[Question]:
    """Of functions whose bare name is unique and that one other function alone calls."""
    unique = facts.unique_functions()
    told_apart = {id(function) for function in facts.told_apart()}
    callers: dict[str, list[tuple[Function, Call]]] = defaultdict(list)
    for caller in facts.functions:
        for call in caller.calls:
            if call.text in unique and unique[call.text] is not caller:
                callers[call.text].append((caller, call))
    for name, found in callers.items():
        callers_of = {id(around) for around, _ in found}
        caller = found[0][0]
        sure = all(facts.means(around, call, unique[name]) for around, call in found)
        if len(callers_of) == 1 and sure and id(caller) in told_apart and len(caller.name) >= SMALLEST_NAME:
            lines = tuple(Line(caller.path, stated.line) for _, stated in found)
            yield _question(code, "caller", unique[name], expected=(caller.name,), evidence=(lines,))


def only_error(function: Function) -> str:
    """The one error that a function raises; '' if there are several or none."""
    names = {stated.text for stated in function.raises}
    return names.pop() if len(names) == 1 else ""


def last(name: str) -> str:
    """The last part of a dotted name."""
    return name.replace("::", ".").rpartition(".")[2]


def _question(
    code: Code,
    kind: str,
    subject: Function | str,
    *,
    expected: tuple[str, ...],
    evidence: tuple[tuple[Line, ...], ...],
    **names: str,
) -> Question:
    function = subject if isinstance(subject, Function) else None
    seed = f"{code.package} {function.qualified if function else subject} {sorted(names.items())}"
    return Question("", code.package, code.language, kind, asked(kind, seed, function, **names), expected, (), evidence)
