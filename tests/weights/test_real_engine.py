"""The default model as it ships: real weights, the packaged adapter, 8-bit layers."""

from pathlib import Path

import pytest

from codemem.model.engine import Engine
from codemem.model.events import Answer, Read, Round, Source
from codemem.model.store import Store
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
    engine = Engine.open("small", real_checkpoint, adapter_path(find_model("small"), real_checkpoint), device="cpu")
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
