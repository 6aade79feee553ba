"""Sources in another form than the memory's: the path alone before them or nothing, and lines cut out of their file.

A model that only ever read whole definitions under our headers refuses other text for its form
(docs/results-earlier.md).
"""

from typing import Any

import numpy as np

from codemem.training.corpus import Corpus, path_alone
from codemem.training.files import Files

PATH = 0.7
"""Share of plain conversations whose sources have their path before them; the others have nothing."""
WINDOWS = 0.6
"""Share of those that show lines of files instead of definitions."""
AROUND = (2, 25)
"""Fewest and most lines before and behind the one in the middle."""


class PlainForm:
    """How one conversation shows its sources."""

    def __init__(self, corpus: Corpus, files: Files, random: np.random.Generator, record: dict[str, Any]) -> None:
        self._corpus, self._files, self._record = corpus, files, record
        self._path = random.random() < PATH
        # Next to what cannot be answered may stand what was taken away: its sources are never widened.
        self._windows = bool(record["gold"]) and random.random() < WINDOWS
        self._before, self._after = (int(n) for n in random.integers(*AROUND, size=2))

    def header(self, document: int) -> str:
        """What stands before a document."""
        return path_alone(self._corpus.headers[document]) if self._path else ""

    def text(self, document: int) -> str:
        """A document as it is shown; of lines always those that decide, the document's own first line elsewhere."""
        if not self._windows:
            return self._corpus.texts[document]
        decides = document == self._record["gold"][-1]
        evidence = self._record.get("evidence", "") if decides else ""
        window = self._files.of(document).window(document, evidence, self._before, self._after)
        # Other lines that happen to hold what decides would be right, and not cited.
        repeated = not decides and self._record.get("evidence") and self._record["evidence"] in window
        return self._corpus.texts[document] if repeated else window
