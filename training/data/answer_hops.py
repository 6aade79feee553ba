"""Questions whose answer takes two documents: one leads to the other, which holds the fact."""

from collections.abc import Callable, Iterator

from .answer_forms import Answered, ask, bases_of, spoken
from .definition import split_name
from .python_facts import PackageFacts, resolves

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
        for base in bases_of(class_, unique)[:1]:
            link = f"`{class_.name}` inherits from `{base.name}`"
            constructor = base.methods.get("__init__")
            for parameter, value, evidence in constructor.defaults[:2] if constructor else ():
                assert constructor is not None
                question = ask(_PARENT_DEFAULT, p=parameter, c=class_.name)
                answer = f"{link}, whose `{parameter}` defaults to `{value}`."
                yield Answered(question, (class_.passage, constructor.passage), answer, evidence, "inherits+default")
            for name in sorted(base.methods.keys() - class_.methods.keys()):
                method = base.methods[name]
                if name.startswith("__"):
                    continue
                for error, condition, evidence in method.raises[:1]:
                    question = ask(_PARENT_RAISES, n=name, c=class_.name, e=error)
                    answer = f"{link}; `{method.qualified}` raises `{error}` if `{condition}`."
                    yield Answered(question, (class_.passage, method.passage), answer, evidence, "inherits+raises")
                if method.returned:
                    value, evidence = method.returned
                    answer = f"{link}; `{method.qualified}` returns `{value}`."
                    question = ask(_PARENT_RETURNS, n=name, c=class_.name)
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
                question = ask(_CALLED_DEFAULT, p=parameter, **names)
                yield Answered(
                    question, gold, f"{link}, where `{parameter}` defaults to `{value}`.", evidence, "calls+default"
                )
            for error, condition, evidence in target.raises[:1]:
                question = ask(_CALLED_RAISES, e=error, **names)
                yield Answered(
                    question, gold, f"{link}, which raises `{error}` if `{condition}`.", evidence, "calls+raises"
                )
            if target.returned:
                value, evidence = target.returned
                yield Answered(
                    ask(_CALLED_RETURNS, **names), gold, f"{link}, which returns `{value}`.", evidence, "calls+returns"
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
                question = ask(_CREATED, p=parameter, f=spoken(function), w=" ".join(split_name(name)))
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
                ask(_EXPORT_BASES, n=name, m=importer),
                (passage, class_.passage),
                answer,
                class_.line,
                "reexport+bases",
            )
        function = class_.methods.get("__init__") if class_ else functions.get(name)
        for parameter, value, evidence in function.defaults[:1] if function else ():
            assert function is not None
            question = ask(_EXPORT_DEFAULT, p=parameter, n=name, m=importer)
            answer = f"{link}; its `{parameter}` defaults to `{value}`."
            yield Answered(question, (passage, function.passage), answer, evidence, "reexport+default")


_USED = (
    "What is the value of the constant `{n}` that {f} uses?",
    "{f} reads a constant for {w}: what is its value?",
    "Which value does {f} use for {w}?",
)


def _used(facts: PackageFacts) -> Iterator[Answered]:
    unique = facts.unique_constants()
    for function in facts.functions:
        for name in sorted(function.names & unique.keys()):
            constant = unique[name]
            if constant.path != function.path and resolves(name, function.imports, function.path, constant.path):
                question = ask(_USED, n=name, f=spoken(function), w=" ".join(split_name(name)))
                answer = f"`{function.qualified}` uses `{name}`, which is `{constant.value}`."
                gold = (function.passage, constant.passage)
                yield Answered(question, gold, answer, constant.evidence, "uses+constant")


HOPS: tuple[Callable[[PackageFacts], Iterator[Answered]], ...] = (_inherited, _called, _created, _reexported, _used)
