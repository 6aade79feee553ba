"""Questions with short answers and the lines that decide them, from a package's facts.

Every answer is a statement of the syntax tree put into a sentence, never a guess. The templates vary how a person asks
and how much of a name is given; the answer's form varies little, since the model is to learn to be brief.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from .definition import split_name
from .python_facts import ClassFacts, FunctionFacts, PackageFacts, Passage, resolves

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


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with its answer; `gold` in the order needed, `evidence` a substring of the last gold text."""

    question: str
    gold: tuple[Passage, ...]
    answer: str
    evidence: str
    kind: str


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


def answered(package: str, facts: PackageFacts) -> list[Answered]:
    """Return the questions of a package, at most LIMITS of each kind, chosen by hash."""
    facts.settle()
    groups: dict[str, list[Answered]] = defaultdict(list)
    for source in (_single, _classes, _callers, _inherited, _called, _created, _reexported, _constants):
        for record in source(facts):
            groups[record.kind].append(record)
    chosen: list[Answered] = []
    for kind, records in sorted(groups.items()):
        records.sort(key=lambda record: hashlib.blake2b(f"{package}{record.question}".encode(), digest_size=8).digest())
        chosen.extend(records[: LIMITS[kind]])
    return chosen


def _ask(templates: tuple[str, ...], **names: str) -> str:
    return pick(templates, *names.values()).format(**names)


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
            question = _ask(_DEFAULT, p=parameter, f=asked)
            yield Answered(question, (passage,), f"`{parameter}` defaults to `{value}` in `{q}`.", evidence, "default")
        for error, condition, evidence in function.raises[:2]:
            question = _ask(_RAISES, f=asked, e=error.rsplit(".", 1)[-1])
            yield Answered(question, (passage,), f"`{q}` raises `{error}` if `{condition}`.", evidence, "raises")
        if function.returned:
            value, evidence = function.returned
            yield Answered(_ask(_RETURNS, f=asked), (passage,), f"`{q}` returns `{value}`.", evidence, "returns")
        if function.decorators:
            listed = " and ".join(f"`@{name}`" for name in function.decorators[:3])
            question = _ask(_DECORATORS, f=asked)
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
        yield Answered(_ask(_DOES, f=asked), (function.documented,), summary, first.strip("\"' "), "does")
    elif len(function.passage.text) >= 150:
        line = next((line.strip() for line in function.passage.text.split("\n") if "def " in line), "")
        if line:
            yield Answered(_ask(_DOES, f=asked), (function.passage,), summary, line, "does")


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
            question = _ask(_BASES, c=class_.name)
            yield Answered(
                question, (class_.passage,), f"`{class_.name}` inherits from {listed}.", class_.line, "bases"
            )
        for base in _bases(class_, unique):
            for name in class_.methods.keys() & base.methods.keys() - {"__init__"}:
                own, other = class_.methods[name], base.methods[name]
                line = next(line.strip() for line in other.passage.text.split("\n") if "def " in line)
                answer = f"`{own.qualified}` overrides `{other.qualified}`, defined in `{other.path}`."
                yield Answered(
                    _ask(_OVERRIDES, q=own.qualified), (class_.passage, other.passage), answer, line, "overrides"
                )


def _bases(class_: ClassFacts, unique: dict[str, ClassFacts]) -> list[ClassFacts]:
    found = [unique[base] for base in class_.bases if base in unique]
    return [
        base for base in found if base is not class_ and resolves(base.name, class_.imports, class_.path, base.path)
    ]


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
            yield Answered(_ask(_CALLER, f=spoken(unique[name])), (caller.passage,), answer, line, "caller")


_PARENT_DEFAULT = (
    "What is the default `{p}` of the class that `{c}` inherits from?",
    "Which value does {p} take by default in the base class of {c}?",
    "{c} extends another class: what does that class's constructor use for {p} by default?",
    "What does {p} default to in the parent of {c}?",
)
_PARENT_RAISES = (
    "When does `{n}`, which `{c}` inherits, raise {e}?",
    "{c} inherits {n}: under which condition does it raise {e}?",
    "Why would calling {n} on a {c} raise {e}?",
)
_PARENT_RETURNS = (
    "What does `{n}`, which `{c}` inherits, return?",
    "{c} does not define {n} itself: what does calling it return?",
)


def _inherited(facts: PackageFacts) -> Iterator[Answered]:
    unique = facts.unique_classes()
    for class_ in facts.classes:
        for base in _bases(class_, unique)[:1]:
            link = f"`{class_.name}` inherits from `{base.name}`"
            constructor = base.methods.get("__init__")
            for parameter, value, evidence in constructor.defaults[:2] if constructor else ():
                assert constructor is not None
                question = _ask(_PARENT_DEFAULT, p=parameter, c=class_.name)
                answer = f"{link}, whose `{parameter}` defaults to `{value}`."
                yield Answered(question, (class_.passage, constructor.passage), answer, evidence, "inherits+default")
            for name in sorted(base.methods.keys() - class_.methods.keys()):
                method = base.methods[name]
                if name.startswith("__"):
                    continue
                for error, condition, evidence in method.raises[:1]:
                    question = _ask(_PARENT_RAISES, n=name, c=class_.name, e=error)
                    answer = f"{link}; `{method.qualified}` raises `{error}` if `{condition}`."
                    yield Answered(question, (class_.passage, method.passage), answer, evidence, "inherits+raises")
                if method.returned:
                    value, evidence = method.returned
                    answer = f"{link}; `{method.qualified}` returns `{value}`."
                    question = _ask(_PARENT_RETURNS, n=name, c=class_.name)
                    yield Answered(question, (class_.passage, method.passage), answer, evidence, "inherits+returns")


_CALLED_DEFAULT = (
    "{f} calls a function to {w}: what does its `{p}` default to?",
    "What is the default {p} of the {w} step that {f} runs?",
    "In the function that {f} uses to {w}, which default does {p} have?",
)
_CALLED_RAISES = (
    "When does what {f} calls to {w} raise {e}?",
    "{f} can fail with {e} in its {w} step: under which condition?",
    "Calling {f} ends in {e}, raised where it does {w}. What is the condition?",
)
_CALLED_RETURNS = (
    "What does the function that {f} calls to {w} return?",
    "{f} calls something to {w}: which constant does that return?",
)


def _called(facts: PackageFacts) -> Iterator[Answered]:
    unique = facts.unique_functions()
    for caller in facts.functions:
        for name in dict.fromkeys(name for name, _ in caller.calls):
            target = unique.get(name)
            if (
                target is None
                or target is caller
                or not (target.owner or resolves(name, caller.imports, caller.path, target.path))
            ):
                continue
            if target.path == caller.path and target.owner == caller.owner != "":
                continue
            names = {"f": spoken(caller), "w": " ".join(split_name(name))}
            link, gold = f"`{caller.qualified}` calls `{target.qualified}`", (caller.passage, target.passage)
            for parameter, value, evidence in target.defaults[:1]:
                question = _ask(_CALLED_DEFAULT, p=parameter, **names)
                yield Answered(
                    question, gold, f"{link}, where `{parameter}` defaults to `{value}`.", evidence, "calls+default"
                )
            for error, condition, evidence in target.raises[:1]:
                question = _ask(_CALLED_RAISES, e=error, **names)
                yield Answered(
                    question, gold, f"{link}, which raises `{error}` if `{condition}`.", evidence, "calls+raises"
                )
            if target.returned:
                value, evidence = target.returned
                yield Answered(
                    _ask(_CALLED_RETURNS, **names), gold, f"{link}, which returns `{value}`.", evidence, "calls+returns"
                )


_CREATED = (
    "What is the default `{p}` of the class that {f} creates?",
    "{f} builds a {w}: which {p} does it get if none is passed?",
    "Which default does {p} have in the {w} that {f} uses?",
    "What does {p} default to in the class instantiated by {f}?",
)


def _created(facts: PackageFacts) -> Iterator[Answered]:
    unique = facts.unique_classes()
    for function in facts.functions:
        for name, line in dict(function.calls).items():
            class_ = unique.get(name)
            constructor = class_.methods.get("__init__") if class_ else None
            if (
                class_ is None
                or constructor is None
                or not resolves(name, function.imports, function.path, class_.path)
            ):
                continue
            for parameter, value, evidence in constructor.defaults[:2]:
                if f"{parameter}=" in line.split(f"{name}(", 1)[-1]:
                    continue
                question = _ask(_CREATED, p=parameter, f=spoken(function), w=" ".join(split_name(name)))
                answer = f"`{function.qualified}` creates `{name}`, whose `{parameter}` defaults to `{value}`."
                yield Answered(question, (function.passage, constructor.passage), answer, evidence, "creates+default")


_EXPORT_BASES = (
    "`{n}` can be imported from {m}: what does it inherit from?",
    "Which base class has the {n} that {m} exports?",
)
_EXPORT_DEFAULT = (
    "What is the default `{p}` of the `{n}` that {m} exports?",
    "{m} exports {n}: what does its {p} default to?",
)


def _reexported(facts: PackageFacts) -> Iterator[Answered]:
    classes, functions = facts.unique_classes(), facts.unique_functions()
    for name, module, passage, _ in facts.reexports:
        importer = passage.header.strip().removesuffix("/__init__.py").rsplit("/", 1)[-1]
        link = f"`{importer}` takes `{name}` from `{module}`"
        class_ = classes.get(name)
        found = class_ or functions.get(name)
        if found is None or not resolves(name, {name: f".{module}"}, passage.header.strip(), found.path):
            continue
        if class_ is not None and class_.bases and class_.bases != ["object"]:
            answer = f"{link}; it inherits from `{class_.bases[0]}`."
            yield Answered(
                _ask(_EXPORT_BASES, n=name, m=importer),
                (passage, class_.passage),
                answer,
                class_.line,
                "reexport+bases",
            )
        function = class_.methods.get("__init__") if class_ else functions.get(name)
        for parameter, value, evidence in function.defaults[:1] if function else ():
            assert function is not None
            question = _ask(_EXPORT_DEFAULT, p=parameter, n=name, m=importer)
            answer = f"{link}; its `{parameter}` defaults to `{value}`."
            yield Answered(question, (passage, function.passage), answer, evidence, "reexport+default")


_CONSTANT = (
    "What is the value of `{n}`?",
    "What is {n} set to?",
    "Which value has the constant {n}?",
    "How large or what is {w}?",
)
_USED = (
    "What is the value of the constant `{n}` that {f} uses?",
    "{f} reads a constant for {w}: what is its value?",
    "Which value does {f} use for {w}?",
)


def _constants(facts: PackageFacts) -> Iterator[Answered]:
    groups: dict[str, int] = defaultdict(int)
    for constant in facts.constants:
        groups[constant.name] += 1
    unique = {constant.name: constant for constant in facts.constants if groups[constant.name] == 1}
    for name, constant in unique.items():
        question = _ask(_CONSTANT, n=name, w=" ".join(split_name(name)))
        answer = f"`{name}` is `{constant.value}`, set in `{constant.path}`."
        yield Answered(question, (constant.passage,), answer, constant.evidence, "constant")
    for function in facts.functions:
        for name in sorted(function.names & unique.keys()):
            constant = unique[name]
            if constant.path != function.path and resolves(name, function.imports, function.path, constant.path):
                question = _ask(_USED, n=name, f=spoken(function), w=" ".join(split_name(name)))
                answer = f"`{function.qualified}` uses `{name}`, which is `{constant.value}`."
                yield Answered(
                    question, (function.passage, constant.passage), answer, constant.evidence, "uses+constant"
                )
