"""Questions whose answer takes two documents: one leads to the other, which holds the fact."""

import re
from collections.abc import Callable, Iterator

from .answer_forms import CONSTRUCTORS, Answered, ask, bases_of, constructor_of, failing, listed, spoken
from .definition import split_name
from .python_facts import FunctionFacts, PackageFacts

_PRIVATE = re.compile(r"\A(?:\s*[@#][^\n]*\n)*[^\n]*\bprivate\b")
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
_PARENT_ERROR = (
    "Which error does the inherited `{n}` of {c} {v}?",
    "{c} gets {n} from its base: what does it {v}?",
    "What error do I get from {n} on a {c}, whose code is in the base?",
    "`{n}` of {c} is inherited: what does it fail with?",
)
_PARENT_RETURNS = (
    "What does `{n}`, which `{c}` inherits, return?",
    "{n} of {c} is written in its base: what does a call return?",
)


def _inherited(facts: PackageFacts) -> Iterator[Answered]:
    unique = facts.unique_classes()
    does, verb = failing(facts.language)
    for class_ in unique.values():
        # Of several bases the first one's methods come first.
        for base in (base for base in bases_of(class_, facts, unique)[:1] if base.name == class_.bases[0]):
            link = f"`{class_.name}` {class_.relation} `{base.name}`"
            constructor = constructor_of(base)
            for parameter, value, evidence in constructor.defaults[:2] if constructor else ():
                assert constructor is not None
                question = ask(_PARENT_DEFAULT, p=parameter, c=class_.name)
                answer = f"{link}, whose `{parameter}` defaults to `{value}`."
                yield Answered(question, (class_.passage, constructor.passage), answer, evidence, "inherits+default")
            for name in sorted(base.methods.keys() - class_.methods.keys() - class_.own - CONSTRUCTORS):
                method = base.methods[name]
                if name.startswith("__") or name == base.name or _PRIVATE.search(method.passage.text):
                    continue
                gold, q = (class_.passage, method.passage), method.qualified
                for error, condition, evidence in method.raises[:1]:
                    question = ask(_PARENT_RAISES, n=name, c=class_.name, e=error)
                    answer = f"{link}; `{q}` {does} `{error}` if `{condition}`."
                    yield Answered(question, gold, answer, evidence, "inherits+raises")
                if len(method.errors) == 1:
                    error, evidence = method.errors[0]
                    question = ask(_PARENT_ERROR, n=name, c=class_.name, v=verb)
                    yield Answered(question, gold, f"{link}; `{q}` {does} `{error}`.", evidence, "inherits+raises")
                if method.returned:
                    value, evidence = method.returned
                    answer = f"{link}; `{q}` returns `{value}`."
                    question = ask(_PARENT_RETURNS, n=name, c=class_.name)
                    yield Answered(question, gold, answer, evidence, "inherits+returns")


_CALLED_DEFAULT = (
    "{f} calls a function to {w}: what does its `{p}` default to?",
    "What is the default {p} of the {w} step that {f} runs?",
    "In the function that {f} uses to {w}, which default does {p} have?",
)
_CALLED_RAISES = (
    "When does what {f} calls to {w} {v} {e}?",
    "{f} can fail with {e} in its {w} step: under which condition?",
    "Calling {f} ends in {e}, raised where it does {w}. What is the condition?",
)
_CALLED_ERROR = (
    "Which error does the function called by {f} {v}?",
    "{f} can fail because of what it calls. Which error is it?",
    "What error does {f} let through from what it calls?",
    "{f} calls something that can fail. What does that {v}?",
    "An error can get through {f} from the next function down. Which?",
)
_CALLED_RETURNS = (
    "What does the function that {f} calls to {w} return?",
    "{f} calls something to {w}: which constant does that return?",
)


def _called(facts: PackageFacts) -> Iterator[Answered]:
    unique = facts.unique_functions()
    does, verb = failing(facts.language)
    for caller in facts.functions:
        targets = {name: target for name, (target, _) in facts.links(caller, unique).items()}
        failing_ones = [target for target in targets.values() if target.errors]
        if len(failing_ones) == 1 and not caller.errors and len(failing_ones[0].errors) == 1:
            target, (error, evidence) = failing_ones[0], failing_ones[0].errors[0]
            answer = f"`{caller.qualified}` calls `{target.qualified}`, which {does} `{error}`."
            question, gold = ask(_CALLED_ERROR, f=spoken(caller), v=verb), (caller.passage, target.passage)
            yield Answered(question, gold, answer, evidence, "calls+raises")
        for name, target in targets.items():
            if target.path != caller.path or target.owner != caller.owner or not caller.owner:
                yield from _of_called(caller, name, target, does, verb)


def _of_called(caller: FunctionFacts, name: str, target: FunctionFacts, does: str, verb: str) -> Iterator[Answered]:
    names = {"f": spoken(caller), "w": " ".join(split_name(name))}
    link, gold = f"`{caller.qualified}` calls `{target.qualified}`", (caller.passage, target.passage)
    for parameter, value, evidence in target.defaults[:1]:
        question = ask(_CALLED_DEFAULT, p=parameter, **names)
        yield Answered(question, gold, f"{link}, where `{parameter}` defaults to `{value}`.", evidence, "calls+default")
    for error, condition, evidence in target.raises[:1]:
        question = ask(_CALLED_RAISES, e=error, v=verb, **names)
        yield Answered(question, gold, f"{link}, which {does} `{error}` if `{condition}`.", evidence, "calls+raises")
    if target.returned:
        value, evidence = target.returned
        question = ask(_CALLED_RETURNS, **names)
        yield Answered(question, gold, f"{link}, which returns `{value}`.", evidence, "calls+returns")


_CREATED = (
    "What is the default `{p}` of the class that {f} creates?",
    "{f} builds a {w}: which {p} does it get if none is passed?",
    "Which default does {p} have in the {w} that {f} uses?",
    "What does {p} default to in the class instantiated by {f}?",
)


def _created(facts: PackageFacts) -> Iterator[Answered]:
    """Where arguments are passed by name, so that it is seen that one is left out."""
    unique = facts.unique_classes() if facts.language == "python" else {}
    for function in facts.functions:
        for name, line in dict(function.calls).items():
            class_ = unique.get(name)
            constructor = constructor_of(class_) if class_ else None
            if class_ is None or constructor is None:
                continue
            if not facts.resolves(name, function.imports, function.path, class_.path):
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
    "What is the superclass of the `{n}` exported by `{m}`?",
    "`{m}` only passes {n} along: which type does it extend where it is defined?",
)
_EXPORT_DEFAULT = (
    "What is the default `{p}` of the `{n}` that {m} exports?",
    "{m} exports {n}: what does its {p} default to?",
)


_BARE_FILES = frozenset(("index.js", "index.ts", "index.mjs", "mod.rs", "lib.rs"))
"""Names of files that say nothing without their folder."""


def _reexported(facts: PackageFacts) -> Iterator[Answered]:
    classes, functions = facts.unique_classes(), facts.unique_functions()
    for name, module, passage, _ in facts.reexports:
        path = passage.header.strip()
        file = path.removesuffix("/__init__.py").rpartition("/")[2]
        importer = path if file in _BARE_FILES else file
        link = f"`{importer}` takes `{name}` from `{module}`"
        class_ = classes.get(name)
        found = class_ or functions.get(name)
        handed = f".{module}" if facts.language == "python" else module
        if found is None or not facts.resolves(name, {name: handed}, path, found.path):
            continue
        if class_ is not None and class_.bases and class_.bases != ["object"]:
            answer = f"{link}; it {class_.relation} {listed(class_.bases)}."
            gold = (passage, class_.passage)
            yield Answered(ask(_EXPORT_BASES, n=name, m=importer), gold, answer, class_.line, "reexport+bases")
        function = constructor_of(class_) if class_ else functions.get(name)
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
            if constant.path != function.path and facts.resolves(name, function.imports, function.path, constant.path):
                question = ask(_USED, n=name, f=spoken(function), w=" ".join(split_name(name)))
                answer = f"`{function.qualified}` uses `{name}`, which is `{constant.value}`."
                gold = (function.passage, constant.passage)
                yield Answered(question, gold, answer, constant.evidence, "uses+constant")


HOPS: tuple[Callable[[PackageFacts], Iterator[Answered]], ...] = (_inherited, _called, _created, _reexported, _used)
