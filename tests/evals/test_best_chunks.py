"""Attention to best chunks alone takes, of each document, the rows that its question matched best."""

from pathlib import Path

import numpy as np
import pytest
import torch

from codemem.evals.answers.best_chunks import BestChunks
from codemem.model.bank import Bank
from codemem.model.engine import Engine
from codemem.model.store import Store
from codemem.model.testing import tiny_engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return tiny_engine(tmp_path_factory.mktemp("model"))


def test_rows_are_those_of_the_best_chunk(tmp_path: Path, engine: Engine) -> None:
    texts = [
        ("a.py\n", "def alpha(limit):\n    return limit\n" * 12),
        ("b.py\n", "x = 1\n"),
        ("c.py\n", "y = 2\n" * 90),
    ]
    entries = list(engine.encode(engine.tokenise(texts), engine.layout))
    with Store.open(tmp_path / "store", engine.layout) as store:
        store.append(entries)
        bank = engine.bank(store.load([entry.key for entry in entries]), engine.layout)
    assert isinstance(bank, Bank)
    best = BestChunks.of(bank)
    several = 0
    for layer in bank.layers:
        query = engine.queries("return limit", bank.layers)[layer]
        chosen = best.route(layer, query, 3)
        assert chosen.documents.tolist() == bank.route(layer, query, 3).documents.tolist()
        keys, values = best.fetch(layer, chosen.documents)
        every, every_values = bank.fetch(layer, chosen.documents)
        scores = bank.chunk_scores(layer, query).numpy()
        at = 0
        for row, document in enumerate(sorted(chosen.documents.tolist())):
            start, end = bank.offsets[document], bank.offsets[document + 1]
            wanted = at + int(np.argmax(scores[start:end]))
            torch.testing.assert_close(keys[row], every[wanted])
            torch.testing.assert_close(values[row], every_values[wanted])
            at, several = at + int(end - start), several + (end - start > 1)
    assert several, "documents of one chunk alone would show nothing"
    with pytest.raises(KeyError):
        BestChunks.of(bank).fetch(bank.layers[0], torch.tensor([0]))  # nothing was asked
