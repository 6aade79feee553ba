"""Training data from repositories on this machine, so that a team can train on its own code.

The same questions by rule as for packages (codemem.training.data), without their licence and evaluation filters: what
is trained on here is the user's own choice.
"""

import ast
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from codemem.indexer import FileEntry, Tree, UnreadableFileError, open_tree
from codemem.training.data import python_definitions, treesitter_definitions
from codemem.training.data.answer_shards import AnswerShard, records_of_package
from codemem.training.data.build import Corpus, write
from codemem.training.data.definition import Definition
from codemem.training.data.definition_answers import answers_from_definitions
from codemem.training.data.extract import TEST
from codemem.training.data.fact_grammars import GRAMMARS
from codemem.training.data.fingerprint import SeenTexts
from codemem.training.data.prepare import prepare
from codemem.training.data.python_fact_reader import add_file
from codemem.training.data.python_facts import PackageFacts
from codemem.training.data.source_facts import facts_of_files

HELD_OUT = 20
"""One file in so many is for validation, with all its definitions, chosen by a hash of its path."""


@dataclass(slots=True)
class RepositoryCode:
    """What was read of one repository, or of its files for validation."""

    definitions: list[Definition] = field(default_factory=list)
    facts: PackageFacts = field(default_factory=PackageFacts)
    """Of its Python files, for answers."""
    sources: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """(path, text) of the files of other languages that facts are read of, for answers."""


def read_repository(path: Path) -> tuple[RepositoryCode, RepositoryCode]:
    """The working tree at `path`, as the indexer would read it: for training, for validation.

    Raises the indexer's errors.
    """
    training, validation = RepositoryCode(), RepositoryCode()
    with open_tree(path) as tree:
        for entry in tree.list().entries:
            for text, parsed in _texts(tree, entry):
                _add(validation if _is_held_out(entry.path) else training, entry.path, text, parsed)
    return training, validation


def write_data(repositories: Sequence[Path], out: Path, *, seed: int = 0) -> dict[str, int]:
    """Writes a folder as codemem.training.data does, and returns its counts.

    Raises the indexer's errors, and `ValueError` where no repository holds a function that could be asked about.
    """
    named = [(f"{number}:{path.resolve().name}", path) for number, path in enumerate(repositories)]
    corpus = Corpus(SeenTexts.of([]), held_out=frozenset(f"validation:{name}" for name, _ in named))
    for name, path in named:
        training, validation = read_repository(path)
        # Validation first: what is copied in both is then never trained on.
        for package, code in ((f"validation:{name}", validation), (f"training:{name}", training)):
            corpus.add_package(package, code.definitions, prepare(package, code.definitions))
            for shard, language in _answers(package, code):
                corpus.add_answers(package, shard, language)
    if not any(not held_out for held_out, _ in corpus.pairs):
        names = ", ".join(str(path) for path in repositories)
        raise ValueError(f"nothing to learn from in {names}: no function or class of a known language")
    return write(corpus, out, seed)


def _texts(tree: Tree, entry: FileEntry) -> Iterator[tuple[str, ast.Module | None]]:
    """The text of a file and, of Python, its syntax tree; nothing for files that no question can be made from."""
    suffix = Path(entry.path).suffix
    if suffix != ".py" and suffix not in treesitter_definitions.SUFFIXES:
        return
    try:
        text = tree.read(entry).decode("utf-8", "replace").replace("\r\n", "\n")
    except UnreadableFileError:
        return
    parsed = python_definitions.parse(text) if suffix == ".py" else None
    if suffix != ".py" or parsed is not None:
        yield text, parsed


def _add(code: RepositoryCode, path: str, text: str, parsed: ast.Module | None) -> None:
    test = bool(TEST.search(path))
    if parsed is None:
        language = treesitter_definitions.SUFFIXES[Path(path).suffix]
        code.definitions += treesitter_definitions.definitions(path, text, language, test=test)
        if language in GRAMMARS and not test:
            code.sources.setdefault(language, []).append((path, text))
        return
    code.definitions += python_definitions.definitions(path, text, parsed, test=test)
    if not test:
        add_file(code.facts, path, text, parsed)


def _answers(package: str, code: RepositoryCode) -> Iterator[tuple[AnswerShard, str]]:
    yield records_of_package(package, code.facts), "python"
    for language in sorted({definition.language for definition in code.definitions} - {"python"}):
        own = [d for d in code.definitions if d.language == language]
        facts = facts_of_files(code.sources[language], own, language) if language in code.sources else None
        yield answers_from_definitions(package, own, facts), language


def _is_held_out(path: str) -> bool:
    return zlib.crc32(path.encode("utf-8", "replace")) % HELD_OUT == 0
