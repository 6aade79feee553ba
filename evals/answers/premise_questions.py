"""Premises: questions about code that is there, which ask for something that it does not have.

Each has the words of a fact: the default of a parameter that a function does not take, or that must be given; the
error of what fails nowhere; the parent of a class that has none. Nothing answers them, and that is to be said.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from codemem.evals.answers.fact_questions import SMALLEST_NAME
from codemem.evals.answers.facts import Class, Facts, Function
from codemem.evals.answers.phrasing import asked, order
from codemem.evals.answers.questions import Code, Question

OF_A_KIND = 3
"""Of a kind from one package."""
_TOLD = re.compile(r"[A-Za-z_$][\w$]*")
_OPEN = re.compile(
    r"\*\*|\.\.\.|\b(?:kw\w*|opt\w*|args|arguments|conf\w*|settings|params|props|attrs)\b", re.IGNORECASE
)
"""How a function takes what it does not name."""
_FAILS = re.compile(
    r"\b(?:raise|throw|panic!?|assert\w*!?|abort|reject|unreachable!|unwrap|expect|exit|fail)\b|\bErr\b|\bErr[A-Z]|\berror\b|errors\.|Errorf"
    r"|\?[;).]"
)
"""How code fails in the languages of the packages, statements and calls alike."""
_MISSING = (
    r"(?<![\w$.]){p}\s*(?:\?|\|\||&&|or\b|is\b|[=!]==?|=(?!>)|:\s*(?:\w+::)*Option)"
    r"|(?:typeof|!|\bnot|\bif|\bunless|\*|&)\s*\(?{p}(?![\w$])|(?<![\w$.]){p}\.(?:is_none|nil|unwrap)"
)
"""How code says that a parameter may be missing."""
_BASELESS = {
    "python": r"class\s+{c}\s*(?:\(\s*\))?\s*:",
    "javascript": r"class\s+{c}\s*\{{",
    "typescript": r"class\s+{c}\s*\{{",
    "ruby": r"class\s+{c}\s*$",
}
"""How a class is declared that has no parent."""
_JOINED_LATER = re.compile(
    r"\binherits?\b|__proto__|\.prototype\b|\binclude\b|\bextend\b|\bprepend\b|\bmixin\b|setPrototypeOf"
)
_DECORATED = {"python": "@", "typescript": "@"}
_ABOVE = 6
"""Lines in which a decorator would stand."""


def premises_of(code: Code, facts: Facts, files: Mapping[str, str]) -> Iterator[Question]:
    """Every question of these kinds about a package. `files`: path -> text."""
    words = Counter(word for text in files.values() for word in _TOLD.findall(text))
    failing = {
        function.name for function in facts.functions if function.raises or _FAILS.search(_text(function, files))
    }
    failing |= {found.name for found in facts.classes}
    elsewhere = sorted({name for function in facts.functions for name in function.defaults if len(name) > 3})
    for function in facts.told_apart():
        if len(function.name) < SMALLEST_NAME or function.name.startswith("__"):
            continue
        lines = files[function.path].split("\n")
        yield from _of_parameters(code, function, _text(function, files), elsewhere)
        if not failing.intersection((function.name, *(call.text for call in function.calls))):
            yield _question(code, "raises", function)
        above = "\n".join(lines[max(0, function.start_line - 1 - _ABOVE) : function.start_line])
        sign = _DECORATED.get(code.language)
        if sign and not function.decorators and sign not in above:
            yield _question(code, "decorators", function)
    for name, function in facts.unique_functions().items():
        if words[name] == 1 and len(name) >= SMALLEST_NAME and not name.startswith("__"):
            yield _question(code, "caller", function)
    for name, found in facts.unique_classes().items():
        if _has_no_parent(code.language, found, files[found.path]):
            yield _question(code, "bases", name, c=name)


def chosen_premises(questions: Iterable[Question]) -> list[Question]:
    """Of each kind the first few, in an order by chance."""
    taken: Counter[str] = Counter()
    found = []
    for question in sorted(questions, key=lambda each: order(each.package, each.text())):
        taken[question.kind] += 1
        if taken[question.kind] <= OF_A_KIND:
            found.append(question)
    return sorted(found, key=lambda each: each.kind)


def _text(function: Function, files: Mapping[str, str]) -> str:
    return "\n".join(files[function.path].split("\n")[function.start_line - 1 : function.end_line])


def _of_parameters(code: Code, function: Function, text: str, elsewhere: Sequence[str]) -> Iterator[Question]:
    head = " ".join(function.parameters)
    stated = set(_TOLD.findall(text))
    others = [name for name in elsewhere if name not in stated]
    if others and not _OPEN.search(head) and not _OPEN.search(text.split("\n", 1)[0]):
        parameter = min(others, key=lambda name: order(function.qualified, name))
        yield _question(code, "default", function, "parameter", p=parameter)
    for parameter in function.parameters:
        known = len(parameter) > 3 and parameter not in ("self", "this")
        if known and parameter not in function.optional and not _may_be_left_out(parameter, text):
            yield _question(code, "default", function, "needed", p=parameter)
            return


def _may_be_left_out(parameter: str, text: str) -> bool:
    """Whether what stands in a function says that a parameter may be missing, as far as any language may say so."""
    return re.search(_MISSING.format(p=re.escape(parameter)), text) is not None


def _has_no_parent(language: str, found: Class, text: str) -> bool:
    form = _BASELESS.get(language)
    if form is None or found.bases or found.implements or _JOINED_LATER.search(text):
        return False
    return re.search(form.format(c=re.escape(found.name)), text, re.MULTILINE) is not None


def _question(code: Code, kind: str, subject: Function | str, premise: str = "", **names: str) -> Question:
    function = subject if isinstance(subject, Function) else None
    seed = f"premise {code.package} {function.qualified if function else subject} {sorted(names.items())}"
    told = asked(kind, seed, function, **names)
    return Question("", code.package, code.language, f"{premise or 'no'}+{kind}", told)
