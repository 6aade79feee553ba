"""How much a memory's conversations read, in which order, and in which form."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from codemem.model.config import MemoryConfig
from codemem.model.prompts import Prompts
from codemem.model.tokenizer import Tokenizer
from codemem.training.contexts import TextBatch, TextMemory
from codemem.training.conversation import Conversation
from codemem.training.conversations import Conversations
from codemem.training.corpus import Corpus
from codemem.training.writing import BEST_LAST, source_lengths

from .conftest import write_rows

DOCUMENTS = 60
GOLD = 7


@pytest.fixture
def corpus(tmp_path: Path, base: Path) -> Corpus:
    """One package of sixty functions in six files; a function in ten holds the word of the question."""
    rows: list[dict[str, Any]] = []
    for i in range(DOCUMENTS):
        text = f"def f{i}(x):\n    {'grommet' if i % 10 == GOLD else 'flange'}({i})\n    keep(x)\n    return {i}00\n"
        rows.append({"header": f"src/m{i // 10}.py C{i // 5}\n", "text": text, "language": "python", "package": "p"})
    write_rows(tmp_path / "documents.jsonl.zst", rows)
    write_rows(tmp_path / "pairs.jsonl.zst", [])
    return Corpus.load(tmp_path, Tokenizer.from_folder(base))


RECORD = {"question": "What does the grommet return?", "answer": "`700`.", "kind": "returns", "distractors": [8, 9]}
ANSWERED = {**RECORD, "gold": [GOLD], "evidence": "return 700"}
REFUSED = {**RECORD, "gold": [], "evidence": ""}


def drawn(corpus: Corpus, record: dict[str, Any], count: int = 40, **settings: Any) -> list[Conversation]:
    """Conversations about one record, by seed."""
    corpus.answers = [record]
    given = {"tokens": 3072, "memory_documents": 8, **settings}
    return [Conversations(corpus, Prompts(corpus.tokenizer), seed=seed, **given).next() for seed in range(count)]


def sources(conversation: Conversation, corpus: Corpus) -> list[str]:
    """What is shown, in order, without the number in front."""
    prompts = Prompts(corpus.tokenizer)
    named = conversation.ids.index(prompts.file)
    read = conversation.ids[conversation.ids.index(prompts.turn_end, named) : max(conversation.decisions)]
    starts = [at for at, token in enumerate(read) if token == prompts.file]
    texts = [corpus.tokenizer.decode(read[a + 1 : b]) for a, b in zip(starts, [*starts[1:], len(read)], strict=True)]
    # Behind the last the question stands again.
    return [text.split("] ", 1)[1].partition(f"\n{RECORD['question']}")[0] for text in texts]


def test_half_of_the_readings_fill_the_product_s_room_and_none_exceeds_it(corpus: Corpus) -> None:
    found = drawn(corpus, ANSWERED)
    lengths = [len(c.ids) for c in found]
    assert max(lengths) <= 3072
    assert sum(length > 2900 for length in lengths) > 12
    assert min(lengths) < 1500
    counts = [len(sources(c, corpus)) for c in found]
    assert max(counts) > 15  # far more than the record's own distractors
    short = [len(c.ids) for c in drawn(corpus, ANSWERED, tokens=900)]
    assert max(short) <= 900


def test_lengths_are_those_of_the_sources_that_are_shown(corpus: Corpus) -> None:
    given = [(n, header, text) for n, header, text in zip((1, 10), corpus.headers, corpus.texts, strict=False)]
    prompts = Prompts(corpus.tokenizer)
    assert source_lengths(corpus.tokenizer, given) == [len(prompts.source(*source)) for source in given]


def test_what_decides_is_read_last_as_often_as_routing_is_sure_of_it(corpus: Corpus) -> None:
    found = [sources(c, corpus) for c in drawn(corpus, ANSWERED)]
    last = sum("return 700" in texts[-1] for texts in found if len(texts) > 2)
    several = sum(len(texts) > 2 for texts in found)
    assert BEST_LAST - 0.2 < last / several < 1
    for texts in found:
        (held,) = [text for text in texts if "return 700" in text]
        assert held.startswith("src/m0.py C1\n")


def test_what_cannot_be_answered_reads_as_much_and_nothing_that_could_answer_it(corpus: Corpus) -> None:
    found = drawn(corpus, REFUSED)
    assert sum(len(c.ids) > 2900 for c in found) > 12  # or length alone would tell
    assert not any("grommet" in text for c in found for text in sources(c, corpus))


def test_plain_conversations_show_other_forms_that_hold_what_decides(corpus: Corpus) -> None:
    forms: Counter[str] = Counter()
    for conversation in drawn(corpus, ANSWERED, 80, plain=1.0):
        texts = sources(conversation, corpus)
        assert not any(" C" in text.split("\n", 1)[0] for text in texts)
        (held,) = [text for text in texts if "return 700" in text]
        path = "path" if held.startswith("src/m0.py\n") else "nothing"
        own = held.removeprefix("src/m0.py\n").rstrip().startswith("def f7") and "def f8" not in held
        forms[f"{path}, {'own' if own else 'lines'}"] += 1
        start = conversation.learn.index(True)
        assert {start} == conversation.decisions  # nothing is named
        assert not conversation.choices
    assert min(forms[f"{path}, {cut}"] for path in ("path", "nothing") for cut in ("own", "lines")) > 3
    shares = [" C" in sources(c, corpus)[0].split("\n", 1)[0] for c in drawn(corpus, ANSWERED, plain=0.3)]
    assert 0.5 < np.mean(shares) < 0.9


def test_texts_attend_to_memory_as_if_every_query_head_had_its_keys() -> None:
    """Masked rows count for nothing, and a text sees what went before."""
    torch.manual_seed(0)
    b, n, m, heads, groups, d = 2, 5, 3, 4, 2, 8
    stored = TextMemory(
        torch.randn(b, m, groups, d), torch.randn(b, m, groups, d), torch.tensor([[1, 1, 0], [1, 0, 0]]).bool()
    )
    mask = torch.ones(b, n, dtype=torch.bool)
    batch = TextBatch(mask, mask, None, MemoryConfig((1,)), {0: stored, 2: stored})  # type: ignore[arg-type]
    q, k, v = torch.randn(b * n, heads, d), torch.randn(b * n, groups, d), torch.randn(b * n, groups, d)
    expected = torch.zeros(b, n, heads, d)
    for row in range(b):
        for token in range(n):
            rows = stored.mask[row].nonzero()[:, 0]
            own = slice(row * n, row * n + token + 1)
            keys, values = torch.cat((stored.k[row, rows], k[own])), torch.cat((stored.v[row, rows], v[own]))
            for head in range(heads):
                group = head // (heads // groups)
                weights = (keys[:, group] @ q[row * n + token, head] / d**0.5).softmax(0)
                expected[row, token, head] = weights @ values[:, group]
    for layer in (0, 2):  # the second takes what the first made of the mask
        out = batch.attend(layer, torch.empty(0), q, k, v)
        torch.testing.assert_close(out.view(b, n, heads, d), expected, rtol=1e-4, atol=1e-5)
