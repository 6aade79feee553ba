"""Our model as the evaluations' scorer: entries are made as `codemem index` makes them, and kept in a store."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from codemem.engine_interface import Bank, MemoryEngine
from codemem.evals.checkouts import Checkout
from codemem.evals.retrieval import Hit
from codemem.indexer import SourceFile, index_tree, open_tree
from codemem.indexer.document import FILE_KINDS
from codemem.model.entry import EntryLayout
from codemem.model.store import Store
from codemem.outline.mix import weigh_documents
from codemem.outline.query import asked_kinds

CALL_DOCUMENTS = 1024
"""Documents tokenised and encoded at a time."""


class EngineBanks:
    """Banks of documents, encoded by one model; what was encoded before comes from the store."""

    def __init__(
        self,
        engine: MemoryEngine,
        store: Path,
        *,
        find_only: bool = True,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.engine = engine
        self._layout: EntryLayout = engine.find_layout if find_only else engine.layout
        self._store = store
        self._progress = progress

    def bank(self, documents: Sequence[tuple[str, str]]) -> Bank:
        """Of (header, text) each, in this order."""
        keys: list[bytes] = []
        parts = sorted({spec.name.split(".")[0] for spec in self._layout.tensors if spec.name.startswith("route")})
        with Store.open(self._store, self._layout) as store:
            for at in range(0, len(documents), CALL_DOCUMENTS):
                done = self.engine.tokenise(documents[at : at + CALL_DOCUMENTS])
                by_key = {self._layout.key(document.ids): document for document in done}
                keys += [self._layout.key(document.ids) for document in done]
                known = store.has(by_key)
                missing = [document for key, document in by_key.items() if key not in known]
                for entry in self.engine.encode(missing, self._layout):
                    store.append([entry])
                self._progress(f"{len(keys):,} of {len(documents):,} documents")
            store.flush()
            return self.engine.bank(store.load(keys, parts=parts), self._layout)


class EngineFunctions:
    """The memory over a pool of functions (`evals.functions.FunctionScorer`)."""

    def __init__(self, banks: EngineBanks) -> None:
        self._banks = banks
        self.name = f"memory of {banks.engine.name}"

    def prepare(self, documents: Sequence[str]) -> None:
        """The first line of each is its header."""
        pairs = [(head + newline, text) for head, newline, text in (d.partition("\n") for d in documents)]
        self._bank = self._banks.bank(pairs)

    def scores(self, query: str) -> npt.NDArray[np.float32]:
        return self._banks.engine.rank(query, self._bank).scores


class EngineMemory:
    """The memory over a checkout (`evals.systems.MemoryScorer`)."""

    def __init__(self, banks: EngineBanks) -> None:
        self._banks = banks
        self.name = f"memory of {banks.engine.name}"
        self.documents: list[Hit] = []

    def prepare(self, checkout: Checkout) -> None:
        folder = checkout.repository.folder
        with open_tree(checkout.searched) as tree:
            files = [file for file in index_tree(tree) if isinstance(file, SourceFile)]
        found = [
            replace(document, path=f"{folder}/{document.path}") if folder else document
            for file in files
            for document in file.documents
        ]
        self.documents = [Hit(d.path, d.start_line, d.end_line, 0.0) for d in found]
        self._kinds = np.array([FILE_KINDS.index(file.kind) for file in files for _ in file.documents], np.uint8)
        self._files = np.repeat(np.arange(len(files)), [len(file.documents) for file in files])
        self._bank = self._banks.bank([(d.header, d.text) for d in found])

    def scores(self, query: str) -> npt.NDArray[np.float32]:
        """As `codemem find` ranks them."""
        scores = self._banks.engine.rank(query, self._bank).scores
        return weigh_documents(scores, self._kinds, self._files, asked_kinds(query))
