"""Questions that one document answers: about a function, a class or a constant."""

from collections.abc import Iterator

from .answer_forms import CONSTRUCTORS, Answered, ask, bases_of, failing, listed, pick, spoken
from .definition import split_name
from .python_facts import ClassFacts, FunctionFacts, PackageFacts

_DEFAULT = (
    "What is the default value of `{p}` in {f}?",
    "What does `{p}` default to in {f}?",
    "Which default has the {p} argument of {f}?",
    "If I do not pass {p} to {f}, which value is used?",
    "default of {p} in {f}",
    "What is {p} set to by default in {f}?",
    "How is {p} set in {f} when the caller leaves it out?",
    "Which {w} does {f} use by default?",
    "What {w} does {f} have by default?",
    "{f}: default {p}?",
    "What happens with `{p}` if {f} is called without it?",
    "Does {f} have a default for {p}? Which?",
    "how is {w} of {f} preset",
    "Unless I say otherwise, what {w} does {f} work with?",
    "Do I have to pass {p} to {f}, or what is assumed?",
    "By default, what is the {w} in {f}?",
)
_RAISES = (
    "When does {f} {v} {e}?",
    "Under which condition does {f} {v} `{e}`?",
    "Why would I get {e} from {f}?",
    "What makes {f} fail with {e}?",
    "In which case is `{e}` raised by {f}?",
    "I get {e} from {f}. What have I done wrong?",
    "{f} ended in {e}: what led to that?",
    "What has to be true for {f} to {v} {e}?",
    "How can {f} end in `{e}`?",
    "When is {e} to be expected of {f}?",
    "What check in {f} leads to {e}?",
    "{e} in {f}: why?",
)
_ERROR = (
    "Which error does {f} {v}?",
    "What does {f} {v} on bad input?",
    "Which error class or value does {f} use?",
    "What error do I get from {f}?",
    "{f} can fail: with what?",
    "What must I catch around a call of {f}?",
    "error of {f}",
    "Is there an error that {f} itself can {v}?",
    "What can go wrong in {f}, by which error?",
    "How does {f} say that it failed?",
    "What exception or error is thrown in {f}?",
    "Does {f} {v} something? What?",
    "Which error can {f} end in?",
    "{f} failed. What error would I see?",
    "What kind of failure does {f} report?",
)
_RETURNS = (
    "What does {f} return?",
    "Which constant does {f} return?",
    "What is the return value of {f}?",
    "What do I get back from {f}?",
    "What is the result of {f}?",
    "What does a call of {f} give me?",
    "{f} returns what?",
    "Which value is returned by {f}?",
    "What does {f} evaluate to?",
    "Does {f} return something fixed? What is it?",
    "result of {f}",
)
_DOES = (
    "What does {f} do?",
    "What is {f} for?",
    "Explain {f} in one sentence.",
    "What is the purpose of {f}?",
    "Tell me what {f} does.",
    "What happens in {f}?",
    "When would I use {f}?",
    "How would you describe {f}?",
    "what's {f} about?",
    "Why is there {f}?",
)
_DECORATORS = (
    "Which decorator is on {f}?",
    "How is {f} decorated?",
    "Which decorators does {f} have?",
    "What decorates {f}?",
    "Which @ line comes before {f}?",
    "Is {f} decorated, and by what?",
    "decorator of {f}",
    "Which annotation or decorator does {f} carry?",
    "What decorator was applied to {f}?",
    "{f}: decorated with what?",
    "What modifies {f} from above its definition?",
    "By what decorator or annotation is {f} changed?",
)


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
            question = ask(_RAISES, f=asked, e=error.rsplit(".", 1)[-1], v=verb)
            yield Answered(question, gold, f"`{q}` {does} `{error}` if `{condition}`.", evidence, "raises", subject=n)
        if 0 < len(function.errors) <= 3:
            errors = listed(error for error, _ in function.errors)
            question, evidence = ask(_ERROR, f=asked, v=verb), function.errors[0][1]
            yield Answered(question, gold, f"`{q}` {_plural(does, function)} {errors}.", evidence, "raises", subject=n)
        if function.returned:
            value, evidence = function.returned
            yield Answered(ask(_RETURNS, f=asked), gold, f"`{q}` returns `{value}`.", evidence, "returns", subject=n)
        yield from _decorated(asked, q, function)
        if function.summary:
            yield from _does(function, asked)


_COUNT = (
    "How many {w} does {n} use by default?",
    "How many {w} does {n} make, take or allow by default?",
    "How many {w} are there by default in {f}?",
    "{n} goes on for how many {w}, if I say nothing?",
)
_SWITCH = (
    "Is {w} on by default in {f}?",
    "Does {n} {w} by default?",
    "Does {f} {w} unless told otherwise?",
    "Must I switch {w} on for {f}, or is it the default?",
)
_AMOUNT = (
    "How large is {w} in {f} by default?",
    "What number is {w} in {f}, if it is not given?",
    "How much is the {w} of {f} unless I change it?",
)


def _of_default(parameter: str, value: str, asked: str, function: FunctionFacts) -> str:
    """Half as one asks of any default, half as one asks of a number, a count or a switch."""
    words = " ".join(split_name(parameter))
    templates: tuple[str, ...] = _DEFAULT
    if pick(("any", "own"), parameter, function.path, function.qualified) == "own":
        if value.lower() in ("true", "false"):
            templates = _SWITCH
        elif value.removeprefix("-").replace("_", "").replace(".", "", 1).isdecimal():
            templates = _COUNT if words.endswith("s") else _AMOUNT
    bare = " ".join(split_name(function.name)) if len(function.name) % 3 == 0 else function.name
    return ask(templates, p=parameter, f=asked, w=words, n=bare)


def _plural(does: str, function: FunctionFacts) -> str:
    return does + "s" if does.endswith("error") and len(function.errors) > 1 else does


def _decorated(asked: str, q: str, item: FunctionFacts | ClassFacts) -> Iterator[Answered]:
    if item.decorators:
        names = " and ".join(f"`{name}`" for name, _ in item.decorators[:3])
        question, evidence = ask(_DECORATORS, f=asked), item.decorators[0][1]
        answer = f"`{q}` is decorated with {names}."
        yield Answered(question, (item.passage,), answer, evidence, "decorators", subject=item.name)


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


_BASES = {
    "": (
        "What does `{c}` inherit from?",
        "Which classes does {c} derive from?",
        "What is the base class of {c}?",
        "{c} is a subclass of what?",
        "Which class or type does {c} extend?",
        "superclass of {c}",
        "Which class comes before {c} in its hierarchy?",
        "What sort of class is {c}: what does it extend?",
        "On which class does {c} rest?",
        "Where does {c} inherit its methods from?",
        "Is {c} derived from something? From what?",
    ),
    "embeds": (
        "What does `{c}` embed?",
        "Which type is embedded in {c}?",
        "Where does {c} get promoted methods and fields from?",
        "What is the base of {c}?",
        "{c} embeds which other type?",
        "Which type does {c} extend by embedding?",
        "What other struct or interface is inside {c} without a name?",
        "Whose methods does {c} have because it embeds them?",
    ),
    "requires": (
        "Which trait must a type have to implement {c}?",
        "What is the supertrait of `{c}`?",
        "Which trait is {c} bound to?",
        "{c} extends which trait?",
        "What must be implemented before {c} can be?",
        "Which trait comes with every {c}?",
    ),
}
_INTERFACES = (
    "Which interface does {c} implement?",
    "What does `{c}` implement?",
    "{c} fulfils which interfaces?",
    "Which contract does the class {c} declare?",
    "Which interfaces has {c} promised to implement?",
    "What can {c} be passed as: which interface?",
    "interfaces of {c}",
    "To which interface does {c} conform?",
)
_DERIVES = (
    "Which traits does {c} derive?",
    "What does `{c}` derive?",
    "Which traits are in the #[derive] of {c}?",
    "Which implementations does the compiler write for {c}?",
    "derive list of {c}",
    "Is {c} Debug, Clone or anything else by derive? What does it list?",
    "Which derived traits does {c} have?",
    "What is derived on {c}?",
)
_OVERRIDES = (
    "Which method does `{q}` override?",
    "What does {q} override?",
    "Where is the method that {q} overrides defined?",
    "Which inherited method is replaced by {q}?",
    "{q} has an original in a base class: which, and where?",
    "What did {q} do before it was overridden: where is that method?",
    "From which class is the method that {q} redefines?",
)


def of_classes(facts: PackageFacts) -> Iterator[Answered]:
    """Bases, interfaces, derived traits, decorators and overridden methods of classes that bear their name alone."""
    unique = facts.unique_classes()
    for name, class_ in unique.items():
        gold = (class_.passage,)
        if bases := [base for base in class_.bases if base != "object"]:
            question = ask(_BASES.get(class_.relation, _BASES[""]), c=name)
            yield Answered(question, gold, f"`{name}` {class_.relation} {listed(bases)}.", class_.line, "bases")
        if class_.interfaces and class_.interface_line:
            answer = f"`{name}` implements {listed(class_.interfaces)}."
            yield Answered(ask(_INTERFACES, c=name), gold, answer, class_.interface_line, "implements")
        if class_.derives:
            answer = f"`{name}` derives {listed(trait for trait, _ in class_.derives)}."
            yield Answered(ask(_DERIVES, c=name), gold, answer, class_.derives[0][1], "derives")
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
            yield Answered(ask(_OVERRIDES, q=own.qualified), gold, answer, line, "overrides")


_CONSTANT = (
    "What is the value of `{n}`?",
    "What is {n} set to?",
    "Which value has the constant {n}?",
    "How large or what is {w}?",
    "value of {n}",
    "What number, text or object is {n}?",
    "What does {n} equal?",
    "How much or what is {w} in this project?",
    "What is {w} configured to be?",
    "Where is {n} set, and to what?",
    "Do you know the value behind `{n}`?",
    "What {w} does the project use?",
)


def of_constants(facts: PackageFacts) -> Iterator[Answered]:
    """Values of constants."""
    for name, constant in facts.unique_constants().items():
        question = ask(_CONSTANT, n=name, w=" ".join(split_name(name)))
        answer = f"`{name}` is `{constant.value}`, set in `{constant.path}`."
        yield Answered(question, (constant.passage,), answer, constant.evidence, "constant")
