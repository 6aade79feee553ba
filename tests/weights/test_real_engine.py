"""The models as they ship: real weights, packaged adapters, 8-bit layers."""

import os
from pathlib import Path

import pytest

from codemem.model.engine import Engine
from codemem.model.events import Answer, Read, Round, Source
from codemem.model.store import Store
from codemem.model.weights import checkpoint_folder
from codemem.model.weights.adapters import adapter_path
from codemem.model.weights.registry import find_model

DOCUMENTS = [
    ("net/retry.py\n", "def retry(call, attempts=7):\n    for _ in range(attempts):\n        call()\n"),
    ("text/words.py\n", "def split_words(text):\n    return text.split()\n"),
    ("shop/cart.py\n", "class Cart:\n    def total(self):\n        return sum(item.price for item in self.items)\n"),
    ("draw/circle.py\n", "def area(radius):\n    return 3.14159 * radius * radius\n"),
]


@pytest.mark.weights
def test_the_default_model_reads_finds_and_answers(real_checkpoint: Path, tmp_path: Path) -> None:
    reads_finds_and_answers("small", real_checkpoint, tmp_path)


@pytest.mark.weights
@pytest.mark.skipif("CODEMEM_TEST_MEDIUM" not in os.environ, reason="names no .gguf file of the medium model (1.1 GB)")
def test_the_medium_model_reads_finds_and_answers(tmp_path: Path) -> None:
    file = find_model("medium").file
    assert file is not None
    checkpoint = checkpoint_folder(Path(os.environ["CODEMEM_TEST_MEDIUM"]), sha256=file.sha256)
    reads_finds_and_answers("medium", checkpoint, tmp_path)


def reads_finds_and_answers(name: str, checkpoint: Path, tmp_path: Path) -> None:
    """A shipped model finds three of four documents by meaning, and tells a default with the file that sets it."""
    engine = Engine.open(name, checkpoint, adapter_path(find_model(name), checkpoint), device="cpu")
    entries = list(engine.encode(engine.tokenise(DOCUMENTS), engine.layout))
    with Store.open(tmp_path / "store", engine.layout) as store:
        store.append(entries)
        bank = engine.bank(store.load([entry.key for entry in entries]), engine.layout)
        questions = (
            "how often is a call retried?",
            "split text into words",
            "total price of the cart",
            "area of a circle",
        )
        best = [int(engine.rank(question, bank).scores.argmax()) for question in questions]
        events = list(
            engine.answer(
                "How many attempts does retry make by default?", bank, lambda i: Source(i, *DOCUMENTS[i]), max_tokens=40
            )
        )
    assert sum(found == wanted for wanted, found in enumerate(best)) >= 3
    answer = events[-1]
    assert isinstance(events[0], Round)
    assert isinstance(answer, Answer)
    assert {event.document for event in events if isinstance(event, Read)} >= {0}
    assert "7" in answer.text
    assert answer.cited[0].document == 0
