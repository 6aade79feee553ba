"""Who answers: the product itself, the same model fed by other retrieval, by the gold lines, or by nothing."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from codemem.ask import ask
from codemem.config import Settings
from codemem.definitions import definitions_between
from codemem.engine_interface import MemoryEngine
from codemem.evals.answers.judge import Span
from codemem.evals.answers.questions import Question
from codemem.evals.answers.reading import Given, Limits, NoMemory, NotingEngine, Piece, lines_of_bytes
from codemem.evals.baselines import CHUNK_LINES, Bm25Retriever
from codemem.evals.cases import Repository
from codemem.evals.checkouts import Checkout
from codemem.evals.retrieval import Retriever
from codemem.index import IndexOptions, index
from codemem.indexer import SourceFile, Symbol, index_tree, open_tree
from codemem.manifest import Manifest
from codemem.model.events import Answer, Source
from codemem.passages import FileChangedError
from codemem.results import AskResult
from codemem.search import Session, Target, open_session
from codemem.workspace import open_workspace

RANKED = 40
"""Pieces of a ranking that are kept: well over 2,000 tokens of them."""
GOLD_LINES = 12
"""Lines around each gold line that the oracle reads."""


class System(Protocol):
    """Answers questions about one repository at a time."""

    @property
    def name(self) -> str: ...

    def prepare(self, root: Path) -> None:
        """Makes ready for questions about the repository in a folder."""

    def answer(self, question: Question, text: str) -> Given: ...

    def close(self) -> None: ...


class ProductSystem:
    """`codemem ask` as users have it: index, session, rounds, checked citations."""

    def __init__(
        self,
        name: str,
        engine: MemoryEngine,
        settings: Settings,
        limits: Limits,
        *,
        silent: bool = False,
        told: bool = True,
        best_chunks: bool = False,
        hops: bool = True,
        premises: bool = True,
    ) -> None:
        """`told`: whether the model is told where the names of a question stand (codemem/model/references.py);
        `best_chunks`: whether it attends to each document's best chunk alone; `hops`: whether what is read leads on;
        `premises`: whether what a question takes for given is looked at."""
        self.name = name
        self._engine = NotingEngine(engine, silent=silent, told=told, best_chunks=best_chunks)
        self._settings, self._limits, self._hops, self._premises = settings, limits, hops, premises
        self._session: Session | None = None

    def prepare(self, root: Path) -> None:
        self.close()
        with open_workspace(root, self._settings, whole=True) as workspace:
            known = workspace.load() or Manifest.empty()
            stale = bool(known.info.model) and known.info.layouts != {}
            fingerprints = {layout.get("fingerprint") for layout in known.info.layouts.values()}
            upgrade = stale and self._engine.layout.fingerprint not in fingerprints
            options = IndexOptions("ask", self._engine.name, upgrade)
            index(workspace, self._settings, self._load, options)
        target = Target((root,), model=self._engine.name, seconds=0.0)
        self._session = open_session(target, self._settings, self._load, answering=True)

    def answer(self, question: Question, text: str) -> Given:
        assert self._session is not None, "prepare a repository first"
        session = self._session
        config = replace(
            session.config,
            max_rounds=self._limits.rounds,
            source_tokens=self._limits.source_tokens,
            max_tokens=self._limits.answer_tokens,
        )
        self._engine.forget()
        began = time.perf_counter()
        *_, last = ask(session, text, config, hops=self._hops, premises=self._premises)
        seconds = time.perf_counter() - began
        assert isinstance(last, AskResult), "an engine ends with an answer"
        ranked = np.argsort(-self._engine.prior, kind="stable")[:RANKED].tolist()
        return Given(
            answer=last.answer,
            found=last.found,
            citations=[Span(c.path, c.start_line, c.end_line) for c in last.citations],
            read=self._pieces(self._engine.read),
            ranked=self._pieces(ranked),
            rounds=len(last.rounds),
            seconds=seconds,
            route_ms=last.stats["route_ms"],
            tokens=int(last.stats["tokens"]),
        )

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _load(self, _: str) -> MemoryEngine:
        return self._engine

    def _pieces(self, documents: Sequence[int]) -> list[Piece]:
        assert self._session is not None
        recall = self._session.recall
        assert recall is not None, "answering needs a memory"
        pieces = []
        for number in documents:
            tree, document = recall.where(number)
            with suppress(FileChangedError):
                found = tree.passages.document(document)
                pieces.append(Piece(Span(found.path, found.start_line, found.end_line), found.text))
        return pieces


class ReaderSystem:
    """The same model reads what another retrieval ranks first; no memory, no naming, one round."""

    def __init__(
        self, name: str, pieces: "PieceSource", engine: MemoryEngine, limits: Limits, *, silent: bool = False
    ) -> None:
        self.name = name
        self._pieces, self._engine, self._limits, self._silent = pieces, engine, limits, silent

    def prepare(self, root: Path) -> None:
        self._pieces.prepare(root)

    def answer(self, question: Question, text: str) -> Given:
        began = time.perf_counter()
        ranked = self._pieces.ranked(question, text)
        given = Given(ranked=ranked, route_ms=(time.perf_counter() - began) * 1e3)
        if self._silent:
            return given

        def read(number: int) -> Source:
            piece = ranked[number]
            header = f"{piece.span.path}\n" if piece.span.path else ""
            return Source(number, header, piece.text, piece.definitions)

        events = self._engine.answer(
            text,
            NoMemory(),
            read,
            prior=np.arange(len(ranked), 0, -1, dtype=np.float32),
            max_rounds=1,
            source_tokens=self._limits.source_tokens,
            max_tokens=self._limits.answer_tokens,
            cancelled=lambda: False,
        )
        for event in events:
            if isinstance(event, Answer):
                given.answer, given.found = event.text.strip() if event.found else "", event.found
                given.citations = [lines_of_bytes(ranked[c.document], c.start_byte, c.end_byte) for c in event.cited]
                given.read = [ranked[r.document] for r in event.read]
                given.tokens = event.tokens
        given.found = given.found and bool(given.answer)
        given.seconds = time.perf_counter() - began
        return given

    def close(self) -> None:
        """Nothing is held."""


class PieceSource(Protocol):
    """What a reader is given, best first."""

    def prepare(self, root: Path) -> None: ...

    def ranked(self, question: Question, text: str) -> list[Piece]: ...


def checkout_of(root: Path) -> Checkout:
    return Checkout(Repository(root.name, ""), root)


class Texts:
    """The files of a repository by lines."""

    def __init__(self, root: Path, *, defined: bool = False) -> None:
        """`defined`: whether pieces come with their definitions, as the indexer knows them."""
        self._lines = {path: text.split("\n") for path, text in checkout_of(root).texts()}
        self._symbols: dict[str, Sequence[Symbol]] = {}
        if defined:
            with open_tree(root) as tree:
                self._symbols = {f.path: f.symbols for f in index_tree(tree) if isinstance(f, SourceFile)}

    def piece(self, path: str, start_line: int, end_line: int) -> Piece:
        lines = self._lines[path]
        start, end = max(1, start_line), min(len(lines), end_line)
        definitions = tuple(definitions_between(self._symbols.get(path, ()), start, end))
        return Piece(Span(path, start, end), "\n".join(lines[start - 1 : end]), definitions)


class RetrievedPieces:
    """The spans that a retriever of the retrieval harness ranks first."""

    def __init__(self, retriever: Retriever, *, defined: bool = False) -> None:
        self._retriever, self._defined = retriever, defined

    def prepare(self, root: Path) -> None:
        self._texts = Texts(root, defined=self._defined)
        self._retriever.prepare(checkout_of(root))

    def ranked(self, question: Question, text: str) -> list[Piece]:
        hits = self._retriever.rank(text, RANKED)
        return [self._texts.piece(hit.path, hit.start_line, hit.end_line) for hit in hits]


class FilePieces:
    """BM25 over whole files; of each file, in the order of files, its chunks by BM25 over chunks."""

    def __init__(self) -> None:
        self._files, self._chunks = Bm25Retriever(None), Bm25Retriever(CHUNK_LINES)

    def prepare(self, root: Path) -> None:
        self._texts = Texts(root)
        for retriever in (self._files, self._chunks):
            retriever.prepare(checkout_of(root))

    def ranked(self, question: Question, text: str) -> list[Piece]:
        rank = {hit.path: number for number, hit in enumerate(self._files.rank(text, RANKED))}
        chunks = [hit for hit in self._chunks.rank(text, 10_000) if hit.path in rank]
        chunks.sort(key=lambda hit: rank[hit.path])  # stable: within a file the order of chunks stays
        return [self._texts.piece(hit.path, hit.start_line, hit.end_line) for hit in chunks[:RANKED]]


class GoldPieces:
    """The lines that decide, and a few around them: what remains wrong is the reader's own."""

    def prepare(self, root: Path) -> None:
        self._texts = Texts(root)

    def ranked(self, question: Question, text: str) -> list[Piece]:
        lines = [step[0] for step in question.evidence]
        return [self._texts.piece(gold.path, gold.line - GOLD_LINES, gold.line + GOLD_LINES) for gold in lines]


class NoPieces:
    """Closed book: in place of files, the word that there are none."""

    def prepare(self, root: Path) -> None:
        """Nothing is read."""

    def ranked(self, question: Question, text: str) -> list[Piece]:
        return [Piece(Span("", 1, 1), "No file is at hand: answer from what you know.")]


Makers = dict[str, Callable[[], System]]
