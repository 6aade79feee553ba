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
)
_RAISES = (
    "When does {f} {v} {e}?",
    "Under which condition does {f} {v} `{e}`?",
    "Why would I get {e} from {f}?",
    "What makes {f} fail with {e}?",
    "In which case is `{e}` raised by {f}?",
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
)
_RETURNS = (
    "What does {f} return?",
    "Which constant does {f} return?",
    "What is the return value of {f}?",
    "What do I get back from {f}?",
)
_DOES = ("What does {f} do?", "What is {f} for?", "Explain {f} in one sentence.", "What is the purpose of {f}?")
_DECORATORS = (
    "Which decorator is on {f}?",
    "How is {f} decorated?",
    "Which decorators does {f} have?",
    "What decorates {f}?",
    "Which @ line comes before {f}?",
    "Is {f} decorated, and by what?",
    "decorator of {f}",
    "Which annotation or decorator does {f} carry?",
)


def of_functions(facts: PackageFacts) -> Iterator[Answered]:
    """Defaults, errors, constants returned, decorators and purpose of every function."""
    does, verb = failing(facts.language)
    for function in facts.functions:
        if function.name.startswith("__") and function.name not in ("__init__", "__call__", "__enter__", "__getitem__"):
            continue
        asked, gold, q, n = spoken(function), (function.passage,), function.qualified, function.name
        for parameter, value, evidence in function.defaults[:3]:
            question = ask(_DEFAULT, p=parameter, f=asked)
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
    ),
    "embeds": (
        "What does `{c}` embed?",
        "Which type is embedded in {c}?",
        "Where does {c} get promoted methods and fields from?",
        "What is the base of {c}?",
        "{c} embeds which other type?",
        "Which type does {c} extend by embedding?",
    ),
    "requires": (
        "Which trait must a type have to implement {c}?",
        "What is the supertrait of `{c}`?",
        "Which trait is {c} bound to?",
        "{c} extends which trait?",
    ),
}
_INTERFACES = (
    "Which interface does {c} implement?",
    "What does `{c}` implement?",
    "{c} fulfils which interfaces?",
    "Which contract does the class {c} declare?",
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
)


def of_constants(facts: PackageFacts) -> Iterator[Answered]:
    """Values of constants."""
    for name, constant in facts.unique_constants().items():
        question = ask(_CONSTANT, n=name, w=" ".join(split_name(name)))
        answer = f"`{name}` is `{constant.value}`, set in `{constant.path}`."
        yield Answered(question, (constant.passage,), answer, constant.evidence, "constant")
