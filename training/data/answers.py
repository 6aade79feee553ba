"""Questions with short answers and the lines that decide them, from a package's facts.

Every answer is a statement of the syntax tree put into a sentence, never a guess. The templates vary how a person asks
and how much of a name is given; the answer's form varies little, since the model is to learn to be brief.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator

from .answer_forms import Answered, ask, bases_of, pick, spoken
from .answer_hops import HOPS
from .definition import split_name
from .python_facts import FunctionFacts, PackageFacts

NOT_FOUND = (
    "The sources do not say.",
    "This is not in the sources.",
    "I did not find this in the repository.",
    "Nothing in the sources answers this.",
)
# At most this many of a kind from one package, so that large packages do not decide the mixture.
LIMITS = {
    "default": 50,
    "raises": 45,
    "returns": 40,
    "bases": 40,
    "decorators": 25,
    "caller": 40,
    "does": 50,
    "constant": 30,
    "overrides": 30,
    "inherits+default": 40,
    "inherits+raises": 30,
    "inherits+returns": 25,
    "calls+default": 30,
    "calls+raises": 35,
    "calls+returns": 20,
    "creates+default": 40,
    "reexport+bases": 25,
    "reexport+default": 20,
    "uses+constant": 30,
}
TWO_HOP = frozenset(kind for kind in LIMITS if "+" in kind)


def answered(package: str, facts: PackageFacts) -> list[Answered]:
    """Return the questions of a package, at most LIMITS of each kind, chosen by hash."""
    facts.settle()
    groups: dict[str, list[Answered]] = defaultdict(list)
    for source in (_single, _classes, _callers, _constants, *HOPS):
        for record in source(facts):
            groups[record.kind].append(record)
    chosen: list[Answered] = []
    for kind, records in sorted(groups.items()):
        records.sort(key=lambda record: hashlib.blake2b(f"{package}{record.question}".encode(), digest_size=8).digest())
        chosen.extend(records[: LIMITS[kind]])
    return chosen


_DEFAULT = (
    "What is the default value of `{p}` in {f}?",
    "What does `{p}` default to in {f}?",
    "Which default has the {p} argument of {f}?",
    "If I do not pass {p} to {f}, which value is used?",
    "default of {p} in {f}",
    "What is {p} set to by default in {f}?",
    "How is {p} set in {f} when the caller leaves it out?",
)
_RAISES = (
    "When does {f} raise {e}?",
    "Under which condition does {f} raise `{e}`?",
    "Why would I get {e} from {f}?",
    "What makes {f} fail with {e}?",
    "In which case is `{e}` raised by {f}?",
)
_RETURNS = (
    "What does {f} return?",
    "Which constant does {f} return?",
    "What is the return value of {f}?",
    "What do I get back from {f}?",
)
_DOES = ("What does {f} do?", "What is {f} for?", "Explain {f} in one sentence.", "What is the purpose of {f}?")
_DECORATORS = ("Which decorator is on {f}?", "How is {f} decorated?", "Which decorators does {f} have?")


def _single(facts: PackageFacts) -> Iterator[Answered]:
    for function in facts.functions:
        if function.name.startswith("__") and function.name not in ("__init__", "__call__", "__enter__", "__getitem__"):
            continue
        asked, passage, q = spoken(function), function.passage, function.qualified
        for parameter, value, evidence in function.defaults[:3]:
            question = ask(_DEFAULT, p=parameter, f=asked)
            yield Answered(question, (passage,), f"`{parameter}` defaults to `{value}` in `{q}`.", evidence, "default")
        for error, condition, evidence in function.raises[:2]:
            question = ask(_RAISES, f=asked, e=error.rsplit(".", 1)[-1])
            yield Answered(question, (passage,), f"`{q}` raises `{error}` if `{condition}`.", evidence, "raises")
        if function.returned:
            value, evidence = function.returned
            yield Answered(ask(_RETURNS, f=asked), (passage,), f"`{q}` returns `{value}`.", evidence, "returns")
        if function.decorators:
            listed = " and ".join(f"`@{name}`" for name in function.decorators[:3])
            question = ask(_DECORATORS, f=asked)
            yield Answered(
                question, (passage,), f"`{q}` is decorated with {listed}.", f"@{function.decorators[0]}", "decorators"
            )
        if function.summary:
            yield from _does(function, asked)


def _does(function: FunctionFacts, asked: str) -> Iterator[Answered]:
    """Half with the docstring to be read, half with only the code to go by."""
    assert function.summary is not None
    summary = function.summary if function.summary.endswith(".") else function.summary + "."
    first = next((line.strip() for line in function.documented.text.split("\n") if function.summary[:20] in line), "")
    if first and pick(("with", "without"), function.path, function.qualified) == "with":
        yield Answered(ask(_DOES, f=asked), (function.documented,), summary, first.strip("\"' "), "does")
    elif len(function.passage.text) >= 150:
        line = next((line.strip() for line in function.passage.text.split("\n") if "def " in line), "")
        if line:
            yield Answered(ask(_DOES, f=asked), (function.passage,), summary, line, "does")


_BASES = (
    "What does `{c}` inherit from?",
    "Which classes does {c} derive from?",
    "What is the base class of {c}?",
    "{c} is a subclass of what?",
)
_OVERRIDES = (
    "Which method does `{q}` override?",
    "What does {q} override?",
    "Where is the method that {q} overrides defined?",
)


def _classes(facts: PackageFacts) -> Iterator[Answered]:
    unique = facts.unique_classes()
    for class_ in facts.classes:
        bases = [base for base in class_.bases if base != "object"]
        if bases:
            listed = " and ".join(f"`{base}`" for base in bases)
            question = ask(_BASES, c=class_.name)
            yield Answered(
                question, (class_.passage,), f"`{class_.name}` inherits from {listed}.", class_.line, "bases"
            )
        for base in bases_of(class_, unique):
            for name in class_.methods.keys() & base.methods.keys() - {"__init__"}:
                own, other = class_.methods[name], base.methods[name]
                line = next(line.strip() for line in other.passage.text.split("\n") if "def " in line)
                answer = f"`{own.qualified}` overrides `{other.qualified}`, defined in `{other.path}`."
                yield Answered(
                    ask(_OVERRIDES, q=own.qualified), (class_.passage, other.passage), answer, line, "overrides"
                )


_CALLER = (
    "Which function calls {f}?",
    "Who calls {f}?",
    "Where is {f} called?",
    "What uses {f}?",
    "From where is {f} invoked?",
)


def _callers(facts: PackageFacts) -> Iterator[Answered]:
    unique = facts.unique_functions()
    callers: dict[str, list[FunctionFacts]] = defaultdict(list)
    for caller in facts.functions:
        for name in caller.called & unique.keys():
            callers[name].append(caller)
    for name, found in sorted(callers.items()):
        line = dict(found[0].calls).get(name)
        if len(found) == 1 and line and found[0] is not unique[name]:
            caller = found[0]
            answer = f"`{caller.qualified}` in `{caller.path}` calls `{name}`."
            question = ask(_CALLER, f=spoken(unique[name]))
            yield Answered(question, (caller.passage,), answer, line, "caller", (unique[name].passage,))


_CONSTANT = (
    "What is the value of `{n}`?",
    "What is {n} set to?",
    "Which value has the constant {n}?",
    "How large or what is {w}?",
)


def _constants(facts: PackageFacts) -> Iterator[Answered]:
    for name, constant in facts.unique_constants().items():
        question = ask(_CONSTANT, n=name, w=" ".join(split_name(name)))
        answer = f"`{name}` is `{constant.value}`, set in `{constant.path}`."
        yield Answered(question, (constant.passage,), answer, constant.evidence, "constant")
