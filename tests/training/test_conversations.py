"""Conversations of training: what is learnt, what decoding offers, and that both are what the product does."""

from pathlib import Path

import pytest
import torch

from codemem.model.config import MemoryConfig
from codemem.model.naming import decode_names
from codemem.model.prompts import Prompts
from codemem.model.tokenizer import Tokenizer
from codemem.training.conversation import Conversation
from codemem.training.conversations import Conversations
from codemem.training.corpus import Corpus
from codemem.training.naming_choices import naming_turn
from codemem.training.recipe import Recipe
from codemem.training.written import written_losses


@pytest.fixture
def tokenizer(base: Path) -> Tokenizer:
    return Tokenizer.from_folder(base)


@pytest.fixture
def corpus(data: Path, tokenizer: Tokenizer) -> Corpus:
    return Corpus.load(data, tokenizer)


def made(corpus: Corpus, tokenizer: Tokenizer, *, seed: int, gold: list[int]) -> Conversation:
    drawn = Conversations(corpus, Prompts(tokenizer), tokens=1500, memory_documents=8, seed=seed)
    record = {"question": "What is it?", "gold": gold, "distractors": [5, 6, 7], "answer": "It is so.", "kind": "k"}
    return drawn.build(record, extra=[9, 10, 11])


def learnt(conversation: Conversation, tokenizer: Tokenizer) -> str:
    return tokenizer.decode([t for t, learn in zip(conversation.ids, conversation.learn, strict=True) if learn])


def test_of_naming_only_choices_are_learnt_and_of_answers_everything(corpus: Corpus, tokenizer: Tokenizer) -> None:
    conversation = made(corpus, tokenizer, seed=1, gold=[3])
    prompts = Prompts(tokenizer)
    names = {corpus.headers[d].strip() for d in (3, 5, 6, 7, 9, 10, 11)}
    # f3.py among f5, f6, f7, f9, f10 and f11: the digit decides, then whether to stop.
    offered = [conversation.choices[at] for at in sorted(conversation.choices)]
    assert len(offered) == 2
    assert {tokenizer.decode([token]) for token in offered[0]} == {name[1] for name in names}
    assert offered[1] == sorted([prompts.file, prompts.turn_end])
    (decision,) = conversation.decisions
    assert learnt(conversation, tokenizer).startswith("3")
    assert tokenizer.decode(conversation.ids[decision : decision + 9]) == "It is so."
    assert all(conversation.learn[decision:])


def test_a_chain_read_hop_by_hop_decides_to_go_on(corpus: Corpus, tokenizer: Tokenizer) -> None:
    prompts = Prompts(tokenizer)
    found = [made(corpus, tokenizer, seed=seed, gold=[3, 2]) for seed in range(12)]
    hopping = [c for c in found if len(c.decisions) == 2]
    assert 0 < len(hopping) < 12
    for conversation in hopping:
        first, second = sorted(conversation.decisions)
        assert conversation.ids[first] == prompts.file
        assert conversation.learn[first]
        assert first not in conversation.choices  # answering is offered too
        assert conversation.ids[second] != prompts.file


def test_what_cannot_be_answered_is_refused_behind_sources_and_names_nothing(
    corpus: Corpus, tokenizer: Tokenizer
) -> None:
    prompts = Prompts(tokenizer)
    conversation = made(corpus, tokenizer, seed=2, gold=[])
    (decision,) = conversation.decisions
    assert conversation.ids[decision] == prompts.unanswerable
    assert not conversation.choices
    assert conversation.learn.index(True) == decision
    assert conversation.ids[:decision].count(prompts.file) >= 3  # a name and two sources


@pytest.mark.parametrize("wanted", [[0], [2, 0], [1, 3]])
def test_learning_every_choice_makes_decoding_name_what_was_wanted(tokenizer: Tokenizer, wanted: list[int]) -> None:
    prompts = Prompts(tokenizer)
    headers = [prompts.header(h) for h in ("src/a.py Tile", "src/a.py", "src/b.py", "lib/b.py Tile.draw")]
    newline = prompts.newline[0]
    control = {"opening": prompts.file, "newline": newline, "stop": prompts.turn_end}
    turn = naming_turn([headers[w] for w in wanted], headers, **control)
    fed: list[int] = []

    def logits() -> torch.Tensor:
        found = torch.zeros(300)
        if len(fed) in turn.choices:
            assert turn.ids[len(fed)] in turn.choices[len(fed)]
            found[turn.choices[len(fed)]] = 1.0
            found[turn.ids[len(fed)]] = 2.0
        return found

    def step(token: int) -> torch.Tensor:
        fed.append(token)
        return logits()

    named = decode_names(step, logits(), headers, **control, most=4, must=True)
    assert named == [[w] for w in wanted]
    assert fed == turn.ids


def test_the_loss_of_a_choice_is_over_what_is_offered_and_decisions_count_more() -> None:
    conversation = Conversation([7, 3, 5], [False, True, True], (0, 1), [], 0, "", {1: [3, 4]}, {2})
    recipe = Recipe(MemoryConfig((1,)), choice_weight=2.0, decision_weight=4.0)
    logits = torch.zeros(2, 10)
    logits[0, 9] = 50.0  # not offered: no matter
    loss = written_losses(logits, torch.tensor([3, 5]), [conversation], recipe)["answer"]
    expected = (2 * torch.log(torch.tensor(2.0)) + 4 * torch.log(torch.tensor(10.0))) / 6
    torch.testing.assert_close(loss, expected)


def test_the_log_tells_the_loss_of_each_kind_of_question_apart() -> None:
    conversation = Conversation([7, 8, 3], [False, False, True], (0, 1), [], 0, "caller", fork=1)
    conversation.ask([8], [5, 6], "default")
    logits = torch.zeros(3, 10)
    logits[0, 3] = 50.0  # the first question's answer is known, the further one's is not
    losses = written_losses(logits, torch.tensor([3, 5, 6]), [conversation], Recipe(MemoryConfig((1,))))
    assert losses["answer: caller"].item() < 0.01
    torch.testing.assert_close(losses["answer: default"], torch.log(torch.tensor(10.0)))
