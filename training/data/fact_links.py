"""Whether a name in one file means what another file defines: the rules of each language, told by imports and place.

A name that stands for one thing of the package may still be another package's where it is used. What is not sure is no
link.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from codemem.evals.answers.facts import LONG_NAME, Call, Function

Imports = dict[str, str]
"""Name in a file -> where from: a path as it is written, '' for another package's."""

Resolver = Callable[[str, Imports, str, str], bool]

_OWN_OBJECT = frozenset(("self", "this", "$this", "Self", "static", "super", "parent"))
_IMPLICIT_SELF = frozenset(("java", "ruby", "cpp"))
_SCRIPT_IMPORT = re.compile(r"""\b(?:import|export)\s+(?:type\s+)?([\w$*{}\s,]+?)\s+from\s*['"]([^'"]+)['"]""")
_SCRIPT_REQUIRE = re.compile(r"""\b(?:const|let|var)\s+(\{[^}]*\}|[\w$]+)\s*=\s*require\(\s*['"]([^'"]+)['"]\s*\)""")
_SCRIPT_EXPORT = re.compile(r"""\bexport\s*(?:type\s*)?\{([^}]*)\}\s*from\s*['"](\.[^'"]*)['"]""")
_RUST_USE = re.compile(r"^[ \t]*(pub(?:\([\w ]+\))?\s+)?use\s+([^;]+);", re.MULTILINE)
_JAVA_IMPORT = re.compile(r"^import\s+(?:static\s+)?([\w.]+)\.(\w+)\s*;", re.MULTILINE)
_PHP_USE = re.compile(r"^use\s+([\w\\]+)\\(\w+)\s*;", re.MULTILINE)
_GO_IMPORT = re.compile(r'^\s*(?:import\s+)?(?:(\w+)\s+)?"([\w./~-]+)"\s*$', re.MULTILINE)
_NAMES = re.compile(r"[A-Za-z_$][\w$]*")
_ALIASED = re.compile(r"[\w$]+\s+as\s+([\w$]+)")


def imports_of(text: str, language: str) -> Imports:
    """The names that a file imports one by one."""
    if language in ("javascript", "typescript"):
        return dict(_script_imports(text))
    if language == "rust":
        return {name: module for name, module, _ in _rust_uses(text)}
    if language == "java":
        return {name: package.replace(".", "/") for package, name in _JAVA_IMPORT.findall(text)}
    if language == "php":
        return {name: space.replace("\\", "/") for space, name in _PHP_USE.findall(text)}
    if language == "go":
        return {alias or path.rpartition("/")[2]: path for alias, path in _GO_IMPORT.findall(text)}
    return {}


def _script_imports(text: str) -> Iterator[tuple[str, str]]:
    for found in (*_SCRIPT_IMPORT.finditer(text), *_SCRIPT_REQUIRE.finditer(text)):
        module = found[2] if found[2].startswith(".") else ""
        for name in _NAMES.findall(_ALIASED.sub(r"\1", found[1].replace(":", " as "))):
            if name not in ("as", "type"):
                yield name, module


def _rust_uses(text: str) -> Iterator[tuple[str, str, int]]:
    """(name, module within the crate or '', line) of each name of a `use`."""
    for found in _RUST_USE.finditer(text):
        first = re.split(r"\W", found[2], maxsplit=1)[0]
        inside = first in ("crate", "self", "super") or re.search(
            rf"^\s*(?:pub\b.*)?\bmod {first}\b", text, re.MULTILINE
        )
        for name in re.finditer(r"[A-Za-z_]\w*", found[2]):
            start = found.start(2) + name.start()
            if name[0] not in ("crate", "self", "super", "as") and not text[start + len(name[0]) :].startswith("::"):
                module = found[2].split("{")[0].strip().removesuffix("::" + name[0]) if inside else ""
                yield name[0], module.rstrip(":"), text.count("\n", 0, start) + 1


def reexported_names(text: str, language: str) -> Iterator[tuple[str, str, int]]:
    """(name, module, line) of what a file hands on from another one of its package."""
    if language in ("javascript", "typescript"):
        for found in _SCRIPT_EXPORT.finditer(text):
            for part in re.finditer(r"[^,]+", found[1]):
                name = part[0].strip().removeprefix("type ")
                if re.fullmatch(r"[A-Za-z_$][\w$]*", name):
                    place = found.start(1) + part.start() + part[0].index(name)
                    yield name, found[2], text.count("\n", 0, place) + 1
    elif language == "rust":
        lines = text.split("\n")
        for name, module, line in _rust_uses(text):
            if module and name[:1].isupper() and " as " not in lines[line - 1]:
                statement = text[: text.find(";", len("\n".join(lines[: line - 1])))].rpartition(";")[2]
                if re.search(r"\bpub\s+use\b", statement):
                    yield name, module, line


def _without_suffix(path: str) -> str:
    return re.sub(r"\.\w+$", "", path)


def resolver(language: str) -> Resolver:
    """How a bare name of the language finds its definition."""
    return _RESOLVERS.get(language, _in_folder)


def _in_folder(name: str, imports: Imports, path: str, target: str) -> bool:
    return path == target or path.rpartition("/")[0] == target.rpartition("/")[0]


def _by_import(name: str, imports: Imports, path: str, target: str) -> bool:
    """An imported name is that of the file that the module is called after, or of one in its folder."""
    if path == target:
        return name not in imports
    module = imports.get(name, "")
    last = _without_suffix(re.split(r"/|::", module)[-1])
    parts = _without_suffix(target).split("/")
    return bool(module) and (last in ("", ".", "..", "index", "crate", "self", "super") or last in parts)


def _by_namespace(name: str, imports: Imports, path: str, target: str) -> bool:
    """A file sees its folder, and what it imports from the folders that the name space is spelled like."""
    if name in imports:
        last = imports[name].rpartition("/")[2]
        stem = _without_suffix(target).split("/")
        return stem[-1] == name and (len(stem) < 2 or stem[-2] == last or stem[-2] in ("src", "lib"))
    return _in_folder(name, imports, path, target)


def _anywhere(name: str, imports: Imports, path: str, target: str) -> bool:
    return True


_RESOLVERS: dict[str, Resolver] = {
    "javascript": _by_import, "typescript": _by_import, "rust": _by_import, "java": _by_namespace,
    "php": _by_namespace, "ruby": _anywhere, "c": _anywhere, "cpp": _anywhere,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CallSite:
    """A call where it stands."""

    language: str
    caller: Function
    call: Call
    line: str
    imports: Imports

    def surely_means(self, target: Function) -> bool:
        """Whether it is one of `target`, whose name stands for nothing else in the package."""
        name = self.call.text
        if name in self.caller.parameters or not re.search(rf"(?<![\w$]){re.escape(name)}", self.line):
            return False
        if not self.call.bare:
            return self._on_receiver(target)
        if target.owner:
            return self.language in _IMPLICIT_SELF and target.owner == self.caller.owner
        return resolver(self.language)(name, self.imports, self.caller.path, target.path)

    def _on_receiver(self, target: Function) -> bool:
        name, places = self.call.text, _without_suffix(target.path).split("/")[-2:]
        found = re.search(rf"([$\w]+|\S)\s*(?:\.|::|->|\?\.|&\.)\s*{re.escape(name)}", self.line)
        receiver = found[1] if found else ""
        telling = len(name) > LONG_NAME and bool(re.search(r"[a-z0-9]_[a-z]|[a-z][A-Z]", name))
        if receiver in _OWN_OBJECT:
            return bool(target.owner) and (target.owner == self.caller.owner or telling)
        if module := self.imports.get(receiver):
            return target.owner in ("", receiver) and _without_suffix(re.split(r"/|::", module)[-1]) in places
        if receiver[:1].isupper():
            return target.owner == receiver and receiver not in self.imports
        if self.language == "rust" and found and "::" in found[0]:
            return not target.owner and receiver in places
        return telling and bool(target.owner) and receiver not in self.imports
