"""Several questions over one reading of sources: the same as conversations of their own, and about the right things."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from codemem.model.config import DecoderConfig, MemoryConfig
from codemem.model.load import load_decoder
from codemem.model.prompts import Prompts
from codemem.model.tokenizer import Tokenizer
from codemem.model.weights import load_checkpoint
from codemem.training.contexts import TextMemory
from codemem.training.conversation import Conversation, positions
from codemem.training.conversations import Conversations
from codemem.training.corpus import Corpus
from codemem.training.network import Network, pad
from codemem.training.recipe import Phase, Recipe
from codemem.training.records import Further, Records
from codemem.training.trainer import Trainer
from codemem.training.written import KIND

from .conftest import write_rows

MEMORY = MemoryConfig((0, 1), find_layers=1)
PER_PACKAGE = 12
CPU = torch.device("cpu")


@pytest.fixture
def corpus(tmp_path: Path, base: Path) -> Corpus:
    """Two packages of twelve functions; of each one is asked what it gives back, of every third also who calls it."""
    documents: list[dict[str, Any]] = []
    answers: list[dict[str, Any]] = []
    for package in ("p", "q"):
        for i in range(PER_PACKAGE):
            name, own = f"{package}{chr(97 + i) * 5}", len(documents)
            text = f"def {name}():\n    return {own}77\n"
            documents.append({"header": f"{package}{i}.py\n", "text": text, "language": "python", "package": package})
            shared = {"gold": [own], "distractors": [], "language": "python", "evidence": f"return {own}77"}
            answers.append({**shared, "question": f"What gives {name}?", "answer": f"`{own}77`.", "kind": "returns"})
            if i % 3 == 0:
                answers.append({**shared, "question": f"Who calls {name}?", "answer": "nobody.", "kind": "caller"})
    write_rows(tmp_path / "documents.jsonl.zst", documents)
    write_rows(tmp_path / "pairs.jsonl.zst", [])
    write_rows(tmp_path / "qa.jsonl.zst", answers)
    return Corpus.load(tmp_path, Tokenizer.from_folder(base))


def drawn(corpus: Corpus, count: int, **settings: Any) -> list[Conversation]:
    given = {"tokens": 1000, "memory_documents": 4, "further": 4, **settings}
    conversations = Conversations(corpus, Prompts(corpus.tokenizer), seed=3, **given)
    return [conversations.next() for _ in range(count)]


def alone(conversation: Conversation, start: int, end: int) -> Conversation:
    """A further question as a conversation of its own: what stands before the fork, then it."""
    ids = [*conversation.ids[: conversation.fork], *conversation.ids[start:end]]
    return Conversation(ids, [False] * len(ids), conversation.routing, [], 0)


def test_each_further_question_sees_the_sources_and_none_of_the_others(corpus: Corpus, base: Path) -> None:
    checkpoint = load_checkpoint(base)
    decoder = load_decoder(
        DecoderConfig.from_huggingface(checkpoint.config), checkpoint.tensors, device=CPU, dtype=torch.float32
    )
    prompts = Prompts(corpus.tokenizer)
    network = Network(decoder, prompts, Recipe(MEMORY), device=CPU)
    config = decoder.config
    generator = torch.Generator().manual_seed(1)
    rows = (1, 3, config.kv_heads, config.head_dim)
    k, v = (torch.randn(rows, generator=generator) for _ in range(2))
    stored = {1: TextMemory(k, v, torch.tensor([[True, False, True]]))}

    def hidden(conversation: Conversation, branches: list[int] | None) -> torch.Tensor:
        ids, mask = pad([conversation.ids], 16, CPU)
        where = torch.zeros(ids.shape, dtype=torch.long)
        where[0, : len(conversation.ids)] = torch.as_tensor(positions(conversation, MEMORY))
        number = None
        if branches is not None:
            number = torch.zeros(ids.shape, dtype=torch.long)
            number[0, : len(branches)] = torch.as_tensor(branches)
        with torch.no_grad():
            return network.read(ids, mask, where, stored, number)[0, : len(conversation.ids)]

    conversation = next(c for c in drawn(corpus, 8) if len(c.further) >= 3)
    together = hidden(conversation, conversation.branch_of_tokens())
    first = Conversation(conversation.ids[: conversation.further[0][0]], [], conversation.routing, [], 0)
    torch.testing.assert_close(together[: len(first.ids)], hidden(first, None))
    for start, end in conversation.further:
        torch.testing.assert_close(
            together[start:end], hidden(alone(conversation, start, end), None)[conversation.fork :]
        )
    causal = hidden(conversation, None)  # what it would be if each saw the others: the mask is what is tested
    assert not torch.allclose(causal[conversation.further[-1][0] :], together[conversation.further[-1][0] :], atol=1e-3)


def test_further_questions_are_answered_from_what_is_shown_and_cite_it(corpus: Corpus) -> None:
    prompts, decode = Prompts(corpus.tokenizer), corpus.tokenizer.decode
    refused = answered = 0
    for conversation in drawn(corpus, 60, tokens=760, further=2):
        assert len(conversation.ids) <= 760
        assert len(conversation.ids) == len(conversation.learn)
        shown = decode(conversation.ids[: conversation.fork])
        for start, end in conversation.further:
            written = next(at for at in range(start, end) if conversation.learn[at])
            assert written in conversation.decisions
            assert all(conversation.learn[written:end])
            question = decode(conversation.ids[start:written]).split("?")[0].split()[-1]
            if conversation.ids[written] == prompts.unanswerable:
                assert question not in shown
                refused += 1
                continue
            source = conversation.ids[end - 1 - conversation.ids[start:end][::-1].index(prompts.file) + 1 : end - 1]
            number = decode(source).strip()
            (place,) = [p for p in shown.split("[") if p.startswith(f"{number}]")]
            assert question in place
            answered += 1
    assert answered > 80
    assert refused > 5


def test_further_questions_come_from_the_package_by_kind_and_never_decide_the_first(corpus: Corpus) -> None:
    further = Further(corpus, np.random.default_rng(0), {"caller": 3.0}, count=3)
    kinds: Counter[str] = Counter()
    record = corpus.answers[0]
    for _ in range(200):
        found = further.drawn(record, lambda other: other["gold"] != [5])
        assert all(r["gold"][0] < PER_PACKAGE and r["gold"] != [5] for r in found)
        assert record["question"] not in (questions := [r["question"] for r in found])
        assert len(set(questions)) == len(questions) == 3
        kinds.update(r["kind"] for r in found)
    assert kinds["caller"] > kinds["returns"]  # four against twelve in the package, but wanted oftener


def test_a_kind_of_weight_0_is_never_asked(corpus: Corpus) -> None:
    random, record = np.random.default_rng(0), corpus.answers[0]
    further = Further(corpus, random, {"returns": 0.0}, count=9)
    found = [r["kind"] for _ in range(20) for r in further.drawn(record, lambda _: True)]
    assert set(found) == {"caller"}
    with pytest.raises(ValueError, match="leave no answer"):
        Further(corpus, random, {"returns": 0.0, "caller": 0.0}, count=3)
    records = Records(corpus.answers, random, {"returns": 0.0})
    assert {corpus.answers[records.next()]["kind"] for _ in range(200)}.isdisjoint({"returns"})


def test_a_step_learns_from_them(corpus: Corpus, base: Path) -> None:
    checkpoint = load_checkpoint(base)
    decoder = load_decoder(
        DecoderConfig.from_huggingface(checkpoint.config), checkpoint.tensors, device=CPU, dtype=torch.float32
    )
    recipe = Recipe(MEMORY, phases=(Phase(questions=2, answers=2),), further=4, answer_tokens=1000)
    trainer = Trainer(decoder, corpus.tokenizer, recipe, device=CPU, base_sha256="0" * 64)
    several = drawn(corpus, 2)
    losses = []
    for _ in range(6):
        loss = trainer.answer_losses(several, {})["answer"]
        loss.backward()  # type: ignore[no-untyped-call]
        for parameter in trainer.network.adapter_parameters():
            if parameter.grad is not None:
                parameter.data -= 0.5 * parameter.grad
                parameter.grad = None
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.05


def test_below_a_fixed_layer_and_in_the_routers_nothing_changes(corpus: Corpus, base: Path) -> None:
    checkpoint = load_checkpoint(base)
    decoder = load_decoder(
        DecoderConfig.from_huggingface(checkpoint.config), checkpoint.tensors, device=CPU, dtype=torch.float32
    )
    phase = Phase(questions=0, answers=2)
    recipe = Recipe(MEMORY, phases=(phase,), further=4, answer_tokens=600, fixed_below=1, reading_from=1, steps=3)
    trainer = Trainer(decoder, corpus.tokenizer, recipe, device=CPU, base_sha256="0" * 64)
    before = {name: p.detach().clone() for name, p in trainer._parameters().items()}
    losses: list[dict[str, float]] = []
    trainer.run(corpus, log=lambda report: losses.append(report.losses))
    assert [{n for n in found if not n.startswith(KIND)} for found in losses] == [{"answer", "total", "norm"}] * 3
    changed = {name for name, p in trainer._parameters().items() if not torch.equal(p, before[name])}
    assert changed
    assert all(name.startswith("layers.") and int(name.split(".")[1]) >= 1 for name in changed)


def test_a_phase_that_asks_nothing_must_answer() -> None:
    with pytest.raises(ValueError, match="answers alone"):
        Phase(questions=0, answers=0)
    with pytest.raises(ValueError, match="answers alone"):
        Phase(questions=0, answers=2, hops=4)
