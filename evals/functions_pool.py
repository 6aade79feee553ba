"""The function-retrieval pool: every function of a fixed set of packages against documentation sentences.

    python -m codemem.evals.functions_pool functions.json --out DIR

The specification file names packages with exact versions. Their wheels are downloaded (never installed or run), each
function or method of at least 60 characters becomes a document with its docstring removed, and the first sentence of a
docstring becomes a query whose gold document is its own function.

The rules of the published figures are known in words only, so this is a reconstruction: 22,859 documents of 22,869 and
7,405 queries of 7,388. The 2,000 queries drawn are therefore another sample of the same population; compare within
+-0.011 on R@1 and never query by query.
"""

import argparse
import ast
import json
import random
import re
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MIN_DOCUMENT_CHARACTERS = 60
MAX_DOCUMENT_CHARACTERS = 2000
QUERY_CHARACTERS = range(25, 301)
DRAWN_QUERIES = 2000

# Wheels only: metadata of a source distribution is made by running its code.
PIP_DOWNLOAD = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:")

# Tests and vendored code, judged by the path inside the wheel.
_LEFT_OUT = re.compile(r"/(?:_?tests?)/|/test_|vendor|third_party|extern|typeshed|compat")


@dataclass(frozen=True, slots=True)
class PoolFunction:
    """One document of the pool."""

    package: str
    path: str
    """Inside the wheel, '/'-separated."""
    text: str
    """Decorators, signature and body with the docstring removed; cut at MAX_DOCUMENT_CHARACTERS."""
    query: str | None
    """First sentence of the docstring if it may serve as a query."""


def download(packages: dict[str, str], folder: Path) -> list[Path]:
    """Fetch the wheels of `packages` (name -> version) into `folder` and return them in name order.

    Raises `subprocess.CalledProcessError` when a version cannot be had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, version in packages.items():
        if not _wheels(folder, name, version):
            subprocess.run(
                [*PIP_DOWNLOAD, f"--dest={folder}", f"{name}=={version}"],
                check=True,
            )
    return [_wheels(folder, name, version)[0] for name, version in sorted(packages.items())]


def _wheels(folder: Path, name: str, version: str) -> list[Path]:
    return sorted(folder.glob(f"{re.sub('[-_.]+', '_', name)}-{version}-*.whl"))


def first_sentence(docstring: str) -> str | None:
    """Return the query that a docstring yields, or None if it is too short, too long or not ASCII."""
    paragraph = re.split(r"\n\s*\n", docstring.strip())[0]
    sentence = re.sub(r"\s+", " ", paragraph).strip().split(". ")[0].rstrip(".")
    return sentence if len(sentence) in QUERY_CHARACTERS and sentence.isascii() else None


def functions_of(source: str) -> Iterator[tuple[str, str | None]]:
    """Yield (text without docstring, docstring) of every function, nested ones included.

    Raises `SyntaxError` when the source does not parse.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # invalid escapes in old code
        tree = ast.parse(source)
    lines = source.splitlines(keepends=True)
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.end_lineno is None:
            continue
        start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
        docstring = ast.get_docstring(node)
        if docstring is None:
            yield "".join(lines[start : node.end_lineno]), None
            continue
        expression = node.body[0]
        assert expression.end_lineno is not None
        kept = lines[start : expression.lineno - 1] + lines[expression.end_lineno : node.end_lineno]
        yield "".join(kept), docstring


def pool(wheels: list[Path]) -> list[PoolFunction]:
    """Read every document of the pool, in the order of `wheels` and of paths within them."""
    functions: list[PoolFunction] = []
    for wheel in wheels:
        package = wheel.name.split("-")[0]
        with zipfile.ZipFile(wheel) as archive:
            for path in sorted(name for name in archive.namelist() if name.endswith(".py")):
                if _LEFT_OUT.search(path):
                    continue
                source = archive.read(path).decode("utf-8", "replace")
                try:
                    found = list(functions_of(source))
                except (SyntaxError, ValueError):  # templates and files of other Python versions
                    continue
                functions.extend(
                    PoolFunction(package, path, text[:MAX_DOCUMENT_CHARACTERS], first_sentence(doc) if doc else None)
                    for text, doc in found
                    if len(text.strip()) >= MIN_DOCUMENT_CHARACTERS
                )
    return functions


def write(functions: list[PoolFunction], folder: Path) -> tuple[int, int]:
    """Write documents.jsonl and queries.jsonl; return how many functions have a query and how many were drawn.

    `gold` is the 0-based line of the document; `same` lists documents that are equal to it or share its query.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "documents.jsonl").open("w", encoding="utf-8") as out:
        for function in functions:
            row = {"path": function.path, "header": f"{function.path}\n", "text": function.text}
            out.write(json.dumps({**row, "package": function.package, "language": "python"}) + "\n")
    asked = [index for index, function in enumerate(functions) if function.query]
    drawn = random.Random(0).sample(asked, min(DRAWN_QUERIES, len(asked)))  # noqa: S311 (a sample, not a secret)
    with_query: dict[str | None, list[int]] = {}
    with_text: dict[tuple[str, str], list[int]] = {}
    for index, function in enumerate(functions):
        with_query.setdefault(function.query, []).append(index)
        with_text.setdefault((function.path, function.text), []).append(index)
    with (folder / "queries.jsonl").open("w", encoding="utf-8") as out:
        for index in drawn:
            function = functions[index]
            same = {*with_query[function.query], *with_text[function.path, function.text]} - {index}
            out.write(json.dumps({"query": function.query, "gold": index, "same": sorted(same)}) + "\n")
    return len(asked), len(drawn)


def main(arguments: list[str] | None = None) -> None:
    """Build the pool named by a specification file."""
    parser = argparse.ArgumentParser(prog="python -m codemem.evals.functions_pool", description=main.__doc__)
    parser.add_argument("specification", type=Path, help='JSON file with {"packages": {NAME: VERSION}}')
    parser.add_argument("--out", type=Path, required=True, help="folder for documents.jsonl, queries.jsonl and wheels")
    options = parser.parse_args(arguments)
    packages = json.loads(options.specification.read_text(encoding="utf-8"))["packages"]
    functions = pool(download(packages, options.out / "dist"))
    asked, drawn = write(functions, options.out)
    print(f"{len(functions)} documents, {asked} with a query, {drawn} drawn", file=sys.stderr)


if __name__ == "__main__":
    main()
