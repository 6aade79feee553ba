"""Questions whose answer takes two documents: one leads to the other, which holds the fact."""

import re
from collections.abc import Callable, Iterator

from .answer_forms import CONSTRUCTORS, Answered, ask, bases_of, constructor_of, failing, listed, spoken
from .definition import split_name
from .python_facts import FunctionFacts, PackageFacts

_PRIVATE = re.compile(r"\A(?:\s*[@#][^\n]*\n)*[^\n]*\bprivate\b")


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
                question = ask("parent default", p=parameter, c=class_.name, w=" ".join(split_name(parameter)))
                answer = f"{link}, whose `{parameter}` defaults to `{value}`."
                yield Answered(question, (class_.passage, constructor.passage), answer, evidence, "inherits+default")
            for name in sorted(base.methods.keys() - class_.methods.keys() - class_.own - CONSTRUCTORS):
                method = base.methods[name]
                if name.startswith("__") or name == base.name or _PRIVATE.search(method.passage.text):
                    continue
                gold, q = (class_.passage, method.passage), method.qualified
                for error, condition, evidence in method.raises[:1]:
                    question = ask("parent raises", n=name, c=class_.name, e=error)
                    answer = f"{link}; `{q}` {does} `{error}` if `{condition}`."
                    yield Answered(question, gold, answer, evidence, "inherits+raises")
                if len(method.errors) == 1:
                    error, evidence = method.errors[0]
                    question = ask("parent error", n=name, c=class_.name, v=verb)
                    yield Answered(question, gold, f"{link}; `{q}` {does} `{error}`.", evidence, "inherits+raises")
                if method.returned:
                    value, evidence = method.returned
                    answer = f"{link}; `{q}` returns `{value}`."
                    question = ask("parent returns", n=name, c=class_.name)
                    yield Answered(question, gold, answer, evidence, "inherits+returns")


def _called(facts: PackageFacts) -> Iterator[Answered]:
    unique = facts.unique_functions()
    does, verb = failing(facts.language)
    for caller in facts.functions:
        targets = {name: target for name, (target, _) in facts.links(caller, unique).items()}
        failing_ones = [target for target in targets.values() if target.errors]
        if len(failing_ones) == 1 and not caller.errors and len(failing_ones[0].errors) == 1:
            target, (error, evidence) = failing_ones[0], failing_ones[0].errors[0]
            answer = f"`{caller.qualified}` calls `{target.qualified}`, which {does} `{error}`."
            question, gold = ask("called error", f=spoken(caller), v=verb), (caller.passage, target.passage)
            yield Answered(question, gold, answer, evidence, "calls+raises")
        for name, target in targets.items():
            if target.path != caller.path or target.owner != caller.owner or not caller.owner:
                yield from _of_called(caller, name, target, does, verb)


def _of_called(caller: FunctionFacts, name: str, target: FunctionFacts, does: str, verb: str) -> Iterator[Answered]:
    names = {"f": spoken(caller), "w": " ".join(split_name(name))}
    link, gold = f"`{caller.qualified}` calls `{target.qualified}`", (caller.passage, target.passage)
    for parameter, value, evidence in target.defaults[:1]:
        question = ask("called default", p=parameter, **names)
        yield Answered(question, gold, f"{link}, where `{parameter}` defaults to `{value}`.", evidence, "calls+default")
    for error, condition, evidence in target.raises[:1]:
        question = ask("called raises", e=error, v=verb, **names)
        yield Answered(question, gold, f"{link}, which {does} `{error}` if `{condition}`.", evidence, "calls+raises")
    if target.returned:
        value, evidence = target.returned
        question = ask("called returns", **names)
        yield Answered(question, gold, f"{link}, which returns `{value}`.", evidence, "calls+returns")


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
                question = ask("created", p=parameter, f=spoken(function), w=" ".join(split_name(name)))
                answer = f"`{function.qualified}` creates `{name}`, whose `{parameter}` defaults to `{value}`."
                yield Answered(question, (function.passage, constructor.passage), answer, evidence, "creates+default")


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
            yield Answered(ask("export bases", n=name, m=importer), gold, answer, class_.line, "reexport+bases")
        function = constructor_of(class_) if class_ else functions.get(name)
        for parameter, value, evidence in function.defaults[:1] if function else ():
            assert function is not None
            question = ask("export default", p=parameter, n=name, m=importer)
            answer = f"{link}; its `{parameter}` defaults to `{value}`."
            yield Answered(question, (passage, function.passage), answer, evidence, "reexport+default")


def _used(facts: PackageFacts) -> Iterator[Answered]:
    unique = facts.unique_constants()
    for function in facts.functions:
        for name in sorted(function.names & unique.keys()):
            constant = unique[name]
            if constant.path != function.path and facts.resolves(name, function.imports, function.path, constant.path):
                question = ask("used", n=name, f=spoken(function), w=" ".join(split_name(name)))
                answer = f"`{function.qualified}` uses `{name}`, which is `{constant.value}`."
                gold = (function.passage, constant.passage)
                yield Answered(question, gold, answer, constant.evidence, "uses+constant")


HOPS: tuple[Callable[[PackageFacts], Iterator[Answered]], ...] = (_inherited, _called, _created, _reexported, _used)
