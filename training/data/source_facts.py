"""Facts of files in other languages than Python, joined with the documents that hold them.

The syntax is read by the evaluation's reader (codemem.evals.answers.syntax), with the grammars of `fact_grammars`. A
fact is kept if the line that states it stands in a document as the memory has it: a definition, or for a constant at
the top level the lines around it.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from codemem.evals.answers.facts import Class, Facts, Function, Stated
from codemem.evals.answers.syntax import read_facts

from .call_answers import SHORTEST_NAME
from .definition import MIN_CHARACTERS, Definition, cut
from .fact_grammars import GRAMMARS
from .fact_links import CallSite, Imports, imports_of, reexported_names, resolver
from .python_facts import ClassFacts, ConstantFact, FunctionFacts, PackageFacts, Passage

SHORTEST_EVIDENCE = 30
MOST_OF_A_CLASS = 8
"""Bases, interfaces or derived traits that an answer lists."""
_RELATIONS = {"go": "embeds", "ruby": "inherits from", "rust": "requires", "cpp": "derives from"}
_NOTHING = frozenset(("null", "nil", "undefined", "NULL", "nullptr"))
_PLAIN_CONSTANTS = frozenset(("javascript", "typescript", "go", "rust", "c", "cpp"))
"""Where a name in capitals is the constant of that name, and not perhaps that of a class or module around it."""
_LAST_IS_VALUE = frozenset(("ruby", "rust"))
_WORD = re.compile(r"(?<![\w$])[A-Za-z_$][\w$]*+[?!]?")
_SET = re.compile(r"(?<![\w.$])([A-Za-z_]\w{3,})[ \t]*(?::[^=\n]{1,40})?=(?![=>~])|#[ \t]*define[ \t]+(\w+)")
"""A name that is set, perhaps with its type between."""
_CALL = re.compile(r"(?<![\w$])([A-Za-z_$][\w$]*+)(?:(?:::)?<[^<>()\n]{0,200}>)?\)?\s{0,20}\(")
"""Words are taken whole: data in a bundled file is one word of a million letters."""
_MEMBER = re.compile(r"^[ \t]*(?:[\w@#$]+[ \t]+){0,5}?([\w$]+)[ \t]*(?:[=:;(<]|$)", re.MULTILINE)
"""What may be a field or method of a class, on a line of its own."""
_TESTS_OF_RUST = re.compile(r"^[ \t]*#\[cfg\((?:all\()?test\b.*?\]\s*\n\s*(?:pub )?mod ", re.MULTILINE)


@dataclass(slots=True)
class _File:
    """One source file with its definitions and where they stand."""

    path: str
    text: str
    lines: list[str]
    spans: list[tuple[int, int, Definition]] = field(default_factory=list)
    """(first line, last line, definition), 1-based."""
    imports: Imports = field(default_factory=dict)

    def line(self, number: int) -> str:
        return self.lines[number - 1].strip() if 0 < number <= len(self.lines) else ""

    def evidence(self, number: int, text: str) -> str:
        """The line, and the one before it where it alone says little (`true`, `throw new Error(`); '' if `text` does
        not hold it."""
        line = self.line(number)
        if 0 < len(line) < SHORTEST_EVIDENCE and number > 1:
            both = f"{self.lines[number - 2].strip()}\n{self.lines[number - 1].rstrip()}"
            line = both if both in text else line
        return line if line in text else ""

    def around(self, line: int, *, name: str = "", kind: str = "") -> Definition | None:
        """The smallest definition that holds a line, of a name and kind if they are given."""
        fitting = [
            (last - first, n, definition)
            for n, (first, last, definition) in enumerate(self.spans)
            if first <= line <= last
            and (not name or definition.name == name)
            and (not kind or (definition.kind == "class") == (kind == "class"))
        ]
        return min(fitting)[2] if fitting else None


def facts_of_files(
    files: Iterable[tuple[str, str]], definitions: Sequence[Definition], language: str, *, taken: Iterable[str] = ()
) -> PackageFacts:
    """What the files (path, text) of one language state, as far as it stands in one of the definitions' documents.

    `taken`: names that stand for something else in the package, too.
    """
    of_path: dict[str, list[Definition]] = defaultdict(list)
    for definition in definitions:
        if definition.kind not in ("window", "text"):
            of_path[definition.path].append(definition)
    read: dict[str, _File] = {}
    for path, whole in files:
        tests = _TESTS_OF_RUST.search(whole) if language == "rust" else None
        text = whole[: tests.start()] if tests else whole  # they call everything, and stand at the end
        read[path] = _File(path, text, text.split("\n"), imports=imports_of(text, language))
        read[path].spans = list(_spans(text, of_path.get(path, [])))
    stated = read_facts(((file.path, file.text) for file in read.values()), language, GRAMMARS[language])
    declared = (name for definition in definitions for name in _declared(definition.code))
    return _Joined(stated, read, language, {*taken, *declared}).facts


def _declared(code: str) -> list[str]:
    """Methods that an interface or a trait only declares: a call of one may be one of any type's."""
    if not re.match(r"(?:[^\n{]|\n\s*#)*\b(?:interface|trait)\b", code):
        return []
    return re.findall(
        r"^[ \t]+(?:(?:async|unsafe|readonly)[ \t]+)*(?:fn[ \t]+)?(\w+)\??(?:<[^()\n]*>)?\(", code, re.MULTILINE
    )


def _spans(text: str, definitions: list[Definition]) -> Iterable[tuple[int, int, Definition]]:
    starts: dict[str, int] = {}
    for definition in definitions:
        place = text.find(definition.code, starts.get(definition.code, 0))
        if place >= 0:
            starts[definition.code] = place + 1
            first = text.count("\n", 0, place) + 1
            yield first, first + definition.code.rstrip("\n").count("\n"), definition


class _Joined:
    """Turns facts into those of training."""

    def __init__(self, stated: Facts, files: dict[str, _File], language: str, taken: set[str]) -> None:
        self.stated, self.files, self.language = stated, files, language
        self.facts = PackageFacts(language=language, resolves=resolver(language), others=taken)
        kept: list[tuple[Function, FunctionFacts]] = []
        inside: Counter[str] = Counter()
        for function in stated.functions:
            definition = files[function.path].around(function.start_line, name=function.name, kind="function")
            if definition is None or len(function.name) < SHORTEST_NAME:
                self.facts.others.add(function.name)
                continue
            inside.update(self._mentions(definition.code))
            kept.append((function, self._function(function, definition)))
        self._links(kept)
        self._classes()
        self._constants()
        self._reexports()
        every: Counter[str] = Counter()
        for file in files.values():
            every.update(self._mentions(file.text))
        self.facts.called_elsewhere = {name for name, count in every.items() if count > inside[name]}

    def _mentions(self, text: str) -> list[str]:
        """What seems to be called; in Ruby, where calls need no brackets, every word."""
        return _WORD.findall(text) if self.language == "ruby" else _CALL.findall(text)

    def _function(self, function: Function, definition: Definition) -> FunctionFacts:
        file, passage = self.files[function.path], Passage(definition.header, definition.text)
        found = FunctionFacts(
            function.name, function.owner, function.path, passage, passage, None, definition.signature,
            line=function.start_line, imports=file.imports,
        )  # fmt: skip
        text = passage.text
        for parameter, value in function.defaults.items():
            evidence = file.evidence(value.line, text)
            if len(parameter) > 1 and value.text in evidence and parameter in evidence and len(value.text) <= 60:
                found.defaults.append((parameter, value.text, evidence))
        for error in function.raises:
            evidence = file.evidence(error.line, text)
            if error.text in evidence and error.text not in dict(found.errors):
                found.errors.append((error.text, evidence))
        returned = function.returned
        last = definition.code.rstrip("\n\t };").rpartition("\n")[2]  # what ends without a return gives nothing there
        ends = self.language in _LAST_IS_VALUE or re.search(r"\breturn\b", last)
        if returned is not None and ends and returned.text not in _NOTHING and len(returned.text) <= 80:
            evidence = file.evidence(returned.line, text)
            found.returned = (returned.text, evidence) if returned.text in evidence else None
        if self.language != "rust":
            marks = ((f"@{part.text}", file.evidence(part.line, text)) for part in function.decorators)
            found.decorators = [(name, evidence) for name, evidence in marks if name in evidence]
        read = {read.text for read in function.reads} if self.language in _PLAIN_CONSTANTS else set()
        # `other.LIMIT` is a constant of something else.
        bare = (name for name in read if len(name) >= SHORTEST_NAME and not re.search(rf"(?:\.|::){name}\b", text))
        found.names = frozenset(name for name in bare if re.search(rf"\b{name}\b", text))
        found.mentioned = frozenset(self._mentions(definition.code))
        found.called = frozenset(call.text for call in function.calls)
        if self.language != "ruby":
            found.called |= found.mentioned
        self.facts.functions.append(found)
        return found

    def _links(self, kept: list[tuple[Function, FunctionFacts]]) -> None:
        names = Counter(function.name for function, _ in kept)
        unique = {f.name: f for f, _ in kept if names[f.name] == 1 and f.name not in self.facts.others}
        for function, found in kept:
            file = self.files[function.path]
            for call in function.calls:
                target, line = unique.get(call.text), file.line(call.line)
                if target is None or target is function or len(found.calls) >= 30 or line not in found.passage.text:
                    continue
                if CallSite(self.language, function, call, line, file.imports).surely_means(target):
                    found.calls.append((call.text, file.evidence(call.line, found.passage.text)))

    def _classes(self) -> None:
        kept: dict[tuple[str, str], dict[str, FunctionFacts]] = defaultdict(dict)
        every: dict[tuple[str, str], set[str]] = defaultdict(set)
        for found in self.facts.functions:
            kept[self._home(found.path), found.owner].setdefault(found.name, found)
        for function in self.stated.functions:
            every[self._home(function.path), function.owner].add(function.name)
        for class_ in self.stated.classes:
            file = self.files[class_.path]
            definition = file.around(class_.line, kind="class")
            if definition is None or definition.name.rpartition(".")[2] != class_.name.rpartition("::")[2]:
                continue
            if class_.name == definition.name or "::" in class_.name:
                home = (self._home(class_.path), class_.name)
                made = self._class(class_, definition, file)
                made.methods = dict(kept.get(home, {}))
                made.own = frozenset(_MEMBER.findall(definition.code)) | every.get(home, set())
                self.facts.classes.append(made)

    def _home(self, path: str) -> str:
        """Where the methods of a type may stand: in its file, or in the files beside it."""
        return path.rpartition("/")[0] if self.language in ("go", "rust", "cpp") else path

    def _class(self, class_: Class, definition: Definition, file: _File) -> ClassFacts:
        passage = Passage(definition.header, definition.text)

        def stated(parts: list[Stated]) -> list[tuple[str, str]]:
            """Names with their evidence; none unless each has some and they are few."""
            named = [(part.text, file.evidence(part.line, passage.text)) for part in parts]
            every = all(name.rpartition("::")[2] in evidence for name, evidence in named)
            return named if every and len(named) <= MOST_OF_A_CLASS else []

        bases, interfaces, marks = map(stated, (class_.bases, class_.implements, class_.decorators))
        line = bases[0][1] if bases else file.line(class_.line)
        found = ClassFacts(class_.name, class_.name, class_.path, passage, line, imports=file.imports)
        found.bases = [name.removeprefix("*") for name, _ in bases]
        found.relation = _RELATIONS.get(self.language, "extends")
        found.interfaces = [name for name, _ in interfaces]
        found.interface_line = interfaces[0][1] if interfaces else ""
        if self.language == "rust":
            found.derives = marks
        else:
            found.decorators = [(f"@{name}", evidence) for name, evidence in marks if f"@{name}" in evidence]
        return found

    def _constants(self) -> None:
        set_in: Counter[str] = Counter()
        for file in self.files.values():
            set_in.update(plain or defined for plain, defined in _SET.findall(file.text))
        for constant in self.stated.constants:
            if set_in[constant.name] > 1:
                continue
            file = self.files[constant.path]
            number = constant.value.line
            evidence, value = file.line(number), constant.value.text.strip()
            if constant.name not in evidence or value not in evidence or len(value) > 80:
                continue
            definition = file.around(number)
            text = definition.text if definition else cut("\n".join(file.lines[max(0, number - 9) : number + 8]))
            header = definition.header if definition else f"{constant.path}\n"
            if evidence in text and len(text) >= MIN_CHARACTERS:
                passage = Passage(header, text)
                self.facts.constants.append(ConstantFact(constant.name, value, constant.path, passage, evidence))

    def _reexports(self) -> None:
        defined = {function.name: function.path for function in self.facts.functions}
        defined |= {class_.name: class_.path for class_ in self.facts.classes}
        for file in self.files.values():
            text = cut(file.text)
            for name, module, number in reexported_names(file.text, self.language):
                evidence = file.line(number)
                if name in defined and len(text) >= MIN_CHARACTERS and evidence in text and defined[name] != file.path:
                    self.facts.reexports.append((name, module, Passage(f"{file.path}\n", text), evidence))
