"""Hops: questions that two or three files answer together, one step leading to the next.

What a question names stands in the first file alone; the last step is found only by reading what the first one says.
"""

from collections.abc import Iterator

from codemem.evals.answers.fact_questions import SMALLEST_NAME, last, only_error
from codemem.evals.answers.facts import Class, Facts, Function, Stated
from codemem.evals.answers.phrasing import asked
from codemem.evals.answers.questions import Code, Line, Question

_LONGEST_CHAIN = 3

Step = tuple[Line, ...]


def hops_of(code: Code, facts: Facts) -> Iterator[Question]:
    """Every question over several files that the facts answer, without identifiers and rivals."""
    for source in (_inherited, _called, _configured, _reexported):
        yield from source(code, facts)


def _inherited(code: Code, facts: Facts) -> Iterator[Question]:
    """Methods that a class takes from a parent in another file, possibly by way of a third file."""
    classes, methods = facts.unique_classes(), facts.methods()
    for name, found in classes.items():
        chain = _ancestors(found, classes)
        own = set(methods.get(name, {}))
        steps: list[Step] = [_extends(found)]
        for ancestor in chain:
            for method_name, method in methods.get(ancestor.name, {}).items():
                fits = len(method_name) >= SMALLEST_NAME and not method_name.startswith("__")
                if fits and method_name not in own and method.path == ancestor.path != found.path:
                    names = {"c": name, "m": method_name}
                    yield from _ends(code, "inherits", method, tuple(steps), names)
            own |= set(methods.get(ancestor.name, {}))
            steps.append(_extends(ancestor))


def _ancestors(found: Class, classes: dict[str, Class]) -> list[Class]:
    """Parent, its parent, and so on, while there is one and its name is unique."""
    chain: list[Class] = []
    while len(found.bases) == 1 and len(chain) < _LONGEST_CHAIN - 1:
        parent = classes.get(last(found.bases[0].text))
        if parent is None or parent in chain:
            break
        chain.append(parent)
        found = parent
    return chain


def _extends(found: Class) -> Step:
    """Where a class names what it extends."""
    return (Line(found.path, found.bases[0].line if found.bases else found.line),)


def _called(code: Code, facts: Facts) -> Iterator[Question]:
    """Functions of other files that a function calls, where one alone of them answers."""
    unique = facts.unique_functions()
    for caller in _speakable(facts):
        called = {
            call.text: (unique[call.text], Line(caller.path, call.line))
            for call in reversed(caller.calls)
            if call.text in unique
            and unique[call.text].path != caller.path
            and facts.means(caller, call, unique[call.text])
        }
        raising = [pair for pair in called.values() if only_error(pair[0])]
        if len(raising) == 1 and not caller.raises:
            yield from _ends(code, "calls", raising[0][0], ((raising[0][1],),), {}, caller=caller, ends=("raises",))
        constant = [pair for pair in called.values() if pair[0].returned is not None]
        if len(constant) == 1:
            yield from _ends(code, "calls", constant[0][0], ((constant[0][1],),), {}, caller=caller, ends=("returns",))
        for callee, line in called.values():
            for parameter in callee.defaults:
                shared = sum(parameter in other.parameters for other, _ in called.values())
                if shared == 1 and parameter not in caller.parameters and len(parameter) > 2:
                    names = {"p": parameter}
                    yield from _ends(code, "calls", callee, ((line,),), names, caller=caller, ends=("default",))


def _configured(code: Code, facts: Facts) -> Iterator[Question]:
    """The one constant of another file that a function reads."""
    unique = facts.unique_constants()
    for function in _speakable(facts):
        read = {
            stated.text: stated
            for stated in reversed(function.reads)
            if stated.text in unique
            and unique[stated.text].path != function.path
            and facts.sees(function.path, stated.text, unique[stated.text].path)
        }
        if len(read) == 1:
            stated = next(iter(read.values()))
            constant = unique[stated.text]
            steps = ((Line(function.path, stated.line),), (Line(constant.path, constant.value.line),))
            yield _question(code, "uses+constant", constant.value.text, steps, function=function, names={})


def _reexported(code: Code, facts: Facts) -> Iterator[Question]:
    """Names that a file hands on and another defines."""
    classes, functions = facts.unique_classes(), facts.unique_functions()
    for handed in facts.reexports:
        step = ((Line(handed.path, handed.line),),)
        found = classes.get(handed.name)
        if found is not None and found.path != handed.path and len(found.bases) == 1:
            steps = (*step, _extends(found))
            names = {"m": handed.path, "c": handed.name}
            yield _question(code, "reexports+bases", last(found.bases[0].text), steps, function=None, names=names)
        function = functions.get(handed.name)
        if function is not None and function.path != handed.path and not function.owner:
            names = {"m": handed.path, "n": handed.name}
            yield from _ends(code, "reexports", function, step, names, ends=("default",))


def _speakable(facts: Facts) -> list[Function]:
    return [f for f in facts.told_apart() if len(f.name) >= SMALLEST_NAME and not f.name.startswith("__")]


def _ends(
    code: Code,
    link: str,
    target: Function,
    steps: tuple[Step, ...],
    names: dict[str, str],
    *,
    caller: Function | None = None,
    ends: tuple[str, ...] = ("default", "raises", "returns"),
) -> Iterator[Question]:
    """What the last function of a chain states, asked from the chain's beginning."""

    def question(end: str, value: str, *places: Stated, **more: str) -> Question:
        decides = tuple(Line(target.path, place.line) for place in places)
        return _question(code, f"{link}+{end}", value, (*steps, decides), function=caller, names={**names, **more})

    if "default" in ends:
        wanted = [names["p"]] if "p" in names else list(target.defaults)[:1]
        for parameter in wanted:
            if len(parameter) > 1:
                yield question("default", target.defaults[parameter].text, target.defaults[parameter], p=parameter)
    if "raises" in ends and (error := only_error(target)):
        yield question("raises", error, *target.raises)
    if "returns" in ends and target.returned is not None:
        yield question("returns", target.returned.text, target.returned)


def _question(
    code: Code,
    kind: str,
    expected: str,
    steps: tuple[Step, ...],
    *,
    function: Function | None,
    names: dict[str, str],
) -> Question:
    seed = f"{code.package} {kind} {function.qualified if function else ''} {sorted(names.items())}"
    return Question("", code.package, code.language, kind, asked(kind, seed, function, **names), (expected,), (), steps)
