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
    "Making a {c} without {p} falls to its superclass: what is used there?",
    "`{c}` leaves {p} to the class above it. What is the default?",
    "What default for {p} does {c} take over from its base?",
    "I create a {c} and do not pass {p}. What does its base class assume?",
    "Which {w} does a {c} have, going by its parent's constructor?",
    "default of {p} in the superclass of {c}",
)
_PARENT_RAISES = (
    "When does `{n}`, which `{c}` inherits, raise {e}?",
    "{c} inherits {n}: under which condition does it raise {e}?",
    "Why would calling {n} on a {c} raise {e}?",
    "What leads to {e} in {n} of {c}, which its base defines?",
    "{c}.{n} raised {e} though {c} does not define it: why?",
    "In what case does the base's {n} end in {e} for a {c}?",
    "I called {n} of {c} and got {e}. The code is in the parent: what is wrong?",
)
_PARENT_ERROR = (
    "Which error does the inherited `{n}` of {c} {v}?",
    "{c} gets {n} from its base: what does it {v}?",
    "What error do I get from {n} on a {c}, whose code is in the base?",
    "`{n}` of {c} is inherited: what does it fail with?",
    "How does {n} fail on a {c}, as the base class has it?",
    "What does {c}.{n} {v}, looking in the class that defines it?",
    "{c} does not define {n}. What error comes from the one it inherits?",
    "Which error has the parent's {n} for a {c}?",
)
_PARENT_RETURNS = (
    "What does `{n}`, which `{c}` inherits, return?",
    "{n} of {c} is written in its base: what does a call return?",
    "What is the result of {n} on a {c}, which takes it from its base?",
    "{n} of {c} stands in a parent class: what does it give back?",
    "Which value does {c}.{n} have, being inherited?",
    "I call {n} on a {c}: what do I get from the parent's code?",
    "What does the base class of `{c}` return from `{n}`?",
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
                question = ask(_PARENT_DEFAULT, p=parameter, c=class_.name, w=" ".join(split_name(parameter)))
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
    "When {f} runs, {w} happens elsewhere: what is {p} by default there?",
    "What {p} is assumed where {f} hands over to {w}?",
    "{f} leads to {w}. Which {p} is used there unless given?",
    "Follow {f} to what it calls to {w}: how is {p} preset?",
    "By default, what is `{p}` in the function behind the {w} of {f}?",
)
_CALLED_RAISES = (
    "When does what {f} calls to {w} {v} {e}?",
    "{f} can fail with {e} in its {w} step: under which condition?",
    "Calling {f} ends in {e}, raised where it does {w}. What is the condition?",
    "What makes the {w} that {f} relies on {v} {e}?",
    "{f} stops with {e} from further down ({w}): when does that happen?",
    "In which case does {w}, called from {f}, end in {e}?",
    "Why would {f} pass on {e} when it gets to {w}?",
    "What must hold so that {f} does not get {e} from {w}?",
)
_CALLED_ERROR = (
    "Which error does the function called by {f} {v}?",
    "{f} can fail because of what it calls. Which error is it?",
    "What error does {f} let through from what it calls?",
    "{f} calls something that can fail. What does that {v}?",
    "An error can get through {f} from the next function down. Which?",
    "What do I have to catch around {f} because of what it relies on?",
    "One call inside {f} may fail: with which error?",
    "Which error comes up through {f} from below?",
    "{f} itself is fine, but its helper may {v} what?",
    "Which failure of a callee shows in {f}?",
)
_CALLED_RETURNS = (
    "What does the function that {f} calls to {w} return?",
    "{f} calls something to {w}: which constant does that return?",
    "What does {f} get back when it calls for {w}?",
    "In {f}, what is the result of the {w} step?",
    "Which value comes back to {f} from {w}?",
    "{f} hands over to {w}: what is returned there?",
    "What constant reaches {f} from the function that does {w}?",
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
    "{f} makes an object without giving {p}: what does the class use?",
    "How is {p} of the {w} preset that {f} makes?",
    "Which {p} has the object made in {f}, by its class's default?",
    "Look at the class {f} constructs: default of {p}?",
    "{f} constructs a {w} and says nothing of {p}. What is it then?",
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
    "I import {n} from {m}. Which class is its parent?",
    "{n} is offered by {m}; in its own file, what does it derive from?",
    "What does the {n} behind {m} inherit?",
    "Which class does {n} extend, the one that {m} hands on?",
)
_EXPORT_DEFAULT = (
    "What is the default `{p}` of the `{n}` that {m} exports?",
    "{m} exports {n}: what does its {p} default to?",
    "{n} comes by way of {m}: which {p} does it use by default?",
    "I take {n} from {m} and leave {p} out. What is assumed?",
    "Where {n} of {m} is defined, how is {p} preset?",
    "default of {p} in the {n} that {m} passes on",
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
    "What is {n}, which {f} relies on, set to?",
    "{f} depends on {n}: what number or text is that?",
    "In {f} there is {n}. What does it hold where it is defined?",
    "How large or what is the {w} used in {f}?",
    "Look up the constant behind {w} in {f}.",
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
